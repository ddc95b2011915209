"""Doubtful labels for a person to go through, as a list to edit."""

import numpy as np
import pandas as pd

from analysis.frames.label_errors import LabelErrors
from analysis.results import Results
from analysis.store import read_beside
from trainable.config import labels_name
from trainable.folder import layout


def label_list(
    errors: LabelErrors, results: Results, classes: tuple[str, ...], files: tuple[str, ...]
) -> bytes:
    """A CSV that is a labels file: edit its column ``label`` and name it as ``data.labels``.

    ``file`` (or ``index`` where the images have no names), ``given``, ``proposed``, ``score`` and
    an empty ``label``, which holds wherever it is filled in; the most doubtful labels come first.
    Examples that nobody trained on follow with neither proposal nor score, so that the list is
    complete.

    Args:
        errors: the ranking.
        results: of the same sweep.
        classes: names of the classes by label.
        files: name of every training image of the data set; empty: they have none.
    """
    ranked = errors.ranked[["index", "given", "proposed", "score"]]
    table = pd.concat([ranked, _unranked(errors, results)])
    names = np.array(classes, object)
    # A number has to stand where nothing is proposed, only to be looked up and left out.
    judged = table["proposed"].notna()
    columns = {
        "given": names[table["given"].to_numpy(int)],
        "proposed": np.where(judged, names[table["proposed"].fillna(0).to_numpy(int)], ""),
        "score": table["score"].round(4),
        "label": "",
    }
    index = table["index"].to_numpy(int)
    key = {"file": np.array(files, object)[index]} if files else {"index": index}
    return pd.DataFrame(key | columns).to_csv(index=False).encode()


def _unranked(errors: LabelErrors, results: Results) -> pd.DataFrame:
    """Index and given label of the examples that nobody trained on, as far as it is recorded."""
    folder = results.folder / layout.LABELS
    name = layout.table_name(labels_name(errors.config))
    if not folder.exists(name):
        return errors.ranked[["index", "given"]].head(0)
    every = read_beside(folder, name).to_pandas()[["index", "given"]]
    return pd.DataFrame(every[~every["index"].isin(errors.ranked["index"])])
