"""Images in folders, one folder a class, as torchvision's ``ImageFolder`` has them.

    root/train/<class>/*.png    root/test/<class>/*.png    root/val/<class>/*.png

Without ``train``, the folders in ``root`` are the classes and all images are for training. Images
without a class folder, ``root/train/*.png``, get their labels from a labels file.
"""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import PurePosixPath

from trainable.data.files import DataError
from trainable.data.own.found import (
    EncodedImage,
    Found,
    FoundPart,
    by_split,
    labelled,
    some,
    split_word,
)
from trainable.folder.storage import Folder, PathInfo

IMAGES = (
    *(".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff"),
    *(".ppm", ".pgm", ".avif"),
)
LAYOUT = "root/train/<class>/<image>"
_SYSTEM = ("thumbs.db", "desktop.ini")


def read_folders(root: Folder, tree: list[PathInfo], *, labels_follow: bool) -> Found:
    """Find the images of every split by their paths; nothing is opened.

    Args:
        root: the folder.
        tree: what is in it, hidden names left out.
        labels_follow: a labels file says what the folders do not.

    Raises:
        DataError: a layout that is none of the above.
    """
    files = [entry for entry in tree if not entry.is_folder]
    images = [entry for entry in files if entry.path.lower().endswith(IMAGES)]
    splits = by_split({_top_folder(entry) for entry in tree if "/" in entry.path}, str(root))
    # Only a folder that is just called so: "training_photos" may well be a class.
    exact = {split: tops[0] for split, tops in splits.items() if tops[0] == split_word(tops[0])}
    if "train" not in exact:
        _check_level(root, images, exact, labels_follow)
        exact = {"train": ""}
    used = {split: _inside(top, files) for split, top in exact.items()}
    for entries in used.values():
        _check_kinds(root, entries, whole=exact["train"] != "")
    known = set(images)
    used = {split: [e for e in entries if e in known] for split, entries in used.items()}
    classes = {split: [_class(e, exact[split]) for e in used[split]] for split in used}
    flat = [e.path for s in used for e, c in zip(used[s], classes[s], strict=True) if c is None]
    if flat and not labels_follow:
        raise DataError(
            f"{root}: {some(flat)} stand in no class's folder: "
            f"valid are {LAYOUT}, or a labels file (labels = …)"
        )
    names = {c for found in classes.values() for c in found if c is not None}
    # A class without an image is a mistake that is named later; left out it would be silent.
    names |= _class_folders(tree, exact["train"])
    class_names = tuple(sorted(names))
    parts = {
        split: FoundPart(
            names=tuple(entry.path for entry in used[split]),
            labels=labelled(classes[split], class_names),
            encoded=partial(_encoded, root, used[split]),
        )
        for split in used
    }
    return Found(str(root), parts, class_names, tuple(e for s in used.values() for e in s))


def _encoded(root: Folder, entries: list[PathInfo]) -> Iterator[EncodedImage]:
    for entry in entries:
        yield f"{root}/{entry.path}", _reader(root, entry.path)


def _reader(root: Folder, path: str) -> Callable[[], bytes]:
    def read() -> bytes:
        with root.stream(path) as stream:
            return bytes(stream.readall())

    return read


def _top_folder(entry: PathInfo) -> str:
    return entry.path.partition("/")[0]


def _inside(top: str, entries: list[PathInfo]) -> list[PathInfo]:
    return [entry for entry in entries if not top or entry.path.startswith(f"{top}/")]


def _class(entry: PathInfo, top: str) -> str | None:
    """The folder under the split's, however deep the image lies; None without one."""
    class_name, below, _ = entry.path[len(top) + 1 if top else 0 :].partition("/")
    return class_name if below else None


def _class_folders(tree: list[PathInfo], top: str) -> set[str]:
    """Classes that have a folder among the training images, if only an empty one."""
    depth = 2 if top else 1
    paths = [PurePosixPath(entry.path) for entry in _inside(top, tree) if entry.is_folder]
    return {path.name for path in paths if len(path.parts) == depth}


def _check_level(
    root: Folder, images: list[PathInfo], splits: dict[str, str], labels_follow: bool
) -> None:
    """Without ``train``: the classes must stand in the root itself, one level deep."""
    if not images:
        raise DataError(f"{root} holds no image ({' '.join(IMAGES)}): valid is {LAYOUT}")
    if splits:
        raise DataError(f"{root} has {some(splits.values())}, but no train: valid is {LAYOUT}")
    name = PurePosixPath(str(root)).name
    depths = {entry.path.count("/") for entry in images}
    if split_word(name) == name.lower():
        raise DataError(f"{root} is one level too deep: give the folder above, which has {name}")
    if depths == {0} and not labels_follow:
        raise DataError(
            f"{root} is one level too deep, or its images have no class: "
            f"valid are {LAYOUT}, or a labels file (labels = …)"
        )
    if max(depths) > 1:
        tops = sorted({_top_folder(entry) for entry in images})
        raise DataError(
            f"{root} is a level too high, or lacks train: give the folder that holds train and "
            f"test (in it are {some(tops)}); valid is {LAYOUT}"
        )


def _check_kinds(root: Folder, entries: list[PathInfo], *, whole: bool) -> None:
    """A file among the images that is none would be lost silently. Beside them it may lie."""
    alien = [
        entry.path
        for entry in entries
        if not entry.path.lower().endswith(IMAGES)
        and PurePosixPath(entry.path).name.lower() not in _SYSTEM
        and (whole or "/" in entry.path)
    ]
    if alien:
        raise DataError(
            f"{root}: {some(alien)} among the images: no image by the name ({' '.join(IMAGES)}); "
            "move it away"
        )
