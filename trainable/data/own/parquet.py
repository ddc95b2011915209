"""Images in Parquet, as Hugging Face data sets are stored.

A column of images, each a struct of ``bytes`` and ``path``; a column of labels, whole numbers
(with the class names in the schema's ``huggingface`` metadata or without) or class names; any
number of files ``train-*.parquet``, ``test-*.parquet``, ``validation-*.parquet``.
"""

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from trainable.data.files import DataError
from trainable.data.own.found import EncodedImage, Found, FoundPart, by_split, numbered, some
from trainable.folder.storage import Folder, PathInfo

LAYOUT = (
    "a struct column of bytes and path with a column label, in train-*.parquet, test-*.parquet, "
    "validation-*.parquet"
)
_BATCH = 1000
"""Rows of images in memory at once."""


def read_parquet(root: Folder, entries: list[PathInfo]) -> Found:
    """Find the images and labels of every split; of the images only the paths are read.

    Raises:
        DataError: a file that is not Parquet, other columns, labels of several kinds.
    """
    shards = _shards(root, entries)
    schema = _open(root, shards["train"][0]).schema_arrow
    image, label = _image_column(root, shards["train"][0], schema), _label_column(schema)
    raw: dict[str, list[Any]] = {}
    names: dict[str, tuple[str, ...]] = {}
    for split, paths in shards.items():
        tables = [_paths_and_labels(root, path, image, label) for path in paths]
        raw[split] = [value for _, labels in tables for value in labels]
        names[split] = _row_names(split, [path for found, _ in tables for path in found])
    class_names, numbers = numbered(str(root), raw, _class_names(schema, label))
    parts = {
        split: FoundPart(
            names[split], numbers[split], partial(_encoded, root, paths, image, split)
        )
        for split, paths in shards.items()
    }
    return Found(str(root), parts, class_names, tuple(entries))


def _shards(root: Folder, entries: list[PathInfo]) -> dict[str, list[str]]:
    if len(entries) == 1:
        return {"train": [entries[0].path]}
    paths = {entry.path: PurePosixPath(entry.path).name for entry in entries}
    words = by_split(paths.values(), str(root))
    shards = {s: [p for p, name in paths.items() if name in found] for s, found in words.items()}
    if "train" not in shards or sum(map(len, shards.values())) < len(entries):
        other = [p for p in paths if not any(p in found for found in shards.values())]
        what = f"{some(other)} belongs to no split" if other else "no train-*.parquet"
        raise DataError(f"{root}: {what}: valid is {LAYOUT}")
    return shards


def _open(root: Folder, path: str) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(root.stream(path))
    except pa.ArrowException as error:
        raise DataError(f"{root}/{path} is damaged or not Parquet: {error}") from error


def _features(schema: pa.Schema) -> dict[str, Any]:
    """Hugging Face's description of the columns; empty where there is none."""
    try:
        described = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        features = described["info"]["features"]
    except (ValueError, KeyError, TypeError):
        return {}
    return features if isinstance(features, dict) else {}


def _image_column(root: Folder, path: str, schema: pa.Schema) -> str:
    found = [
        field.name
        for field in schema
        if pa.types.is_struct(field.type) and field.type.get_field_index("bytes") >= 0
    ]
    if len(found) != 1:
        raise DataError(
            f"{root}/{path} has {len(found)} columns of images among {', '.join(schema.names)}: "
            f"valid is {LAYOUT}"
        )
    return str(found[0])


def _label_column(schema: pa.Schema) -> str | None:
    """``label``, or the one column that is described as a class; None if there is no such."""
    described = [
        name
        for name, feature in _features(schema).items()
        if isinstance(feature, dict) and feature.get("_type") == "ClassLabel"
    ]
    for name in ("label", "labels"):
        if name in schema.names:
            return name
    return described[0] if len(described) == 1 else None


def _class_names(schema: pa.Schema, label: str | None) -> tuple[str, ...]:
    feature = _features(schema).get(label or "", {})
    names = feature.get("names", []) if isinstance(feature, dict) else []
    return tuple(map(str, names))


def _paths_and_labels(
    root: Folder, path: str, image: str, label: str | None
) -> tuple[list[str | None], list[Any]]:
    """Every row's path and label."""
    file = _open(root, path)
    # The first file says which columns; all others must have them.
    wanted = [name for name in (image, label) if name is not None]
    lacking = [name for name in wanted if name not in file.schema_arrow.names]
    if lacking:
        raise DataError(f"{root}/{path} lacks {some(lacking)}, which the training files have")
    has_path = file.schema_arrow.field(image).type.get_field_index("path") >= 0
    columns = [f"{image}.path"] * has_path + [label] * (label is not None)
    try:
        table = file.read(columns=columns)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{root}/{path} is damaged: {error}") from error
    rows = file.metadata.num_rows
    paths = (
        [row and row["path"] for row in table[image].to_pylist()] if has_path else [None] * rows
    )
    return paths, table[label].to_pylist() if label is not None else [None] * rows


def _row_names(split: str, paths: list[str | None]) -> tuple[str, ...]:
    """The rows' own paths, if every row has one and none comes twice."""
    # A name has to mean one image, or a labels file could not tell them apart.
    if None in paths or len(set(paths)) < len(paths):
        return tuple(f"{split}[{row}]" for row in range(len(paths)))
    return tuple(f"{split}/{path}" for path in paths)


def _encoded(root: Folder, paths: list[str], image: str, split: str) -> Iterator[EncodedImage]:
    row = 0
    for path in paths:
        for batch in _open(root, path).iter_batches(_BATCH, columns=[f"{image}.bytes"]):
            for value in batch.column(0).field("bytes"):
                yield f"{root}/{path}, row {row} of {split}", _content(value.as_py())
                row += 1


def _content(data: bytes | None) -> Callable[[], bytes]:
    return lambda: data or b""
