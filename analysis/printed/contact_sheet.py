"""A picture of doubted training examples, for a look at what a model makes of the labels."""

from collections.abc import Sequence
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from analysis.best import records
from analysis.frames.label_errors import LabelErrors

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

COLUMNS, ROWS = 8, 8
TILE, CAPTION, GAP, TITLE = 104, 46, 12, 40
INK, PAPER, GOOD, BAD = "#1a1a1a", "#ffffff", "#0b5fb0", "#b34700"


def contact_sheet(
    errors: LabelErrors, images: NDArray[np.uint8], class_names: Sequence[str]
) -> bytes:
    """A PNG of the strongest doubts: each image, its given label and the proposed one.

    Where the truth is known, a third line says whether the proposal is right, blue or orange.

    Args:
        errors: what was doubted.
        images: all training images of its data set, uint8 ``[N, channels, height, width]``.
        class_names: by label.
    """
    from PIL import Image, ImageDraw

    rows = records(errors.doubted.head(COLUMNS * ROWS))
    # One row at least: without a doubt the picture still says whose labels it is about.
    height = TITLE + max(1, -(-len(rows) // COLUMNS)) * (TILE + CAPTION + GAP) + GAP
    sheet = Image.new("RGB", (GAP + COLUMNS * (TILE + GAP), height), PAPER)
    draw = ImageDraw.Draw(sheet)
    title = f"{errors.study}: {len(rows)} of {len(errors.doubted)} doubted labels"
    draw.text((GAP, GAP), f"{title}, the strongest first", INK, font_size=16)
    for position, row in enumerate(rows):
        x = GAP + position % COLUMNS * (TILE + GAP)
        y = TITLE + position // COLUMNS * (TILE + CAPTION + GAP)
        tile = as_image(images[row["index"]]).resize((TILE, TILE), Image.Resampling.NEAREST)
        sheet.paste(tile.convert("RGB"), (x, y))
        _caption(draw, (x, y + TILE + 2), row, class_names)
    sink = BytesIO()
    sheet.save(sink, "PNG")
    return sink.getvalue()


def as_image(pixels: NDArray[np.uint8]) -> "Image":
    """An image of a data set, uint8 ``[channels, height, width]``, as Pillow has it."""
    from PIL import Image

    # Pillow takes grey images without an axis of channels, and others with it last.
    plane = pixels[0] if pixels.shape[0] == 1 else np.ascontiguousarray(pixels.transpose(1, 2, 0))
    return Image.fromarray(plane)


def _caption(
    draw: "ImageDraw", place: tuple[int, int], row: dict[str, int], names: Sequence[str]
) -> None:
    lines = [(f"given {names[row['given']]}", INK), (f"perhaps {names[row['proposed']]}", INK)]
    if "true" in row:
        right = row["proposed"] == row["true"]
        lines.append(("is right", GOOD) if right else (f"truth {names[row['true']]}", BAD))
    for number, (text, colour) in enumerate(lines):
        draw.text((place[0], place[1] + 14 * number), text, colour, font_size=12)
