"""Data set "files" in a sweep: the trials it gives, what is known of labels, and what is said."""

import dataclasses
import io
import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from analysis.best import best_configs
from analysis.frames.label_errors import doubted_pairs
from analysis.printed.paper_table import format_table
from analysis.printed.text import print_best
from analysis.report.build import build_report
from analysis.report.drawn import Drawings
from analysis.report.trial_table import trial_table
from analysis.results import ResultsError, load_results
from search.driver import runner
from search.driver.label_book import LabelBook
from search.planning.outline import outline
from search.planning.understood import understood
from search.studies.round_robin import Sweep
from spaces.sweep_file import SpecError, dump_sweep, parse_sweep
from tests.own_images import some_parts, write_arrays, write_folders, write_parquet
from tests.recorded import epoch_row, trial_row, write_results
from trainable.config import TrialConfig
from trainable.data import DataError, Dataset, OwnData, load_dataset, make_data
from trainable.folder.storage import Folder
from trainable.noise import NoiseError, make_noise
from trainable.trial.prepare import prepare
from trainable.trial.trial_loss import build_trainer

NAMES = tuple("0123456789")
PLAIN = {"flip": False, "crop_pad": 0, "train_labels": "clean"}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def config(data, noise=None, **parameters):
    return TrialConfig.build(
        data=data,
        noise=noise or make_noise("symmetric", 0.4),
        loss="elr",
        network="tiny_cnn",
        max_epochs=2,
        seed=3,
        parameters=parameters,
        precision="float32",
    )


def curve(dataset, trial):
    data, _ = prepare(dataset, trial.data, trial.noise, trial.seed)
    trainer = build_trainer(trial, data, "cpu")
    measured = ("epoch_seconds", "images_per_second", "peak_memory_mb")
    epochs = [dataclasses.asdict(trainer.run_epoch()) for _ in range(trial.max_epochs)]
    return [{k: v for k, v in epoch.items() if k not in measured} for epoch in epochs]


@pytest.fixture(scope="module")
def digits():
    """300 digits to train on and 100 to test, in the order of their classes."""
    whole = load_dataset("digits")
    order, test = (np.argsort(y[:n], kind="stable") for y, n in (
        (whole.train_labels, 300), (whole.test_labels, 100)
    ))  # fmt: skip
    return Dataset(
        "digits",
        whole.train_images[order],
        whole.train_labels[order],
        whole.test_images[test],
        whole.test_labels[test],
    )


@pytest.mark.parametrize("kind", ["folders", "Parquet", "arrays"])
def test_files_give_the_trials_of_the_data_set_they_hold(kind, digits, tmp_path):
    parts = {
        "train": (digits.train_images, digits.train_labels),
        "test": (digits.test_images, digits.test_labels),
    }
    root = tmp_path / "own"
    if kind == "folders":
        write_folders(root, parts, NAMES)
    elif kind == "Parquet":
        write_parquet(root, parts, NAMES, shards=2)
    else:
        write_arrays(root / "all.npz", parts)
    own = load_dataset(OwnData(root=str(root), **PLAIN))
    assert own.info.mean == pytest.approx(digits.info.mean, abs=0.01)
    same = dataclasses.replace(own.info, mean=digits.info.mean, std=digits.info.std)
    own = dataclasses.replace(own, own=same)
    ours = config(OwnData(root=str(root), **PLAIN))
    theirs = config(make_data("digits", train_examples=300))
    theirs = dataclasses.replace(theirs, data=make_data("digits"))
    assert curve(own, ours) == curve(digits, theirs)


def test_normalisation_is_measured_on_the_training_images(tmp_path):
    whole = load_dataset("digits")
    parts = {"train": (whole.train_images, whole.train_labels)}
    write_arrays(tmp_path / "own.npz", parts)
    info = load_dataset(OwnData(root=str(tmp_path / "own.npz"))).info
    assert (info.mean, info.std) == (whole.info.mean, whole.info.std)
    assert (info.shape, info.class_names, info.num_classes) == ((1, 8, 8), NAMES, 10)


# What is known about labels


def write(tmp_path, *, splits=("train", "test"), shape=(3, 8, 8), train=60):
    parts = some_parts(train=train, test=30, shape=shape)
    names = {"train": "train", "test": "test", "val": "test"}
    stored = {split: parts[names[split]] for split in splits}
    return str(write_arrays(tmp_path / "own.npz", stored, class_names=np.array(["a", "b", "c"])))


