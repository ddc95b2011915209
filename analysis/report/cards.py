"""The top of the report: what must not be missed, and the best configuration of each setting."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis.amounts import counted, percent, plus_minus, short, signed_points
from analysis.best import (
    chosen_configs,
    parameters,
    rank_trials,
    records,
    selected_on_test,
    varied_parameters,
)
from analysis.frames.accuracy import BASELINE, BETTER, UNCLEAR, UNSTABLE, WORSE
from analysis.frames.evidence import LEAK, caveats
from analysis.frames.overview import AGAINST, OURS
from analysis.frames.published import in_words
from analysis.frames.ties import overtaken
from analysis.report.chart import look
from analysis.report.legend import Swatch, line, swatch
from analysis.report.style import loss_name, sentence, study_titles, titled
from analysis.results import Results
from analysis.schema import DEEPER, PAUSED, REPLICATE, RUNNING, SEARCH

FEW_SEEDS = 5
"""Seeds below which a standard deviation is itself a guess."""


def headline(results: Results) -> str:
    """What was run, in one line."""
    trials = results.trials
    if trials.empty:
        return "No trial has started yet."
    count = trials["phase"].value_counts()
    deeper, again = (int(count.get(phase, 0)) for phase in (DEEPER, REPLICATE))
    data, models = (", ".join(sorted(set(trials[c].astype("str")))) for c in ("dataset", "model"))
    parts = [
        data,
        models,
        counted(trials["noise"].nunique(), "noise setting"),
        counted(trials["loss"].nunique(), "loss", "losses"),
        counted(int(count.get(SEARCH, 0)), "search trial"),
        *([counted(deeper, "deeper trial")] if deeper else []),
        *([counted(again, "replicate")] if again else []),
    ]
    return " · ".join(part for part in parts if part)


def headnotes(results: Results, best: pd.DataFrame) -> list[tuple[str, str]]:
    """What a reader has to know before any number, each with its kind: leak, info or warn."""
    notes = []
    if selected_on_test(results):
        notes.append(("leak", LEAK))
    notes += [("warn", sentence(caveat) + ".") for caveat in caveats(results)]
    if results.running:
        notes.append(("info", _progress(results.trials)))
    if not best["confirmed"].all():
        notes.append(("warn", _UNCONFIRMED.format(command=_replicate(results))))
    elif best["n"].min() < FEW_SEEDS:
        few = _FEW.format(seeds=best["n"].min(), command=_replicate(results))
        notes.append(("warn", few))
    above = overtaken(results)["study"].value_counts(sort=False)
    if len(above):
        each = ", ".join(f"{study} ({n})" for study, n in above.items())
        notes.append(("warn", _OVERTAKEN.format(trials=counted(above.sum(), "trial"), each=each)))
    return notes


_UNCONFIRMED = (
    "Not confirmed: the winner of a search is partly lucky. "
    "`{command}` runs it again on fresh seeds."
)
_OVERTAKEN = (
    "Early stopping ended {trials} that stood above the chosen one at the same epoch: {each}. "
    "One of them might have ended higher; a larger grace period stops fewer."
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
    # What was started and neither counts nor runs has diverged or failed.
    lost -= chosen["replicates"] + chosen["replicates_unfinished"]
    ranks = rank_trials(results).set_index("trial_id")["rank"]
    top = ranks[chosen["trial_id"]].max()
    return f"python -m search replicate DIR --top {top} --seeds {FEW_SEEDS + lost.max():.0f}"


def _progress(trials: pd.DataFrame) -> str:
    left = int(trials["status"].isin([RUNNING, PAUSED]).sum())
    return f"Still running: {len(trials) - left} of {len(trials)} started trials have ended."


@dataclass(frozen=True)
class Fact:
    """What a card says about one comparison."""

    text: str  # the answer, as in ``+1.20 points, better``; empty: there is only a note
    note: str = ""  # small, below it
    verdict: str = ""  # a key of ``WORTH``, or empty


@dataclass(frozen=True)
class Card:
    """The best configuration of a noise setting."""

    title: str  # the setting in words
    sure: bool  # whether it is confirmed on seeds enough
    badge: str  # how well it is confirmed
    swatch: Swatch  # how figures draw the winner
    winner: str  # the loss, as papers call it
    number: str  # test accuracy in percent; empty: there is none
    spread: str  # its ±, and what it is measured on
    facts: dict[str, Fact]  # comparisons, by what with
    settings: list[str]  # what was searched, each with its value


def cards(results: Results, best: pd.DataFrame) -> list[Card]:
    """A card for each noise setting, from ``overview``."""
    varied = varied_parameters(results)
    rows = records(titled(best, study_titles(results.trials)))
    return [_card(row, varied[row["study"]]) for row in rows]


def _card(row: Mapping[str, Any], varied: set[str]) -> Card:
    sure, badge = _badge(row)
    number, spread = _test_accuracy(row)
    against = {f"vs {loss_name(loss)}": _versus(row, loss) for loss in AGAINST}
    # Where the refined loss has won, its own line says the same.
    if row["loss"] != OURS:
        name = f"{loss_name(OURS)} vs {loss_name(BASELINE)}"
        against[name] = _versus(row, "refined")
    if row["tied"]:
        names = " and ".join(map(loss_name, row["tied"]))
        against["Tied with"] = Fact(names, "within the hold-out's error")
    style = look(row["loss"])
    return Card(
        title=row["title"],
        sure=sure,
        badge=badge,
        swatch=swatch(line(style.dash, 4), style.light),
        winner=loss_name(row["loss"]),
        number=number,
        spread=spread,
        facts={name: fact for name, fact in against.items() if fact}
        | {"vs paper": _versus_paper(row)},
        settings=[f"{k} {short(v)}" for k, v in parameters(row).items() if k in varied],
    )


def _badge(row: Mapping[str, Any]) -> tuple[bool, str]:
    if not row["confirmed"]:
        return False, "not confirmed"
    if row["diverged"]:
        seeds = row["n"] + row["diverged"]
        return False, f"{row['n']} of {seeds} seeds, {row['diverged']} diverged"
    return row["n"] >= FEW_SEEDS, f"confirmed on {counted(int(row['n']), 'seed')}"


def _test_accuracy(row: Mapping[str, Any]) -> tuple[str, str]:
    if pd.isna(row["test"]):
        return "", "no test accuracy: all seeds diverged"
    return f"{percent(row['test'])}%", f"{plus_minus(row['test_std'])} test accuracy".strip()


def _versus(row: Mapping[str, Any], loss: str) -> Fact | None:
    """Points more or less than another loss, and what that is worth."""
    names = ("difference", "difference_low", "difference_high")
    difference, low, high = (row[f"{loss}_{name}"] for name in names)
    if pd.isna(difference):
        return None
    points = f"{signed_points(difference)} points"
    if pd.isna(low):
        return Fact(f"{points}, on one seed")
    verdict = row[f"{loss}_verdict"]
    interval = f"95%: {signed_points(low)} to {signed_points(high)}"
    return Fact(f"{points}, {WORTH[verdict]}", interval, verdict)


WORTH = {
    BETTER: "better",
    WORSE: "worse",
    UNCLEAR: "could be chance",
    UNSTABLE: "on the seeds that did not diverge",
}


def _versus_paper(row: Mapping[str, Any]) -> Fact:
    if pd.isna(row["published"]):
        return Fact("", "no number for this setting")
    printed = f"{percent(row['published'])}%{plus_minus(row['published_std'])}"
    there = f"{loss_name(row['loss'])} there: {printed}"
    if row["differs_in"]:
        return Fact(f"another protocol: {in_words(row['differs_in'])}", there)
    return Fact(f"{signed_points(row['test'] - row['published'])} points", there)
