"""A DataFrame that shows first what a person reads."""

from collections.abc import Collection, Sequence
from typing import Any

import pandas as pd

from analysis.amounts import short


class ReadableTable(pd.DataFrame):
    """A DataFrame of which a notebook or prompt shows some columns, and says how many there are.

    It has them all, and works as any other: whatever is made of it (a selection, a copy, a merge)
    is a plain DataFrame. A column that is added is shown.
    """

    _metadata = ["_shown", "_hidden"]  # noqa: RUF012 (pandas looks for a list here)
    _shown: Sequence[str] = ()
    """The columns to show first, in this order."""
    _hidden: Collection[str] = ()
    """The columns not to show."""

    @classmethod
    def of(cls, table: pd.DataFrame, shown: Sequence[str]) -> "ReadableTable":
        """``table``, of whose columns ``shown`` are shown."""
        readable = cls(table)
        readable._shown = tuple(shown)
        readable._hidden = frozenset(table.columns) - set(shown)
        return readable

    def _repr_html_(self) -> str:
        first = self._first()
        html = first.to_html(notebook=True, na_rep="", float_format=short)
        return f"{html}\n<p>{self._size(first)}</p>"

    def __repr__(self) -> str:
        first = self._first()
        style: tuple[Any, ...] = ("display.float_format", short, "display.max_columns", None)
        with pd.option_context(*style):
            return f"{first!r}\n\n{self._size(first)}"

    def _first(self) -> pd.DataFrame:
        shown = [name for name in self._shown if name in self]
        others = [name for name in self if name not in {*shown, *self._hidden}]
        return pd.DataFrame(self)[[*shown, *others]]

    def _size(self, first: pd.DataFrame) -> str:
        rows, columns = self.shape
        return f"{rows} rows, {columns} columns, of which {first.shape[1]} are shown"
