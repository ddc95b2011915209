"""The top of the report: what must not be missed, and the best configuration of each setting."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from analysis.best import (
    chosen_configs,
    parameters,
    rank_trials,
    records,
    selected_on_test,
)
from analysis.frames.accuracy import BETTER, UNCLEAR, UNSTABLE, WORSE
from analysis.frames.evidence import caveats
from analysis.frames.overview import AGAINST
from analysis.frames.published import in_words
from analysis.printed.text import LEAK, short, varied_parameters
from analysis.report.chart import look
from analysis.report.legend import drawing, line
from analysis.report.page import Markup, join, paragraph, tag
from analysis.report.style import loss_name, named, sentence, signed, study_titles
from analysis.results import Results
from analysis.schema import PAUSED, REPLICATE, RUNNING, SEARCH
from analysis.wording import counted, percent

FEW_SEEDS = 5
"""Seeds below which a standard deviation is itself a guess."""


def headline(results: Results) -> str:
    """What was run, in one line."""
    trials = results.trials
    if trials.empty:
        return "No trial has started yet."
    search = int((trials["phase"] == SEARCH).sum())
    again = len(trials) - search
    data, models = (", ".join(sorted(set(trials[c].astype("str")))) for c in ("dataset", "model"))
    parts = [
        data,
        models,
        counted(trials["noise"].nunique(), "noise setting"),
        counted(trials["loss"].nunique(), "loss", "losses"),
        counted(search, "search trial"),
        *([counted(again, "replicate")] if again else []),
    ]
    return " · ".join(part for part in parts if part)


def marks(results: Results, best: pd.DataFrame) -> Markup:
    """What a reader has to know before any number: a leak, a sweep still running, few seeds."""
    notes = []
    if selected_on_test(results):
        notes.append(tag("p", LEAK, class_="note leak"))
    notes += [paragraph(sentence(caveat) + ".", "note warn") for caveat in caveats(results)]
    if results.running:
        notes.append(paragraph(_progress(results.trials), "note info"))
    if not best["confirmed"].all():
        command = _replicate(results)
        notes.append(paragraph(_UNCONFIRMED.format(command=command), "note warn"))
    elif best["n"].min() < FEW_SEEDS:
        few = _FEW.format(seeds=best["n"].min(), command=_replicate(results))
        notes.append(paragraph(few, "note warn"))
    return join(notes)


_UNCONFIRMED = (
    "Not confirmed: the winner of a search is partly lucky. "
    "`{command}` runs it again on fresh seeds."
)
_FEW = "Few seeds: some of these numbers rest on {seeds:.0f}. `{command}` adds more."


def _replicate(results: Results) -> str:
    """The command after which every chosen configuration has enough seeds.

    Replicates that are there are not repeated: those that diverged or failed need more seeds.
    """
    chosen = chosen_configs(results)
    again = results.trials[results.trials["phase"] == REPLICATE]
    started = again["source_trial_id"].astype("str").value_counts()
    lost = chosen["trial_id"].astype("str").map(started).fillna(0)
    lost -= chosen["replicates"] + chosen["replicates_unfinished"]
    ranks = rank_trials(results).set_index("trial_id")["rank"]
    top = ranks[chosen["trial_id"]].max()
    return f"python -m search replicate DIR --top {top} --seeds {FEW_SEEDS + lost.max():.0f}"


def _progress(trials: pd.DataFrame) -> str:
    left = int(trials["status"].isin([RUNNING, PAUSED]).sum())
    return f"Still running: {len(trials) - left} of {len(trials)} started trials have ended."


def cards(results: Results, best: pd.DataFrame) -> Markup:
    """A card for each noise setting, from ``overview``."""
    varied = varied_parameters(results)
    rows = records(named(best, study_titles(results.trials)))
    return tag("div", *(_card(row, varied[row["study"]]) for row in rows), class_="cards")


def _card(row: Mapping[str, Any], varied: set[str]) -> Markup:
    values = [f"{k} {short(v)}" for k, v in parameters(row).items() if k in varied]
    facts = [
        *((f"vs {loss_name(loss)}", _difference(row, loss)) for loss in AGAINST),
        ("vs paper", _published(row)),
    ]
    return tag(
        "article",
        tag("h3", row["title"], _badge(row)),
        tag("p", swatch(row["loss"]), loss_name(row["loss"]), class_="winner"),
        _number(row),
        tag("dl", *(join([tag("dt", k), tag("dd", v)]) for k, v in facts if v)),
        tag("p", *(tag("code", value) for value in values), class_="settings"),
        class_="card",
    )


def _badge(row: Mapping[str, Any]) -> Markup:
    if not row["confirmed"]:
        return tag("span", "not confirmed", class_="badge unsure")
    few = row["n"] < FEW_SEEDS or row["diverged"]
    text = f"confirmed on {counted(int(row['n']), 'seed')}"
    if row["diverged"]:
        text = f"{row['n']} of {row['n'] + row['diverged']} seeds, {row['diverged']} diverged"
    return tag("span", text, class_="badge " + ("unsure" if few else "good"))


def _number(row: Mapping[str, Any]) -> Markup:
    if pd.isna(row["test"]):
        return tag("p", tag("small", "no test accuracy: all seeds diverged"), class_="number")
    spread = "" if pd.isna(row["test_std"]) else f" ± {percent(row['test_std'])}"
    note = tag("small", f"{spread} test accuracy".strip())
    return tag("p", f"{percent(row['test'])}%", note, class_="number")


def _difference(row: Mapping[str, Any], loss: str) -> Markup:
    """Points more or less than another loss, and what that is worth."""
    names = ("difference", "difference_low", "difference_high")
    difference, low, high = (row[f"{loss}_{name}"] for name in names)
    if pd.isna(difference):
        return Markup()
    points = f"{signed(difference)} points"
    if pd.isna(low):
        return join([f"{points}, on one seed"])
    verdict = row[f"{loss}_verdict"]
    class_ = verdict if verdict in (BETTER, WORSE) else ""
    interval = tag("small", f"95%: {signed(low)} to {signed(high)}")
    return join([tag("span", f"{points}, {_WORTH[verdict]}", class_=class_), interval])


_WORTH = {
    BETTER: "better",
    WORSE: "worse",
    UNCLEAR: "could be chance",
    UNSTABLE: "on the seeds that did not diverge",
}


def _published(row: Mapping[str, Any]) -> Markup:
    if pd.isna(row["published"]):
        return tag("small", "no number for this setting")
    spread = "" if pd.isna(row["published_std"]) else f" ± {percent(row['published_std'])}"
    printed = tag("small", f"{loss_name(row['loss'])} there: {percent(row['published'])}%{spread}")
    if row["differs_in"]:
        return join([f"another protocol: {in_words(row['differs_in'])}", printed])
    return join([f"{signed(row['test'] - row['published'])} points", printed])


def swatch(loss: str) -> Markup:
    """The loss's line as figures draw it."""
    return drawing(line(look(loss).dash, 4), look(loss).light)
