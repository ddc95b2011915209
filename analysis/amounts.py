"""Numbers as a person reads them."""

import pandas as pd


def counted(number: int, one: str, many: str = "") -> str:
    """``1 study``, ``1,200 trials``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def percent(fraction: float) -> str:
    """A fraction as percent with two digits; ``-`` where undefined."""
    return "-" if pd.isna(fraction) else f"{100 * fraction:.2f}"


def plus_minus(std: float) -> str:
    """`` ± 0.35``, of a fraction in percent; empty where undefined."""
    return "" if pd.isna(std) else f" ± {percent(std)}"


def short(value: object) -> str:
    """A hyperparameter in few characters."""
    if isinstance(value, float):
        return f"{value:.4g}"
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def correlation(value: float) -> str:
    """``0.82``, ``−0.10``; ``-`` where undefined."""
    return "-" if pd.isna(value) else f"{value:.2f}".replace("-", "−")


def signed(number: float, digits: int = 2) -> str:
    """``+1.23`` or ``−1.23``; ``-`` where undefined.

    A minus is a true one wherever people read: in terminals, Markdown, LaTeX, HTML and figures.
    CSV is for programs and never comes this way: it has the numbers themselves.
    """
    # z: what rounds to zero has no minus.
    return "-" if pd.isna(number) else f"{number:+z.{digits}f}".replace("-", "−")


def signed_points(fraction: float) -> str:
    """A difference of fractions in points, :func:`signed`."""
    return signed(100 * fraction)


def duration(seconds: float) -> str:
    """``42s``, ``3m 05s``, ``2h 07m``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02d}s"
    return f"{whole // 3600}h {whole % 3600 // 60:02d}m"
