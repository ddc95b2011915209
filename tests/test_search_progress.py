import dataclasses
import io
import math
import re

import pytest
from rich.console import Console

from analysis.amounts import duration
from search.driver.forecast import Forecast
from search.driver.progress import Progress
from search.driver.states import study_state
from search.planning.outline import outline
from search.studies.round_robin import Sweep
from simulated import Driver, curve, spec

MANY = [
    'losses=["ce","bootstrap_soft","gce","sce","elr","adam_elr"]',
    "noise.0.rates=[0.2,0.4]",
    "budget.trials=100",
    "search.sampler=random",
]


@dataclasses.dataclass
class Slots:
    held: bool = False

    def __call__(self):
        return 8

    def occupancy(self, running):
        return f"{running} running on 8 slots"

    def held_by_others(self):
        return self.held


def shown(sweep, *, terminal, width=100, height=40):
    console = Console(
        file=io.StringIO(), force_terminal=terminal, width=width, height=height, color_system=None
    )
    progress = progress_of(sweep, console)
    progress._drawn = float("-inf")
    with progress:
        progress.tick()
        return console.file.getvalue()


def progress_of(sweep, console, held=False):
    forecast = Forecast(sweep, dict.fromkeys(sweep.studies, 6.0))
    return Progress(forecast, console, Slots(held))


def lines_of(sweep, **size):
    """What stands in a terminal, line by line."""
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown(sweep, terminal=True, **size))
    return [line.rstrip() for line in text.splitlines() if line.strip()]


def test_table_of_twelve_studies_and_1200_trials_fits_a_terminal():
    driver = Driver(Sweep.build(spec(*MANY)), slots=8).run(3000)
    lines = lines_of(driver.sweep)
    assert all(len(line) <= 100 for line in lines)
    for name, study in driver.sweep.studies.items():
        state = study_state(study)
        assert state.ended > 20
        at = next(n for n, line in enumerate(lines) if line.startswith(name))
        cells = lines[at].split()
        numbers = [f"{state.ended}/100", str(state.stopped), "0"]
        numbers.append(f"{100 * state.best.last.val_accuracy:.2f}")
        assert cells[1:5] == numbers
        assert cells[6:] == [f"{epoch}/12" for epoch, _ in state.epochs_of]
        below = "".join(lines[at + 1 : at + 3])
        assert all(part in below for part in state.parameters.split())
    ended = sum(study_state(study).ended for study in driver.sweep.studies.values())
    assert lines[-2].startswith(f"{ended}/1200 trials")


def test_headers_say_what_the_numbers_are():
    first, second, *_ = lines_of(Driver(Sweep.build(spec())).run(30).sweep, width=80)
    assert re.split(r"  +", first.strip()) == ["trials", "stopped", "best:", "clean", "running,"]
    assert " ".join(second.split()) == "study ended early lost noisy val test at epoch"
    own = ['data={name="files",root="/photos"}', 'noise=[{kind="given"}]', 'network="tiny_cnn"']
    first, second, *_ = lines_of(Driver(Sweep.build(spec(*own))).run(30).sweep, width=80)
    assert re.split(r"  +", first.strip()) == ["trials", "stopped", "best:", "running,"]
    assert " ".join(second.split()) == "study ended early lost val test at epoch"


@pytest.mark.parametrize("width", [80, 120])
def test_table_shows_every_parameter_of_the_best_under_its_study(width):
    sweep = Driver(Sweep.build(spec("space.preset=schedules", "budget.trials=4"))).run(30).sweep
    lines = lines_of(sweep, width=width)
    assert all(len(line) <= width for line in lines)
    text = " ".join(lines)
    for study in sweep.studies.values():
        for part in study_state(study).parameters.split():
            assert part in text


def test_table_cuts_long_names_and_never_a_count():
    sweep = Sweep.build(
        spec(
            'network=["preact_resnet18","resnet34"]',
            'data.name=["fashion_mnist","cifar10"]',
            "noise.0.kind=locally_concentrated",
            "budget.trials=1000",
            "budget.max_epochs=100000",
            "search.sampler=random",
        )
    )
    for _ in range(3):
        sweep.report(trial := sweep.deal(), curve(trial, 12_345))
    lines = lines_of(sweep, width=80)
    assert all(len(line) <= 80 for line in lines)
    rows = [line for line in lines if "0/1000" in line]
    assert len(rows) == 8
    assert sum("12345/1" in line for line in rows) == 3
    names = [line.split()[0] for line in rows]
    assert all(name.startswith(("fashion", "cifar")) and name.endswith("elr") for name in names)


def test_table_of_more_studies_than_lines_shows_those_that_run():
    sweep = Sweep.build(spec(*MANY))
    for _ in range(12):
        sweep.deal()
    for study in list(sweep.studies.values())[:4]:
        for trial in list(study.trials.values()):
            study.report(trial.trial_id, curve(trial, 12))
    lines = lines_of(sweep, height=12)
    assert len(lines) <= 12
    running = [name for name, study in sweep.studies.items() if study.running]
    assert len(running) == 8
    shown = [line.split()[0] for line in lines[2:] if line.startswith("symm")]
    assert shown == running[: len(shown)]
    assert f"and {12 - len(shown)} more studies" in lines
    assert lines[-2].startswith("4/1200 trials · 8 running")


