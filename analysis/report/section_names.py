"""The names of the report's sections that are figures: those in its links."""

SECTIONS = (
    "accuracy",
    "response",
    "learning",
    "memorization",
    "classes",
    "labels",
    "curves",
    "progress",
    "survival",
    "parallel",
    "contour",
    "importances",
    "agreement",
    "convergence",
    "budget",
    "gap",
)
"""In the order of the page. They stand alone, so that a help text need not import any figure."""
