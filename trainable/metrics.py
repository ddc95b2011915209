"""What is measured in one epoch: the one place where metric columns get their names."""

from dataclasses import dataclass, field, fields


def _column(meaning: str, unit: str = "fraction") -> float:
    return field(default=float("nan"), metadata={"meaning": meaning, "unit": unit})


@dataclass(frozen=True)
class EpochMetrics:
    """One epoch of one trial. Accuracies and shares are fractions in [0, 1]; NaN where undefined.

    Training columns are taken from the predictions made while the epoch was training (augmented
    images, weights of the moment), as in figure 1 of ELR (arXiv 2007.00151). "Clean" examples are
    those whose given label is the true one, "wrong" examples the others.
    """

    epoch: int = field(metadata={"meaning": "epochs trained so far, from 1", "unit": "epochs"})
    lr: float = _column("learning rate of this epoch", "")
    train_loss: float = _column(
        "mean training loss; ELR's regulariser makes it negative at times", "nats"
    )
    train_accuracy: float = _column("training accuracy against the given (noisy) labels")
    train_true_accuracy: float = _column("training accuracy against the true labels")
    clean_correct: float = _column("share of clean examples predicted correctly")
    wrong_correct: float = _column("share of wrong examples predicted as their true label")
    wrong_memorized: float = _column("share of wrong examples predicted as their wrong label")
    wrong_neither: float = _column("share of wrong examples predicted as any other label")
    target_accuracy: float = _column("share of examples whose target's argmax is the true label")
    clipped: float = _column("share of examples whose <p, t> was clipped: no gradient from it")
    val_loss: float = _column("cross-entropy on the hold-out, noisy labels", "nats")
    val_accuracy: float = _column("accuracy on the hold-out, noisy labels: selection reads it")
    test_loss: float = _column(
        "cross-entropy on the test set, true labels; only where tested", "nats"
    )
    test_accuracy: float = _column(
        "accuracy on the test set, true labels: never selected on; only where tested"
    )
    averaged_val_accuracy: float = _column("val_accuracy of the averaged weights")
    averaged_test_accuracy: float = _column("test_accuracy of the averaged weights")
    epoch_seconds: float = _column("wall-clock seconds of the epoch, evaluation included", "s")
    images_per_second: float = _column("training images over the seconds spent training", "1/s")
    peak_memory_mb: float = _column("peak memory: of the device or, on a CPU, the process", "MiB")


METRIC_COLUMNS: tuple[str, ...] = tuple(f.name for f in fields(EpochMetrics))
"""Column names in the order of the fields, ``epoch`` first."""

VALIDATION_METRICS: tuple[str, ...] = ("val_accuracy", "averaged_val_accuracy")
"""Metrics a sweep may select on: larger is better, no test label read."""

TEST_METRICS: tuple[str, ...] = ("test_accuracy", "averaged_test_accuracy")
"""Metrics that leak the test set; refused for selection unless asked for in so many words."""
