"""What a person can get wrong on the command line: one clear line, exit code 2, nothing left."""

import os
import re
import signal
from pathlib import Path
from urllib.error import URLError

import pytest
from torchvision.datasets import CIFAR10
from typer.testing import CliRunner

from search.__main__ import app
from search.driver import runner
from spaces.sweep_file import dump_sweep, load_sweep, parse_sweep
from tests.archives import accept_files, write_cifar10, write_fashion_mnist
from tests.clusters import PATIENT, python
from tests.recorded import record_sweep

SWEEP = """
name = "mine"
losses = ["ce", "elr"]
network = "tiny_cnn"
[data]
name = "digits"
train_examples = 200
[[noise]]
kind = "symmetric"
rates = [0.4]
[budget]
trials = 2
max_epochs = 2
grace_epochs = 1
"""


@pytest.fixture
def storage(tmp_path):
    return tmp_path / "results"


@pytest.fixture
def sweep(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(SWEEP)
    return str(path)


def refused(*arguments: object) -> str:
    """The one line that a mistake gives."""
    result = CliRunner().invoke(app, list(map(str, arguments)))
    assert result.exit_code == 2, (result.output, result.exception)
    assert isinstance(result.exception, SystemExit)
    assert "Traceback" not in result.output
    assert not result.stdout
    (line,) = result.stderr.splitlines()
    return line


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def set_(*overrides: str) -> list[str]:
    return [argument for override in overrides for argument in ("--set", override)]


# -- the sweep file ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["budgt.trials=3"], ["unknown key 'budgt'", "did you mean 'budget'"]),
        (["budget.trails=3"], ["budget: unknown key 'trails'", "did you mean 'trials'"]),
        (["losses=adam_erl"], ["unknown loss 'adam_erl'", "did you mean 'adam_elr'", "bootstrap"]),
        (["data.name=cifar1O"], ["unknown data set 'cifar1O'", "did you mean 'cifar10'"]),
        (["noise.0.kind=symetric"], ["unknown noise kind 'symetric'", "did you mean 'symmetric'"]),
        (["noise.0.rates=[1.0]"], ["rate = 1.0 is not a number in [0, 1)"]),
        (["search.sampler=tppe"], ["unknown sampler 'tppe'", "did you mean 'tpe'", "cmaes"]),
        (["search.early_stopping=asha_promo"], ["did you mean 'asha_promotion'", "median"]),
        (["network=resnet-34"], ["unknown network 'resnet-34'", "did you mean 'resnet34'"]),
        (["space.preset=paper-star"], ["did you mean 'paper_star'"]),
        (["search.metric=test_accuracy"], ["leaks", "val_accuracy", "allow_test_selection"]),
        (["space.lam={low = 9, high = 1}"], ["lam: low = 9 is above high = 1"]),
        (["budget.grace_epochs=3"], ["grace_epochs = 3 is above max_epochs = 2"]),
        (["name=../up"], ["'../up' is not a name of letters"]),
        (["budget"], ["--set budget: is not key=value"]),
    ],
)
def test_run_refuses_a_wrong_sweep_file(sweep, storage, overrides, words):
    line = refused("run", sweep, "--storage", storage, *set_(*overrides))
    assert line.startswith(("--set", f"{sweep}: "))
    for word in words:
        assert word in line
    assert not storage.exists()
    assert refused("plan", sweep, "--storage", storage, *set_(*overrides)) == line


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "name: is missing"),
        (b"name: yaml", "is not valid TOML"),
        (b"\xff\xfe", "is no text in UTF-8"),
    ],
)
def test_run_refuses_what_is_no_sweep_file(tmp_path, storage, content, words):
    path = tmp_path / "bad.toml"
    path.write_bytes(content)
    result = CliRunner().invoke(app, ["run", str(path), "--storage", str(storage)])
    assert result.exit_code == 2
    assert all(line.startswith(f"{path}: ") for line in result.stderr.splitlines())
    assert words in result.stderr
    assert not storage.exists()


