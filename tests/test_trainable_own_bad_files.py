"""Whatever may be wrong with a folder of images is one line that names the file."""

import io
import os
import re
import shutil
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tests.own_images import png, some_parts, write_arrays, write_folders, write_parquet
from trainable.data import DataError
from trainable.data.own import read_own

NAMES = ("ant", "bee", "cat")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def own(tmp_path) -> Path:
    """A good folder, to be spoilt."""
    return write_folders(tmp_path / "own", some_parts(), NAMES)


def refused(root: Path, message: str, **options) -> str:
    with pytest.raises(DataError, match=message) as caught:
        read_own(str(root), **options)
    line = str(caught.value)
    assert "\n" not in line
    assert len(line) < 500
    return line


def test_nothing_at_the_root(tmp_path):
    refused(tmp_path / "none", f"cannot list {tmp_path}/none: No such file")


@pytest.mark.parametrize(
    "content", [b"no image at all", b"", png(np.ones((3, 9, 9), np.uint8))[:50]]
)
def test_broken_image(own, content):
    (own / "train/bee/00001.png").write_bytes(content)
    refused(own, r"train/bee/00001\.png is .*: mend, replace or remove")


def test_image_cut_short_after_its_header(own):
    whole = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)).save(
        whole, "JPEG"
    )
    (own / "train/bee/00001.jpg").write_bytes(whole.getvalue()[:-40])
    refused(own, r"train/bee/00001\.jpg is broken \(.*truncated.*mend, replace or remove")


def test_all_broken_images_are_counted(own):
    for name in ("train/ant/00000", "train/ant/00003", "train/ant/00006", "train/ant/00009"):
        (own / f"{name}.png").write_bytes(b"no")
    refused(own, r"ant/00000.*ant/00003.*ant/00006.* and 1 more")


def test_broken_image_in_parquet_is_named_by_its_row(tmp_path):
    image = pa.array([{"bytes": b"no", "path": None}] * 2)
    (tmp_path / "own").mkdir()
    pq.write_table(pa.table({"image": image, "label": [0, 1]}), tmp_path / "own/train-0.parquet")
    refused(tmp_path / "own", r"train-0\.parquet, row 0 of train is no image")


def test_file_that_is_no_image_among_them(own):
    (own / "train/bee/notes.txt").write_text("x")
    refused(own, r"train/bee/notes\.txt among the images: no image by the name \(\.png .*move it")


def test_empty_class(own):
    (own / "train/dog").mkdir()
    refused(own, "class 'dog' has no training image: add some, or take the class away")


def test_class_in_test_that_train_lacks(own):
    shutil.copytree(own / "test/cat", own / "test/dog")
    refused(own, "class 'dog' has no training image, but test has")


def test_class_number_that_is_not_used(tmp_path):
    images, labels = some_parts()["train"]
    path = write_arrays(tmp_path / "a.npz", {"train": (images, labels * 2)})
    refused(path, "class '1' has no training image")


def test_one_class_only(tmp_path):
    parts = {"train": (some_parts()["train"][0], np.zeros(12, int))}
    refused(write_folders(tmp_path / "own", parts, NAMES), "only the class ant: at least two")


def test_two_files_with_one_name_in_a_labels_file(own, tmp_path):
    shutil.copy(own / "train/ant/00000.png", own / "train/bee/00000.png")
    (tmp_path / "l.csv").write_text("file,label\n00000.png,ant\n")
    refused(
        own,
        r"row 1: 00000\.png may be train/ant/00000\.png or train/bee/00000\.png: give more",
        labels=str(tmp_path / "l.csv"),
    )


