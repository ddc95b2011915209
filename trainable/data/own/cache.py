"""Decoded images in the user's cache folder, found again by a fingerprint of their files."""

import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import numpy as np
import PIL

from trainable.data.files import cache_folder
from trainable.data.own.found import Found
from trainable.dtypes import Images

_FORMAT = 1
"""Goes up with every change of what decoding makes of a file."""


def fingerprint(found: Found, size: int | None) -> str:
    """Differs with any file's path, size or time of change, with ``size`` and with Pillow."""
    digest = hashlib.sha256(repr((_FORMAT, PIL.__version__, found.where, size)).encode())
    for file in found.files:
        digest.update(repr(file).encode())
    return digest.hexdigest()[:32]


def cached(
    key: str, lengths: dict[str, int], make: Callable[[], dict[str, Images]]
) -> dict[str, Images]:
    """The images of every split as kept under ``key``; else made, and kept for the next time.

    Args:
        key: a fingerprint.
        lengths: images a split, as the files have them now.
        make: decodes them.
    """
    paths = {split: cache_folder() / "own-images" / f"{key}-{split}.npy" for split in lengths}
    try:
        images = {split: np.load(path) for split, path in paths.items()}
        if {split: len(found) for split, found in images.items()} == lengths:
            return images
    except (OSError, ValueError, EOFError):  # not there, or cut short
        pass
    images = make()
    for split, path in paths.items():
        _keep(path, images[split])
    return images


def _keep(path: Path, images: Images) -> None:
    """Write a file whole; where the cache cannot be written, the next start decodes again."""
    temporary = path.with_name(f"{uuid4().hex}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Written as it goes: the bytes of it all would be a second copy in memory.
        with temporary.open("wb") as stream:
            np.save(stream, images)
        os.replace(temporary, path)
    except OSError:
        with suppress(OSError):
            temporary.unlink()