def test_run_refuses_a_name_of_no_sweep_and_a_folder(tmp_path):
    line = refused("run", "quikstart")
    assert line.startswith("unknown sweep 'quikstart': did you mean 'quickstart'? valid: ")
    assert "a path to a .toml file" in line
    assert refused("run", tmp_path / "no.toml").endswith(
        "cannot be read: No such file or directory"
    )
    assert refused("run", tmp_path).endswith(f"python -m search resume {tmp_path}")


def test_run_names_every_mistake_in_the_file_at_once(sweep):
    arguments = ["run", sweep, *set_("losses=x", "budget.trials=0", "seed=no")]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 3


# -- the results folder --------------------------------------------------------------------------


def test_run_refuses_a_folder_that_cannot_be_written(sweep, tmp_path):
    (tmp_path / "file").write_text("in the way")
    line = refused("run", sweep, "--storage", tmp_path / "file")
    assert line == f"cannot write in {tmp_path}/file/mine: Not a directory"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_run_refuses_a_folder_without_permission(sweep, storage):
    storage.mkdir(mode=0o500)
    assert refused("run", sweep, "--storage", storage).endswith("Permission denied")


def test_run_refuses_a_storage_that_nothing_opens(sweep):
    assert refused("run", sweep, "--storage", "ftp://host/x").startswith(
        "cannot open ftp://host/x"
    )


def test_run_refuses_the_folder_of_another_sweep_and_says_what_differs(sweep, storage):
    folder = storage / "mine"
    folder.mkdir(parents=True)
    (folder / "sweep.toml").write_text(dump_sweep(load_sweep(sweep)))
    before = tree(storage)
    changes = set_("budget.trials=3", "space.lam=3")
    result = CliRunner().invoke(app, ["run", sweep, "--storage", str(storage), *changes])
    assert result.exit_code == 2
    first, *changed = result.stderr.splitlines()
    assert f"{folder} holds another sweep of this name" in first
    assert "--name" in first
    assert changed == ["  budget.trials: 2 there, 3 here", "  space.lam: None there, 3 here"]
    assert tree(storage) == before


def test_run_refuses_a_folder_of_something_else(sweep, storage):
    (storage / "mine").mkdir(parents=True)
    (storage / "mine" / "thesis.tex").write_text("precious")
    line = refused("run", sweep, "--storage", storage)
    assert line.endswith("is not empty and holds no sweep.toml: not a results folder")
    assert tree(storage) == {"mine/thesis.tex": b"precious"}


@pytest.mark.parametrize("command", [["resume"], ["replicate"], ["extend", "--trials", "1"]])
def test_going_on_needs_a_results_folder(tmp_path, command):
    for folder in (tmp_path, tmp_path / "none"):
        line = refused(*command, folder)
        assert line == f"{folder} is not a results folder: it has no sweep.toml"


@pytest.mark.parametrize("content", [b"\xff", b"name = ", b'name = "x"'])
def test_resume_of_a_damaged_sweep_file_names_it(tmp_path, content):
    (tmp_path / "sweep.toml").write_bytes(content)
    assert refused("resume", tmp_path).startswith(f"{tmp_path}/sweep.toml: ")
    assert tree(tmp_path) == {"sweep.toml": content}


def test_resume_of_a_parquet_file_cut_short_names_it(tmp_path):
    folder = Path(record_sweep(tmp_path).location)
    part = next(folder.glob("epochs/*/*.parquet"))
    part.write_bytes(part.read_bytes()[:-20])
    line = refused("resume", folder)
    assert str(part.relative_to(folder)) in line
    assert "damaged" in line


# -- data, noise, resources: found before anything starts -----------------------------------------


@pytest.fixture
def _offline(monkeypatch):
    def fail(*args: object, **kwargs: object) -> None:
        raise URLError("no network")

    monkeypatch.setattr("trainable.data.files.urlopen", fail)


def data(name: str, root: Path) -> list[str]:
    return set_(f"data.name={name}", f"data.root={root}")


@pytest.mark.usefixtures("_offline")
def test_run_refuses_missing_data_and_leaves_nothing(sweep, storage, tmp_path):
    arguments = ["run", sweep, "--storage", storage, *data("cifar10", tmp_path)]
    line = refused(*arguments)
    assert f"{tmp_path}/cifar-10-batches-py lacks data_batch_1" in line
    assert "no network" in line
    assert tree(storage) == {}
    assert refused(*arguments) == line


