"""``python -m search``, whose trials take their time.

    python tests/slow_search.py SECONDS run SPEC …

Every epoch takes ``SECONDS`` more.
"""

import sys
import time

from search.__main__ import main
from search.driver import tuner
from trainable.trial.ray_trainable import TrialTrainable


class Slow(TrialTrainable):
    """Of this module and not of an importable one, so it travels to the workers by value."""

    def step(self):
        time.sleep(SECONDS)
        return super().step()


if __name__ == "__main__":
    SECONDS = float(sys.argv.pop(1))
    tuner.TrialTrainable = Slow
    main()
