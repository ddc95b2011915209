"""What the accuracies of a sweep rest on: whose labels are known to be right, and on which images.

The published data sets have true labels and a test set. A user's own files may lack either, and
then every table, figure and report says so.
"""

from analysis.best import selected_on_test
from analysis.results import Results
from analysis.schema import CLEAN, GIVEN, HOLDOUT, UNKNOWN

LEAK = "LEAK: selected on the test set; these numbers promise nothing about new data"
RUNNING = "still running: these are the best so far"
_TESTED = {
    GIVEN: (
        "test accuracies are measured on test labels as they are given, which may be as wrong as "
        "those trained on"
    ),
    HOLDOUT: (
        "there is no test set: what is called test is the hold-out again, on which "
        "configurations were chosen, so it flatters them"
    ),
}
_UNKNOWN = "true labels of the training images are unknown: memorisation is not measured"
_CLEAN = (
    "the hold-out's labels are stated to be clean, so configurations are chosen on clean labels"
)


def alerts(results: Results) -> tuple[str, ...]:
    """What tables and pictures must say above all else: a leak, and that the sweep goes on."""
    found = ((LEAK, selected_on_test(results)), (RUNNING, results.running))
    return tuple(text for text, holds in found if holds)


def caveats(results: Results) -> list[str]:
    """A sentence for everything that is not as with published data sets; none for those."""
    said = []
    for name, trials in results.trials.groupby("dataset", observed=True):
        where = f"{name}: " if results.trials["dataset"].nunique() > 1 else ""
        found = [_TESTED[kind] for kind in _TESTED if (trials["tested_on"] == kind).any()]
        found += [_UNKNOWN] if (trials["truth"] == UNKNOWN).any() else []
        found += [_CLEAN] if (trials["validated_on"] == CLEAN).any() else []
        said += [where + text for text in found]
    return said


def test_labels(results: Results) -> str:
    """What test accuracies are measured on, in a few words."""
    kinds = {kind for kind in _TESTED if (results.trials["tested_on"] == kind).any()}
    if kinds == {HOLDOUT}:
        return "the hold-out again, for there is no test set"
    return (
        "labels as given, never used to choose" if kinds else "true labels, never used to choose"
    )


def test_name(results: Results) -> str:
    """What test accuracies are called where there is no room for more."""
    kinds = set(results.trials["tested_on"])
    if len(kinds) > 1:  # of several data sets
        return "test"
    names = {HOLDOUT: "hold-out again", GIVEN: "test as given"}
    return names.get(kinds.pop(), "clean test") if kinds else "clean test"


def holdout(results: Results) -> str:
    """What configurations are chosen on where that is the hold-out."""
    clean = results.trials["validated_on"] == CLEAN
    if clean.any() and not clean.all():  # of several data sets
        return "hold-out"
    return "clean hold-out" if clean.any() else "noisy hold-out"