def test_bar_shows_the_epochs_done_of_those_expected():
    driver = Driver(Sweep.build(spec("search.early_stopping=none"))).run(54)
    (line,) = (line for line in lines_of(driver.sweep, width=120) if "epochs," in line)
    done, expected = map(int, re.search(r"(\d+) of about (\d+) epochs", line).groups())
    assert done == 54
    assert 100 < expected <= 216
    assert line.endswith(f"{54 / expected:.0%}")


def test_forecast_is_exact_where_nothing_is_stopped():
    sweep = Sweep.build(spec("search.early_stopping=none", "confirm.seeds=2"))
    forecast = Forecast(sweep, outline(sweep.spec, slots=2).trial_epochs)
    driver = Driver(sweep, slots=2)
    total = (18 + 4) * 12
    assert forecast.seconds_left(2) is None
    for _ in range(total - 1):
        driver.step()
        assert forecast.epochs_done + forecast.epochs_left == pytest.approx(total)
        assert forecast.seconds_left(2) >= forecast.epochs_left * 0.5 / 2 - 1e-9
    driver.run()
    assert forecast.seconds_left(2) == forecast.epochs_left == 0


def test_forecast_of_a_stopped_sweep_is_steady():
    sweep = Sweep.build(spec("budget.trials=60", "search.sampler=random"))
    forecast = Forecast(sweep, outline(sweep.spec, slots=2).trial_epochs)
    driver = Driver(sweep, slots=2)
    ends = []
    while driver.step():
        ends.append(forecast.epochs_done + forecast.epochs_left)
    total = forecast.epochs_done
    assert all(0.6 * total < end < 1.6 * total for end in ends)
    late = ends[len(ends) // 2 :]
    assert all(0.8 * total < end < 1.25 * total for end in late)


@pytest.mark.parametrize(
    ("held", "cause"),
    [
        (True, "something else on the cluster holds them (ray status)"),
        (False, "Ray is still starting workers"),
    ],
)
def test_trials_without_resources_are_waiting_and_after_a_minute_somebody_is_told(
    monkeypatch, held, cause
):
    sweep = Sweep.build(spec())
    one, two = sweep.deal(), sweep.deal()
    one.waiting = two.waiting = True
    state = study_state(sweep.studies[one.study])
    assert (state.running, state.waiting) == (0, 1)
    console = Console(file=io.StringIO(), width=200)
    now = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    progress = progress_of(sweep, console, held)
    for step in (11, 30, 40):
        now[0] += step
        progress.tick()
    lines = console.file.getvalue().splitlines()
    assert [line for line in lines if "have waited" in line] == [
        f"2 trials have waited 1m 00s for their resources: {cause}"
    ]
    assert "0 running on 8 slots" in lines[-1]
    assert "2 waiting" in lines[-1]
    one.waiting = two.waiting = False
    now[0] += 61
    progress.tick()
    assert "2 running on 8 slots" in console.file.getvalue().splitlines()[-1]
    assert "waiting" not in console.file.getvalue().splitlines()[-1]


def test_lines_come_with_the_first_epoch_then_every_ten_seconds_then_every_minute(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    driver = Driver(Sweep.build(spec()), slots=2)
    console = Console(file=io.StringIO(), width=200)
    progress = progress_of(driver.sweep, console)
    said = []
    for second in range(1800):
        now[0] = float(second)
        if second == 3:
            driver.run(10)
        before = console.file.tell()
        progress.tick()
        if console.file.tell() > before:
            said.append(second)
    assert said[:4] == [3, 13, 23, 33]
    assert said[-1] - said[-2] == 60
    assert len(said) < 45


def test_lines_in_a_pipe_are_plain_and_whole():
    driver = Driver(Sweep.build(spec()), slots=2).run(30)
    text = shown(driver.sweep, terminal=False, width=20)
    assert "\x1b" not in text
    assert len(text.splitlines()) == 1
    assert re.search(
        r"\d+/18 trials · 2 running on 8 slots · \d+ stopped early · 30 epochs of about", text
    )


def test_study_state_counts_what_happened():
    sweep = Sweep.build(spec("budget.grace_epochs=2"))
    Driver(sweep).run()
    for study in sweep.studies.values():
        state = study_state(study)
        statuses = [trial.status for trial in study.searched]
        assert state.ended == state.planned == 9
        assert state.completed == statuses.count("completed")
        assert state.stopped == statuses.count("stopped")
        assert state.epochs == sum(trial.epochs for trial in study.searched)
        assert state.saved == sum(12 - t.epochs for t in study.searched if t.status == "stopped")
        full = [t for t in study.searched if t.status == "completed"]
        assert state.best is max(full, key=lambda t: t.last.val_accuracy)


def test_epochs_saved_are_those_of_stopped_trials_only():
    sweep = Sweep.build(spec("losses=['elr']"))
    diverges, stops = sweep.deal(), sweep.deal()
    sweep.report(diverges, dataclasses.replace(curve(diverges, 1), train_loss=math.nan))
    stops.status, stops.last = "stopped", curve(stops, 3)
    (study,) = sweep.studies.values()
    state = study_state(study)
    assert (state.diverged, state.stopped) == (1, 1)
    assert state.epochs == 1 + 3
    assert state.saved == 12 - 3


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0s"), (59.4, "59s"), (61, "1m 01s"), (7260, "2h 01m")]
)
def test_duration_reads_like_a_clock(seconds, text):
    assert duration(seconds) == text
