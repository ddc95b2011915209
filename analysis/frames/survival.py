"""How many of a study's search trials early stopping let live, and for how long."""

import numpy as np
import pandas as pd

from analysis.results import Results
from analysis.schema import DIVERGED, FAILED, PAUSED, RUNNING, STOPPED

UNFINISHED = "unfinished"
COUNTS = ["trials", STOPPED, DIVERGED, FAILED, UNFINISHED]


def survival(results: Results) -> pd.DataFrame:
    """Search trials that trained at least so many epochs: a row for each study and epoch, from 1.

    Columns: ``study``, ``epoch``; ``trials`` that trained this epoch, and why the others did not:
    ``stopped``, ``diverged``, ``failed``, or ``unfinished``: running or paused before it. Trials
    that never trained are in none of them. ``share`` in [0, 1] of the trials trains the epoch, as
    Kaplan and Meier estimate it: epoch by epoch among those that trained the one before and of
    which it is known whether they went on; NaN from where that is known of none. Studies in which
    nothing has trained yet are left out.
    """
    trained = results.searched[results.searched["epochs"] > 0]
    tables = [_survival(str(study), g) for study, g in trained.groupby("study", observed=True)]
    empty = pd.DataFrame({name: [] for name in ("study", "epoch", *COUNTS, "share")})
    return pd.concat(tables, ignore_index=True) if tables else empty


def _survival(study: str, trials: pd.DataFrame) -> pd.DataFrame:
    epochs = np.arange(1, trials["max_epochs"].max() + 1)
    before = trials["epochs"].to_numpy()[:, None] < epochs
    status = trials["status"].astype("str").replace([RUNNING, PAUSED], UNFINISHED)
    counts = {name: before[status == name].sum(axis=0) for name in COUNTS[1:]}
    counts = {"trials": (~before).sum(axis=0), **counts}
    table = pd.DataFrame({"study": study, "epoch": epochs, **counts})
    # Trials still running are censored: they leave the numbers without counting as ended.
    ended = table[[STOPPED, DIVERGED, FAILED]].sum(axis="columns").diff().fillna(0)
    share = (table["trials"] / (table["trials"] + ended)).cumprod()
    return table.assign(share=share.fillna(share.ffill().where(lambda last: last == 0)))
