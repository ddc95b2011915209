"""Sweeps as jobs: `ray job submit` against a real head node with token authentication."""

import os

import pytest

from analysis.results import load_results
from analysis.store import ResultsWriter
from clusters import PATIENCE, PATIENT, ROOT, Cluster, until
from spaces.sweep_file import dump_sweep, parse_sweep
from trainable.folder.storage import Folder

pytestmark = [pytest.mark.ray, pytest.mark.cluster, PATIENT]

SPEC = """
name = "job"
losses = ["ce"]
network = "tiny_cnn"
[data]
name = "digits"
train_examples = 200
holdout = 0.2
[[noise]]
kind = "symmetric"
rates = [0.4]
[budget]
trials = 3
max_epochs = 3
grace_epochs = 1
[resources]
gpus_per_trial = 0.5
[space]
lr_schedule = "cosine"
batch_size = 32
"""


@pytest.fixture(scope="module")
def head():
    cluster = Cluster(cpus=4, gpus=1)
    yield cluster
    cluster.close()


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """What a user submits from: the project's tracked files, a sweep file, a script."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("trainable", "spaces", "analysis", "search", "pyproject.toml"):
        os.symlink(ROOT / name, folder / name)
    os.symlink(ROOT / "tests" / "slow_search.py", folder / "slow_search.py")
    (folder / ".rayignore").write_text((ROOT / ".rayignore").read_text())
    (folder / "my.toml").write_text(SPEC)
    return folder


@pytest.fixture(scope="module")
def submit(head, checkout):
    """Submit `python -m search ARGUMENTS` and follow it to its end."""

    def run(*arguments, job="", options=(), program=("-m", "search"), **environment):
        named = [f"--submission-id={job}"] if job else []
        command = ["job", "submit", "--address", head.url, "--working-dir", ".", *named, *options]
        command += ["--", "python", *program, *map(str, arguments)]
        return head.ray(*command, cwd=checkout, **environment)

    return run


def exit_code(head, job):
    """What the job's own process ended with, None if it was stopped; the submit says 0 or 1."""
    script = (
        "from ray.job_submission import JobSubmissionClient as C;"
        f"print(C({head.url!r}).get_job_info({job!r}).driver_exit_code)"
    )
    done = head.drive("-c", script)
    assert done.wait(PATIENCE) == 0, head.driver_log
    code = head.driver_log.split()[-1]
    return None if code == "None" else int(code)


def test_job_runs_a_sweep_and_again_has_nothing_to_do(head, submit, tmp_path):
    done = submit("run", "my.toml", "--storage", tmp_path, job="first")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"results  {tmp_path}/job" in done.stdout
    results = load_results(tmp_path / "job")
    assert set(results.trials["status"]) <= {"completed", "stopped"}
    assert len(results.trials) == 3
    assert results.trials["git_sha"].str.match(r"files-[0-9a-f]{12}$|[0-9a-f]{40}").all()
    assert "running on 2 slots" in done.stdout
    assert "of 1 GPUs busy" in done.stdout
    assert "torch sees no GPU" in done.stdout or "cuda" in results.trials["device"].iloc[0]
    again = submit("run", "my.toml", "--storage", tmp_path, job="again")
    assert again.returncode == 0, again.stdout + again.stderr
    assert load_results(tmp_path / "job").trials["ended_at"].equals(results.trials["ended_at"])


