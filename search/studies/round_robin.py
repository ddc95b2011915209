"""All studies of a sweep in one place: deals their trials round-robin."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from search.studies.earlier import Earlier, EarlierTrial
from search.studies.features import LabelStatistics
from search.studies.multitask import Surrogate
from search.studies.samplers import learns_across
from search.studies.study import Study
from search.studies.trial import Outcome, Phase, Trial
from spaces.strategies import SAMPLERS
from spaces.sweep import Cell, SweepSpec
from trainable.data import Dataset
from trainable.dtypes import Floats
from trainable.metrics import EpochMetrics


@dataclass
class Sweep:
    """The studies of one sweep.

    Trials are dealt so that no slot waits while any study has work: interrupted trials first, by
    number, as they were dealt before; then the study that has had the fewest turns.
    """

    spec: SweepSpec
    """What is swept."""
    studies: Mapping[str, Study]
    """By name, in the order of the grid."""
    models: Sequence[Surrogate] = ()
    """What learns across studies, if the sampler does: one, or one a study."""

    @classmethod
    def build(
        cls,
        spec: SweepSpec,
        earlier: Earlier | None = None,
        *,
        cells: Sequence[Cell] | None = None,
    ) -> "Sweep":
        """The sweep of a spec with nothing run yet.

        The reference setting is every study's first point; those of an ``earlier`` sweep come
        after it. ``cells``: in the place of those of the spec.
        """
        # A replay brings cells of its own, whose trials come from a pool.
        cells = spec.cells() if cells is None else cells
        earlier = earlier or Earlier()
        models = _models(spec, cells, earlier.trials)
        shared = list(dict.fromkeys(name for cell in cells for name in cell.space.varies))
        studies = {
            cell.study: Study(
                spec,
                cell,
                first_points=[cell.reference, *earlier.points.get(cell.study, ())],
                shared=shared,
                history=next((m for m in models if cell.study in m.studies), None),
            )
            for cell in cells
        }
        return cls(spec, studies, models)

    def judged_on(self, datasets: Mapping[str, Dataset]) -> None:
        """Tell early stopping how large each hold-out is, once the data sets are read, by name."""
        for study in self.studies.values():
            data = study.cell.data
            if data.name in datasets:
                study.rule.held_out = datasets[data.name].held_out(data)

    def labelled(self, transitions: Mapping[str, Floats]) -> None:
        """Tell models across studies how the labels came out, once they are drawn.

        ``transitions``: by study the realised matrix [C, C], where somebody knows the truth.
        """
        labels = {study: LabelStatistics.of(matrix) for study, matrix in transitions.items()}
        for model in self.models:
            model.labelled(labels)

    def deal(self) -> Trial | None:
        """The next trial to run; None if there is nothing to do now."""
        studies = list(self.studies.values())
        for study in studies:
            study.settle()
        # First what was begun: only the rest of it is missing.
        if interrupted := [study for study in studies if study.interrupted]:
            return min(interrupted, key=lambda study: study.interrupted[0].number).deal()
        ready = [study for study in studies if study.has_work]
        return min(ready, key=lambda study: study.turns).deal() if ready else None

    def report(self, trial: Trial, metrics: EpochMetrics) -> Outcome:
        """Take in one epoch of a trial and say what becomes of it."""
        return self.studies[trial.study].report(trial.trial_id, metrics)

    def fail(self, trial: Trial, error: str) -> None:
        """A trial broke; its study starts it again or gives it up."""
        self.studies[trial.study].fail(trial.trial_id, error)

    def close(self, phase: Phase, reason: str, *, stop: bool = False) -> None:
        """Start no more trials of a phase in any study: see :meth:`Study.close`."""
        for study in self.studies.values():
            study.close(phase, reason, stop=stop)

    def restore(
        self, trials: Iterable[Trial], rows: Sequence[tuple[str, int, EpochMetrics]]
    ) -> None:
        """Rebuild all studies from their recorded trials and epochs, in their order of arrival.

        See :meth:`Study.restore`. Raises ValueError if a trial is missing.
        """
        recorded: dict[str, list[Trial]] = defaultdict(list)
        study_of: dict[str, str] = {}
        for trial in trials:
            recorded[trial.study].append(trial)
            study_of[trial.trial_id] = trial.study
        epochs: dict[str, list[tuple[str, int, EpochMetrics]]] = defaultdict(list)
        for row in rows:
            epochs[study_of[row[0]]].append(row)
        for name, study in self.studies.items():
            study.restore(recorded[name], epochs[name])
        for model in self.models:
            model.restore([(trial_id, metrics.epoch) for trial_id, _, metrics in rows])

    @property
    def trials(self) -> Iterator[Trial]:
        """All trials dealt so far, study by study."""
        for study in self.studies.values():
            yield from study.trials.values()

    @property
    def planned(self) -> int:
        """Trials that the search will have had, all studies together."""
        return sum(study.planned for study in self.studies.values())

    @property
    def running(self) -> int:
        """Trials that occupy a slot."""
        return sum(study.running for study in self.studies.values())

    @property
    def finished(self) -> bool:
        """Whether nothing is left to run."""
        return all(study.finished for study in self.studies.values())


def _models(
    spec: SweepSpec, cells: Sequence[Cell], earlier: Sequence[EarlierTrial]
) -> list[Surrogate]:
    """The model of a sweep whose sampler looks across studies, or one for each of them.

    The latter see nothing of an ``earlier`` sweep: each is alone.
    """
    name = spec.search.sampler
    entry = SAMPLERS[name]
    if not entry.across:
        return []
    options = entry.complete(f"sampler {name!r}", spec.search.sampler_options)
    build, metric = entry.builder(), spec.search.metric
    if learns_across(name, spec.search.sampler_options):
        return [build(options, seed=spec.seed, cells=cells, metric=metric, earlier=earlier)]
    return [build(options, seed=spec.seed, cells=[cell], metric=metric) for cell in cells]
