"""A labels file beside the images: CSV or Parquet, one row an image.

=======  ===========================================  ============================================
column   names                                        holds
=======  ===========================================  ============================================
image    file, file_name, filename, path, image;      the path below the root, as much of its end
         or index                                     as is needed; or the training image's number
label    label, given, given_label                    class name or number; empty: as before
true     true, true_label, clean, clean_label         the same, known to be right; optional
=======  ===========================================  ============================================

With both ``label`` and ``given``, as in a list of doubtful labels that somebody has gone through,
``label`` is what holds and ``given`` where it is empty.
"""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from trainable.data.files import DataError
from trainable.data.own.found import UNKNOWN, Found, some
from trainable.dtypes import Ints
from trainable.folder.storage import Folder
from trainable.wording import unknown

FILE = ("file", "file_name", "filename", "path", "image")
INDEX = ("index",)
LABEL = ("label", "given", "given_label")
TRUE = ("true", "true_label", "clean", "clean_label")


@dataclass(frozen=True)
class FileLabels:
    """What a labels file says, for every image of every split."""

    class_names: tuple[str, ...]
    """As the images' own, or read off the labels where those have none."""
    given: dict[str, Ints]
    """By split, int64 ``[N]``, UNKNOWN where the file says nothing."""
    true: dict[str, Ints]
    """Alike."""


def read_labels(location: str, found: Found) -> FileLabels:
    """Read a labels file and find the image of each row.

    Args:
        location: path or URI.
        found: the images.

    Raises:
        DataError: no such file, other columns, a label that is no class, a row for an image that
            is not there, an image with two rows: one line with the row.
    """
    columns = {name.strip().lower(): values for name, values in _read_columns(location).items()}
    by_index = not any(name in columns for name in FILE)
    image = _pick(columns, FILE + INDEX, location)[0]
    labels = [_text(values) for values in zip(*_pick(columns, LABEL, location), strict=True)]
    true = [name for name in TRUE if name in columns]
    true_labels = [_text((value,)) for value in columns[true[0]]] if true else [""] * len(labels)
    names = found.class_names or _classes_among(labels + true_labels)
    numbers = {name: label for label, name in enumerate(names)}
    if not any(name.isdigit() for name in names):
        # Numbers stand for classes too, unless some class is itself called by a number.
        numbers |= {str(label): label for label in range(len(names))}
    places = list(_places(location, image, found, by_index=by_index))
    _check_once(location, image, places)
    given, truth = _blank(found), _blank(found)
    for row, (split, position) in enumerate(places):
        for target, text in ((given, labels[row]), (truth, true_labels[row])):
            # A table with gaps writes the class 3 as 3.0.
            name = text if text in numbers else text.removesuffix(".0")
            if name and name not in numbers:
                raise DataError(f"{location}, row {row + 1}: {unknown('class', text, names)}")
            target[split][position] = numbers[name] if name else UNKNOWN
    return FileLabels(names, given, truth)


def _blank(found: Found) -> dict[str, Ints]:
    return {s: np.full(len(part.names), UNKNOWN, np.int64) for s, part in found.parts.items()}


def _read_columns(location: str) -> Mapping[str, Sequence[Any]]:
    with Folder.open(location).stream("") as stream:
        data = bytes(stream.readall())
    # By what is in it: its name may say anything.
    if data.startswith(b"PAR1"):
        try:
            return dict(pq.read_table(io.BytesIO(data)).to_pydict())
        except pa.ArrowException as error:
            raise DataError(f"{location} is damaged: {error}") from error
    try:
        # Spreadsheets begin a CSV with a byte order mark, which would be part of the first name.
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{location} is neither Parquet nor CSV in UTF-8: {error}") from error
    header = text.partition("\n")[0]
    # By the header: a spreadsheet's CSV has semicolons where the comma is a decimal sign.
    delimiter = max(",;\t", key=header.count)
    rows = [row for row in csv.reader(io.StringIO(text), delimiter=delimiter) if row]
    if len(rows) < 2:
        raise DataError(f"{location} has no row of labels: valid are columns file and label")
    ragged = next((n for n, row in enumerate(rows) if len(row) != len(rows[0])), None)
    if ragged is not None:
        raise DataError(
            f"{location}, row {ragged}: {len(rows[ragged])} columns, not {len(rows[0])}"
        )
    return dict(zip(rows[0], zip(*rows[1:], strict=True), strict=True))


def _pick(
    columns: Mapping[str, Sequence[Any]], valid: tuple[str, ...], location: str
) -> list[Sequence[Any]]:
    """The columns there are of the ``valid`` ones, in their order."""
    found = [columns[name] for name in valid if name in columns]
    if not found:
        raise DataError(
            f"{location} has the columns {', '.join(columns)}, but none of {', '.join(valid)}"
        )
    return found


def _text(values: tuple[Any, ...]) -> str:
    """The first value that is there, as text."""
    for value in values:
        if value is not None and value == value and str(value).strip():
            return str(value).strip()
    return ""


def _classes_among(labels: list[str]) -> tuple[str, ...]:
    found = {label for label in labels if label}
    if all(label.isdigit() for label in found):
        return tuple(map(str, range(max(map(int, found), default=-1) + 1)))
    return tuple(sorted(found))


def _places(
    location: str, image: Sequence[Any], found: Found, *, by_index: bool
) -> Iterator[tuple[str, int]]:
    """Split and position of each row's image."""
    if by_index:
        count = len(found.parts["train"].names)
        for row, value in enumerate(image):
            text = _text((value,)).removesuffix(".0")
            if not text.isdigit() or int(text) >= count:
                raise DataError(
                    f"{location}, row {row + 1}: index {value} is not in 0 … {count - 1}, "
                    "the training images"
                )
            yield "train", int(text)
        return
    ends = _path_ends(found)
    places = [ends.get(str(name).strip().removeprefix("./"), []) for name in image]
    lacking = [str(name) for name, there in zip(image, places, strict=True) if not there]
    if lacking:
        raise DataError(
            f"{location} has labels for {len(lacking):,} files that are not in {found.where}: "
            f"{some(lacking)}; a name there is {found.parts['train'].names[0]}"
        )
    for row, name in enumerate(image):
        # A training image goes before others of the same name.
        where = [place for place in places[row] if place[0] == "train"] or places[row]
        if len(where) > 1:
            (first, i), (second, j) = where[:2]
            raise DataError(
                f"{location}, row {row + 1}: {name} may be {found.parts[first].names[i]} or "
                f"{found.parts[second].names[j]}: give more of its path"
            )
        yield where[0]


def _path_ends(found: Found) -> dict[str, list[tuple[str, int]]]:
    """Split and position of the images by every end of their paths."""
    ends: dict[str, list[tuple[str, int]]] = {}
    for split, part in found.parts.items():
        for position, name in enumerate(part.names):
            for start in [0] + [i + 1 for i, sign in enumerate(name) if sign == "/"]:
                ends.setdefault(name[start:], []).append((split, position))
    return ends


def _check_once(location: str, image: Sequence[Any], places: list[tuple[str, int]]) -> None:
    seen: dict[tuple[str, int], int] = {}
    for row, place in enumerate(places):
        if place in seen:
            raise DataError(
                f"{location}, rows {seen[place] + 1} and {row + 1}: two labels for {image[row]}"
            )
        seen[place] = row
