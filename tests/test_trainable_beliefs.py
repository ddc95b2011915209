import numpy as np
import pytest
import torch

from trainable.trial.beliefs import Beliefs

GIVEN = torch.tensor([0, 2])
FIRST = torch.tensor([[2.0, 1.0, 0.0], [3.0, 1.0, 1.0]])
SECOND = torch.tensor([[0.0, 4.0, 1.0], [0.0, 0.0, 2.0]])


def test_summary_is_the_mean_over_epochs_whatever_their_order():
    beliefs = Beliefs(GIVEN, 3)
    beliefs.add(FIRST, torch.tensor([0, 1]))
    beliefs.add(SECOND.flip(0), torch.tensor([1, 0]))
    margin, given_probability, rival, rival_probability = beliefs.summary()
    # Margins: 2 - 1 and 0 - 4; 1 - 3 and 2 - 0.
    assert margin.tolist() == [-1.5, 0.0]
    mean = (FIRST.softmax(1) + SECOND.softmax(1)) / 2
    assert given_probability.tolist() == pytest.approx(mean[[0, 1], [0, 2]].tolist())
    assert rival.tolist() == [1, 0]
    assert rival_probability.tolist() == pytest.approx(mean[[0, 1], [1, 0]].tolist())


def test_no_summary_before_the_first_epoch():
    assert Beliefs(GIVEN, 3).summary() is None


def test_rival_is_another_class_even_of_a_label_held_for_sure():
    beliefs = Beliefs(GIVEN, 3)
    beliefs.add(torch.tensor([[200.0, 1.0, 0.0], [0.0, 1.0, 200.0]]), torch.tensor([0, 1]))
    _, given_probability, rival, rival_probability = beliefs.summary()
    assert given_probability.tolist() == [1, 1]
    assert (rival != GIVEN).all()
    assert (rival_probability >= 0).all()


def test_half_precision_is_summed_in_full():
    beliefs = Beliefs(GIVEN, 3)
    for _ in range(300):
        beliefs.add(FIRST.bfloat16(), torch.tensor([0, 1]))
    assert beliefs.summary().margin.dtype == torch.float32
    np.testing.assert_allclose(beliefs.summary().margin, [1, -2], rtol=1e-6)


def test_state_continues_the_sums():
    straight, first, second = (Beliefs(GIVEN, 3) for _ in range(3))
    order = torch.tensor([0, 1])
    for logits in (FIRST, SECOND):
        straight.add(logits, order)
    first.add(FIRST, order)
    second.load_state_dict(first.state_dict())
    second.add(SECOND, order)
    for expected, actual in zip(straight.summary(), second.summary(), strict=True):
        assert torch.equal(expected, actual)
