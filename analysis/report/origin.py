"""The end of the report: what went wrong, and where every number comes from."""

import json
from collections.abc import Mapping

import pandas as pd

from analysis.amounts import percent
from analysis.report.page import Sheet
from analysis.report.style import study_titles, titled
from analysis.results import Results
from analysis.schema import DIVERGED, FAILED
from trainable.folder import layout

LISTED = 30
"""Broken trials that are listed at most."""


def failures(results: Results) -> Sheet | None:
    """Trials that diverged or failed, with the reason."""
    trials = results.trials
    broken = trials[trials["status"].isin([DIVERGED, FAILED])]
    if broken.empty:
        return None
    shown = broken.head(LISTED)[["trial_id", "status", "epochs", "end_reason"]]
    shown = shown.astype({"end_reason": "str"})
    names = {"trial_id": "trial", "end_reason": "why"}
    caption = f"{len(broken)} of {len(trials)} trials diverged or failed"
    more = f"; the first {LISTED} of them" if len(broken) > LISTED else ""
    return Sheet(shown.rename(columns=names), caption + more, words=("why",))


def provenance(results: Results) -> list[Sheet]:
    """Code, versions, machines and labels."""
    trials = [] if results.trials.empty else [_code_sheet(results.trials), _labels_sheet(results)]
    return [*_start_sheets(results), *trials]


def sweep_file(results: Results) -> str:
    """The sweep file as it is in the folder; empty where there is none."""
    folder = results.folder
    return folder.read(layout.SWEEP).decode() if folder.exists(layout.SWEEP) else ""


def _code_sheet(trials: pd.DataFrame) -> Sheet:
    columns = ["git_sha", "versions", "device"]
    groups = trials[columns].astype("str").value_counts(sort=False).rename("trials").reset_index()
    shown = pd.DataFrame(
        {
            "commit": groups["git_sha"].map(_short_sha),
            "trials": groups["trials"],
            "trained on": groups["device"],
            "versions": groups["versions"].map(_versions),
        }
    )
    return Sheet(shown, "Code, devices and versions of the trials", words=("versions",))


def _short_sha(sha: str) -> str:
    """12 digits, and whether the code had changes."""
    commit, *dirty = sha.split("-", 1)
    return "-".join([commit[:12], *dirty]) or "unknown"


def _versions(text: str) -> str:
    try:
        return ", ".join(f"{name} {version}" for name, version in json.loads(text).items())
    except (ValueError, AttributeError):
        return text


def _start_sheets(results: Results) -> list[Sheet]:
    # A file that anybody may have written: what is not as it should be is left out.
    starts = results.provenance.get("starts")
    starts = [s for s in starts if isinstance(s, dict)] if isinstance(starts, list) else []
    rows = [
        {
            "started": str(start.get("at", "")).replace("T", " ").replace("+00:00", " UTC"),
            "commit": _short_sha(str(start.get("git_sha", ""))),
            "machines": "; ".join(_machine(node) for node in start.get("nodes", [])),
            "system": start.get("platform", ""),
        }
        for start in starts
    ]
    caption = "Every start of the sweep"
    return [Sheet(pd.DataFrame(rows), caption, words=("system",))] if rows else []


def _machine(node: Mapping[str, float]) -> str:
    """``4 CPU, 1 GPU``."""
    return ", ".join(f"{node[kind]:g} {kind}" for kind in ("CPU", "GPU") if kind in node)


def _labels_sheet(results: Results) -> Sheet:
    columns = ["study", "seed", "realised_rate", "labels_fingerprint"]
    trials = titled(results.trials[columns], study_titles(results.trials))
    rows = trials.drop_duplicates(["title", "seed", "labels_fingerprint"])
    rows = rows.sort_values(["title", "seed"], kind="stable")
    shown = pd.DataFrame(
        {
            "noise": rows["title"],
            "seed": rows["seed"],
            "labels really wrong (%)": rows["realised_rate"].map(percent),
            "fingerprint of the labels": rows["labels_fingerprint"].astype("str"),
        }
    )
    return Sheet(shown, "Noisy labels: one draw a setting and seed, shared by all losses")
