"""Driving a sweep without a cluster, on epochs that are recorded or made up."""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Protocol

from analysis.schema import RUNNING
from search.studies.trial import Outcome, Trial
from trainable.metrics import EpochMetrics


class Dealer(Protocol):
    """What deals trials and hears their epochs: :class:`search.studies.round_robin.Sweep`."""

    def deal(self) -> Trial | None:
        """The next trial to run; None if there is nothing to do now."""

    def report(self, trial: Trial, metrics: EpochMetrics) -> Outcome:
        """Take in one epoch of a trial and say what becomes of it."""


def simulate(
    dealer: Dealer, epoch_of: Callable[[Trial], EpochMetrics], slots: int = 1
) -> Iterator[tuple[Trial, Outcome]]:
    """Run all trials on ``slots`` slots, one epoch at a time, in turn: as if all were as fast.

    ``epoch_of`` gives a trial's next epoch. Yields every trial that has finished an epoch, and
    what became of it.
    """
    live: deque[Trial] = deque()
    while True:
        while len(live) < slots and (dealt := dealer.deal()):
            live.append(dealt)
        if not live:
            return
        # From the front, and to the back again: every slot has one epoch a round.
        trial = live.popleft()
        outcome = dealer.report(trial, epoch_of(trial))
        if outcome.status == RUNNING:
            live.append(trial)
        yield trial, outcome
