"""The cores that this process may use, which may be fewer than the machine has."""

import os
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
OWN_CGROUPS = Path("/proc/self/cgroup")


def usable_cores() -> int:
    """Cores by the affinity (``taskset``, ``srun -c``) and by the quota of a container: 1 or more.

    Of a quota of 2.5 cores two are used: trials share nothing of a core that is not there.
    """
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS
        cores = os.cpu_count() or 1
    return max(1, min([cores, *map(int, _quotas())]))


def _quotas() -> list[float]:
    """In cores, the limits of this process's cgroups and of those that these are in."""
    try:
        lines = OWN_CGROUPS.read_text().splitlines()
    except OSError:  # no Linux
        return []
    found = []
    # A line a hierarchy: version 2 has one without a name, those of version 1 list controllers.
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:  # version 2
            places = _upwards(CGROUPS, path)
            found += [_share(*_words(place / "cpu.max")) for place in places]
        elif "cpu" in controllers.split(","):  # version 1
            names = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
            for place in _upwards(CGROUPS / controllers, path):
                found.append(_share(*(word for name in names for word in _words(place / name))))
    return [share for share in found if share is not None]


def _upwards(root: Path, path: str) -> list[Path]:
    """The folder of a cgroup and all above it; in a container its own may be mounted as root."""
    place = root / path.lstrip("/")
    return [place, *(parent for parent in place.parents if parent.is_relative_to(root))]


def _words(file: Path) -> list[str]:
    try:
        return file.read_text().split()
    except OSError:
        return []


def _share(quota: str = "max", period: str = "") -> float | None:
    # Version 2 writes "max", version 1 -1 where there is no limit.
    if quota in ("max", "-1") or not period:
        return None
    return int(quota) / int(period)
