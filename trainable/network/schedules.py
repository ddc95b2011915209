"""Learning rate schedules: pure functions of the epoch, free of torch.

``epoch`` counts from 1, and the rate holds for the whole epoch; ``done`` counts the epochs before
it. Each function agrees with torch's scheduler of the same name, stepped once after every epoch.
"""

import math
from collections.abc import Mapping

from trainable.catalog import SCHEDULES, Value, named
from trainable.parameters import resolved


def learning_rate(
    name: str, parameters: Mapping[str, Value], *, lr: float, epoch: int, max_epochs: int
) -> float:
    """The learning rate of ``epoch``.

    Args:
        name: one of ``catalog.SCHEDULES``.
        parameters: the schedule's own, complete.
        lr: peak learning rate, above 0.
        epoch: in [1, max_epochs].
        max_epochs: epochs of the whole trial.

    Raises:
        ValueError: for an unknown name, or an epoch outside the trial.
    """
    schedule = named("lr_schedule", name, SCHEDULES)
    if not 1 <= epoch <= max_epochs:
        raise ValueError(f"epoch = {epoch} is not a whole number in [1, {max_epochs}]")
    rate: float = schedule.builder()(lr, epoch - 1, max_epochs, **parameters)
    return rate


def cycle_ends(name: str, parameters: Mapping[str, Value], max_epochs: int) -> tuple[int, ...]:
    """The epochs, up to ``max_epochs``, that end a cycle; none for schedules without cycles.

    There the learning rate is lowest, so accuracies of different cycles compare.
    """
    schedule = named("lr_schedule", name, SCHEDULES)
    if not schedule.cycle_ends:
        return ()
    find = resolved(schedule.summary, "cycle_ends", schedule.cycle_ends)
    ends: tuple[int, ...] = find(max_epochs, **parameters)
    return ends


def same_beginning(
    name: str, parameters: Mapping[str, Value], *, lr: float, max_epochs: int, longer: int
) -> bool:
    """Whether a trial of ``longer`` epochs begins with the rates of one of ``max_epochs``."""
    short, long = (
        [
            learning_rate(name, parameters, lr=lr, epoch=epoch, max_epochs=budget)
            for epoch in range(1, max_epochs + 1)
        ]
        for budget in (max_epochs, longer)
    )
    return short == long


def constant(lr: float, done: int, max_epochs: int) -> float:
    """Lr all the way."""
    return lr


def multistep(
    lr: float,
    done: int,
    max_epochs: int,
    *,
    milestones: tuple[int, ...],
    gamma: float,
) -> float:
    """Lr times gamma for each milestone that is over."""
    return lr * gamma ** sum(done >= milestone for milestone in milestones)


def cosine(lr: float, done: int, max_epochs: int, *, eta_min: float) -> float:
    """Half a cosine from lr to eta_min over the trial."""
    return _anneal(lr, min(eta_min, lr), done / max_epochs)


def cosine_warm_restarts(
    lr: float,
    done: int,
    max_epochs: int,
    *,
    t_0: int,
    t_mult: int,
    eta_min: float,
) -> float:
    """Half a cosine from lr to eta_min over each cycle: t_0 epochs, then t_mult times more."""
    length = t_0
    while done >= length:
        done -= length
        length *= t_mult
    return _anneal(lr, min(eta_min, lr), done / length)


def warm_restarts(max_epochs: int, *, t_0: int, t_mult: int, eta_min: float) -> tuple[int, ...]:
    """The last epoch of each cycle of :func:`cosine_warm_restarts`."""
    ends, length, end = [], t_0, t_0
    while end <= max_epochs:
        ends.append(end)
        length *= t_mult
        end += length
    return tuple(ends)


def one_cycle(
    lr: float,
    done: int,
    max_epochs: int,
    *,
    warm_up: float,
    start_factor: float,
    end_factor: float,
) -> float:
    """Half a cosine up to lr over the share warm_up of the trial, then half a cosine down."""
    top = warm_up * max_epochs - 1
    if done <= top and top > 0:
        return _anneal(lr * start_factor, lr, done / top)
    # A trial too short to climb starts at the top.
    top = max(top, 0.0)
    return _anneal(lr, lr * end_factor, (done - top) / (max_epochs - 1 - top or 1))


def _anneal(start: float, end: float, share: float) -> float:
    """Half a cosine from ``start`` (share 0) to ``end`` (share 1)."""
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2
