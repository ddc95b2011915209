"""How many of a study's search trials early stopping let live, and for how long."""

import numpy as np
import pandas as pd

from analysis.results import Results
from analysis.schema import SEARCH


def survival(results: Results) -> pd.DataFrame:
    """Trials that trained at least so many epochs: a row for each study and epoch, from 1.

    Columns: ``study``, ``epoch``, ``trials`` (search trials of the study that trained this epoch)
    and ``share`` (of those that trained at all, in [0, 1]). Trials still running count with what
    they have trained. Studies in which nothing has trained yet are left out.
    """
    trained = results.trials[(results.trials["phase"] == SEARCH) & (results.trials["epochs"] > 0)]
    tables = [_survival(str(study), g) for study, g in trained.groupby("study", observed=True)]
    empty = pd.DataFrame({"study": [], "epoch": [], "trials": [], "share": []})
    return pd.concat(tables, ignore_index=True) if tables else empty


def _survival(study: str, trials: pd.DataFrame) -> pd.DataFrame:
    epochs = np.arange(1, trials["max_epochs"].max() + 1)
    alive = (trials["epochs"].to_numpy()[:, None] >= epochs).sum(axis=0)
    return pd.DataFrame(
        {"study": study, "epoch": epochs, "trials": alive, "share": alive / len(trials)}
    )
