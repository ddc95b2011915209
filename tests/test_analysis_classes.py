"""What becomes of each class, on numbers computed by hand."""

import json

import numpy as np
import pyarrow as pa
import pytest

from analysis.frames.classes import class_accuracy, class_names, confusions, noise_matrices
from analysis.report.figures.classes import class_charts
from analysis.report.style import study_titles, titled
from analysis.results import ResultsError, load_results
from tests.recorded import SWEEP, record_sweep, trial_row, write_results
from trainable.config import TrialConfig, labels_name
from trainable.data import DataConfig
from trainable.folder.checked_parquet import packed
from trainable.folder.layout import CLASSES, CONFUSION
from trainable.noise import make_noise

CONFIG = TrialConfig.build(
    data=DataConfig("files", root="own"),
    noise=make_noise("none"),
    loss="elr",
    network="tiny_cnn",
    max_epochs=3,
    seed=0,
)
COUNTS = {0: [[8, 2], [5, 5]], 1: [[6, 4], [1, 9]]}
"""Test images by true and predicted class, of replicates with these seeds."""


def leave(folder, trial_id, text):
    table = pa.table({"index": [0], "given": [1]}).replace_schema_metadata({CONFUSION: text})
    (folder / "targets").write(f"{trial_id}.parquet", packed(table))


@pytest.fixture
def folder(tmp_path):
    config = json.dumps(CONFIG.as_dict())
    first = trial_row(config=config)
    again = [
        trial_row(
            number=seed,
            trial_id=f"again-{seed}",
            phase="replicate",
            source_trial_id=first["trial_id"],
            seed=seed,
            config=config,
        )
        for seed in COUNTS
    ]
    folder = write_results(tmp_path, [first, *again])
    for seed, counts in COUNTS.items():
        leave(folder, f"again-{seed}", json.dumps(counts))
    return folder


def test_accuracy_of_a_class_is_its_share_on_the_diagonal(folder):
    table = class_accuracy(load_results(folder))
    assert table["label"].tolist() == [0, 1, 0, 1]
    assert table["examples"].tolist() == [10] * 4
    assert table["accuracy"].tolist() == [0.8, 0.5, 0.6, 0.9]
    assert table["name"].tolist() == ["0", "1", "0", "1"]


def test_confusion_adds_up_the_seeds(folder):
    table = confusions(load_results(folder))
    matrix = table.pivot(index="true", columns="other", values="share").to_numpy()
    np.testing.assert_allclose(matrix, [[0.7, 0.3], [0.3, 0.7]])


def test_trials_that_left_no_record_are_left_out(folder):
    (folder / "targets").delete("again-1.parquet")
    table = pa.table({"index": [0], "given": [1]})
    (folder / "targets").write("again-1.parquet", packed(table))
    assert set(class_accuracy(load_results(folder))["trial_id"]) == {"again-0"}
    for seed in COUNTS:
        (folder / "targets").delete(f"again-{seed}.parquet")
    results = load_results(folder)
    assert class_accuracy(results).empty
    assert confusions(results).empty


@pytest.mark.parametrize("text", ["[[1, 2]]", "[[1, 2], [3]]", "{}", "[[1, 2", "3"])
def test_a_damaged_record_is_named(folder, text):
    leave(folder, "again-0", text)
    with pytest.raises(ResultsError, match=r"again-0\.parquet is damaged"):
        class_accuracy(load_results(folder))


def test_a_class_without_test_images_has_no_accuracy(folder):
    leave(folder, "again-0", "[[4, 0], [0, 0]]")
    accuracies = class_accuracy(load_results(folder))["accuracy"].tolist()
    assert accuracies[0] == 1
    assert np.isnan(accuracies[1])


def test_noise_matrix_of_each_setting_once(tmp_path):
    results = load_results(record_sweep(tmp_path))
    table = noise_matrices(results)
    assert table["study"].nunique() == 2
    diagonal = table[table["true"] == table["other"]].groupby("study")["share"].mean()
    np.testing.assert_allclose(sorted(diagonal), [0.4, 0.6])
    np.testing.assert_allclose(table.groupby(["study", "true"])["share"].sum(), 1)


def test_settings_of_which_nobody_knows_the_truth_have_no_matrix(folder):
    assert noise_matrices(load_results(folder)).empty


def test_names_of_own_classes_come_with_the_labels(folder):
    results = load_results(folder)
    assert class_names(results, CONFIG, 2) == ("0", "1")
    table = pa.table({"index": [0]}).replace_schema_metadata({CLASSES: '["cat", "dog"]'})
    (folder / "labels").write(f"{labels_name(CONFIG)}.parquet", packed(table))
    assert class_names(results, CONFIG, 2) == ("cat", "dog")


def charts_of(results):
    titles = study_titles(results.trials)
    tables = (of(results) for of in (noise_matrices, confusions, class_accuracy))
    return class_charts(*(titled(table, titles) for table in tables))


def test_charts_stand_together_by_setting(tmp_path):
    charts = charts_of(load_results(record_sweep(tmp_path, replicates=2)))
    titles = [chart.title.partition(" by ")[0] for chart in charts]
    assert titles == [
        f"Symmetric, {rate}%: {what}"
        for rate in (40, 60)
        for what in ("labels given", "predicted", "accuracy per class")
    ]
    assert "40.00% of a class's labels are wrong on average, most often 0 as 1" in charts[0].says
    assert "3, 4" in charts[2].says
    assert charts[2].table.columns.tolist()[0] == "class"


def test_of_many_classes_the_worst_are_drawn_and_all_are_listed(tmp_path):
    text = SWEEP.replace('"digits"', '"cifar100"').replace("tiny_cnn", "resnet34")
    (chart,) = [
        chart
        for chart in charts_of(load_results(record_sweep(tmp_path, text)))
        if "accuracy per class" in chart.title and "40%" in chart.title
    ]
    assert "the 20 of 100 that do worst" in chart.title
    assert len(set(chart.plot.data[0].y)) == 20
    assert len(chart.table) == 100
