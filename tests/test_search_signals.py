import os
import signal

import pytest

from search.driver.signals import ENDING, Signals


@pytest.mark.parametrize("number", ENDING)
def test_signal_ends_at_once_and_the_handlers_from_before_come_back(number):
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), Signals():
        os.kill(os.getpid(), number)
    assert signal.getsignal(number) is before


@pytest.mark.parametrize("number", ENDING)
def test_signal_that_is_held_waits_for_the_check_and_a_second_one_changes_nothing(number):
    done = []
    with Signals() as signals:
        with pytest.raises(KeyboardInterrupt), signals.held() as check:  # noqa: PT012
            check()
            os.kill(os.getpid(), number)
            done.append("a decision and its row")
            check()
        with signals.held():
            os.kill(os.getpid(), number)
            done.append("the saving")
        os.kill(os.getpid(), number)
        done.append("the closing words")
    assert done == ["a decision and its row", "the saving", "the closing words"]


def test_held_puts_back_a_handler_that_a_library_replaced():
    with Signals() as signals:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        with pytest.raises(KeyboardInterrupt), signals.held() as check:  # noqa: PT012
            os.kill(os.getpid(), signal.SIGTERM)
            check()