def test_two_labels_for_one_file(own, tmp_path):
    (tmp_path / "l.csv").write_text("file,label\nant/00000.png,ant\ntrain/ant/00000.png,bee\n")
    refused(own, "rows 1 and 2: two labels for train/ant/00000", labels=str(tmp_path / "l.csv"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,label\nant/00000.png,beee\n", r"row 1: unknown class 'beee'.*did you mean 'bee'"),
        ("file,label\nant/00000.png,3\n", "row 1: unknown class '3'"),
        ("index,label\n12,ant\n", r"row 1: index 12 is not in 0 … 11, the training images"),
        ("index,label\n-1,ant\n", r"row 1: index -1 is not in 0 … 11"),
        (
            "file,label\nx.png,ant\ny.png,ant\n",
            r"labels for 2 files that are not in .*own: x\.png, y",
        ),
        ("name,label\nant/00000.png,ant\n", "columns name, label, but none of file, file_name"),
        ("file,class\nant/00000.png,ant\n", "columns file, class, but none of label, given"),
        ("file,label\n", "has no row of labels"),
        ("", "has no row of labels"),
        ("file,label\nant/00000.png,ant,bee\n", "row 1: 3 columns, not 2"),
        ("file,label,true\nant/00000.png,ant,ant\n", "true labels for 1 of 12 images of train"),
    ],
)
def test_labels_file_that_does_not_fit(own, tmp_path, text, message):
    (tmp_path / "l.csv").write_text(text)
    refused(own, message, labels=str(tmp_path / "l.csv"))


def test_labels_file_that_is_not_there_or_no_text(own, tmp_path):
    refused(own, r"cannot list|cannot read .*l\.csv: No such file", labels=str(tmp_path / "l.csv"))
    (tmp_path / "l.csv").write_bytes(b"\xff\xfe\x00")
    refused(own, "neither Parquet nor CSV in UTF-8", labels=str(tmp_path / "l.csv"))
    (tmp_path / "l.csv").write_bytes(b"PAR1 cut short")
    refused(own, r"l\.csv is damaged", labels=str(tmp_path / "l.csv"))


def test_images_that_no_row_labels(tmp_path):
    for name in "ab":
        path = tmp_path / "own" / "train" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(np.zeros((1, 8, 8), np.uint8)))
    refused(tmp_path / "own", r"train/a\.png, train/b\.png stand in no class's folder")
    (tmp_path / "l.csv").write_text("file,label\na.png,ant\n")
    labels = str(tmp_path / "l.csv")
    refused(tmp_path / "own", r"1 images of train have no label: train/b\.png", labels=labels)


def test_label_out_of_range(tmp_path):
    images, labels = some_parts()["train"]
    for y in (labels - 1, labels + 1):
        path = write_arrays(tmp_path / "a.npz", {"train": (images, y)}, class_names=list(NAMES))
        refused(path, r"label (-1|3) is not in 0 … 2")
    write_parquet(tmp_path / "own", {"train": (images, labels + 1)}, NAMES)
    refused(tmp_path / "own", r"label 3 is not in 0 … 2")


def test_hold_out_smaller_than_the_number_of_classes(own):
    shutil.copytree(own / "test/ant", own / "val/ant")
    refused(own, r"hold-out \(val\) has 2 images, fewer than the 3 classes")


def test_images_below_8_pixels(own):
    (own / "train/ant/00000.png").write_bytes(png(np.zeros((1, 7, 30), np.uint8)))
    refused(own, r"train/ant/00000\.png has 30 x 7 pixels, fewer than 8 a side")
    refused(own, "size = 7: at least 8 pixels", size=7)


def test_zip_instead_of_a_folder(own, tmp_path):
    packed = Path(shutil.make_archive(str(tmp_path / "own"), "zip", own))
    refused(packed, r"own\.zip is a packed file: unpack it")
    (tmp_path / "folder").mkdir()
    shutil.move(packed, tmp_path / "folder")
    refused(tmp_path / "folder", r"folder/own\.zip is a packed file: unpack it")
    (tmp_path / "x.txt").write_text("x")
    refused(tmp_path / "x.txt", r"x\.txt is one file: valid is the folder")


def test_no_read_permission():
    """A superuser may read everything, so he becomes nobody for a moment."""
    root = Path(tempfile.mkdtemp())
    user = os.geteuid()
    try:
        root.chmod(0o755)
        write_folders(root / "own", some_parts(), NAMES)
        (root / "own/train/ant/00000.png").chmod(0)
        if user == 0:
            os.seteuid(65534)
        refused(root / "own", r"cannot read .*ant/00000\.png: Permission denied")
        os.seteuid(user)
        (root / "own/train/ant").chmod(0)
        if user == 0:
            os.seteuid(65534)
        refused(root / "own", r"cannot list .*own: Permission denied")
    finally:
        os.seteuid(user)
        (root / "own/train/ant").chmod(0o755)
        shutil.rmtree(root)