@pytest.mark.usefixtures("_offline")
def test_run_refuses_damaged_data_and_names_the_file(sweep, storage, tmp_path, monkeypatch):
    write_cifar10(tmp_path)
    accept_files(monkeypatch, CIFAR10, tmp_path)
    batch = tmp_path / CIFAR10.base_folder / "data_batch_3"
    batch.write_bytes(batch.read_bytes()[:-9])
    line = refused("run", sweep, "--storage", storage, *data("cifar10", tmp_path))
    assert f"{batch} is damaged" in line
    write_fashion_mnist(tmp_path)
    images = tmp_path / "train-images-idx3-ubyte.gz"
    images.write_bytes(images.read_bytes()[:-9])
    line = refused("run", sweep, "--storage", storage, *data("fashion_mnist", tmp_path))
    assert f"{images} is damaged" in line
    assert tree(storage) == {}


def test_run_refuses_a_human_label_file_that_is_not_there(sweep, storage, tmp_path, monkeypatch):
    write_cifar10(tmp_path)
    accept_files(monkeypatch, CIFAR10, tmp_path)
    noise = '{kind = "human", labels_file = "human.pt", labels_key = "worse_label"}'
    overrides = [*data("cifar10", tmp_path), *set_(f"noise=[{noise}]")]
    line = refused("run", sweep, "--storage", storage, *overrides)
    assert line == "human.pt is not there: labels_file must name a CIFAR-N file of yours"
    assert tree(storage) == {}


@pytest.mark.ray
@pytest.mark.usefixtures("ray_session")
def test_run_refuses_more_than_the_cluster_has_and_leaves_nothing(sweep, storage):
    line = refused("run", sweep, "--storage", storage, *set_("resources.gpus_per_trial=1"))
    assert line == (
        "resources: a trial asks for 1 CPUs and 1 GPUs, more than any node has "
        "(at most 2 CPUs and 0 GPUs)"
    )
    assert tree(storage) == {}


@pytest.mark.ray
@pytest.mark.usefixtures("ray_session")
def test_extend_that_is_refused_leaves_the_sweep_as_it_was(sweep, storage, monkeypatch):
    folder = storage / "mine"
    folder.mkdir(parents=True)
    spec = load_sweep(sweep, ["resources.cpus_per_trial=64"])
    (folder / "sweep.toml").write_text(dump_sweep(spec))
    assert "a trial asks for 64 CPUs" in refused("extend", folder, "--trials", 5)
    assert runner.read_spec(runner.Folder.open(folder)) == spec


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("nonsense", "RAY_ADDRESS=nonsense: is not host:port, such as 10.0.0.1:6379"),
        ("127.0.0.1:1", "RAY_ADDRESS=127.0.0.1:1: no Ray cluster answers there: "),
    ],
)
def test_run_refuses_a_cluster_that_is_not_there(sweep, storage, monkeypatch, address, message):
    monkeypatch.setenv("RAY_ADDRESS", address)
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    assert refused("run", sweep, "--storage", storage).startswith(message)
    assert tree(storage) == {}


def recorded_folder(storage, *overrides):
    folder = storage / "mine"
    folder.mkdir(parents=True)
    (folder / "sweep.toml").write_text(dump_sweep(parse_sweep(SWEEP, overrides)))
    return folder


def test_extend_by_more_than_a_study_may_have_is_one_line(storage):
    line = refused("extend", recorded_folder(storage), "--trials", 100_000)
    assert line.startswith("--trials 100000: budget.trials: 100002 is not less than or equal to")


