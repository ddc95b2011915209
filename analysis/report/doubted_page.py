"""Doubtful labels for a person to look at: their images by class pair, as one HTML page."""

import base64
from collections import Counter
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.best import records
from analysis.frames.label_errors import LabelErrors
from analysis.printed.contact_sheet import as_image
from analysis.report.page import templates

PAIRS, IMAGES = 40, 48
"""Class pairs on a page, and images of each, at most."""


def label_page(
    errors: LabelErrors,
    images: NDArray[np.uint8],
    classes: tuple[str, ...],
    files: tuple[str, ...],
) -> bytes:
    """One HTML file with the doubted images by class pair, the commonest pair first.

    Where the truth is known, the frame of an image says whether the proposal is right (blue) or
    the given label was (orange).

    Args:
        errors: the ranking.
        images: all training images of its data set, uint8 ``[N, channels, height, width]``.
        classes: names of the classes by label.
        files: name of every training image; empty: they have none.
    """

    def shown(row: dict[str, Any]) -> dict[str, str]:
        name = files[row["index"]] if files else f"index {row['index']}"
        return {"name": name, "frame": _frame(row), "png": _png(images[row["index"]])}

    doubted = errors.doubted
    pairs = Counter(zip(doubted["given"], doubted["proposed"], strict=True))
    parts = []
    for (given, proposed), count in pairs.most_common(PAIRS):
        alike = doubted[(doubted["given"] == given) & (doubted["proposed"] == proposed)]
        title = f"{classes[given]}, perhaps {classes[proposed]}: {count:,}"
        parts.append((title, [shown(row) for row in records(alike.head(IMAGES))]))
    template = templates().get_template("label_page.html")
    return template.render(errors=errors, known="true" in doubted, parts=parts).encode()


def _frame(row: dict[str, Any]) -> str:
    if "true" not in row or row["true"] not in (row["given"], row["proposed"]):
        return ""
    return "right" if row["proposed"] == row["true"] else "wrong"


def _png(pixels: NDArray[np.uint8]) -> str:
    sink = BytesIO()
    as_image(pixels).save(sink, "PNG")
    return base64.b64encode(sink.getvalue()).decode()
