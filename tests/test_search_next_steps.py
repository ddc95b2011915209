import io

import pytest
from rich.console import Console

from analysis.results import load_results
from recorded import record_sweep, trial_row, write_results
from search.driver.next_steps import print_next


@pytest.mark.parametrize(
    ("replicates", "named", "unnamed"),
    [(0, "search replicate", "analysis table"), (3, "analysis table", "search replicate")],
)
def test_next_steps_leave_out_what_was_done(tmp_path, replicates, named, unnamed):
    folder = record_sweep(tmp_path / "sweep", replicates=replicates)
    console = Console(file=io.StringIO(), width=40)
    print_next(load_results(folder), "report.html", console)
    lines = console.file.getvalue().splitlines()
    assert f"results  {folder}" in lines
    commands = [line for line in lines if "-m" in line]
    assert len(commands) == 3
    assert any(f"{named} {folder}" in line for line in commands)
    assert not any(unnamed in line for line in commands)


def test_sweep_whose_trials_all_diverged_has_nothing_to_confirm(tmp_path):
    folder = write_results(tmp_path, [trial_row(status="diverged", epochs=3)])
    console = Console(file=io.StringIO(), width=40)
    print_next(load_results(folder), "report.html", console)
    printed = console.file.getvalue()
    assert "search extend" in printed
    assert "replicate" not in printed
    assert "analysis best" not in printed