def test_job_without_the_token_is_refused(head, submit, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    done = submit("run", "my.toml", HOME=str(home), RAY_AUTH_MODE="disabled")
    assert done.returncode != 0
    assert "Missing authentication token" in done.stdout + done.stderr
    wrong = submit("run", "my.toml", HOME=str(home), RAY_AUTH_TOKEN="0" * 64)
    assert wrong.returncode != 0
    assert "authentication token is invalid" in wrong.stdout + wrong.stderr
    listed = head.ray("job", "list", "--address", head.url)
    assert listed.returncode == 0, listed.stderr
    assert "run my.toml'" not in listed.stdout


@pytest.mark.parametrize("token", [{"RAY_AUTH_MODE": "disabled"}, {"RAY_AUTH_TOKEN": "0" * 64}])
def test_driver_without_the_token_is_refused_with_one_line(head, checkout, tmp_path, token):
    home = tmp_path / "home"
    home.mkdir()
    command = ("-m", "search", "run", checkout / "my.toml", "--storage", tmp_path / "results")
    driver = head.drive(*command, HOME=str(home), **token)
    assert driver.wait(PATIENCE) == 2, head.driver_log
    assert "cannot join Ray" in head.driver_log
    assert "RAY_AUTH_MODE=token" in head.driver_log
    assert "Traceback" not in head.driver_log
    assert not list((tmp_path / "results").iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--set", "budget.trails=4", "--storage", "/tmp"), "did you mean 'trials'"),
        ((), "a submitted job's working directory is deleted after it"),
        (
            ("--set", "resources.cpus_per_trial=640", "--storage", "STORAGE"),
            "more than any node has",
        ),
    ],
)
def test_job_with_a_mistake_fails_with_one_line(head, submit, tmp_path, arguments, message):
    arguments = [str(tmp_path) if a == "STORAGE" else a for a in arguments]
    job = f"mistake-{abs(hash(message))}"
    done = submit("run", "my.toml", *arguments, job=job)
    assert done.returncode == 1
    assert message in done.stdout
    assert "Traceback" not in done.stdout
    assert exit_code(head, job) == 2


def test_job_with_a_failed_trial_fails_and_names_it(head, submit, tmp_path):
    """A checkpoint folder that is a file: the trial cannot save."""
    (tmp_path / "job" / "checkpoints").mkdir(parents=True)
    spec = parse_sweep(SPEC, ["resources.max_failures=0", "budget.trials=1"])
    Folder.open(tmp_path / "job").write("sweep.toml", dump_sweep(spec).encode())
    (tmp_path / "job" / "checkpoints" / "symmetric-0.4-ce-0000").write_text("in the way")
    ResultsWriter(Folder.open(tmp_path / "job")).write_trials([])
    done = submit(
        *("run", "my.toml", "--storage", tmp_path, "--set", "resources.max_failures=0"),
        *("--set", "budget.trials=1"),
        job="failing",
    )
    assert done.returncode == 1
    assert "failed: symmetric-0.4-ce-0000: " in done.stdout
    assert exit_code(head, "failing") == 1
    errors = list((tmp_path / "job" / "tune").glob("*/symmetric-0.4-ce-0000/error.txt"))
    text = errors[0].read_text()
    assert "pid=" in text
    assert "Not a directory" in text


def test_job_stopped_saves_and_submitted_again_goes_on(head, submit, tmp_path):
    """First with epochs of 5 s: `ray job stop` has minutes to find the sweep running."""
    options = ["--no-wait", f"--runtime-env={ROOT / 'search/cluster/runtime_env.yaml'}"]
    slow = {"program": ("slow_search.py", "5"), "options": options}
    long = ("run", "my.toml", "--storage", tmp_path, "--set", "search.early_stopping=none")
    long += ("--set", "budget.max_epochs=100", "--set", "budget.trials=2")
    assert submit(*long, job="stopped", **slow).returncode == 0
    epochs = tmp_path / "job" / "epochs"
    until(lambda: any(epochs.rglob("part-*.parquet")), "the first epochs")
    stopped = head.ray("job", "stop", "--address", head.url, "stopped")
    assert "was stopped" in stopped.stdout + stopped.stderr
    logs = head.ray("job", "logs", "--address", head.url, "stopped").stdout
    assert "interrupted; everything so far is saved" in logs
    assert exit_code(head, "stopped") is None
    before = load_results(tmp_path / "job")
    assert before.running
    again = submit(*long, job="going-on")
    assert again.returncode == 0, again.stdout + again.stderr
    after = load_results(tmp_path / "job")
    assert set(after.trials["status"]) == {"completed"}
    assert list(after.epochs.groupby("trial_id", observed=True).size()) == [100, 100]
    kept = before.epochs.merge(after.epochs, on=["trial_id", "epoch"], suffixes=("", "_after"))
    assert len(kept) == len(before.epochs)
    assert (kept["val_accuracy"] == kept["val_accuracy_after"]).all()
    assert (after.trials["attempt"] == 2).any()
