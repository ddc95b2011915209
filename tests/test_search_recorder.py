import errno
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pandas as pd
import pytest

from analysis.results import ResultsError, load_results
from search.driver import provenance
from search.driver.housekeeping import Housekeeping
from search.driver.ownership import OwnershipLost
from search.driver.recorder import Recorder
from search.driver.restore import restore
from search.studies.round_robin import Sweep
from simulated import curve, spec
from spaces.sweep_file import dump_sweep
from trainable.folder.storage import Folder, StorageError
from trainable.metrics import EpochMetrics

LABELS = {"realised_rate": 0.36, "labels_fingerprint": "0123456789abcdef"}


@pytest.fixture
def folder(tmp_path):
    folder = Folder.open(tmp_path) / "simulated"
    folder.write("sweep.toml", dump_sweep(spec()).encode())
    return folder


def recorder_of(sweep, folder, **options):
    clock = count()
    start = datetime(2026, 1, 1, tzinfo=UTC)
    return Recorder(
        sweep,
        folder,
        lambda trial: provenance.describe(trial, sweep.spec) | LABELS,
        now=lambda: start + timedelta(seconds=next(clock)),
        flush_seconds=0.0,
        **options,
    )


def report(sweep, recorder, trial, epoch, **changes):
    metrics = curve(trial, epoch)
    metrics = EpochMetrics(**(vars(metrics) | changes))
    sweep.report(trial, metrics)
    recorder.epoch(trial, metrics, "cpu", "here")


def test_close_writes_every_epoch_and_trial(folder):
    sweep = Sweep.build(spec())
    recorder = recorder_of(sweep, folder)
    one, two = sweep.deal(), sweep.deal()
    for epoch in (1, 2, 3):
        report(sweep, recorder, one, epoch)
        report(sweep, recorder, two, epoch)
    recorder.close()
    results = load_results(folder)
    assert list(results.trials["epochs"]) == [3, 3]
    assert set(results.trials["status"]) == {"running"}
    assert sorted(results.epochs["seq"]) == list(range(6))
    assert (results.trials["val_accuracy"] == curve(one, 3).val_accuracy).any()


def test_what_a_killed_start_left_goes_with_the_first_write(folder):
    leftover = Path(folder.location) / "trials" / ".trials.parquet.0a1b2c3d.tmp"
    leftover.parent.mkdir()
    leftover.write_bytes(b"half a table")
    recorder = recorder_of(Sweep.build(spec()), folder)
    assert leftover.exists()
    recorder.begin()
    assert not leftover.exists()
    recorder.close()


def test_trial_is_durable_before_its_epochs_and_ends_after_them(folder, monkeypatch):
    """Of three writes, a reader that comes after any of them finds a consistent folder."""
    sweep = Sweep.build(spec("budget.max_epochs=2", "budget.grace_epochs=2"))
    recorder = recorder_of(sweep, folder)
    trial = sweep.deal()
    report(sweep, recorder, trial, 1)
    report(sweep, recorder, trial, 2)
    seen = []
    write_trials = recorder._writer.write_trials
    append = recorder._writer.append_epochs
    monkeypatch.setattr(
        recorder._writer,
        "write_trials",
        lambda rows: (write_trials(rows), seen.append(load_results(folder))),
    )
    monkeypatch.setattr(
        recorder._writer,
        "append_epochs",
        lambda s, rows: (append(s, rows), seen.append(load_results(folder))),
    )
    recorder.close()
    states = [(list(r.trials["status"]), len(r.epochs)) for r in seen]
    assert states == [(["running"], 0), (["running"], 2), (["completed"], 2)]


def test_epoch_that_comes_again_keeps_its_place_and_is_counted(folder):
    sweep = Sweep.build(spec())
    recorder = recorder_of(sweep, folder)
    one, two = sweep.deal(), sweep.deal()
    for trial, epoch in ((one, 1), (two, 1), (one, 2)):
        report(sweep, recorder, trial, epoch)
    sweep.fail(one, "worker lost")
    assert sweep.deal() is one
    report(sweep, recorder, one, 2, val_accuracy=0.25)
    recorder.close()
    results = load_results(folder)
    row = results.epochs.query("trial_id == @one.trial_id and epoch == 2").iloc[0]
    assert (row["seq"], row["attempt"], row["val_accuracy"]) == (2, 2, 0.25)
    assert results.trials.set_index("trial_id").repeated_epochs[one.trial_id] == 1


def test_tick_surfaces_what_the_writing_thread_met(folder, monkeypatch):
    sweep = Sweep.build(spec())
    recorder = recorder_of(sweep, folder)

    def full(*arguments):
        raise StorageError("cannot write") from OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(recorder._writer, "append_epochs", full)
    report(sweep, recorder, sweep.deal(), 1)
    recorder.tick()
    recorder._writing.exception()  # waits for the thread
    with pytest.raises(StorageError, match="cannot write"):
        recorder.tick()


