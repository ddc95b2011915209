import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tests.own_images import png, some_parts, write_arrays, write_folders, write_parquet
from trainable.data.own import pixels, read_own

NAMES = ("ant", "bee", "cat")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "elr-tune" / "own-images"


def save(path: Path, image: Image.Image, **options) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)


def by_class(images, labels):
    """Rows in the order in which folders sort: by class, then by number."""
    order = np.argsort(labels, kind="stable")
    return images[order], labels[order]


def test_folders_are_read_in_the_order_of_their_paths(tmp_path):
    parts = some_parts()
    own = read_own(str(write_folders(tmp_path / "own", parts, NAMES)))
    for part, stored in ((own.train, parts["train"]), (own.test, parts["test"])):
        images, labels = by_class(*stored)
        assert np.array_equal(part.images, images)
        assert np.array_equal(part.given, labels)
        assert part.images.dtype == np.uint8
        assert part.given.dtype == np.int64
        assert part.images.flags.c_contiguous
        assert part.true is None
    assert own.class_names == NAMES
    assert own.train.names[:2] == ("train/ant/00000.png", "train/ant/00003.png")
    assert own.val is None
    assert own.notes == ()


@pytest.mark.parametrize("name", ["val", "valid", "validation"])
def test_folder_of_validation_images_is_the_hold_out(tmp_path, name):
    parts = some_parts()
    write_folders(tmp_path / "own", {"train": parts["train"], name: parts["test"]}, NAMES)
    own = read_own(str(tmp_path / "own"))
    assert len(own.val.given) == 6
    assert own.test is None


def test_folders_of_classes_without_splits_are_for_training(tmp_path):
    write_folders(tmp_path, {"photos": some_parts()["train"]}, NAMES)
    (tmp_path / "photos" / "README.txt").write_text("mine")
    own = read_own(str(tmp_path / "photos"))
    assert len(own.train.given) == 12
    assert own.test is None
    assert own.train.names[0] == "ant/00000.png"


def test_files_of_the_system_are_passed_over(tmp_path):
    write_folders(tmp_path / "own", some_parts(), NAMES)
    for name in (".DS_Store", "Thumbs.db", "._00000.png"):
        (tmp_path / "own" / "train" / "ant" / name).write_bytes(b"x")
    assert len(read_own(str(tmp_path / "own")).train.given) == 12


@pytest.mark.parametrize("shards", [1, 3])
def test_parquet_keeps_the_order_of_its_rows_and_the_names_in_its_schema(tmp_path, shards):
    parts = some_parts()
    own = read_own(str(write_parquet(tmp_path / "own", parts, NAMES, shards=shards)))
    assert np.array_equal(own.train.images, parts["train"][0])
    assert np.array_equal(own.train.given, parts["train"][1])
    assert np.array_equal(own.test.images, parts["test"][0])
    assert own.class_names == NAMES
    assert own.train.names[1] == "train/00001.png"


def test_parquet_without_class_names_counts_its_classes(tmp_path):
    own = read_own(str(write_parquet(tmp_path / "own", some_parts(), paths=False)))
    assert own.class_names == ("0", "1", "2")
    assert own.train.names[1] == "train[1]"


def test_parquet_with_labels_as_text_sorts_its_classes(tmp_path):
    own = read_own(str(write_parquet(tmp_path / "own", some_parts(), ("z", "y", "x"), text=True)))
    assert own.class_names == ("x", "y", "z")
    assert own.train.given[:4].tolist() == [2, 1, 0, 2]


def test_parquet_in_a_folder_below_or_alone_is_read(tmp_path):
    parts = {"train": some_parts()["train"]}
    write_parquet(tmp_path / "own" / "data", parts, NAMES)
    alone = tmp_path / "own" / "data" / "train-00000-of-00001.parquet"
    for root in (tmp_path / "own", alone):
        assert np.array_equal(read_own(str(root)).train.images, parts["train"][0])


@pytest.mark.parametrize("axes", ["HW", "HWC", "CHW"])
def test_arrays_are_read_with_their_channels_anywhere(tmp_path, axes):
    parts = some_parts(shape=(1 if axes == "HW" else 3, 8, 9))
    stored = {
        split: (
            {"HW": images[:, 0], "HWC": images.transpose(0, 2, 3, 1), "CHW": images}[axes],
            labels[:, None],
        )
        for split, (images, labels) in parts.items()
    }
    path = write_arrays(tmp_path / "own" / "mine.npz", stored, class_names=np.array(NAMES))
    for root in (path, path.parent):
        own = read_own(str(root))
        assert np.array_equal(own.train.images, parts["train"][0])
        assert np.array_equal(own.test.given, parts["test"][1])
        assert own.class_names == NAMES


def test_arrays_with_class_names_as_labels_are_numbered(tmp_path):
    images, labels = some_parts()["train"]
    path = write_arrays(tmp_path / "a.npz", {"train": (images, np.array(NAMES)[labels])})
    own = read_own(str(path))
    assert own.class_names == NAMES
    assert np.array_equal(own.train.given, labels)


