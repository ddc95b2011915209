"""What Tune asks for the next trial: the sweep deals it, and it is a trial of Tune's by then.

Tune's own way from a suggestion to a trial copies the experiment, looks up what to train in the
cluster several times and writes the trial's whole state again and again, for a driver that would
start from there. Here the results folder is the state.
"""

from collections.abc import Callable
from typing import Any

from ray.tune import Trainable
from ray.tune.experiment import Experiment
from ray.tune.experiment import Trial as TuneTrial
from ray.tune.registry import get_trainable_cls
from ray.tune.search import SearchAlgorithm

from search.studies.round_robin import Sweep
from search.studies.trial import Trial
from trainable.trial.ray_trainable import Assignment


class NotPickled:
    """Tune pickles its parts at the start; nobody reads that: the results folder is the state."""

    def __reduce__(self) -> tuple[Any, ...]:
        return NotPickled, ()


class AssignedTrial(TuneTrial):
    """A trial of Tune's that has an assignment, and knows what to train."""

    def __init__(
        self, experiment: Experiment, actor_class: type[Trainable], assigned: Assignment
    ) -> None:
        self._actor_class = actor_class  # what trains it
        super().__init__(
            experiment.run_identifier,
            # In one piece, as Tune copies and flattens each value of a config by itself.
            config={"assignment": assigned},
            storage=experiment.storage,
            trial_name_creator=lambda trial: assigned.trial_id,
            trial_dirname_creator=lambda trial: assigned.trial_id,
            stub=True,  # looks up nothing in the cluster
        )

    def get_trainable_cls(self) -> type[Trainable]:
        """The class of the actor."""
        return self._actor_class

    def set_ray_actor(self, ray_actor: Any) -> None:
        """The actor that trains it. Tune would ask it for a result before the first one."""
        self.temporary_state.ray_actor = ray_actor

    def get_json_state(self) -> tuple[str, str]:
        """Nothing: Tune would keep it, and write that of all trials there have been."""
        return "{}", "{}"


class StudiesSearch(NotPickled, SearchAlgorithm):
    """Hands Tune the next trial of the sweep while a slot is free."""

    def __init__(
        self, sweep: Sweep, assign: Callable[[Trial], Assignment], slots: Callable[[], int]
    ) -> None:
        self._sweep = sweep  # what deals the trials
        self._assign = assign  # makes of a trial what its actor is told
        self._slots = slots  # how many may run now
        # What Tune made of the sweep, once it begins: where its logs go, and the actors' class.
        self._begun: tuple[Experiment, type[Trainable]] | None = None

    def add_configurations(self, experiments: Any) -> None:
        """Tune begins."""
        (experiment,) = experiments
        self._begun = experiment, get_trainable_cls(experiment.run_identifier)

    def next_trial(self) -> TuneTrial | None:
        """A trial with its assignment; None while all slots are taken, or nothing is to do."""
        if self._begun is None or self._sweep.running >= self._slots():
            return None
        trial = self._sweep.deal()
        if trial is not None:
            trial.waiting = True
            return AssignedTrial(*self._begun, self._assign(trial))
        # Not before the last trial has ended: one that fails may have to start again.
        if self._sweep.finished:
            self.set_finished()
        return None
