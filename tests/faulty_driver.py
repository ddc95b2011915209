"""A driver that dies: runs a sweep and kills itself, without a word, at a chosen moment.

    python tests/faulty_driver.py SPEC STORAGE MOMENT COUNT

``MOMENT`` is one of MOMENTS, ``COUNT`` how often it passes before the kill (SIGKILL).
"""

import os
import signal
import sys
import threading
import time
from types import SimpleNamespace

from rich.console import Console

from analysis.store import ResultsWriter
from search.cluster import join
from search.driver import run, runner, tuner
from search.studies.round_robin import Sweep
from spaces.sweep_file import load_sweep
from trainable.folder.storage import Folder


def main(spec: str, storage: str, moment: str, count: str) -> None:
    # The sketch of what the sweep will take simulates it: the bomb must not count that.
    run._announce = lambda *_: None
    run.outline = lambda *_: SimpleNamespace(trial_epochs={})
    Bomb(int(count)).place(moment)
    join.connect(num_cpus=2, _temp_dir=os.environ.get("ELR_TEST_TEMP"))
    runner.start(load_sweep(spec), storage, Console())


class Bomb:
    def __init__(self, count: int) -> None:
        self.left = count

    def place(self, moment: str) -> None:
        getattr(self, MOMENTS[moment])()

    def tick(self) -> None:
        self.left -= 1
        if self.left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def inside_an_epoch(self) -> None:
        """A while after a row was recorded: the next epoch is under way."""
        epoch = tuner.Recorder.epoch

        def recorded(recorder, *arguments):
            epoch(recorder, *arguments)
            self.left -= 1
            if self.left < 0:
                threading.Thread(target=self._soon, daemon=True).start()

        tuner.Recorder.epoch = recorded

    def _soon(self) -> None:
        time.sleep(0.03)
        os.kill(os.getpid(), signal.SIGKILL)

    def before_the_row(self) -> None:
        """An epoch came back, its checkpoint may be written, its row is not."""
        report = Sweep.report

        def heard(sweep, *arguments):
            self.tick()
            return report(sweep, *arguments)

        Sweep.report = heard

    def inside_a_part_file(self) -> None:
        """Half of a part's bytes lie under its temporary name."""
        put = Folder._put

        def half(folder, path, data):
            if "part-" in path:
                self.left -= 1
                if self.left < 0:
                    put(folder, path, data[: len(data) // 2])
                    os.kill(os.getpid(), signal.SIGKILL)
            put(folder, path, data)

        Folder._put = half

    def between_epochs_and_trials(self) -> None:
        """The epochs are durable, the trials table still tells of before."""
        append = ResultsWriter.append_epochs

        def appended(writer, *arguments):
            append(writer, *arguments)
            self.tick()

        ResultsWriter.append_epochs = appended

    def after_a_suggestion(self) -> None:
        """A trial was dealt; nothing of it is recorded."""
        deal = Sweep.deal

        def dealt(sweep):
            trial = deal(sweep)
            if trial is not None:
                self.tick()
            return trial

        Sweep.deal = dealt


MOMENTS = {
    "inside an epoch": "inside_an_epoch",
    "between the end of an epoch and its row": "before_the_row",
    "while a part file is written": "inside_a_part_file",
    "between the epochs and the trials table": "between_epochs_and_trials",
    "after a suggestion": "after_a_suggestion",
}

if __name__ == "__main__":
    main(*sys.argv[1:])
