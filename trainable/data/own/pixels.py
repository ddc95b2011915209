"""Image files to one uint8 array: turned upright, flattened, brought to one size."""

import io
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Protocol, TypeVar

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from trainable.data.files import DataError
from trainable.data.own.found import EncodedImage, some
from trainable.data.sets import SMALLEST_SIDE
from trainable.dtypes import Images

T = TypeVar("T")

LARGEST_DEFAULT = 64
"""Pixels of the shorter side where no size is asked for and the images are larger."""

_CHUNK = 64
"""Images a thread takes at once."""
_EXIF_ORIENTATION = 0x112


class Reading(Protocol):
    """Told now and then how far the reading is."""

    def __call__(self, step: str, done: int, total: int) -> None:
        """``done`` of ``total`` images are through ``step``, "measured" or "decoded"."""


@dataclass(frozen=True)
class Shape:
    """What an image is, or shall be."""

    height: int  # in pixels
    width: int  # in pixels
    channels: int
    """1 for grey, 3 for colour."""


def shapes_of(encoded: Iterable[EncodedImage], total: int, progress: Reading | None) -> set[Shape]:
    """The different shapes among the images, read off their headers.

    Raises:
        DataError: files that are no images, or images below 8 pixels; their names.
    """
    return set(_each(_shape, encoded, "measured", total, progress))


def common_shape(shapes: set[Shape], size: int | None) -> Shape:
    """The shape that all images are brought to.

    Args:
        shapes: of the images, at least one.
        size: pixels of the shorter side; None: of the smallest image, at most 64.

    Returns:
        A square, or the images' own proportions if all share them; grey if all images are.
    """
    channels = max(shape.channels for shape in shapes)
    shorter = min(min(shape.height, shape.width) for shape in shapes)
    side = min(shorter, LARGEST_DEFAULT) if size is None else size
    if len({(shape.height, shape.width) for shape in shapes}) > 1:
        return Shape(side, side, channels)
    (height, width), *_ = {(shape.height, shape.width) for shape in shapes}
    return Shape(round(height * side / shorter), round(width * side / shorter), channels)


def decode(
    encoded: Iterable[EncodedImage], total: int, shape: Shape, progress: Reading | None
) -> Images:
    """All images in one array, uint8 ``[N, channels, height, width]``.

    An image is turned as its EXIF says, laid on white where it is transparent, scaled
    (antialiased) until its shorter side fits, and cropped around its centre.

    Raises:
        DataError: files that are broken; their names.
    """
    images = np.empty((total, shape.channels, shape.height, shape.width), np.uint8)
    pixels = _each(lambda image: _pixels(image, shape), encoded, "decoded", total, progress)
    for row, image in enumerate(pixels):
        images[row] = image
    return images


def _each(
    function: Callable[[Image.Image], T],
    encoded: Iterable[EncodedImage],
    step: str,
    total: int,
    progress: Reading | None,
) -> Iterator[T]:
    """``function`` of every image in order, by as many threads as there are cores.

    Pillow decodes and scales outside the interpreter's lock. All broken files are found before
    the DataError that names them.
    """
    workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    broken: list[str] = []
    waiting: deque[Future[list[T | DataError]]] = deque()
    source = iter(encoded)
    done = 0
    with ThreadPoolExecutor(workers) as pool:
        while True:
            # A few chunks ahead: all threads have work, and images do not fill the memory.
            while len(waiting) < 4 * (workers or 1) and (chunk := list(islice(source, _CHUNK))):
                waiting.append(pool.submit(_chunk, function, chunk))
            if not waiting:
                break
            for result in waiting.popleft().result():
                if isinstance(result, DataError):
                    broken.append(str(result))
                else:
                    yield result
                done += 1
            if progress is not None:
                progress(step, done, total)
    if broken:
        raise DataError(f"{some(broken)}: mend, replace or remove what is named")


def _chunk(function: Callable[[Image.Image], T], chunk: list[EncodedImage]) -> list[T | DataError]:
    results: list[T | DataError] = []
    for name, fetch in chunk:
        content = fetch()
        try:
            with _opened(content) as image:
                results.append(function(image))
        except Exception as error:  # a damaged file can fail in any way inside a decoder
            results.append(DataError(f"{name} {_reason(error)}"))
    return results


def _opened(content: bytes | Images) -> Image.Image:
    if not isinstance(content, bytes):
        # One channel: Pillow knows no array with a last axis of one.
        grey = content.ndim == 3 and content.shape[2] == 1
        return Image.fromarray(np.ascontiguousarray(content[:, :, 0] if grey else content))
    if not content:
        raise DataError("is empty")
    return Image.open(io.BytesIO(content))


def _reason(error: Exception) -> str:
    if isinstance(error, DataError):
        return str(error)
    if isinstance(error, UnidentifiedImageError):
        return "is no image, or of an unknown format"
    return f"is broken ({error})"


def _shape(image: Image.Image) -> Shape:
    width, height = image.size
    if min(width, height) < SMALLEST_SIDE:
        raise DataError(f"has {width} x {height} pixels, fewer than {SMALLEST_SIDE} a side")
    if image.mode in ("I", "F") and not _is_16_bit(image):
        raise DataError("has 32 bits a pixel; valid are 8 and 16")
    if image.getexif().get(_EXIF_ORIENTATION, 1) >= 5:  # 5 to 8: lying on its side
        width, height = height, width
    return Shape(height, width, 1 if _is_grey(image) else 3)


def _is_grey(image: Image.Image) -> bool:
    return image.mode in ("1", "L", "LA", "La") or _is_16_bit(image)


def _is_16_bit(image: Image.Image) -> bool:
    """Grey of 16 bits; some versions of Pillow read such a PNG into 32."""
    return image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG")


def _pixels(image: Image.Image, shape: Shape) -> Images:
    # A JPEG is decoded at a fraction of its size if that is still twice what is asked for.
    image.draft(None, (2 * shape.width, 2 * shape.height))
    if _is_16_bit(image):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    image = ImageOps.exif_transpose(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        # On white, as viewers show it; else hidden colours would come out.
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    image = image.convert("L" if shape.channels == 1 else "RGB")
    if image.size != (shape.width, shape.height):
        image = ImageOps.fit(image, (shape.width, shape.height), Image.Resampling.BICUBIC)
    pixels = np.asarray(image)
    return pixels[None] if shape.channels == 1 else pixels.transpose(2, 0, 1)
