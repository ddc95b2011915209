"""How well each criterion finds wrong labels, for every kind of noise and four losses.

    python tests/benchmarks/label_errors.py [--dataset digits] [--examples 10000] [--epochs 30]

Every loss trains at its reference settings, twice with other seeds on the same labels. Printed is
the share of wrong labels among the first n of the ranking, n being their true number: precision
and recall at once. One column a kind of noise; rows for a single trial, for two trials meaned,
for all losses together.
"""

import argparse
import io

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import torch

from analysis.frames.label_errors import rank
from spaces.presets import reference_setting
from trainable.config import TrialConfig
from trainable.data import DataConfig, TrialData, load_dataset
from trainable.noise import make_noise
from trainable.trial.final_targets import targets_table
from trainable.trial.prepare import prepare
from trainable.trial.trial_loss import build_trainer

KINDS = {
    "symmetric": 0.4,
    "asymmetric": 0.4,
    "instance_dependent": 0.4,
    "locally_concentrated": 0.4,
    "feature_dependent": 0.3,
}
"""Kind of noise -> its rate."""
LOSSES = ("ce", "gce", "elr", "adam_elr")
NETWORKS = {"digits": "tiny_cnn", "fashion_mnist": "small_cnn"}


def trained(data: TrialData, config: TrialConfig) -> pd.DataFrame:
    """The table that a trial leaves about its labels."""
    trainer = build_trainer(config, data)
    for _ in range(config.max_epochs):
        trainer.run_epoch()
    sink = io.BytesIO()
    pq.write_table(targets_table(trainer), sink)
    return pd.read_parquet(sink)


def found(tables: list[pd.DataFrame], criterion: str) -> float:
    """Precision at the true number of wrong labels."""
    ranked = rank(tables, criterion)
    wrong = (ranked["given"] != ranked["true"]).to_numpy()
    return float(wrong[: wrong.sum()].mean())


def of_kind(dataset: str, kind: str, examples: int | None, epochs: int) -> dict[str, float]:
    """What every criterion finds under one kind of noise, by its name in the table."""
    settings = DataConfig(dataset, train_examples=examples), make_noise(kind, KINDS[kind])
    data = prepare(load_dataset(dataset), *settings, 0)[0]
    tables: dict[str, list[pd.DataFrame]] = {}
    for loss in LOSSES:
        setting = reference_setting(loss, dataset, kind, epochs)
        owners = (loss, "adam") if loss == "adam_elr" else (loss,)
        parameters = {n: fixed.value for owner in owners for n, fixed in setting[owner].items()}
        for seed in (0, 1):
            config = TrialConfig.build(
                data=settings[0],
                noise=settings[1],
                loss=loss,
                network=NETWORKS[dataset],
                max_epochs=epochs,
                seed=seed,
                parameters=parameters,
            )
            tables.setdefault(loss, []).append(trained(data, config))
    scores = {}
    for loss, (first, second) in tables.items():
        criteria = ["margin", "probability"]
        criteria += ["target"] if first["proposed"].notna().all() else []
        for criterion in criteria:
            scores[f"{criterion}, {loss}"] = found([first], criterion)
        for criterion in criteria[:2]:
            scores[f"{criterion}, {loss}, two trials"] = found([first, second], criterion)
    firsts = {loss: first for loss, (first, _) in tables.items()}
    scores["losses, all four"] = found(list(firsts.values()), "losses")
    scores["losses, elr and adam_elr"] = found([firsts["elr"], firsts["adam_elr"]], "losses")
    wrong = first["given"] != first["true"]
    scores["(share of labels that is wrong)"] = float(np.mean(wrong))
    return scores


def main() -> None:
    """Print the table of one data set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", choices=NETWORKS, default="digits")
    parser.add_argument("--examples", type=int, help="of the training set, before the hold-out")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--kinds", nargs="*", choices=KINDS, default=list(KINDS))
    options = parser.parse_args()
    torch.set_num_threads(1)
    columns = {
        kind: of_kind(options.dataset, kind, options.examples, options.epochs)
        for kind in options.kinds
    }
    table = pd.DataFrame(columns).assign(mean=lambda t: t.mean(axis=1))
    print(table.sort_values("mean", ascending=False).round(3).to_string())


if __name__ == "__main__":
    main()
