"""Ray: joining a cluster or starting one here, and what a trial gets of it."""


class RayFailedError(Exception):
    """Ray did not start, and nobody has made a mistake: one line with why, and what may help."""
