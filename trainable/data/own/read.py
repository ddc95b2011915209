"""Read a user's own images with their labels, and say what is wrong with them."""

import hashlib
from collections import Counter

import numpy as np

from trainable.data.files import DataError
from trainable.data.own.arrays import read_arrays
from trainable.data.own.cache import cached, fingerprint
from trainable.data.own.folders import IMAGES, LAYOUT, read_folders
from trainable.data.own.found import UNKNOWN, Found, OwnImages, OwnPart, some
from trainable.data.own.labels_file import FileLabels, read_labels
from trainable.data.own.parquet import read_parquet
from trainable.data.own.pixels import (
    Reading,
    Shape,
    common_shape,
    decode,
    shapes_of,
)
from trainable.data.sets import SMALLEST_SIDE
from trainable.dtypes import Images, Ints
from trainable.folder.storage import Folder, PathInfo, StorageError

_PACKED = (".zip", ".tar", ".tgz", ".gz", ".xz", ".bz2", ".7z", ".rar")


def read_own(
    root: str,
    *,
    labels: str | None = None,
    clean: bool = False,
    size: int | None = None,
    progress: Reading | None = None,
) -> OwnImages:
    """Read image folders, Parquet or arrays, decoded once and then kept in the cache folder.

    Args:
        root: path or URI of a folder as :mod:`~trainable.data.own.folders` or
            :mod:`~trainable.data.own.parquet` describes it, or of a Parquet or ``.npz`` file.
        labels: path or URI of a labels file, which goes before what the images' files say.
        clean: the labels that the images' files have are true; so a labels file has the given
            ones, and without one the labels given are true.
        size: pixels of the shorter side, at least 8; None: the smallest image's, at most 64.
        progress: told how far reading is.

    Raises:
        DataError: anything that cannot be used, in one line: the file, and what would be valid.
    """
    if size is not None and size < SMALLEST_SIDE:
        raise DataError(f"size = {size}: at least {SMALLEST_SIDE} pixels are needed")
    try:
        found = _find(Folder.open(root), labels)
        _check_parts(found)
        said = read_labels(labels, found) if labels is not None else None
        given, true = _labels(found, said, clean=clean)
        names = said.class_names if said is not None else found.class_names
        _check_classes(found.where, names, given)
        lengths = {split: len(part.names) for split, part in found.parts.items()}
        # Before any pixel is read: what is in the cache needs no decoding.
        key = fingerprint(found, size)
        images = cached(key, lengths, lambda: _decoded(found, size, progress))
    except StorageError as error:
        raise DataError(str(error)) from error
    parts = {
        split: OwnPart(images[split], given[split], true[split], part.names)
        for split, part in found.parts.items()
    }
    notes = _duplicates(images, given)
    return OwnImages(parts["train"], parts.get("val"), parts.get("test"), names, notes)


def _find(root: Folder, labels: str | None) -> Found:
    """Whichever of the three kinds of files the root holds."""
    # Listed once, for a folder behind a URI may hold a million objects.
    tree = [entry for entry in root.tree() if not _hidden(entry.path)]
    if labels is not None:
        start, named = root.location.rstrip("/"), Folder.open(labels).location
        # A labels file inside the root is no Parquet of images.
        tree = [entry for entry in tree if f"{start}/{entry.path}" != named]
    names = {entry: entry.path or root.location for entry in tree if not entry.is_folder}
    parquet = [entry for entry, name in names.items() if name.lower().endswith(".parquet")]
    arrays = [entry for entry, name in names.items() if name.lower().endswith(".npz")]
    images = [entry for entry, name in names.items() if name.lower().endswith(IMAGES)]
    kinds = {"Parquet": parquet, "arrays (.npz)": arrays, "images": images}
    several = [f"{kind} ({some(e.path for e in s)})" for kind, s in kinds.items() if s]
    if len(several) > 1:
        raise DataError(
            f"{root} holds {' and '.join(several)}: which is meant? Give a folder with one kind"
        )
    if len(arrays) > 1:
        raise DataError(f"{root} holds {len(arrays)} .npz files: name one of them as root")
    if arrays:
        return read_arrays(root, arrays[0])
    if parquet:
        return read_parquet(root, parquet)
    _check_no_archive(root, tree)
    return read_folders(root, tree, labels_follow=labels is not None)


def _hidden(path: str) -> bool:
    """Names that start with a dot, and what macOS leaves in archives."""
    return any(name.startswith(".") or name == "__MACOSX" for name in path.split("/"))