def contents(folder):
    """Path and bytes of every file below."""
    root = Path(folder.location)
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def test_recorder_that_lost_its_folder_writes_nothing_more(folder):
    """The rows of its successor, which has gone on numbering where this one stopped, stay."""
    taken = []

    def confirm():
        if taken:
            raise OwnershipLost("was taken over")

    old = Sweep.build(spec())
    before = recorder_of(old, folder, confirm=confirm)
    trial = old.deal()
    report(old, before, trial, 1)
    before._hand_over().result()
    report(old, before, trial, 2)
    taken.append(True)
    new = Sweep.build(spec())
    after = recorder_of(new, folder)
    restore(new, after, load_results(folder))
    trial = new.deal()
    for epoch in (2, 3):
        report(new, after, trial, epoch)
    after.close()
    there = contents(folder)
    with pytest.raises(OwnershipLost, match="was taken over"):
        before.close(compact=True)
    assert contents(folder) == there


def test_recorder_asks_before_each_write_and_anew_while_the_storage_is_away(folder):
    """Taken over while it waited for the storage: the write that waited is dropped."""
    answers = iter([StorageError("is away"), StorageError("is away"), OwnershipLost("taken over")])

    def confirm():
        raise next(answers)

    sweep = Sweep.build(spec())
    recorder = recorder_of(sweep, folder, confirm=confirm)
    report(sweep, recorder, sweep.deal(), 1)
    there = contents(folder)
    with pytest.raises(OwnershipLost, match="taken over"):
        recorder.close()
    assert contents(folder) == there


def test_recorder_asks_before_it_drops_or_compacts_rows(folder, monkeypatch):
    sweep, asked = Sweep.build(spec()), []
    recorder = recorder_of(sweep, folder, confirm=lambda: asked.append(1))
    calls = []
    for name in ("truncate", "write_trials", "compact"):
        monkeypatch.setattr(
            recorder._writer, name, lambda *_, name=name: calls.append((name, len(asked)))
        )
    there = contents(folder)
    recorder.restore({}, {}, {}, 0)
    assert (asked, contents(folder)) == ([], there)
    recorder.close(compact=True)
    # The tidying is the one between.
    assert calls == [("truncate", 1), ("write_trials", 2), ("compact", 4)]


def test_tidy_sees_every_table_that_was_written(folder):
    sweep, tables = Sweep.build(spec()), []
    recorder = recorder_of(sweep, folder, tidy=tables.append)
    report(sweep, recorder, sweep.deal(), 1)
    recorder.close()
    assert [[row["epochs"] for row in table] for table in tables] == [[1]]


def rows(**trials):
    return [
        {
            "trial_id": t,
            "study": "s",
            "phase": "search",
            "source_trial_id": "",
            "number": i,
            "status": status,
            "selection_value": value,
            "epochs": 2,
            "max_epochs": 2,
        }
        for i, (t, (status, value)) in enumerate(trials.items())
    ]


@pytest.fixture
def checkpoints(folder):
    for trial in "abcdefg":
        for epoch in (1, 2):
            (folder / "checkpoints" / trial).write(f"epoch-0000{epoch}.pt", b"state")
        (folder / "targets").write(f"{trial}.parquet", b"targets")
    return folder / "checkpoints"


def test_housekeeping_keeps_the_three_best_models_and_what_runs(folder, checkpoints):
    table = rows(
        a=("completed", 0.5),
        b=("completed", 0.9),
        c=("stopped", 0.95),
        d=("running", 0.1),
        e=("completed", 0.5),
        f=("completed", 0.5),
        g=("diverged", 0.0),
    )
    Housekeeping(folder).tidy(table)
    assert checkpoints.names() == ["a", "b", "d", "e"]
    assert (checkpoints / "b").names() == ["epoch-00002.pt"]
    assert (checkpoints / "d").names() == ["epoch-00001.pt", "epoch-00002.pt"]
    assert (folder / "targets").names() == [f"{trial}.parquet" for trial in "abde"]


def test_housekeeping_leaves_a_paused_trial_its_newest_checkpoint(folder, checkpoints):
    tidy = Housekeeping(folder).tidy
    tidy(rows(a=("paused", 0.5), b=("running", 0.5)))
    assert (checkpoints / "a").names() == ["epoch-00002.pt"]
    assert len((checkpoints / "b").names()) == 2
    for name in ("epoch-00003.pt", "epoch-00004.pt"):
        (checkpoints / "a").write(name, b"state")
    tidy([{**rows(a=("paused", 0.6))[0], "epochs": 4}])
    assert (checkpoints / "a").names() == ["epoch-00004.pt"]


