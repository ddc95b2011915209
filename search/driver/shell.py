"""What a person types next."""

import os
import sys
from pathlib import Path


def python() -> str:
    """How to call this Python from here: ``.venv/bin/python`` if that is what runs."""
    executable = Path(sys.executable)
    here = Path.cwd()
    return os.path.relpath(executable, here) if executable.is_relative_to(here) else "python"