def test_folder_one_level_too_deep(own):
    refused(own / "train", r"own/train is one level too deep: give the folder above")
    refused(own / "train" / "ant", r"train/ant is one level too deep, or its images have no class")


def test_folder_one_level_too_high(own, tmp_path):
    (tmp_path / "home").mkdir()
    shutil.move(own, tmp_path / "home")
    refused(tmp_path / "home", r"home is a level too high.*in it are own")


def test_folder_without_training_images(own):
    shutil.rmtree(own / "train")
    refused(own, "own has test, but no train")
    shutil.rmtree(own / "test")
    refused(own, r"own holds no image \(\.png")
    (own / "train").mkdir()
    refused(own, r"own holds no image|no image in train")


def test_two_spellings_of_one_split(own):
    shutil.copytree(own / "test", own / "val")
    shutil.copytree(own / "test", own / "valid")
    refused(own, "own has val and valid: only one may be there")


def test_folder_with_several_kinds_of_files(own):
    write_arrays(own / "mine.npz", some_parts())
    refused(own, r"own holds arrays \(\.npz\) \(mine\.npz\) and images .*: which is meant\?")


def test_folder_with_two_npz_files(tmp_path):
    for name in ("a", "b"):
        write_arrays(tmp_path / "own" / f"{name}.npz", some_parts())
    refused(tmp_path / "own", r"holds 2 \.npz files: name one of them as root")


def test_parquet_that_belongs_to_no_split_or_is_damaged(tmp_path):
    write_parquet(tmp_path / "own", some_parts(), NAMES)
    train = tmp_path / "own/train-00000-of-00001.parquet"
    shutil.copy(train, tmp_path / "own/more.parquet")
    refused(tmp_path / "own", r"more\.parquet belongs to no split: valid is")
    (tmp_path / "own/more.parquet").unlink()
    train.write_bytes(train.read_bytes()[:-100])
    refused(tmp_path / "own", r"train-00000-of-00001\.parquet is damaged or not Parquet")


def test_parquet_with_other_columns(tmp_path):
    (tmp_path / "own").mkdir()
    image = pa.array([{"bytes": png(np.zeros((1, 8, 8), np.uint8)), "path": None}] * 2)
    for table, message in (
        ({"picture": [b"", b""], "label": [0, 1]}, "0 columns of images among picture, label"),
        ({"image": image, "class": [0, 1]}, "2 images of train have no label"),
        ({"image": image, "label": [0.0, 1.0]}, "labels are float: valid are whole numbers"),
    ):
        pq.write_table(pa.table(table), tmp_path / "own" / "train.parquet")
        refused(tmp_path / "own", message)


def test_arrays_that_are_not_images_with_labels(tmp_path):
    images, labels = some_parts()["train"]
    y = {"y_train": labels}
    for arrays, message in (
        ({"x_train": images}, r"a\.npz lacks y_train \(it has x_train\): valid is"),
        ({"x": images, "y": labels}, "lacks x_train, y_train"),
        (
            {"x_train": images / 255.0, **y},
            r"x_train is float64 \(12, 3, 8, 8\): valid is x_train uint8",
        ),
        ({"x_train": images[:, :2], **y}, r"x_train \(12, 2, 8, 8\) has not 1, 3 or 4 channels"),
        ({"x_train": images[:5], **y}, "5 images in x_train, 12 in y_train"),
        ({"x_train": images, "y_train": np.eye(3)[labels]}, r"y_train is float64 \(12, 3\)"),
        (
            {"x_train": images, "y_train": np.array([{}] * 12)},
            r"a\.npz holds Python objects: valid is",
        ),
        ({"x_train": images, **y, "x_test": images}, "lacks y_test"),
    ):
        np.savez(tmp_path / "a.npz", **arrays)
        refused(tmp_path / "a.npz", message)


def test_npz_that_is_none(tmp_path):
    (tmp_path / "a.npz").write_bytes(b"PK nothing")
    refused(tmp_path / "a.npz", r"a\.npz is no whole \.npz file")
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as packed:
        packed.writestr("x.txt", "x")
    assert re.search("lacks x_train", refused(tmp_path / "a.npz", r"a\.npz"))
