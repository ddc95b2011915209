import numpy as np
import pytest
import torch

from trainable.losses.functions import log_probabilities
from trainable.trial.beliefs import Beliefs

GIVEN = torch.tensor([0, 2])
FIRST = torch.tensor([[2.0, 1.0, 0.0], [3.0, 1.0, 1.0]])
SECOND = torch.tensor([[0.0, 4.0, 1.0], [0.0, 0.0, 2.0]])


def test_summary_is_the_mean_over_epochs():
    beliefs = Beliefs(GIVEN, 3)
    beliefs.add(log_probabilities(FIRST))
    beliefs.add(log_probabilities(SECOND))
    margin, given_probability, rival, rival_probability = beliefs.summary()
    # Margins: 2 - 1 and 0 - 4; 1 - 3 and 2 - 0.
    assert margin.tolist() == pytest.approx([-1.5, 0.0], abs=1e-6)
    mean = (FIRST.softmax(1) + SECOND.softmax(1)) / 2
    assert given_probability.tolist() == pytest.approx(mean[[0, 1], [0, 2]].tolist())
    assert rival.tolist() == [1, 0]
    assert rival_probability.tolist() == pytest.approx(mean[[0, 1], [1, 0]].tolist())


def test_no_summary_before_the_first_epoch():
    assert Beliefs(GIVEN, 3).summary() is None


def test_rival_is_another_class_even_of_a_label_held_for_sure():
    beliefs = Beliefs(GIVEN, 3)
    beliefs.add(log_probabilities(torch.tensor([[200.0, 1.0, 0.0], [0.0, 1.0, 200.0]])))
    _, given_probability, rival, rival_probability = beliefs.summary()
    assert given_probability.tolist() == [1, 1]
    assert (rival != GIVEN).all()
    assert (rival_probability >= 0).all()


def test_half_precision_is_summed_in_full():
    beliefs = Beliefs(GIVEN, 3)
    for _ in range(300):
        beliefs.add(log_probabilities(FIRST.bfloat16()))
    assert beliefs.summary().margin.dtype == torch.float32
    np.testing.assert_allclose(beliefs.summary().margin, [1, -2], rtol=1e-6)


def test_state_continues_the_sums():
    straight, first, second = (Beliefs(GIVEN, 3) for _ in range(3))
    for logits in (FIRST, SECOND):
        straight.add(log_probabilities(logits))
    first.add(log_probabilities(FIRST))
    second.load_state_dict(first.state_dict())
    second.add(log_probabilities(SECOND))
    for expected, actual in zip(straight.summary(), second.summary(), strict=True):
        assert torch.equal(expected, actual)
