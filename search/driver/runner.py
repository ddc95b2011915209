"""The commands that run a sweep: for the first time, or again."""

from functools import cache
from pathlib import Path

from rich.console import Console
from rich.text import Text

from analysis.best import top_configs
from analysis.results import load_results
from analysis.schema import SEARCH
from search.driver.run import Finished, Wanted, run
from search.driver.warm_start import earlier_results, read_earlier
from search.planning.default_network import with_network
from search.studies.confirm import replicate_seeds
from search.studies.earlier import Earlier
from search.studies.round_robin import Sweep
from spaces.sections import DeepenSpec
from spaces.sweep import SweepSpec
from spaces.sweep_file import SpecError, check_sweep, differences, parse_sweep
from trainable.folder import layout
from trainable.folder.storage import Folder


def start(
    spec: SweepSpec, storage: str | Path, console: Console, *, warm_start: str | None = None
) -> Finished:
    """Run a sweep into ``<storage>/<name>``, or resume it if it is there already.

    ``warm_start``: an earlier results folder whose best points are tried first, and from all of
    whose trials a sampler learns that has one model for all studies (``multitask``). Raises
    SpecError if the folder is another sweep's or another driver runs it, StorageError if it
    cannot be written, Interrupted when stopped by a signal.
    """
    folder = Folder.open(storage) / spec.name
    _check_lasting(folder)
    folder.check_writable()  # S3 says why it refuses a write, not why it refuses a look
    spec = _with_network(spec, folder, console)
    spec = _as_extended(spec, folder, console)

    @cache
    def earlier() -> Earlier:
        if warm_start is None:
            return Earlier()
        results = load_results(warm_start, columns=[spec.search.metric])
        return earlier_results(spec, results)

    def look() -> Wanted:
        there = _present(spec, folder, warm_start)
        return Wanted(spec, there, earlier() if there is None else read_earlier(folder))

    return run(folder, console, look)


def extend(
    folder: Folder, trials: int, console: Console, deepen: DeepenSpec | None = None
) -> Finished:
    """Give every study of a results folder ``trials`` more, or its best a larger budget; run them.

    Raises SpecError if there is no results folder or nothing could be added.
    """

    def look() -> Wanted:
        there = read_spec(folder)
        wanted = _longer(there, trials, folder) if trials else there
        if deepen is not None:
            wanted = _deeper(wanted, deepen, folder)
        return Wanted(wanted, there, read_earlier(folder))

    return run(folder, console, look)


def replicate(folder: Folder, top: int, seeds: int, console: Console) -> Finished:
    """Run the ``top`` trials of every study again on ``seeds`` fresh seeds, at full budget.

    Replicates that are there already are not repeated, those that were interrupted go on, those
    that failed start again. Raises SpecError if the search is not finished.
    """

    def add_replicates(sweep: Sweep) -> None:
        if sweep.spec.budget.limited:
            sweep.close(SEARCH, "replicated")  # whether its hours were used up or not
        if not all(study.searched_out for study in sweep.studies.values()):
            raise SpecError(f"{folder}: the search is not finished; resume it first")
        best = top_configs(load_results(folder), top)
        for trial_id, study in zip(best["trial_id"], best["study"], strict=True):
            for seed in replicate_seeds(sweep.spec.seed, seeds):
                sweep.studies[study].replicate(trial_id, seed)

    def look() -> Wanted:
        spec = read_spec(folder)
        return Wanted(spec, spec, read_earlier(folder), add_replicates, limited=False)

    return run(folder, console, look)


def resume(folder: Folder, console: Console) -> Finished:
    """Run what is left of the sweep in a results folder. Raises SpecError if there is none."""

    def look() -> Wanted:
        spec = read_spec(folder)
        return Wanted(spec, spec, read_earlier(folder))

    return run(folder, console, look)


# -- what is there ------------------------------------------------------------------------------


def read_spec(folder: Folder) -> SweepSpec:
    """The sweep file of a results folder. Raises SpecError if there is none."""
    if not layout.is_there(folder):
        raise SpecError(f"{folder} is not a results folder: it has no {layout.SWEEP}")
    return parse_sweep(folder.read(layout.SWEEP), where=f"{folder}/{layout.SWEEP}")


def _present(spec: SweepSpec, folder: Folder, warm_start: str | None) -> SweepSpec | None:
    """The sweep that ``spec`` goes on with, None if it is to begin in an empty folder.

    Raises SpecError if something else is there.
    """
    if not layout.is_there(folder):
        # A driver that died before it wrote the sweep file may have left the other two.
        if set(folder.names()) - {layout.OWNER, layout.WARM_START}:
            raise SpecError(
                f"{folder} is not empty and holds no {layout.SWEEP}: not a results folder"
            )
        return None
    if warm_start is not None and not folder.exists(layout.WARM_START):
        raise SpecError(f"{folder} has started without --warm-start; give a --name")
    there = read_spec(folder)
    if changed := differences(there, spec):
        lines = "\n".join(f"  {line}" for line in changed.values())
        raise SpecError(
            f"{folder} holds another sweep of this name; give it a --name, or use extend:\n{lines}"
        )
    return there


def _with_network(spec: SweepSpec, folder: Folder, console: Console) -> SweepSpec:
    """The sweep with its network named: that of the folder, or the default here.

    Whoever goes on with the sweep elsewhere finds it in the folder's sweep file.
    """
    if spec.network is not None:
        return spec
    if layout.is_there(folder):
        return spec.on_networks(read_spec(folder).network)
    named, why = with_network(spec)
    console.print(Text(why), soft_wrap=True)
    return named


def _as_extended(spec: SweepSpec, folder: Folder, console: Console) -> SweepSpec:
    """The sweep with what ``extend`` has added to it, if that is all that differs."""
    if not layout.is_there(folder):
        return spec
    there = read_spec(folder)
    if spec.deepen is None:
        spec = spec.model_copy(update={"deepen": there.deepen})
    budget = spec.budget.model_copy(update={"trials": there.budget.trials})
    longer = spec.model_copy(update={"budget": budget})
    if there.budget.trials <= spec.budget.trials or differences(there, longer):
        return spec
    text = f"{folder} was extended to {there.budget.trials} trials a study: going on with those"
    console.print(Text(text), soft_wrap=True)
    return longer


def _check_lasting(folder: Folder) -> None:
    """Refuse results in the working directory of a submitted job, which Ray deletes."""
    if "runtime_resources" in Path(folder.location).parts:
        raise SpecError(
            "--storage: a submitted job's working directory is deleted after it; give an absolute "
            "path that every node mounts, or a URI such as s3://bucket/sweeps"
        )


def _longer(spec: SweepSpec, trials: int, folder: Folder) -> SweepSpec:
    """The same sweep with ``trials`` more for every study."""
    table = spec.model_dump()
    table["budget"]["trials"] += trials
    longer = check_sweep(table, f"--trials {trials}")
    if Sweep.build(longer).planned == Sweep.build(spec).planned:
        raise SpecError(f"{folder}: every point of the space is planned already")
    return longer


def _deeper(spec: SweepSpec, deepen: DeepenSpec, folder: Folder) -> SweepSpec:
    """The same sweep with a larger budget for the best of every study."""
    if spec.deepen is not None and deepen.max_epochs < spec.deepen.max_epochs:
        raise SpecError(
            f"--max-epochs {deepen.max_epochs}: {folder} was extended to "
            f"{spec.deepen.max_epochs} epochs already"
        )
    table = spec.model_dump() | {"deepen": deepen.model_dump()}
    return check_sweep(table, f"--max-epochs {deepen.max_epochs}")
