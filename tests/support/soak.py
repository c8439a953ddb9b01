"""Short in `make test`, long in `make soak`: the same code with larger numbers."""

import os

SOAKING = os.environ.get("PM_SOAK") == "1"


def rounds(short: int, long: int) -> int:
    return long if SOAKING else short