def test_labels_that_nobody_vouches_for_measure_no_memorization(tmp_path):
    data = OwnData(root=write(tmp_path))
    dataset = load_dataset(data)
    assert not dataset.truth_known
    (first, _) = curve(dataset, config(data, make_noise("given")))
    unknown = ("train_true_accuracy", "clean_correct", "wrong_correct", "wrong_memorized")
    assert all(np.isnan(first[name]) for name in (*unknown, "wrong_neither", "target_accuracy"))
    known = ("train_accuracy", "val_accuracy", "test_accuracy")
    assert all(0 <= first[name] <= 1 for name in known)


@pytest.mark.parametrize("kind", ["none", "symmetric", "asymmetric"])
def test_noise_is_not_drawn_over_labels_that_may_be_wrong(kind, tmp_path):
    data = OwnData(root=write(tmp_path))
    noise = make_noise(kind, 0.0 if kind == "none" else 0.3)
    with pytest.raises(NoiseError, match=r'take kind = "given", or say train_labels = "clean"'):
        prepare(load_dataset(data), data, noise, 0)


def test_labels_file_over_clean_ones_has_the_given_labels(tmp_path):
    root = write(tmp_path)
    labels = tmp_path / "crowd.csv"
    labels.write_text("index,label\n0,c\n1,a\n")
    data = OwnData(root=root, labels=str(labels), train_labels="clean")
    dataset = load_dataset(data)
    trial, noisy = prepare(dataset, data, make_noise("given"), 0)
    true = some_parts(train=60, test=30)["train"][1]
    assert np.array_equal(dataset.train_labels, true)
    assert noisy.labels[:2].tolist() == [2, 0]
    assert noisy.is_wrong.sum() == (true[:2] != [2, 0]).sum()
    assert np.array_equal(trial.train_true, true[trial.train_index])
    drawn = prepare(dataset, data, make_noise("symmetric", 0.5, include_true=False), 0)[1]
    assert drawn.rate == 0.5


def test_split_named_val_is_the_hold_out(tmp_path):
    root = write(tmp_path, splits=("train", "val"))
    data = OwnData(root=root, train_labels="clean")
    dataset = load_dataset(data)
    trial, noisy = prepare(dataset, data, make_noise("symmetric", 0.5, include_true=False), 0)
    assert trial.train_index.tolist() == list(range(60))
    assert trial.val_index.tolist() == list(range(60, 90))
    assert noisy.rate == 0.5
    assert (trial.val_given != trial.val_true).any()
    clean = dataclasses.replace(data, val_labels="clean")
    trial, noisy = prepare(load_dataset(clean), clean, make_noise("symmetric", 0.5), 0)
    assert np.array_equal(trial.val_given, trial.val_true)
    assert not noisy.is_wrong[60:].any()
    part = dataclasses.replace(data, train_examples=30)
    trial, _ = prepare(dataset, part, make_noise("symmetric", 0.5), 0)
    assert (len(trial.train_index), len(trial.val_index)) == (30, 30)


def test_without_a_test_set_the_hold_out_stands_in(tmp_path):
    data = OwnData(root=write(tmp_path, splits=("train",)))
    dataset = load_dataset(data)
    assert dataset.tested_on == "holdout"
    first, last = curve(dataset, config(data, make_noise("given")))
    for epoch in (first, last):
        assert epoch["test_accuracy"] == epoch["val_accuracy"]


def test_asymmetric_noise_takes_a_map_by_class_names_or_the_next_class(tmp_path):
    data = OwnData(root=write(tmp_path), train_labels="clean")
    dataset = load_dataset(data)
    noisy = prepare(dataset, data, make_noise("asymmetric", 0.5, map={"a": "c"}), 0)[1]
    np.testing.assert_array_equal(noisy.transition, [[0.5, 0, 0.5], [0, 1, 0], [0, 0, 1]])
    noisy = prepare(dataset, data, make_noise("asymmetric", 0.5), 0)[1]
    np.testing.assert_array_equal(noisy.transition, [[0.5, 0.5, 0], [0, 0.5, 0.5], [0.5, 0, 0.5]])
    with pytest.raises(NoiseError, match="unknown class in map 'd': valid: a, b, c"):
        prepare(dataset, data, make_noise("asymmetric", 0.5, map={"a": "d"}), 0)


def test_rectangles_train_in_networks_that_look_at_the_size(tmp_path):
    data = OwnData(root=write(tmp_path, shape=(3, 8, 12)))
    dataset = load_dataset(data)
    assert dataset.info.shape == (3, 8, 12)
    assert len(curve(dataset, config(data, make_noise("given")))) == 2


