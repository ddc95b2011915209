"""Tables as the bytes of a Parquet file whose readers notice a flipped bit.

Parquet's own checksums guard the pages. The names of the columns stand in the footer, outside of
them: a checksum of the names stands there as well.
"""

import zlib
from io import BytesIO
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

DAMAGED = (pa.ArrowException, OSError, ValueError, KeyError)
"""What opening and reading raises for bytes that are not those that were written."""

_NAMES = b"checksum_of_names"


def packed(table: pa.Table, **options: Any) -> bytes:
    """The file of ``table``; ``options`` are those of ``pyarrow.parquet.write_table``."""
    metadata = {**(table.schema.metadata or {}), _NAMES: _checksum(table.schema)}
    sink = BytesIO()
    pq.write_table(
        table.replace_schema_metadata(metadata), sink, write_page_checksum=True, **options
    )
    return sink.getvalue()


def opened(data: bytes) -> pq.ParquetFile:
    """The file in ``data``. Raises one of :data:`DAMAGED`, as does reading a damaged page."""
    file = pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True)
    written = (file.schema_arrow.metadata or {}).get(_NAMES)
    # Files of earlier versions and of other tools have none.
    if written is not None and written != _checksum(file.schema_arrow):
        raise ValueError("wrong checksum of the names of its columns")
    return file


def _checksum(schema: pa.Schema) -> bytes:
    return b"%08x" % zlib.crc32("\0".join(schema.names).encode())
