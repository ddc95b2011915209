"""A data set that somebody adds: one entry and a reader, and it is there everywhere."""

import dataclasses
import math

import numpy as np
import pytest

from analysis.printed.paper_table import format_table
from analysis.report.build import build_report
from analysis.results import load_results
from spaces.sweep_file import SpecError, parse_sweep
from tests.own_images import some_parts
from tests.recorded import record_sweep
from trainable.data import DATASETS, DatasetInfo, load_dataset
from trainable.trial.prepare import prepare
from trainable.trial.trial_loss import build_trainer

SWEEP = """
name = "outside"
losses = ["ce", "elr", "adam_elr"]
[data]
name = "shapes"
[[noise]]
kind = "asymmetric"
rates = [0.5]
[budget]
trials = 3
grace_epochs = 1
"""


def read_shapes(root):
    parts = some_parts(train=90, test=30, shape=(1, 8, 8))
    return parts["train"], parts["test"]


@pytest.fixture
def shapes(monkeypatch):
    monkeypatch.setitem(
        DATASETS,
        "shapes",
        DatasetInfo(
            summary="random images of three shapes",
            read=f"{__name__}:read_shapes",
            shape=(1, 8, 8),
            class_names=("circle", "square", "star"),
            train_examples=90,
            test_examples=30,
            mean=(0.5,),
            std=(0.3,),
            mistaken_for={0: 2},
            epochs=4,
            network="tiny_cnn",
            cpu_network="tiny_cnn",
        ),
    )


def test_entry_and_reader_train(shapes):
    cell = parse_sweep(SWEEP).cells()[-1]
    assert (cell.loss, cell.network, cell.max_epochs) == ("adam_elr", "tiny_cnn", 4)
    trial = cell.trial(cell.reference, seed=0)
    data, noisy = prepare(load_dataset("shapes"), trial.data, trial.noise, trial.seed)
    np.testing.assert_array_equal(noisy.transition, [[0.5, 0, 0.5], [0, 1, 0], [0, 0, 1]])
    assert data.num_classes == 3
    epoch = build_trainer(trial, data, "cpu").run_epoch()
    assert all(map(math.isfinite, dataclasses.astuple(epoch)[1:3]))


def test_entry_says_which_noise_fits_it(shapes, monkeypatch):
    in_turn = ["noise.0.legacy_sequential=true"]
    people = ["noise=[{ kind = 'human', labels_file = 'n.pt', labels_key = 'worse_label' }]"]
    for overrides in (in_turn, people):
        with pytest.raises(SpecError, match=r"is for cifar10( and cifar100)?, not shapes"):
            parse_sweep(SWEEP, overrides)
    known = dataclasses.replace(DATASETS["shapes"], legacy_sequential=True, human_labels=True)
    monkeypatch.setitem(DATASETS, "shapes", known)
    for overrides in (in_turn, people):
        assert len(parse_sweep(SWEEP, overrides).cells()) == 3


def test_entry_stands_in_table_and_report(shapes, tmp_path):
    results = load_results(record_sweep(tmp_path / "results", SWEEP))
    assert "shapes, tiny_cnn" in format_table(results, "text")
    report = build_report(results)
    assert "shapes" in report
    assert "Asymmetric, 50%" in report
