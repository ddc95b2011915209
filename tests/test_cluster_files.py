"""The files to start a cluster from, as far as they can be checked without one."""

import os
import re
import shlex
import subprocess
import time
import tomllib
import zipfile

import pytest
import yaml

from clusters import ROOT

FILES = ROOT / "search" / "cluster"
pytestmark = pytest.mark.ray


def load(name):
    return yaml.safe_load((FILES / name).read_text())


def test_upload_is_the_packages_and_little_else(tmp_path):
    """What `ray job submit --working-dir .` sends, by Ray's own packager."""
    from ray._private.runtime_env.packaging import create_package

    package = tmp_path / "package.zip"
    create_package(str(ROOT), package, include_gitignore=True)
    names = zipfile.ZipFile(package).namelist()
    code = {
        str(path.relative_to(ROOT))
        for folder in ("trainable", "spaces", "analysis", "search")
        for path in (ROOT / folder).rglob("*.py")
    }
    assert code <= set(names)
    assert "spaces/sweeps/quickstart.toml" in names
    tops = {name.partition("/")[0] for name in names}
    assert not tops & {".git", ".venv", "tests", "results", ".hypothesis", ".mypy_cache"}
    assert not [name for name in names if "__pycache__" in name]
    assert not [name for name in names if "recorded/" in name or name.endswith((".png", ".svg"))]
    assert package.stat().st_size < 2 * 2**20


def test_runtime_env_lets_a_stopped_sweep_save():
    from ray.dashboard.modules.job.job_supervisor import JobSupervisor
    from ray.runtime_env import RuntimeEnv

    variables = RuntimeEnv(**load("runtime_env.yaml"))["env_vars"]
    assert variables["RAY_JOB_STOP_SIGNAL"] in JobSupervisor.VALID_STOP_SIGNALS
    wait = int(variables["RAY_JOB_STOP_WAIT_TIME_S"])
    assert wait > JobSupervisor.DEFAULT_RAY_JOB_STOP_WAIT_TIME_S
    rayjob = next(part for part in manifests() if part["kind"] == "RayJob")
    assert yaml.safe_load(rayjob["spec"]["runtimeEnvYAML"])["env_vars"] == variables


def test_ray_up_file_is_valid_and_asks_for_the_token(tmp_path, monkeypatch):
    from ray.autoscaler._private.util import prepare_config, validate_config

    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    given = load("ray-up.yaml")
    config = prepare_config(given)
    validate_config(config)
    assert config["available_node_types"]
    for commands in (given["head_start_ray_commands"], given["worker_start_ray_commands"]):
        start = next(command for command in commands if "ray start" in command)
        assert "RAY_AUTH_MODE=token" in start
    assert "--dashboard-host=127.0.0.1" in start_of_head(given)
    assert given["file_mounts"] == {"~/.ray/auth_token": "~/.ray/auth_token"}


def start_of_head(config):
    return next(c for c in config["head_start_ray_commands"] if "ray start --head" in c)


def test_ray_up_installs_what_a_job_needs():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    needed = {
        re.split(r"[\[=>]", requirement)[0]
        for requirement in [*project["dependencies"], *extras["analysis"], *extras["search"]]
    }
    (pip,) = (c for c in load("ray-up.yaml")["setup_commands"] if "pip install" in c)
    installed = {re.split(r"[\[=>]", word)[0] for word in shlex.split(pip)}
    assert needed - {project["name"]} <= installed


def manifests():
    return list(yaml.safe_load_all((FILES / "kuberay.yaml").read_text()))


def test_kuberay_manifest_is_whole_and_asks_for_the_token():
    from spaces.sweep_file import parse_sweep

    sweep, job = manifests()
    assert (sweep["apiVersion"], sweep["kind"]) == ("v1", "ConfigMap")
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    cluster = job["spec"]["rayClusterSpec"]
    assert cluster["authOptions"] == {"mode": "token"}
    assert tuple(map(int, cluster["rayVersion"].split("."))) >= (2, 52, 0)
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    for group in groups:
        pod = group["template"]["spec"]
        volumes = {volume["name"] for volume in pod["volumes"]}
        for container in pod["containers"]:
            assert {mount["name"] for mount in container["volumeMounts"]} <= volumes
            assert container["resources"]["limits"] == container["resources"]["requests"]
            assert {"name", "image"} <= container.keys()
    assert groups[0]["rayStartParams"] == {"num-cpus": "0"}
    command = shlex.split(job["spec"]["entrypoint"])
    assert command[:4] == ["python", "-m", "search", "run"]
    assert command[4] == "/sweeps/my.toml"
    spec = parse_sweep(sweep["data"]["my.toml"])
    gpus = groups[1]["template"]["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"]
    assert spec.resources.gpus_per_trial <= int(gpus)


def test_slurm_script_is_bash_and_its_ray_options_exist():
    from ray.scripts.scripts import start
    from ray.scripts.symmetric_run import symmetric_run

    script = FILES / "slurm.sh"
    subprocess.run(["bash", "-n", script], check=True)
    assert re.search(r"^export RAY_AUTH_MODE=token$", script.read_text(), re.MULTILINE)
    call = script.read_text().partition("symmetric-run")[2].partition(" -- ")[0]
    known = {
        option for command in (start, symmetric_run) for p in command.params for option in p.opts
    }
    assert set(re.findall(r"--[a-z-]+", call)) <= known


def test_slurm_script_gives_the_task_its_cores_and_stops_the_sweep_alone(tmp_path):
    """Run with stand-ins for Slurm's and Ray's commands: what it asks srun to do."""
    stubs = {
        "scontrol": "printf 'node7\\nnode8\\n'",
        "ray": "mkdir -p ~/.ray; echo token > ~/.ray/auth_token",
        "srun": 'printf "%s\\n" "$@" > srun.args',
    }
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    for name, body in stubs.items():
        path = tmp_path / ".venv" / "bin" / name
        path.write_text(f"#!/bin/bash\n{body}\n")
        path.chmod(0o755)
    slurm = {
        "SLURM_JOB_NODELIST": "node[7-8]",
        "SLURM_NNODES": "2",
        "SLURM_CPUS_PER_TASK": "32",
        "SLURM_GPUS_ON_NODE": "4",
        "SLURM_JOB_END_TIME": str(int(time.time()) + 3600),
    }
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), **slurm}
    script = [FILES / "slurm.sh", "my sweep.toml", "/shared/sweeps"]
    subprocess.run(["bash", *script], cwd=tmp_path, env=environment, check=True)
    task, _, entrypoint = (
        (tmp_path / "srun.args").read_text().removesuffix("\n").partition("\n--\n")
    )
    assert task.splitlines()[:2] == ["--cpus-per-task=32", "ray"]
    assert "node7:6379" in task.splitlines()
    env, address, timeout, signal, seconds, *command = entrypoint.splitlines()
    assert (env, address) == ("env", "RAY_ADDRESS=node7:6379")
    assert (timeout, signal) == ("timeout", "--signal=TERM")
    assert 3300 <= int(seconds) <= 3480
    assert command[:4] == ["python", "-m", "search", "run"]
    assert command[4:] == ["my sweep.toml", "--storage", "/shared/sweeps"]
    assert oct((tmp_path / ".ray" / "auth_token").stat().st_mode)[-2:] == "00"


def test_cluster_page_names_every_file_and_only_files_that_are_there():
    page = (ROOT / "search" / "CLUSTER.md").read_text()
    named = set(re.findall(r"search/cluster/([\w.-]+)", page))
    assert named == {path.name for path in FILES.iterdir() if path.suffix in (".yaml", ".sh")}
