"""Every name in a results folder. Nobody else spells one.

<storage>/<sweep>/
  sweep.toml                    the whole sweep file, defaults written out; a folder without it is
                                no results folder
  provenance.json               every start: commit, versions, machines
  warm_start.json               points and trials of an earlier sweep, if it was given one
  owner.json                    who runs the sweep, while it runs
  trials/trials.parquet         a row a trial
  epochs/study=<study>/         a row an epoch, in parts part-<level>-<number>.parquet
  labels/<labels>.parquet       the given labels of every noise setting and seed
  transitions/<labels>.parquet  the transition matrix that they realise
  targets/<trial>.parquet       final targets of the trials whose models are kept
  checkpoints/<trial>/          epoch-<epochs>.pt
  tune/                         Ray Tune's own logs and TensorBoard events
  label_errors/<study>/         once asked for: labels.parquet, the ranking; labels.csv, a list to
                                edit; doubted.png and doubted.html, the doubted images
  figures/                      the report's charts as files for a paper, once asked for
  optuna.journal                the studies as Optuna has them, once asked for
  report.html                   once a sweep has ended, or was asked for it
"""

import re
from urllib.parse import quote, unquote

from trainable.folder.storage import Folder

SWEEP = "sweep.toml"
PROVENANCE = "provenance.json"
WARM_START = "warm_start.json"
OWNER = "owner.json"
TRIALS, TRIALS_TABLE = "trials", "trials.parquet"
EPOCHS = "epochs"
LABELS, TRANSITIONS = "labels", "transitions"
CLASSES = "classes"
"""In the metadata of a labels table: the names of its classes by label, as JSON."""
TARGETS = "targets"
CONFUSION = "test_confusion"
"""In the metadata of a targets table: test images by true and predicted class, as JSON."""
CHECKPOINTS = "checkpoints"
TUNE = "tune"
LABEL_ERRORS = "label_errors"
RANKED_LABELS, LABEL_LIST = "labels.parquet", "labels.csv"
DOUBTED_PICTURE, DOUBTED_PAGE = "doubted.png", "doubted.html"
FIGURES = "figures"
JOURNAL = "optuna.journal"
REPORT = "report.html"

_STUDY = "study="
_PART = re.compile(r"part-(\d+)-(\d+)\.parquet")
_CHECKPOINT = re.compile(r"epoch-(\d+)\.pt")


def is_there(results: Folder) -> bool:
    """Whether this is a results folder, and the storage that holds it is not away."""
    return results.exists(SWEEP)


def partition(study: str) -> str:
    """The folder of a study's epochs, named so that pandas and others read it as a column."""
    return _STUDY + quote(study, safe="")


def recorded_studies(results: Folder) -> list[str]:
    """Studies that have recorded epochs, sorted."""
    names = (results / EPOCHS).names()
    return sorted(unquote(n.removeprefix(_STUDY)) for n in names if n.startswith(_STUDY))


def label_errors(results: Folder, study: str) -> Folder:
    """Where the label errors of a study lie, unless somebody wants them elsewhere."""
    return results / LABEL_ERRORS / quote(study, safe="")


def doubted_pages(results: Folder) -> list[tuple[str, str]]:
    """Studies whose doubted images have a page, each with its URL from the results folder."""
    folder = results / LABEL_ERRORS
    names = [name for name in folder.names() if (folder / name).exists(DOUBTED_PAGE)]
    return [(unquote(name), f"{LABEL_ERRORS}/{quote(name)}/{DOUBTED_PAGE}") for name in names]


def part_name(level: int, number: int) -> str:
    """File name of a part of a study's epochs; ``number`` is unique and increasing in it."""
    return f"part-{level}-{number:08d}.parquet"


def part_keys(folder: Folder) -> list[tuple[int, int]]:
    """(level, number) of the parts in a study's folder, sorted."""
    matches = [_PART.fullmatch(name) for name in folder.names()]
    return sorted((int(match[1]), int(match[2])) for match in matches if match)


def table_name(key: str) -> str:
    """File name of the one table that belongs to labels or to a trial."""
    return f"{key}.parquet"


def earlier_transition_name(labels: str) -> str:
    """Where version 0.1 put a transition matrix: among the labels."""
    return f"{labels}-transition.parquet"


def checkpoint_name(epochs: int) -> str:
    """File name of a trial's checkpoint after so many epochs; sorted by name is by epochs."""
    return f"epoch-{epochs:05d}.pt"


def checkpoint_names(folder: Folder) -> list[str]:
    """The checkpoints in a trial's folder, by their epochs."""
    return [name for name in folder.names() if _CHECKPOINT.fullmatch(name)]