def _check_no_archive(root: Folder, tree: list[PathInfo]) -> None:
    files = [entry for entry in tree if not entry.is_folder]
    if len(files) == 1 and (files[0].path == "" or len(tree) == 1):
        where = f"{root}/{files[0].path}".rstrip("/")
        packed = where.lower().endswith(_PACKED)
        what = "a packed file: unpack it and name" if packed else "one file: valid is"
        if packed or files[0].path == "":
            raise DataError(f"{where} is {what} the folder, {LAYOUT}, a .parquet or an .npz file")


def _check_parts(found: Found) -> None:
    for split, part in found.parts.items():
        if not part.names:
            raise DataError(f"{found.where}: no image in {split}: valid is {LAYOUT}")
        twice = [name for name, count in Counter(part.names).items() if count > 1]
        if twice:
            raise DataError(f"{found.where}: two files in {split} have the name {some(twice)}")


def _labels(
    found: Found, said: FileLabels | None, *, clean: bool
) -> tuple[dict[str, Ints], dict[str, Ints | None]]:
    """Given and true labels by split.

    Raises DataError for an image without a label, or true labels for a part of a split only.
    """
    given: dict[str, Ints] = {}
    true: dict[str, Ints | None] = {}
    for split, part in found.parts.items():
        own = part.labels
        given[split] = own if said is None else _completed(said.given[split], own)
        bare = np.flatnonzero(given[split] == UNKNOWN)
        if len(bare):
            raise DataError(
                f"{found.where}: {len(bare):,} images of {split} have no label: "
                f"{some(part.names[i] for i in bare)}; name a labels file (labels = …) that has it"
            )
        known = own if clean else np.full(len(own), UNKNOWN, np.int64)
        if said is not None:
            known = _completed(said.true[split], known)
        count = int((known >= 0).sum())
        if 0 < count < len(known):
            raise DataError(
                f"{found.where}: true labels for {count:,} of {len(known):,} images of {split}: "
                "valid is for all or for none"
            )
        true[split] = known if count else None
    return given, true


def _completed(labels: Ints, others: Ints) -> Ints:
    return np.where(labels == UNKNOWN, others, labels)


def _check_classes(where: str, names: tuple[str, ...], given: dict[str, Ints]) -> None:
    if len(names) < 2:
        raise DataError(f"{where}: only the class {some(names)}: at least two are needed")
    train = np.bincount(given["train"], minlength=len(names))
    for label, name in enumerate(names):
        if not train[label]:
            other = [split for split, labels in given.items() if (labels == label).any()]
            but = f", but {' and '.join(other)} has" if other else ""
            raise DataError(
                f"{where}: class {name!r} has no training image{but}: "
                "add some, or take the class away"
            )
    if "val" in given and len(given["val"]) < len(names):
        raise DataError(
            f"{where}: the hold-out (val) has {len(given['val'])} images, fewer than the "
            f"{len(names)} classes"
        )


def _decoded(found: Found, size: int | None, progress: Reading | None) -> dict[str, Images]:
    shapes: set[Shape] = set()
    for part in found.parts.values():
        shapes |= shapes_of(part.encoded(), len(part.names), progress)
    shape = common_shape(shapes, size)
    return {
        split: decode(part.encoded(), len(part.names), shape, progress)
        for split, part in found.parts.items()
    }


def _duplicates(images: dict[str, Images], given: dict[str, Ints]) -> tuple[str, ...]:
    """What equal images say: a wrong label, or a test that was trained on."""
    twins: dict[bytes, Counter[int]] = {}
    for image, label in zip(images["train"], given["train"].tolist(), strict=True):
        twins.setdefault(_key(image), Counter())[label] += 1
    torn = [labels for labels in twins.values() if len(labels) > 1]
    notes = []
    if torn:
        wrong = sum(labels.total() - max(labels.values()) for labels in torn)
        notes.append(
            f"{sum(labels.total() for labels in torn):,} training images have a twin with "
            f"another label, so at least {wrong:,} labels are wrong"
        )
    for split in sorted(images.keys() - {"train"}):
        again = sum(_key(image) in twins for image in images[split])
        if again:
            notes.append(f"{again:,} images of {split} are training images too")
    return tuple(notes)


def _key(image: Images) -> bytes:
    return hashlib.blake2b(image.tobytes(), digest_size=16).digest()
