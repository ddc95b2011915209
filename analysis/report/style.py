"""How figures look: what things are called, and one colour, dash and marker for each loss."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import pandas as pd

from analysis.best import selected_on_test
from analysis.frames.accuracy import SETTING
from analysis.frames.evidence import holdout
from analysis.printed.paper_table import methods
from analysis.results import Results, table_in
from trainable.catalog import LOSSES
from trainable.noise import NOISE_KINDS, Noise, make_noise


@dataclass(frozen=True)
class Look:
    """A colour on a light and on a dark page, with a dash and a marker for those who see none.

    Colours are Okabe and Ito's, made darker or lighter until they stand out at 3:1 or more.
    """

    light: str  # ``#rrggbb`` on a light page, and what figures are stored in
    dark: str  # ``#rrggbb`` on a dark page
    dash: str = "solid"  # of lines, in Plotly's words
    symbol: str = "circle"  # of markers, in Plotly's words


PALETTE = (
    Look("#5c5c5c", "#b4b4b4", "dashdot", "diamond"),
    Look("#b07800", "#f2b630", "4px 2px", "triangle-down"),
    Look("#857a00", "#f0e442", "2px 2px 8px 2px", "star"),
    Look("#008a64", "#2fcf9f", "longdash", "triangle-up"),
    Look("#b8588c", "#e79ac3", "longdashdot", "cross"),
    Look("#2d8fc9", "#9ad6f7", "8px 3px 2px 3px", "x"),
    Look("#0072b2", "#59b4f0", "dash", "square"),
    Look("#d05a00", "#ff9442"),
    Look("#7a52c7", "#b99af5", "dot", "pentagon"),
    Look("#a34a3a", "#ee9a86", "10px 2px", "hexagram"),
    Look("#3d7a1f", "#8fd06a", "2px 6px", "hourglass"),
    Look("#6b6fa8", "#a9aee0", "12px 4px 4px 4px", "bowtie"),
)
"""In the order of the catalogue's losses, with room for more."""
INK = Look("#1b1f24", "#eceef1")
MUTED = Look("#767d87", "#8f96a1")
TEXT = Look("#5b626c", "#a3abb6")
STOPPED_EARLY = Look("#8a919b", "#78818d")
FAINT = Look("#c3c8cf", "#4a515b")
SPENT = Look("#4477aa", "#77aadd")
SAVED = Look("#c9dcee", "#2f4a68")
LOST = Look("#b8323c", "#ff7b84")
CARD = Look("#ffffff", "#171b21")


def looks() -> dict[str, Look]:
    """A look for every loss, in the catalogue's order; past the palette colours come again."""
    found = {}
    for place, loss in enumerate(LOSSES):
        # The second time around the marks move on by one: no two losses look alike at once.
        again, own = divmod(place, len(PALETTE))
        marks = PALETTE[(own + again) % len(PALETTE)]
        found[loss] = replace(PALETTE[own], dash=marks.dash, symbol=marks.symbol)
    return found


def dark_colours() -> dict[str, str]:
    """What each colour of a figure becomes on a dark page."""
    every = (*PALETTE, INK, MUTED, TEXT, STOPPED_EARLY, FAINT, SPENT, SAVED, LOST, CARD)
    return {look.light: look.dark for look in every}


def loss_name(loss: str) -> str:
    """A loss as papers call it."""
    return methods().get(loss, loss)


def in_order(losses: Iterable[str]) -> list[str]:
    """Different losses in the order of the papers' tables."""
    names = list(methods())
    return sorted(set(losses), key=lambda loss: names.index(loss) if loss in names else len(names))


def noise_names(trials: pd.DataFrame) -> dict[str, str]:
    """Noise settings in words, by their short names: ``symmetric, exclusive, 40%``.

    A setting of which no config tells (one of a later version) is called as it is.
    """
    return {name: noise.label if noise else name for name, noise in _noises(trials).items()}


def _noises(trials: pd.DataFrame) -> dict[str, Noise | None]:
    """The settings by their short names; None for one that no config tells of."""
    settings = trials.drop_duplicates("noise")[["noise", "config"]].astype("str")
    pairs = zip(settings["noise"], settings["config"], strict=True)
    return {name: _noise(config) for name, config in pairs}


def _noise(config: str) -> Noise | None:
    noise = table_in(config, "noise")
    if str(noise.get("kind")) not in NOISE_KINDS:
        return None
    try:
        return make_noise(**noise)
    except ValueError:  # options of a later version
        return None


def study_titles(trials: pd.DataFrame) -> pd.DataFrame:
    """What each study is about, in the order in which a reader wants them.

    Columns: ``study``, those of its setting, ``loss``, ``title`` (the setting in words, with
    data set and network where ``trials`` have several) and ``family`` (the title without the
    noise rate). Sorted by setting, then loss.
    """
    studies = trials.drop_duplicates("study")[["study", *SETTING, "loss"]]
    studies = studies.astype(dict.fromkeys(studies.select_dtypes("category"), "str"))
    several = [name for name in ("dataset", "model") if studies[name].nunique() > 1]
    families = {name: noise.family if noise else name for name, noise in _noises(trials).items()}
    for column, names in (("title", noise_names(trials)), ("family", families)):
        studies[column] = studies["noise"].map(names).map(sentence)
        for name in several:
            studies[column] += " · " + studies[name]
    ranks = {loss: rank for rank, loss in enumerate(in_order(studies["loss"]))}
    studies = studies.assign(rank=studies["loss"].map(ranks))
    return studies.sort_values([*SETTING, "rank"], ignore_index=True).drop(columns="rank")


def titled(table: pd.DataFrame, titles: pd.DataFrame) -> pd.DataFrame:
    """The rows of ``table`` with the columns of :func:`study_titles`, in its order."""
    # Tables may have some of these columns; a merge would rename both.
    own = table.drop(columns=titles.columns.drop("study"), errors="ignore")
    return titles.merge(own.astype({"study": "str"}), on="study", how="inner")


def judged_on(results: Results) -> str:
    """Whose labels trials were stopped and chosen by."""
    return "test set" if selected_on_test(results) else holdout(results)


def sentence(text: str) -> str:
    """``text`` with a capital first letter."""
    return text[:1].upper() + text[1:]
