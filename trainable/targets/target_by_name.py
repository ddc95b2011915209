"""A target by its name."""

from trainable.catalog import TARGETS, Value, named
from trainable.targets.moments import Target


def build_target(
    name: str, *, num_examples: int, num_classes: int, **hyperparameters: Value
) -> Target:
    """The target ``name`` for N = ``num_examples`` examples of C = ``num_classes`` classes.

    Parameters left out take their reference value (:data:`TARGETS`).

    Raises:
        ValueError: For an unknown name or parameter, a value out of its range, or sizes that no
            training set has.
    """
    entry = named("target", name, TARGETS)
    check_sizes(num_examples, num_classes)
    parameters = entry.complete(name, hyperparameters)
    target: Target = entry.builder()(num_examples, num_classes, **parameters)
    return target


def check_sizes(num_examples: int, num_classes: int) -> None:
    """Raise ValueError unless there are an example and two classes at least."""
    if num_examples < 1:
        raise ValueError(f"num_examples = {num_examples} is not a whole number above 0")
    if num_classes < 2:
        raise ValueError(f"num_classes = {num_classes} is not a whole number above 1")
