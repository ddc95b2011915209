"""What follows the search of a study: its best trials deeper, then the best on fresh seeds."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from analysis.schema import DEEPER
from search.studies.confirm import confirmations, leaders
from search.studies.trial import Trial
from spaces.sweep import SweepSpec
from trainable.config import TrialConfig
from trainable.network.schedules import same_beginning


@dataclass
class Afterwards:
    """Which trials follow the search of one study, and which of them are still to come."""

    spec: SweepSpec  # says what runs deeper, and what again
    # What runs deeper and has not been dealt yet, in its order; None: not known yet.
    _deeper: deque[Trial] | None = field(default=None, init=False)
    # The same of what runs again.
    _again: deque[Trial] | None = field(default=None, init=False)

    def due(self, trials: Mapping[str, Trial]) -> deque[Trial]:
        """What may be dealt now that the search is out; ``trials`` are all so far, by id."""
        if self._again is not None:
            return self._again
        if self._deeper is None:
            self._deeper = deque(t for t in self._deepened(trials) if t.trial_id not in trials)
        deep = [trial for trial in trials.values() if trial.phase == DEEPER]
        # Who is confirmed follows from the deeper ones, so all of these have to be through.
        if self._deeper or not all(trial.ended for trial in deep):
            return self._deeper
        self._again = deque(t for t in self._confirming(trials) if t.trial_id not in trials)
        return self._again

    def to_come(self, planned: int, max_epochs: int) -> list[int]:
        """The budgets, in epochs, of what has not been dealt yet, as far as is known.

        ``planned``: trials that the search will have had, ``max_epochs``: the budget of each.
        """
        deepest = self.spec.deepen.max_epochs if self.spec.deepen else max_epochs
        # An upper bound, until the search is out and says which.
        deeper, again = following(self.spec, planned)
        if self._deeper is not None:
            deeper = len(self._deeper)
        if self._again is not None:
            again = len(self._again)
        return [deepest] * (deeper + again)

    def _deepened(self, trials: Mapping[str, Trial]) -> list[Trial]:
        if (deepen := self.spec.deepen) is None:
            return []
        shallow = (t for t in trials.values() if t.config.max_epochs < deepen.max_epochs)
        best = leaders(shallow, self.spec.search.metric)[: deepen.top]
        return [trial.deeper(deepen.max_epochs) for trial in best]

    def _confirming(self, trials: Mapping[str, Trial]) -> list[Trial]:
        if (confirm := self.spec.confirm) is None:
            return []
        metric, seed = self.spec.search.metric, self.spec.seed
        wanted = confirmations(trials.values(), metric, confirm, seed)
        return [trials[trial_id].again(seed) for trial_id, seed in wanted]


def following(spec: SweepSpec, planned: int) -> tuple[int, int]:
    """How many trials run deeper, and how many again, after a search of ``planned`` trials."""
    deeper = min(spec.deepen.top, planned) if spec.deepen else 0
    again = min(spec.confirm.top, planned) * spec.confirm.seeds if spec.confirm else 0
    return deeper, again


def why_afresh(config: TrialConfig, max_epochs: int) -> str:
    """Why a trial cannot go on to ``max_epochs`` from its end, but has to start afresh; else "".

    It goes on where it has been, up to here, the trial of the larger budget.
    """
    if config.matrix_from == "estimated":
        return f"{config.loss} estimates its transition matrix over all of max_epochs"
    same = same_beginning(
        config.lr_schedule,
        config.schedule_parameters,
        lr=config.lr,
        max_epochs=config.max_epochs,
        longer=max_epochs,
    )
    return "" if same else f"{config.lr_schedule} spreads over all of max_epochs"
