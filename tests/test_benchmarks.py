"""Every benchmark runs on the smallest task that it takes; what it measures is not looked at."""

import os
import subprocess
import sys

import pytest
import torch

from archives import write_fashion_mnist
from clusters import ROOT

FOLDER = ROOT / "tests" / "benchmarks"
SMALLEST = {
    "actor_reuse": ["--quick"],
    "busy_share": ["--quick"],
    "driver_scale": ["--quick"],
    "epoch_overhead": ["--repeats", "1"],
    "epoch_parts": ["--repeats", "1"],
    "gpu": ["--images", "2048", "--epochs", "1"],
    "input_pipeline": ["--images", "128", "--repeats", "1"],
    "label_errors": ["--examples", "300", "--epochs", "2", "--kinds", "symmetric"],
    "load_results": ["--trials", "12", "--epochs", "3"],
    "network_choices": ["--repeats", "1"],
    "networks": ["--repeats", "1"],
    "recorder_cost": ["--quick"],
    "search_efficiency": ["--seeds", "1", "--pool", "digits", "--slots", "1"],
    "usual_recipe": ["--quick"],
}
SHARED = {"side_by_side", "sweeps"}
"""Modules beside them that benchmarks import."""


def test_all_benchmarks_are_run_here():
    assert {path.stem for path in FOLDER.glob("*.py")} == set(SMALLEST) | SHARED


@pytest.mark.benchmark
@pytest.mark.parametrize("name", SMALLEST)
def test_benchmark_runs(name, tmp_path):
    if name == "gpu" and not torch.cuda.is_available():
        pytest.skip("no GPU")
    command = [sys.executable, str(FOLDER / f"{name}.py"), *SMALLEST[name]]
    if name == "usual_recipe":
        write_fashion_mnist(tmp_path, train=5_000, test=100)
        command += ["--root", str(tmp_path)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