def test_oracle_matrix_needs_true_labels(tmp_path):
    data = OwnData(root=write(tmp_path))
    trial = dataclasses.replace(
        config(data, make_noise("given")), loss="forward", loss_parameters={"transition": "true"}
    )
    with pytest.raises(DataError, match=r'needs true labels.*take "estimated"'):
        LabelBook(Folder.open(tmp_path / "results")).add([trial])


def test_labels_of_unknown_truth_are_kept_and_held_against_those_there_now(tmp_path):
    root, labels = write(tmp_path), tmp_path / "mine.csv"
    labels.write_text("index,label\n0,a\n")
    data = OwnData(root=root, labels=str(labels))
    trial, results = config(data, make_noise("given")), Folder.open(tmp_path / "results")
    first, again, changed = (LabelBook(results) for _ in range(3))
    first.add([trial])
    first.write()
    stored = pq.read_table(tmp_path / "results" / "labels" / "files-given-seed3.parquet")
    assert stored["true"].null_count == 60
    again.add([trial])
    assert again.describe(trial)["truth"] == "unknown"
    assert again.describe(trial)["val_examples"] == 6
    assert np.isnan(again.describe(trial)["realised_rate"])
    labels.write_text("index,label\n0,b\n")
    with pytest.raises(ResultsError, match="or labels that have changed"):
        changed.add([trial])


# The sweep file

SWEEP = """
name = "own"
losses = ["ce", "elr"]
network = "tiny_cnn"
[data]
name = "files"
root = "{root}"
[[noise]]
kind = "given"
[budget]
trials = 1
max_epochs = 2
"""


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["data.train_labels=right"], "data.train_labels: 'right' is not 'clean' or 'given'"),
        (["data.size=4"], "data: size = 4 is not a whole number of at least 8"),
        (["data.crop_pad=-1"], "data: crop_pad = -1 is not"),
        (["data.label=x.csv"], "data: unknown key 'label': did you mean 'labels'?"),
        (["data.name=cifar10", "data.size=32"], "size = 32 is for data set 'files', not"),
        (["data={name='files'}"], "data: root is missing: the folder or file of your images"),
        (["data={name='digits'}"], "noise: noise kind 'given' is for data set 'files'"),
        (["noise.0.rates=[0.1]"], "noise kind 'given' takes no rates"),
        (["noise=[{kind='asymmetric', rates=[0.1], map={}}]"], "map moves at least one class"),
    ],
)  # fmt: skip
def test_sweep_file_says_what_is_wrong_about_own_data(overrides, message):
    with pytest.raises(SpecError) as caught:
        parse_sweep(SWEEP.format(root="/images"), overrides)
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_sweep_file_of_own_data_is_written_and_read_again():
    text = ["noise=[{kind='asymmetric', rates=[0.1, 0.2], map={cat='dog'}}, {kind='given'}]"]
    spec = parse_sweep(SWEEP.format(root="/images"), [*text, "data.labels=/labels.csv"])
    assert parse_sweep(dump_sweep(spec)) == spec
    assert [c.noise.setting for c in spec.cells()][::2] == [
        "asymmetric-map-0.1",
        "asymmetric-map-0.2",
        "given",
    ]
    trial = spec.cells()[0].trial(spec.cells()[0].reference, 0)
    again = TrialConfig.from_dict(json.loads(json.dumps(trial.as_dict())))
    assert again == trial
    elsewhere = dataclasses.replace(trial.data, root="/other", labels="/other.csv")
    assert dataclasses.replace(trial, data=elsewhere).fingerprint == trial.fingerprint


def test_hold_out_smaller_than_the_classes_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"holdout = 0\.03 leaves 2 images .* than the 3 classes"):
        load_dataset(OwnData(root=write(tmp_path), holdout=0.03))


