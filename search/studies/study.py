"""One study: the trials of one cell of the grid, who is next, and who goes on.

Pure bookkeeping: no Ray, no files, no clock. The running sweep, the replay of a results folder and
the simulation on recorded curves all drive the same object.
"""

import math
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import InitVar, dataclass, field

from analysis.schema import (
    COMPLETED,
    DIVERGED,
    FAILED,
    PAUSED,
    REPLICATE,
    RUNNING,
    SEARCH,
    STOPPED,
)
from search.studies.afterwards import Afterwards
from search.studies.samplers import History, OptunaHistory, fixed_points
from search.studies.stopping import Rule, build_rule, rung_epochs
from search.studies.trial import ENDED, GOES_ON, Outcome, Phase, Trial, replicate_id
from spaces.sweep import Cell, SweepSpec
from trainable.catalog import Value
from trainable.metrics import EpochMetrics
from trainable.network.schedules import cycle_ends
from trainable.seeds import derive_seed


@dataclass
class Study:
    """An Optuna study, an early-stopping rule and the trials of one cell."""

    spec: SweepSpec  # how it is searched, and what follows
    cell: Cell  # what is searched
    first_points: Sequence[Mapping[str, Value]] = ()  # tried before the sampler is asked
    shared: Sequence[str] = ()  # parameters that any study varies, for common draws
    history: InitVar[History | None] = None  # what suggestions come from; None: Optuna
    trials: dict[str, Trial] = field(default_factory=dict, init=False)  # all dealt, by id
    searched: list[Trial] = field(default_factory=list, init=False)  # the search's, by number

    def __post_init__(self, history: History | None) -> None:
        self.name = self.cell.study  # stands in the id of each of its trials
        self.search = self.spec.search  # by which sampler and rule, for which metric
        self.turns = 0  # trials dealt that were new or promoted: the fewest are next
        self._interrupted: deque[Trial] = deque()  # dealt before any new one
        self._running: set[str] = set()  # ids of the trials that have a slot
        self._ended = 0  # trials with a final status
        self._afterwards = Afterwards(self.spec)  # what follows the search
        self._closed: set[Phase] = set()  # phases that deal no new trial any more
        self._halted: dict[Phase, str] = {}  # phases whose running trials stop, and why
        seed = derive_seed(self.spec.seed, f"study/{self.name}")  # its own, for suggestions
        # dealt before the sampler is asked
        self._points = fixed_points(self.spec, self.cell, self.first_points, self.shared, seed)
        # trials that the search will have had
        self.planned = self.cell.planned(self.search.sampler, self.spec.budget.trials)
        self.rule: Rule = build_rule(  # who goes on
            self.search.early_stopping,
            grace=self.spec.budget.grace(self.cell.max_epochs),
            factor=self.spec.budget.reduction_factor,
            held_out=self.cell.data.held_out,
            options=self.search.early_stopping_options,
        )
        self._history: History = history or OptunaHistory(  # what suggestions come from
            self.search, self.cell.space, seed=seed, trials=self.planned
        )

    # -- who is next ----------------------------------------------------------------------------

    @property
    def running(self) -> int:
        """Trials that occupy a slot."""
        return len(self._running)

    @property
    def waiting(self) -> Sequence[Trial]:
        """Those of the running trials that have not been given their resources yet."""
        return [trial for name in self._running if (trial := self.trials[name]).waiting]

    @property
    def interrupted(self) -> Sequence[Trial]:
        """Trials that go before any new one, the first first."""
        return self._interrupted

    @property
    def has_work(self) -> bool:
        """Whether :meth:`deal` would give a trial now."""
        return bool(self._interrupted or self._has_new or self._promotable() or self._due())

    @property
    def finished(self) -> bool:
        """Whether every planned trial has ended, and everything that follows the search."""
        there = self._ended == len(self.trials)
        return there and not self._has_new and not self._due()

    @property
    def to_come(self) -> int:
        """Trials that the search has not started yet and will."""
        return 0 if SEARCH in self._closed else self.planned - len(self.searched)

    @property
    def later(self) -> Sequence[int]:
        """The budgets, in epochs, of the trials that will follow the search, as far as is known.

        Those that have not started yet: the best deeper, and replicates of the best.
        """
        if REPLICATE in self._closed:
            return ()
        self._due()  # what is known now
        return self._afterwards.to_come(self.planned, self.cell.max_epochs)

    @property
    def searched_out(self) -> bool:
        """Whether the search has ended; replicates may be under way."""
        return not self._has_new and all(trial.ended for trial in self.searched)

    def deal(self) -> Trial | None:
        """The next trial to run, if any: interrupted, promoted, new, then what follows these."""
        if self._interrupted:
            trial = self._interrupted.popleft()
        elif promoted := self._promotable():
            trial = self._promote(promoted)
        elif self._has_new:
            trial = self._suggest()
        elif due := self._due():
            self.turns += 1
            trial = due.popleft()
            self.trials[trial.trial_id] = trial
        else:
            return None
        trial.attempt += 1
        self._running.add(trial.trial_id)
        return trial

    def replicate(self, trial_id: str, seed: int) -> None:
        """Run a trial again on a fresh seed and without early stopping, before any new one.

        Nothing happens if that replicate is there already, unless it failed: then it is started
        again.
        """
        there = self.trials.get(replicate_id(trial_id, seed))
        if there is None:
            replicate = self.trials[trial_id].again(seed)
            self.trials[replicate.trial_id] = replicate
            self._interrupted.append(replicate)
        elif there.status == FAILED:
            there.status, there.end_reason = RUNNING, ""
            self._ended -= 1
            self._interrupted.append(there)

    def close(self, phase: Phase, reason: str, *, stop: bool = False) -> None:
        """Start no more trials of a phase: its budget is used up.

        ``stop``: those that run end with their next epoch, those that wait do not start, for that
        ``reason``; else they go on to their end.
        """
        self._closed.add(phase)
        if stop and phase not in self._halted:
            self._halted[phase] = reason
            for trial in [t for t in self._interrupted if t.phase == phase]:
                self._interrupted.remove(trial)
                self._apply(trial, Outcome(STOPPED, reason))

    def settle(self) -> None:
        """End the paused trials that nothing can promote any more."""
        if not self._idle or self._promotable():
            return
        for trial in self.searched:
            if trial.status == PAUSED:
                standing = self.rule.standing(trial.trial_id)
                self._apply(trial, Outcome(STOPPED, f"not promoted: {standing}"))

    def rungs(self, trial: Trial) -> dict[int, int]:
        """The epochs at which a trial is judged, as {epoch: level}."""
        config = trial.config
        return rung_epochs(
            grace=self.spec.budget.grace(self.cell.max_epochs),
            factor=self.spec.budget.reduction_factor,
            max_epochs=config.max_epochs,
            cycle_ends=cycle_ends(
                config.lr_schedule, config.schedule_parameters, config.max_epochs
            ),
        )

    # -- what came back -------------------------------------------------------------------------

    def report(self, trial_id: str, metrics: EpochMetrics) -> Outcome:
        """Take in one epoch of a running trial and say what becomes of it."""
        trial = self.trials[trial_id]
        outcome = self._judge(trial, metrics)
        # A trial that ends by itself keeps its own reason.
        if outcome == GOES_ON and trial.phase in self._halted:
            outcome = Outcome(STOPPED, self._halted[trial.phase])
        self._apply(trial, outcome)
        return outcome

    def fail(self, trial_id: str, error: str) -> None:
        """A trial broke: it waits to be started again, or has failed for good."""
        trial = self.trials[trial_id]
        self._running.discard(trial_id)
        # In a row: Trial.hear sets it back with every new epoch.
        trial.failures += 1
        if trial.failures <= self.spec.resources.max_failures:
            self._interrupted.append(trial)
        else:
            self._apply(trial, Outcome(FAILED, error))

    def restore(
        self, trials: Iterable[Trial], rows: Iterable[tuple[str, int, EpochMetrics]]
    ) -> None:
        """Rebuild the study from its recorded trials and its epochs, (trial_id, attempt, metrics).

        ``rows`` come in their order of arrival. Trials without a final status wait to be dealt
        again, unless the rows say that they ended. Raises ValueError if a trial is missing.
        """
        # The search in the order in which it was dealt: so the history numbers it as before.
        known = sorted(trials, key=lambda t: (t.phase != SEARCH, t.number, t.trial_id))
        recorded = {trial.trial_id: Outcome(trial.status, trial.end_reason) for trial in known}
        for trial in known:
            if trial.phase == SEARCH:
                if trial.number != len(self.searched):
                    raise ValueError(f"study {self.name}: trial {len(self.searched)} is missing")
                self._history.enter(trial)
                self.searched.append(trial)
            self.trials[trial.trial_id] = trial
            trial.status, trial.end_reason = RUNNING, ""
        outcomes: dict[str, Outcome] = {}
        attempts: dict[str, int] = {}
        for trial_id, attempt, metrics in rows:
            # An epoch after a pause: it had been promoted meanwhile, which was a turn.
            if outcomes.get(trial_id, GOES_ON).status == PAUSED:
                self.turns += 1
            outcomes[trial_id] = self._judge(self.trials[trial_id], metrics)
            attempts[trial_id] = attempt
        for trial in known:
            outcome = recorded[trial.trial_id]
            # A final status is taken as recorded: why a trial ended is not always in its rows.
            if outcome.status not in ENDED:
                outcome = outcomes.get(trial.trial_id, GOES_ON)
            # Started once more after its last row: it had been promoted, and was interrupted then.
            if outcome.status == PAUSED and trial.attempt > attempts[trial.trial_id]:
                self.rule.promote(trial.trial_id)
                self.turns += 1
                outcome = GOES_ON
            self._apply(trial, outcome)
            if outcome.status == RUNNING:
                self._interrupted.append(trial)
        # Each of these was dealt once.
        self.turns += len(self.trials)

    # -- inside ---------------------------------------------------------------------------------

    def _suggest(self) -> Trial:
        self.turns += 1
        number = len(self.searched)
        fixed = number < len(self._points)
        values = self._points[number] if fixed else self._history.suggest(self.cell, number)
        trial = self._trial(number, values)
        self._history.enter(trial)
        self.trials[trial.trial_id] = trial
        self.searched.append(trial)
        return trial

    def _trial(self, number: int, values: Mapping[str, Value]) -> Trial:
        return Trial(
            study=self.name,
            trial_id=f"{self.name}-{number:04d}",
            number=number,
            config=self.cell.trial(values, self.spec.seed),
        )

    def _due(self) -> deque[Trial]:
        """The trials to deal that follow the search: none before it is out."""
        if REPLICATE in self._closed or not self.searched_out:
            return deque()
        return self._afterwards.due(self.trials)

    def _judge(self, trial: Trial, metrics: EpochMetrics) -> Outcome:
        judged_before = metrics.epoch <= trial.epochs
        trial.hear(metrics)
        epoch, full = metrics.epoch, trial.config.max_epochs
        value: float = getattr(metrics, self.search.metric)
        if trial.phase == SEARCH:
            self._history.report(trial, epoch, value)
        # By the loss, for accuracies stay finite when weights are NaN.
        if not math.isfinite(metrics.train_loss):
            return Outcome(DIVERGED, f"loss is {metrics.train_loss} in epoch {epoch}")
        if trial.phase == SEARCH:
            outcome = self.rule.report(trial.trial_id, epoch, value, self.rungs(trial))
            if judged_before:  # it comes again after a recovery, and went on then
                return GOES_ON
            if epoch < full:
                return outcome
        return Outcome(COMPLETED, f"all {full} epochs") if epoch >= full else GOES_ON

    def _apply(self, trial: Trial, outcome: Outcome) -> None:
        trial.status, trial.end_reason = outcome.status, outcome.reason
        if outcome.status != RUNNING:
            self._running.discard(trial.trial_id)
        if trial.ended:
            self._ended += 1
        if not trial.ended or trial.phase != SEARCH:
            return
        self.rule.end(trial.trial_id)
        self._history.end(trial)

    @property
    def _has_new(self) -> bool:
        return self.to_come > 0

    @property
    def _idle(self) -> bool:
        return not (self._running or self._interrupted or self._has_new)

    def _promotable(self) -> str | None:
        """A paused trial that has earned to go on.

        When nothing else is left to do, a leader may go on too, so that every study ends with a
        trial to choose.
        """
        earned = None if SEARCH in self._closed else self.rule.promotable()
        if earned is not None or not self._idle:
            return earned
        return self.rule.leader(sum(trial.status == COMPLETED for trial in self.searched))

    def _promote(self, trial_id: str) -> Trial:
        self.turns += 1
        trial = self.trials[trial_id]
        self.rule.promote(trial_id)
        trial.status, trial.end_reason = RUNNING, ""
        return trial
