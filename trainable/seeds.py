"""The seeds that make a trial repeatable, all of them derived from one number."""

import hashlib


def derive_seed(seed: int, purpose: str) -> int:
    """A 63-bit seed for one ``purpose`` ("noise", "split", "init", …) of a trial's ``seed``.

    A hash, not an offset: purposes never share a stream, on any machine.
    """
    digest = hashlib.sha256(f"{seed}/{purpose}".encode()).digest()
    # 63 bits: a positive number also for torch, which takes signed ones of 64.
    return int.from_bytes(digest[:8], "big") >> 1