def test_housekeeping_keeps_what_was_replicated_and_no_replicate(folder, checkpoints):
    scores = {"a": 0.1, "b": 0.2, "c": 0.3, "d": 0.4, "e": 0.5}
    table = rows(**{trial: ("completed", score) for trial, score in scores.items()})
    again = {**rows(f=("completed", 0.9))[0], "phase": "replicate", "source_trial_id": "a"}
    Housekeeping(folder).tidy([*table, again])
    assert checkpoints.names() == ["a", "c", "d", "e", "g"]
    assert (folder / "targets").names() == [f"{trial}.parquet" for trial in "acdefg"]


def test_housekeeping_removes_a_model_that_is_overtaken(folder, checkpoints):
    tidy = Housekeeping(folder).tidy
    tidy(rows(a=("completed", 0.1), b=("completed", 0.2), c=("completed", 0.3), d=("running", 0)))
    assert "a" in checkpoints.names()
    tidy(
        rows(
            a=("completed", 0.1), b=("completed", 0.2), c=("completed", 0.3), d=("completed", 0.4)
        )
    )
    assert checkpoints.names() == ["b", "c", "d", "e", "f", "g"]


def test_resume_builds_on_no_row_that_came_after_a_lost_one(folder, monkeypatch):
    """A driver killed while it wrote a batch: one study's rows of it are there, others are not."""
    sweep = Sweep.build(spec())
    recorder = recorder_of(sweep, folder)
    one, two = sweep.deal(), sweep.deal()
    for trial, epoch in ((one, 1), (two, 1), (one, 2)):
        report(sweep, recorder, trial, epoch)
    append = recorder._writer.append_epochs

    def killed(study, rows):
        if study == two.study:
            raise RuntimeError("killed")
        append(study, rows)

    monkeypatch.setattr(recorder._writer, "append_epochs", killed)
    with pytest.raises(RuntimeError, match="killed"):
        recorder.close()
    again = Sweep.build(spec())
    resumed = recorder_of(again, folder)
    restore(again, resumed, load_results(folder))
    assert [again.deal().epochs for _ in range(2)] == [1, 0]
    report(again, resumed, again.studies[two.study].trials[two.trial_id], 1)
    resumed.close()
    assert list(load_results(folder).epochs["epoch"]) == [1, 1]
    assert sorted(load_results(folder).epochs["seq"]) == [0, 1]
    assert set(load_results(folder).epochs["device"]) == {"cpu"}


def test_resume_refuses_a_folder_that_has_lost_recorded_rows(folder):
    """A copy without one study's epochs: nothing of the others may be dropped for it."""
    sweep = Sweep.build(spec())
    recorder = recorder_of(sweep, folder)
    one, two = sweep.deal(), sweep.deal()
    for trial, epoch in ((one, 1), (two, 1), (one, 2)):
        report(sweep, recorder, trial, epoch)
    recorder.close()
    (folder / "epochs").delete(f"study={two.study}")
    again = Sweep.build(spec())
    with pytest.raises(ResultsError, match=f"trial {two.trial_id} has had 1 epochs, but only 0"):
        restore(again, recorder_of(again, folder), load_results(folder))
    assert list(load_results(folder).epochs["epoch"]) == [1, 2]


def test_close_writes_paused_trials_that_nothing_can_promote_any_more(folder):
    sweep = Sweep.build(spec("search.early_stopping=asha_promotion", "search.sampler=random"))
    recorder = recorder_of(sweep, folder)
    while (trial := sweep.deal()) is not None:
        while trial.status == "running":
            report(sweep, recorder, trial, trial.epochs + 1)
        recorder.tick()
        if recorder._writing is not None:
            recorder._writing.result()
    assert sweep.finished
    assert "paused" in set(load_results(folder).trials["status"])
    recorder.close()
    assert set(load_results(folder).trials["status"]) == {"completed", "stopped"}


def test_replicate_that_failed_is_recorded_as_running_when_it_starts_again(folder):
    sweep = Sweep.build(spec())
    recorder = recorder_of(sweep, folder)
    study = sweep.studies["symmetric-0.4-elr"]
    source = sweep.deal()
    study.replicate(source.trial_id, 1)
    replicate = sweep.deal()
    study.fail(replicate.trial_id, "no space")
    for _ in range(spec().resources.max_failures):
        study.fail(sweep.deal().trial_id, "no space")
    assert replicate.status == "failed"
    recorder.changed()
    recorder.tick()
    recorder._writing.result()
    study.replicate(source.trial_id, 1)
    assert sweep.deal() is replicate
    recorder.close()
    row = load_results(folder).trials.set_index("trial_id").loc[replicate.trial_id]
    assert (row["status"], row["end_reason"]) == ("running", "")
    assert pd.isna(row["ended_at"])
