"""Data sets written the ways in which people have images of their own."""

import io
import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

Part = tuple[np.ndarray, np.ndarray]
"""Images uint8 [N, C, H, W] and labels [N]."""


def png(image: np.ndarray) -> bytes:
    """The file of an image [C, H, W]."""
    stream = io.BytesIO()
    grey = len(image) == 1
    Image.fromarray(image[0] if grey else image.transpose(1, 2, 0)).save(stream, "PNG")
    return stream.getvalue()


def write_folders(root: Path, parts: Mapping[str, Part], class_names: Sequence[str]) -> Path:
    """root/<split>/<class>/<number>.png"""
    for split, (images, labels) in parts.items():
        for row, (image, label) in enumerate(zip(images, labels, strict=True)):
            path = root / split / class_names[label] / f"{row:05}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(png(image))
    return root


def write_parquet(
    root: Path,
    parts: Mapping[str, Part],
    class_names: Sequence[str] | None = None,
    *,
    shards: int = 1,
    paths: bool = True,
    text: bool = False,
) -> Path:
    """root/<split>-0000i-of-0000n.parquet as Hugging Face writes it."""
    root.mkdir(parents=True, exist_ok=True)
    for split, (images, labels) in parts.items():
        rows = [
            {"bytes": png(image), "path": f"{row:05}.png" if paths else None}
            for row, image in enumerate(images)
        ]
        values = [class_names[label] for label in labels] if text else labels.tolist()
        image_type = pa.struct({"bytes": pa.binary(), "path": pa.string()})
        table = pa.table({"image": pa.array(rows, image_type), "label": values})
        if class_names is not None and not text:
            label = {"_type": "ClassLabel", "names": list(class_names)}
            features = {"image": {"_type": "Image"}, "label": label}
            described = json.dumps({"info": {"features": features}})
            table = table.replace_schema_metadata({"huggingface": described})
        bounds = np.linspace(0, len(rows), shards + 1).astype(int)
        for i, (start, stop) in enumerate(pairwise(bounds)):
            name = f"{split}-{i:05}-of-{shards:05}.parquet"
            pq.write_table(table.slice(start, stop - start), root / name)
    return root


def write_arrays(path: Path, parts: Mapping[str, Part], **more: object) -> Path:
    """One .npz with x_train, y_train and so on."""
    arrays = {}
    for split, (images, labels) in parts.items():
        arrays |= {f"x_{split}": images, f"y_{split}": labels}
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays, **more)
    return path


def some_parts(
    train: int = 12, test: int = 6, *, classes: int = 3, shape: tuple[int, ...] = (3, 8, 8)
) -> dict[str, Part]:
    """Random images, all different, with the classes in turn."""
    draw = np.random.default_rng(0)
    return {
        split: (draw.integers(0, 256, (n, *shape), np.uint8), np.arange(n) % classes)
        for split, n in (("train", train), ("test", test))
        if n
    }