def test_a_root_behind_a_uri_is_read(tmp_path):
    write_folders(tmp_path / "my own", some_parts(), NAMES)
    own = read_own(f"file://{tmp_path}/my%20own")
    assert np.array_equal(own.train.images, read_own(str(tmp_path / "my own")).train.images)


def test_mixed_sizes_are_scaled_by_the_shorter_side_and_cropped_around_the_centre(tmp_path):
    wide = np.zeros((10, 30, 3), np.uint8)
    wide[:, 10:20] = 200
    save(tmp_path / "own/train/a/wide.png", Image.fromarray(wide))
    save(tmp_path / "own/train/b/tall.png", Image.new("RGB", (20, 40), (9, 9, 9)))
    own = read_own(str(tmp_path / "own"))
    assert own.train.images.shape == (2, 3, 10, 10)
    assert (own.train.images[0] == 200).all()
    assert (own.train.images[1] == 9).all()
    assert read_own(str(tmp_path / "own"), size=16).train.images.shape == (2, 3, 16, 16)


@pytest.mark.parametrize(
    ("sizes", "size", "shape"),
    [
        ([(20, 12), (20, 12)], None, (12, 20)),
        ([(200, 100), (200, 100)], None, (64, 128)),
        ([(200, 100), (200, 100)], 10, (10, 20)),
        ([(200, 100), (100, 200)], None, (64, 64)),
        ([(200, 100), (9, 30)], None, (9, 9)),
    ],
)
def test_size_by_default_is_the_smallest_side_up_to_64_and_rectangles_are_kept(sizes, size, shape):
    shapes = {pixels.Shape(height, width, 3) for width, height in sizes}
    chosen = pixels.common_shape(shapes, size)
    assert (chosen.height, chosen.width) == shape


def test_scaling_down_is_antialiased(tmp_path):
    stripes = np.zeros((64, 64), np.uint8)
    stripes[:, ::2] = 255
    for name in "ab":
        save(tmp_path / "own" / "train" / name / "1.png", Image.fromarray(stripes))
    shrunk = read_own(str(tmp_path / "own"), size=8).train.images
    assert abs(shrunk.astype(int) - 127).max() < 20


def test_grey_stays_grey_unless_an_image_has_colour(tmp_path):
    save(tmp_path / "own/train/a/1.png", Image.new("L", (8, 8), 7))
    save(tmp_path / "own/train/b/1.png", Image.new("I;16", (8, 8), 7 * 256 + 3))
    assert (
        read_own(str(tmp_path / "own")).train.images.tolist() == np.full((2, 1, 8, 8), 7).tolist()
    )
    save(tmp_path / "own/train/b/2.png", Image.new("RGB", (8, 8), (1, 2, 3)))
    images = read_own(str(tmp_path / "own")).train.images
    assert images[:, :, 0, 0].tolist() == [[7, 7, 7], [7, 7, 7], [1, 2, 3]]


def test_alpha_is_laid_on_white_and_palettes_are_looked_up(tmp_path):
    save(tmp_path / "own/train/a/1.png", Image.new("RGBA", (8, 8), (255, 0, 0, 51)))
    palette = Image.new("RGB", (8, 8), (255, 0, 0)).convert("P")
    save(tmp_path / "own/train/b/1.png", palette)
    save(tmp_path / "own/train/b/2.gif", Image.new("RGB", (8, 8), (0, 0, 255)))
    save(tmp_path / "own/train/b/3.png", Image.new("1", (8, 8), 1))
    images = read_own(str(tmp_path / "own")).train.images
    expected = [[255, 204, 204], [255, 0, 0], [0, 0, 255], [255, 255, 255]]
    assert images[:, :, 4, 4].tolist() == expected


def test_images_are_turned_as_their_exif_says(tmp_path):
    photo = np.zeros((8, 16, 3), np.uint8)
    photo[:, 8:] = 255
    exif = Image.Exif()
    exif[0x112] = 6  # to be turned clockwise by a quarter
    for name in "ab":
        save(tmp_path / f"own/train/{name}/1.png", Image.fromarray(photo), exif=exif)
    images = read_own(str(tmp_path / "own")).train.images
    assert images.shape == (2, 3, 16, 8)
    assert (images[:, :, :8] == 0).all()
    assert (images[:, :, 8:] == 255).all()


@pytest.mark.parametrize("suffix", ["jpg", "webp", "bmp", "tiff", "ppm"])
def test_every_format_is_read(tmp_path, suffix):
    for name in "ab":
        save(tmp_path / f"own/train/{name}/1.{suffix}", Image.new("RGB", (9, 8), (90, 90, 90)))
    images = read_own(str(tmp_path / "own")).train.images
    assert images.shape == (2, 3, 8, 9)
    assert abs(images.astype(int) - 90).max() <= 2


