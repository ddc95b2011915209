"""Doubtful labels for a person to go through: a list to edit, and a page to look at."""

import base64
from collections import Counter
from html import escape
from io import BytesIO

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.best import records
from analysis.frames.label_errors import LabelErrors
from analysis.printed.contact_sheet import as_image
from analysis.results import Results
from analysis.store import read_beside
from trainable.config import labels_name
from trainable.folder import layout

PAIRS, IMAGES = 40, 48
"""Class pairs on a page, and images of each, at most."""

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; color: #1a1a1a }
h2 { font-size: 1.05rem; margin: 1.6rem 0 .4rem } figure { display: inline-block; margin: 2px }
img { width: 72px; image-rendering: pixelated; display: block }
.right { outline: 3px solid #0b5fb0 } .wrong { outline: 3px solid #b34700 }
figcaption { font-size: 11px; max-width: 72px; overflow: hidden; text-overflow: ellipsis;
white-space: nowrap }
"""
_FRAMES = (
    '<p>Frames: <span class="right">the proposal is right</span>, '
    '<span class="wrong">the given label was</span>, none: neither.</p>'
)


def label_list(
    errors: LabelErrors, results: Results, classes: tuple[str, ...], files: tuple[str, ...]
) -> bytes:
    """A CSV that is a labels file: edit its column ``label`` and name it as ``data.labels``.

    ``file`` (or ``index`` where the images have no names), ``given``, ``proposed``, ``score`` and
    an empty ``label``, which holds wherever it is filled in; the most doubtful labels come first.
    Examples that nobody trained on follow with neither proposal nor score, so that the list is
    complete.

    Args:
        errors: the ranking.
        results: of the same sweep.
        classes: names of the classes by label.
        files: name of every training image of the data set; empty: they have none.
    """
    ranked = errors.ranked[["index", "given", "proposed", "score"]]
    table = pd.concat([ranked, _unranked(errors, results)])
    names = np.array(classes, object)
    # A number has to stand where nothing is proposed, only to be looked up and left out.
    judged = table["proposed"].notna()
    columns = {
        "given": names[table["given"].to_numpy(int)],
        "proposed": np.where(judged, names[table["proposed"].fillna(0).to_numpy(int)], ""),
        "score": table["score"].round(4),
        "label": "",
    }
    index = table["index"].to_numpy(int)
    key = {"file": np.array(files, object)[index]} if files else {"index": index}
    return pd.DataFrame(key | columns).to_csv(index=False).encode()


def _unranked(errors: LabelErrors, results: Results) -> pd.DataFrame:
    """Index and given label of the examples that nobody trained on, as far as it is recorded."""
    folder = results.folder / layout.LABELS
    name = layout.table_name(labels_name(errors.config))
    if not folder.exists(name):
        return errors.ranked[["index", "given"]].head(0)
    every = read_beside(folder, name, "it has just gone").to_pandas()[["index", "given"]]
    return pd.DataFrame(every[~every["index"].isin(errors.ranked["index"])])


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
    doubted = errors.doubted
    pairs = Counter(zip(doubted["given"], doubted["proposed"], strict=True))
    parts = [f"<h1>Doubtful labels of {escape(errors.study)}</h1>"]
    parts += [f"<p>{escape(line)}</p>" for line in errors.summary()]
    if "true" in doubted:
        parts.append(_FRAMES)
    for (given, proposed), count in pairs.most_common(PAIRS):
        title = f"{classes[given]}, perhaps {classes[proposed]}: {count:,}"
        parts.append(f"<h2>{escape(title)}</h2>")
        alike = doubted[(doubted["given"] == given) & (doubted["proposed"] == proposed)]
        for row in records(alike.head(IMAGES)):
            name = files[row["index"]] if files else f"index {row['index']}"
            parts.append(_figure(images[row["index"]], name, _frame(row)))
    head = (
        f"<!doctype html><meta charset=utf-8><title>Doubtful labels</title><style>{_STYLE}</style>"
    )
    return "\n".join([head, *parts]).encode()


def _frame(row: dict[str, int]) -> str:
    if "true" not in row or row["true"] not in (row["given"], row["proposed"]):
        return ""
    return "right" if row["proposed"] == row["true"] else "wrong"


def _figure(pixels: NDArray[np.uint8], name: str, frame: str) -> str:
    sink = BytesIO()
    as_image(pixels).save(sink, "PNG")
    data = base64.b64encode(sink.getvalue()).decode()
    caption = escape(name.rpartition("/")[2])
    return (
        f'<figure title="{escape(name)}"><img class="{frame}" alt="" '
        f'src="data:image/png;base64,{data}"><figcaption>{caption}</figcaption></figure>'
    )