def test_plan_tells_what_it_understood(tmp_path):
    data = OwnData(root=write(tmp_path, splits=("train", "val", "test")), val_labels="clean")
    facts = dict(reversed(understood(load_dataset(data), data)))
    assert facts["images"] == "60 training, 30 hold-out, 30 test; 8 x 8 pixels, colour"
    assert facts["classes"].startswith("3: a (20 training, 10 hold-out, 10 test), b (")
    assert facts["training labels"].startswith("as given; nobody knows the true ones")
    assert facts["hold-out"] == "a split of its own, its labels stated to be clean"
    assert facts["test set"] == "its labels are taken as right"
    assert facts["such as"] == "train[0]: a"
    part = dataclasses.replace(data, train_examples=40)
    assert dict(understood(load_dataset(part), part))["of these"].startswith("40 training images")
    plain = dataclasses.replace(data, augment=False)
    assert facts["augmentation"].startswith("flips, crops after padding")
    assert dict(understood(load_dataset(plain), plain))["augmentation"] == "none: augment = false"


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"tested_on": "given"}, "measured on test labels as they are given"),
        ({"tested_on": "holdout"}, "there is no test set: what is called test is the hold-out"),
        ({"truth": "unknown"}, "training images are unknown: memorisation is not measured"),
        ({"validated_on": "clean"}, "labels are stated to be clean"),
    ],
)
def test_outputs_say_what_their_numbers_rest_on(facts, said, tmp_path):
    trials = [trial_row(dataset="files", **facts)]
    epochs = [epoch_row(trials[0]["trial_id"], n, n, test_accuracy=0.5) for n in (1, 2, 3)]
    results = load_results(write_results(tmp_path, trials, epochs))
    out = io.StringIO()
    print_best(results, Console(file=out, width=300))
    for text in (out.getvalue(), format_table(results, "markdown"), build_report(results)):
        assert said in text.replace("There is", "there is")
    usual = load_results(write_results(tmp_path / "usual", [trial_row()], epochs))
    assert said not in build_report(usual)


@pytest.mark.parametrize(
    ("facts", "hold_out", "test"),
    [
        ({}, "noisy hold-out", "clean test"),
        ({"validated_on": "clean", "tested_on": "given"}, "clean hold-out", "test as given"),
        ({"tested_on": "holdout"}, "noisy hold-out", "hold-out again"),
    ],
)
def test_report_calls_accuracies_after_what_they_are_measured_on(facts, hold_out, test, tmp_path):
    values = [n / 20 for n in range(1, 10)]
    trials = [
        trial_row(dataset="files", number=n, val_accuracy=value, test_accuracy=value, **facts)
        for n, value in enumerate(values)
    ]
    epochs = [epoch_row(trials[0]["trial_id"], 1, val_accuracy=0.5, test_accuracy=0.5)]
    results = load_results(write_results(tmp_path, trials, epochs))
    table = trial_table(results)
    assert table.caption == f"All trials, {hold_out} and {test} at their last epoch"
    assert set(table.opened[0]["curves"]) == {"epoch", hold_out, test}
    (luck,) = Drawings(results).gap()
    assert f"Rank correlation of {hold_out} and {test}: ELR" in luck.says


def test_accuracies_of_several_data_sets_have_names_that_hold_for_all(tmp_path):
    own = trial_row(dataset="files", number=1, validated_on="clean", tested_on="holdout")
    epochs = [epoch_row(row["trial_id"], 1, val_accuracy=0.5) for row in (trial_row(), own)]
    results = load_results(write_results(tmp_path, [trial_row(), own], epochs))
    assert trial_table(results).caption == "All trials, hold-out and test at their last epoch"


@pytest.mark.parametrize(
    ("splits", "changed", "held_out"),
    [
        (("train",), {}, 6),
        (("train",), {"holdout": 0.2, "train_examples": 40}, 8),
        (("train", "val"), {}, 30),
    ],
)
def test_early_stopping_knows_how_large_the_hold_out_is(splits, changed, held_out, tmp_path):
    overrides = [f"data.{key}={value}" for key, value in changed.items()]
    spec = parse_sweep(
        SWEEP.format(root=write(tmp_path, splits=splits)), [*overrides, "budget.trials=8"]
    )
    (data,) = spec.data
    datasets = {data.name: load_dataset(data)}
    sweep = Sweep.build(spec)
    sweep.judged_on(datasets)
    assert {study.rule.held_out for study in sweep.studies.values()} == {held_out}
    assert outline(spec, 1, datasets).expected_epochs > 0


@pytest.mark.ray
@pytest.mark.usefixtures("ray_session")
def test_every_output_says_what_is_not_known(tmp_path, console):
    root = write(tmp_path, splits=("train",))
    finished = runner.start(parse_sweep(SWEEP.format(root=root)), tmp_path, console)
    assert not finished.failed
    results = load_results(finished.folder)
    assert set(results.trials["tested_on"]) == {"holdout"}
    assert set(results.trials["truth"]) == {"unknown"}
    assert results.trials["realised_rate"].isna().all()
    assert results.epochs["wrong_memorized"].isna().all()
    assert best_configs(results)["val_accuracy"].notna().all()
    assert set(doubted_pairs(results)["classes"]) == {("a", "b", "c")}
    out = io.StringIO()
    print_best(results, Console(file=out, width=300))
    for text in (out.getvalue(), format_table(results, "markdown"), build_report(results)):
        assert "here is no test set" in text
        assert "rue labels of the training images are unknown" in text
    again = runner.resume(finished.folder, console)
    assert not again.failed
