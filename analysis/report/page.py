"""The page's templates, and the tables that they show."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from analysis.report.style import sentence


@dataclass(frozen=True)
class Sheet:
    """A table of the page."""

    frame: pd.DataFrame  # what is in it; the first column has the rows' headings
    caption: str  # a phrase, above it
    words: tuple[str, ...] = ()  # columns that hold sentences, the others numbers or single words

    @property
    def rows(self) -> Iterator[Iterator[tuple[str, Any]]]:
        """Each row's values with the names of their columns."""
        for row in self.frame.itertuples(index=False, name=None):
            yield zip(self.frame.columns, row, strict=True)


@cache
def templates() -> Environment:
    """All templates. What they show is escaped unless it is markup already."""
    loader = PackageLoader("analysis.report")
    environment = Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["sentence"] = sentence
    environment.globals["source"] = lambda name: Markup(loader.get_source(environment, name)[0])
    return environment