def test_run_after_extend_goes_on_with_the_trials_there(sweep, storage, monkeypatch):
    folder = recorded_folder(storage, "budget.trials=9")
    seen = []
    monkeypatch.setattr("search.driver.runner.run", lambda f, c, look: seen.append(look().spec))
    CliRunner().invoke(app, ["run", sweep, "--storage", str(storage)])
    assert [spec.budget.trials for spec in seen] == [9]
    other = ["run", sweep, "--storage", str(storage), *set_("budget.max_epochs=3")]
    result = CliRunner().invoke(app, other)
    assert result.exit_code == 2
    assert f"{folder} holds another sweep" in result.stderr


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("losses=ELR", "did you mean 'elr'?"),
        ("search.sampler=TPE", "did you mean 'tpe'?"),
        ("noise.0.kind=sym", "did you mean 'symmetric'?"),
        ("data.name=CIFAR-10", "did you mean 'cifar10'?"),
        ("losses=ce,elr", 'did you mean ["ce", "elr"]?'),
        ("space.lam={low=1.0, high=2.0, log=True}", "true and false are lower case"),
    ],
)
def test_near_misses_are_told_what_was_meant(sweep, storage, override, words):
    assert words in refused("run", sweep, "--storage", storage, "--set", override)


# -- stopping it ---------------------------------------------------------------------------------


INTERRUPTED = """
import atexit, os, pkgutil, sys, time
from search.__main__ import main

def interrupted(*arguments, **options):
    do(*arguments, **options)
    os.kill(os.getpid(), int(number))
    raise AssertionError("the signal went by unheard")

_, moment, number, *sys.argv[1:] = sys.argv
module, _, name = moment.rpartition(".")
do = getattr(pkgutil.resolve_name(module), name)
setattr(pkgutil.resolve_name(module), name, interrupted)
atexit.register(time.sleep, 4)  # an end that takes its time: Ray would abort it after 3 s
main()
"""


@pytest.mark.slow
@pytest.mark.ray
@PATIENT
@pytest.mark.parametrize(
    ("number", "moment", "begun"),
    [
        (signal.SIGTERM, "search.studies.round_robin.Sweep.build", False),
        # In the middle of ray.init, which sets handlers of its own.
        (signal.SIGINT, "ray._private.worker.connect", False),
        (signal.SIGTERM, "ray._private.worker.connect", False),
        (signal.SIGTERM, "search.driver.run._write", True),
    ],
)
def test_signal_before_the_first_trial_says_how_to_go_on(sweep, tmp_path, number, moment, begun):
    """Before, while and after Ray starts. The folder's name needs quotes."""
    storage = tmp_path / "my results"
    done = python(
        *("-c", INTERRUPTED, moment, str(int(number))),
        *("run", sweep, "--storage", str(storage)),
    )
    assert done.returncode == 130, done.stderr
    assert "interrupted" in done.stderr
    assert (f"-m search resume '{storage}/mine'" in done.stderr) == begun
    assert ("nothing is written yet" in done.stderr) != begun
    assert "Traceback" not in done.stderr
    assert (storage / "mine" / "sweep.toml").exists() == begun
    assert (storage / "mine").exists() == begun
    assert not (storage / "mine" / "owner.json").exists()


# -- the command line itself ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["rnu", "quickstart"], "No such command 'rnu'"),
        (["run"], "Missing argument"),
        (["run", "quickstart", "--stroage", "x"], "No such option"),
        (["extend", "x", "--trials", "0"], "Invalid value for '--trials'"),
        (["extend", "x"], "say what to add: --trials N, --max-epochs N"),
        (["replicate", "x", "--seeds", "many"], "Invalid value for '--seeds'"),
    ],
)
def test_wrong_arguments_get_exit_code_2(arguments, words):
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert words in re.sub(r"[│\s]+", " ", result.stderr)
    assert "Traceback" not in result.stderr


def test_presets_lists_sweeps_and_presets():
    result = CliRunner().invoke(app, ["presets"])
    assert result.exit_code == 0
    assert "presets of [space]" in result.stdout
    for name in ("quickstart", "paper", "default", "paper_star"):
        assert re.search(rf"^  {name} +\S", result.stdout, re.MULTILINE)


def test_module_refuses_with_one_line_on_stderr(sweep, tmp_path):
    done = python("-m", "search", "run", sweep, "--set", "losses=elrr")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith(f"{sweep}: losses: unknown loss 'elrr': did you mean 'elr'?")
    assert done.stderr.count("\n") == 1
