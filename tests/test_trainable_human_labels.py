"""CIFAR-N's label files, the real format and everything that is not it."""

import dataclasses
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from trainable.data import DataConfig, Dataset, load_dataset
from trainable.noise import NoiseError, NoisyLabels, corrupt, make_noise
from trainable.trial.prepare import prepare


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_dataset("digits")


@pytest.fixture
def human_file(tmp_path: Path, digits: Dataset) -> tuple[Path, np.ndarray]:
    """A file in CIFAR-N's format for the digits, and its wrong labels (400 of 1,437)."""
    worse = digits.train_labels.copy()
    worse[:400] = (worse[:400] + 1) % 10
    path = tmp_path / "CIFAR-10_human.pt"
    torch.save({"clean_label": digits.train_labels, "worse_label": worse}, path)
    return path, worse


def human(digits: Dataset, path: Path, key: str | None = "worse_label") -> NoisyLabels:
    return corrupt(
        digits.train_labels,
        kind="human",
        num_classes=10,
        seed=0,
        labels_file=str(path),
        labels_key=key,
    )


def test_human_gives_the_file_s_labels(digits, human_file):
    path, worse = human_file
    noisy = human(digits, path)
    np.testing.assert_array_equal(noisy.labels, worse)
    assert noisy.rate == pytest.approx(400 / 1437)


def test_human_file_may_start_at_home(digits, human_file, monkeypatch):
    path, worse = human_file
    monkeypatch.setenv("HOME", str(path.parent))
    np.testing.assert_array_equal(human(digits, Path("~") / path.name).labels, worse)


def test_human_old_torch_file_of_short_integers_is_read(digits, human_file):
    path, worse = human_file
    content = {"worse_label": worse.astype(np.int16)}
    torch.save(content, path, _use_new_zipfile_serialization=False)
    np.testing.assert_array_equal(human(digits, path).labels, worse)


def test_human_subset_takes_its_own_rows(digits, human_file):
    path, worse = human_file
    noise = make_noise("human", labels_file=str(path), labels_key="worse_label")
    trial, _ = prepare(digits, DataConfig("digits", train_examples=300), noise, 0)
    np.testing.assert_array_equal(trial.train_given, worse[trial.train_index])


def test_human_file_in_another_order_is_refused(digits, human_file):
    path, _ = human_file
    shuffled = dataclasses.replace(digits, train_labels=digits.train_labels[::-1])
    with pytest.raises(NoiseError, match=r"clean_label differs .* in another order, such as"):
        human(shuffled, path)


def test_human_file_of_another_data_set_is_refused(digits, human_file):
    path, _ = human_file
    other = dataclasses.replace(digits, train_labels=np.zeros_like(digits.train_labels))
    with pytest.raises(NoiseError, match=r"clean_label differs .* of another data set"):
        human(other, path)


def test_human_labels_of_tensorflow_datasets_are_recognised(digits, human_file, tmp_path):
    """A pickled dict in an .npy file, as the authors give it, and the CSV made of that."""
    _, worse = human_file
    ordered = tmp_path / "CIFAR-10_human_ordered.npy"
    np.save(ordered, {"worse_label": worse}, allow_pickle=True)
    annotations = tmp_path / "CIFAR-10_human_annotations.csv"
    annotations.write_text("worse_label\n" + "\n".join(map(str, worse)))
    renamed = tmp_path / "labels.pt"
    renamed.write_bytes(ordered.read_bytes())
    for path, form in ((ordered, "a numpy"), (renamed, "a numpy"), (annotations, "a CSV")):
        with pytest.raises(NoiseError) as caught:
            human(digits, path)
        assert str(caught.value).startswith(f"{path} is {form} file: in that form")
        assert "order" in str(caught.value)
        assert "tensorflow_datasets" in str(caught.value)
        assert "CIFAR-10_human.pt" in str(caught.value)
        assert "damaged" not in str(caught.value)


def test_human_file_of_another_length_is_refused(digits, tmp_path):
    path = tmp_path / "short.pt"
    torch.save({"worse_label": np.zeros(100, np.int64)}, path)
    with pytest.raises(NoiseError, match="has 100 labels for 1437 examples"):
        human(digits, path)
    noise = make_noise("human", labels_file=str(path), labels_key="worse_label")
    with pytest.raises(NoiseError, match="has 100 labels for 1437 examples"):
        prepare(digits, DataConfig("digits"), noise, 0)
    with pytest.raises(NoiseError, match="has 100 labels, but row"):
        prepare(digits, DataConfig("digits", train_examples=300), noise, 0)


def test_human_unknown_key_lists_those_of_the_file(digits, human_file):
    path, _ = human_file
    with pytest.raises(NoiseError, match="did you mean 'worse_label'"):
        human(digits, path, "worse")
    with pytest.raises(NoiseError, match="valid: worse_label"):
        human(digits, path, "clean_label")


def test_human_without_file_or_key_is_refused(digits, tmp_path):
    for given, missing in (("labels_key", "labels_file"), ("labels_file", "labels_key")):
        with pytest.raises(NoiseError, match=f"{missing} is missing"):
            corrupt(digits.train_labels, kind="human", num_classes=10, seed=0, **{given: "x"})
    with pytest.raises(NoiseError, match="is not there"):
        human(digits, tmp_path / "none.pt", "worse_label")


class Hostile:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (os.environ["HOSTILE_FOLDER"],)


def test_human_file_that_runs_code_is_refused_and_not_run(digits, tmp_path, monkeypatch):
    monkeypatch.setenv("HOSTILE_FOLDER", str(tmp_path / "made"))
    path = tmp_path / "hostile.pt"
    torch.save({"worse_label": Hostile()}, path)
    with pytest.raises(NoiseError, match=r"hostile.pt is damaged or no file of label arrays"):
        human(digits, path)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04 and then nothing"])
def test_human_damaged_file_is_named(digits, tmp_path, content):
    path = tmp_path / "damaged.pt"
    path.write_bytes(content)
    with pytest.raises(NoiseError, match=r"damaged.pt is damaged"):
        human(digits, path)


def test_human_file_cut_short_is_named(digits, human_file):
    path, _ = human_file
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(NoiseError, match=r"CIFAR-10_human.pt is damaged"):
        human(digits, path)


@pytest.mark.parametrize("content", [[1, 2], {"worse_label": np.zeros((2, 2), np.int64)}])
def test_human_file_of_something_else_is_refused(digits, tmp_path, content):
    path = tmp_path / "other.pt"
    torch.save(content, path)
    with pytest.raises(NoiseError, match=r"other\.pt"):
        human(digits, path)
