"""In which epochs a trial is evaluated on the test set: nothing but people reads the result."""

import math
from collections.abc import Collection

from trainable.config import TrialConfig
from trainable.data import TrialData
from trainable.network.schedules import cycle_ends

SHARE = 0.02
"""Share of the time that evaluations on the test set may cost, where no table needs them."""
LAST = 10
"""Epochs at the end of a budget that are all tested; of a short one its last tenth."""


def affordable_interval(data: TrialData) -> int:
    """Epochs from one evaluation to the next that keep them under :data:`SHARE` of the time.

    Counted in images, one trained taking about as long as three evaluated: so it is the same
    wherever and whenever a trial is trained.
    """
    evaluations = 3 * len(data.train_index) + len(data.val_index)
    return math.ceil(len(data.test_labels) / (SHARE * evaluations))


def epochs_with_test(
    config: TrialConfig, data: TrialData, rungs: Collection[int], every: int | None
) -> frozenset[int]:
    """The epochs of a trial that end with the test set: every ``every``-th, and where it is read.

    That is at rungs, where trials end, where a warm restart's cycles do, and at the end of the
    budget. ``every`` None: the affordable interval.
    """
    full, interval = config.max_epochs, every or affordable_interval(data)
    last = min(LAST, math.ceil(full / 10))
    ends = cycle_ends(config.lr_schedule, config.schedule_parameters, full)
    regular = range(interval, full + 1, interval)
    return frozenset({*regular, *rungs, *ends, *range(full - last + 1, full + 1)})
