"""A driver whose trials bear witness of where and when they train, slowly enough to watch.

    python tests/witnessed_driver.py SPEC STORAGE WITNESS SECONDS [EPOCHS]

Every epoch takes ``SECONDS`` more and leaves a line of JSON in the folder ``WITNESS``; once eight
trials have had an epoch, ``store.json`` there tells what lies in the object store of every node.
After ``EPOCHS`` epochs every trial waits for the file ``go`` in that folder.
"""

import json
import os
import sys
import time
from pathlib import Path

import ray
from ray._private.internal_api import node_stats
from rich.console import Console

from search.cluster import join
from search.driver import runner, tuner
from spaces.sweep_file import load_sweep
from trainable.trial.ray_trainable import TrialTrainable

WITNESS, SECONDS = Path(sys.argv[3]), float(sys.argv[4])
EPOCHS = int(sys.argv[5]) if len(sys.argv) > 5 else None
TRIALS_BEFORE_STORE = 8


class Witness(TrialTrainable):
    """Of this module and not of an importable one, so it travels to the workers by value."""

    def step(self):
        while self._trainer.epoch == EPOCHS and not (WITNESS / "go").exists():
            time.sleep(0.1)
        begin = time.time()
        time.sleep(SECONDS)
        result = super().step()
        line = {
            "trial_id": self._assignment.trial_id,
            "epoch": result["metrics"].epoch,
            "node": ray.get_runtime_context().get_node_id(),
            "gpu": os.environ.get("CUDA_VISIBLE_DEVICES"),
            "device": result["device"],
            "pid": os.getpid(),
            "begin": begin,
            "end": time.time(),
        }
        with (WITNESS / f"{os.getpid()}.jsonl").open("a") as stream:
            stream.write(json.dumps(line) + "\n")
        return result


def store_contents():
    """Per node: bytes in its object store, and how many objects."""
    stats = {
        node["NodeID"]: node_stats(node["NodeManagerAddress"], node["NodeManagerPort"]).store_stats
        for node in ray.nodes()
        if node["Alive"]
    }
    return {n: [s.object_store_bytes_used, s.num_local_objects] for n, s in stats.items()}


def main() -> None:
    """Run the sweep with witnesses."""
    heard = set()
    hear = tuner.RecorderCallback.on_trial_result

    def counted(callback, iteration, trials, trial, result, **info):
        hear(callback, iteration, trials, trial, result, **info)
        heard.add(trial.trial_id)
        if len(heard) == TRIALS_BEFORE_STORE and not (WITNESS / "store.json").exists():
            (WITNESS / "store.part").write_text(json.dumps(store_contents()))
            (WITNESS / "store.part").rename(WITNESS / "store.json")

    tuner.RecorderCallback.on_trial_result = counted
    tuner.TrialTrainable = Witness
    join.connect()
    runner.start(load_sweep(sys.argv[1]), sys.argv[2], Console())


if __name__ == "__main__":
    main()
