import io
import re

import pytest
from rich.console import Console

from search.progress import Progress, duration, study_state
from search.sweep import Sweep
from simulated import Driver, spec

MANY = [
    'losses=["ce","bootstrap_soft","gce","sce","elr","adam_elr"]',
    "noise.0.rates=[0.2,0.4]",
    "budget.trials=100",
    "search.sampler=random",
]


def shown(sweep, *, terminal, width=100, height=40):
    console = Console(
        file=io.StringIO(), force_terminal=terminal, width=width, height=height, color_system=None
    )
    progress = Progress(sweep, console, lambda running: f"{running} running on 8 slots")
    progress._drawn = float("-inf")
    with progress:
        progress.tick()
        return console.file.getvalue()


def test_table_of_twelve_studies_and_1200_trials_fits_a_terminal():
    sweep = Sweep.build(spec(*MANY))
    for trial in (sweep.deal() for _ in range(400)):
        trial.config.parameters  # noqa: B018  # every trial is a real one
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown(sweep, terminal=True))
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    assert len(lines) < 40
    assert all(len(line) <= 100 for line in lines)
    for name in sweep.studies:
        assert any(line.startswith(name) for line in lines), name
    assert "0/1200 trials" in text


def test_lines_in_a_pipe_are_plain_and_whole():
    driver = Driver(Sweep.build(spec()), slots=2).run(30)
    text = shown(driver.sweep, terminal=False, width=20)
    assert "\x1b" not in text
    assert len(text.splitlines()) == 1
    assert re.search(r"\d+/18 trials · 2 running on 8 slots · \d+ stopped early · 30 epochs", text)


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


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0s"), (59.4, "59s"), (61, "1m 01s"), (7260, "2h 01m")]
)
def test_duration_reads_like_a_clock(seconds, text):
    assert duration(seconds) == text
