"""Plotly's axes on matplotlib's: where values lie, which part is shown, what is written there."""

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np
from matplotlib import ticker
from matplotlib.axes import Axes

from analysis.paper.marks import NoPaperFormError, words
from trainable.dtypes import Floats

Which = Literal["x", "y"]


class Scale:
    """One axis: a layout of Plotly's and all values that are drawn on it.

    ``names`` are the categories in their order, at 0, 1, …; empty on an axis of numbers.
    """

    def __init__(self, settings: Any, values: Iterable[Any]) -> None:
        self.settings = settings  # Plotly's layout of the axis
        present = [value for value in values if value is not None]
        named = settings.type == "category" or any(isinstance(v, str) for v in present)
        if settings.type not in (None, "linear", "log", "category", "-"):
            raise NoPaperFormError(f"an axis of type {settings.type}")
        names = [*(settings.categoryarray or ()), *present] if named else []
        self.names = list(dict.fromkeys(map(str, names)))

    @property
    def log(self) -> bool:
        """Whether equal factors have the same length."""
        return bool(self.settings.type == "log")

    def at(self, values: Iterable[Any]) -> Floats:
        """Where values lie; NaN where there is none."""
        if self.names:
            places = {name: float(place) for place, name in enumerate(self.names)}
            found = [v if isinstance(v, float) else places.get(str(v), np.nan) for v in values]
        else:
            found = [np.nan if value is None else value for value in values]
        return np.array(found, dtype=np.float64)

    def apply(self, axes: Axes, which: Which) -> None:
        """Scale, range and ticks of the axis ``which``, x or y."""
        settings, own = self.settings, axes.xaxis if which == "x" else axes.yaxis
        axes.set(**{f"{which}label": words(settings.title.text)})
        if self.log:
            axes.set(**{f"{which}scale": "log"})
            own.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:g}"))
            # Over less than a decade matplotlib would write minor ticks too, into each other.
            own.set_minor_locator(ticker.NullLocator())
        limits = self._limits()
        if limits is not None:
            axes.set(**{f"{which}lim": limits})
        elif settings.autorange == "reversed":
            axes.set(**{f"{which}lim": tuple(reversed(_limits(axes, which)))})
        self._tick(own, _limits(axes, which))
        if settings.visible is False:
            own.set_visible(False)
            axes.grid(visible=False, axis=which)
            axes.spines["bottom" if which == "x" else "left"].set_visible(False)

    def _limits(self) -> tuple[float, float] | None:
        if self.settings.range is not None:
            low, high = self.settings.range
            return (10.0**low, 10.0**high) if self.log else (low, high)
        if self.names:
            # As Plotly does: half the room of a name before the first and after the last.
            ends = (-0.5, len(self.names) - 0.5)
            return ends if self.settings.autorange != "reversed" else ends[::-1]
        return None

    def _tick(self, axis: Any, limits: tuple[float, float]) -> None:
        settings = self.settings
        values: Sequence[Any] = self.names if settings.tickvals is None else settings.tickvals
        texts = values if settings.ticktext is None else settings.ticktext
        if len(values):
            low, high = sorted(limits)
            placed = zip(self.at(values), texts, strict=True)
            ticks = [(place, words(str(text))) for place, text in placed if low <= place <= high]
            axis.set_ticks([place for place, _ in ticks], [text for _, text in ticks])
        elif settings.dtick is not None:
            axis.set_major_locator(ticker.MultipleLocator(settings.dtick))
        elif not self.log:
            # Steps as Plotly has them: matplotlib would also take 2.5.
            axis.set_major_locator(ticker.MaxNLocator("auto", steps=[1, 2, 5, 10]))


def _limits(axes: Axes, which: Which) -> tuple[float, float]:
    return axes.get_xlim() if which == "x" else axes.get_ylim()