def test_images_are_decoded_once_until_a_file_or_the_size_changes(tmp_path, monkeypatch, cache):
    root = write_folders(tmp_path / "own", some_parts(), NAMES)
    told = []

    def progress(step, done, total):
        told.append((step, done, total))

    first = read_own(str(root), progress=progress)
    assert ("measured", 12, 12) in told
    assert ("decoded", 6, 6) in told
    told.clear()
    again = read_own(str(root), progress=progress)
    assert told == []
    assert np.array_equal(first.train.images, again.train.images)
    (root / "train/ant/00000.png").write_bytes(png(np.full((3, 8, 8), 7, np.uint8)))
    assert (read_own(str(root), progress=progress).train.images[0] == 7).all()
    assert told
    told.clear()
    assert read_own(str(root), size=9, progress=progress).train.images.shape[2:] == (9, 9)
    assert told
    for kept in cache.iterdir():
        kept.write_bytes(kept.read_bytes()[:50])
    told.clear()
    assert (read_own(str(root), progress=progress).train.images[0] == 7).all()
    assert told


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    root = write_folders(tmp_path / "own", some_parts(), NAMES)
    assert len(read_own(str(root)).train.images) == 12


def test_equal_images_are_noted(tmp_path):
    images, labels = some_parts()["train"]
    images[3] = images[0]  # of one class
    images[[4, 5, 7]] = images[1]  # three of class 1, one of class 2
    test = (images[:2], labels[:2])
    own = read_own(
        str(write_arrays(tmp_path / "a.npz", {"train": (images, labels), "test": test}))
    )
    assert own.notes == (
        "4 training images have a twin with another label, so at least 1 labels are wrong",
        "2 images of test are training images too",
    )


def labels_file(tmp_path, text: str) -> str:
    path = tmp_path / "labels.csv"
    path.write_text(text)
    return str(path)


def test_labels_file_replaces_what_it_names_and_leaves_the_rest(tmp_path):
    root = write_folders(tmp_path / "own", some_parts(), NAMES)
    text = "file,label\ntrain/ant/00000.png,cat\nbee/00004.png,ant\ntest/cat/00002.png,bee\n"
    own = read_own(str(root), labels=labels_file(tmp_path, text))
    changed = dict(zip(own.train.names, own.train.given.tolist(), strict=True))
    assert changed.pop("train/ant/00000.png") == 2
    assert changed.pop("train/bee/00004.png") == 0
    assert all(NAMES[label] in name for name, label in changed.items())
    assert own.test.given.tolist() == [0, 0, 1, 1, 1, 2]
    assert own.train.true is None


def test_labels_of_a_crowd_over_clean_ones_keep_both(tmp_path):
    parts = some_parts()
    root = write_parquet(tmp_path / "own", parts, NAMES)
    text = "index;given\n" + "".join(f"{i};{(i + 1) % 3}\n" for i in range(12))
    own = read_own(str(root), labels=labels_file(tmp_path, text), clean=True)
    assert np.array_equal(own.train.given, (parts["train"][1] + 1) % 3)
    assert np.array_equal(own.train.true, parts["train"][1])
    assert np.array_equal(own.test.true, own.test.given)


def test_labels_file_in_parquet_may_give_the_truth(tmp_path):
    root = write_arrays(tmp_path / "a.npz", {"train": some_parts()["train"]})
    given, true = (np.arange(12) + 1) % 3, np.arange(12) % 3
    path = tmp_path / "labels.parquet"
    table = {"index": np.arange(12)[::-1], "given": given[::-1], "true": true[::-1]}
    pq.write_table(pa.table(table), path)
    own = read_own(str(root), labels=str(path))
    assert np.array_equal(own.train.given, given)
    assert np.array_equal(own.train.true, true)


@pytest.mark.parametrize("place", ["own/train/1{}.png", "own/1{}.png"])
def test_images_without_class_folders_get_their_labels_from_a_file_in_the_root(tmp_path, place):
    for name in "abc":
        save(tmp_path / place.format(name), Image.new("L", (8, 8), ord(name)))
    path = tmp_path / "own" / "labels.csv"
    path.write_text("\ufefffile_name,label\n1a.png,dog\n1b.png,cat\n1c.png,dog\n")
    own = read_own(str(tmp_path / "own"), labels=str(path))
    assert own.class_names == ("cat", "dog")
    assert own.train.given.tolist() == [1, 0, 1]


def test_mended_list_of_doubtful_labels_is_a_labels_file(tmp_path):
    root = write_folders(tmp_path / "own", some_parts(), NAMES)
    text = (
        "file,given,proposed,score,label\n"
        "train/ant/00000.png,ant,cat,0.9,cat\ntrain/bee/00001.png,ant,cat,0.5,\n"
    )
    own = read_own(str(root), labels=labels_file(tmp_path, text))
    given = dict(zip(own.train.names, own.train.given.tolist(), strict=True))
    assert given["train/ant/00000.png"] == 2
    assert given["train/bee/00001.png"] == 0


def test_labels_may_be_numbers_of_classes(tmp_path):
    root = write_folders(tmp_path / "own", some_parts(), NAMES)
    own = read_own(str(root), labels=labels_file(tmp_path, "file,label\nant/00000.png,1\n"))
    assert own.train.given[0] == 1


def test_a_stored_image_is_what_was_drawn():
    image = some_parts()["train"][0][0]
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(png(image)))).transpose(2, 0, 1), image)
