"""
Check what a delivery is given, and say what the system says of it.

Never does: look at a disk.
"""

from __future__ import annotations

import math

from htpoort.errors import Problem


def is_argument(value: object) -> bool:
    """Tell whether the system takes it as an argument or a path."""
    return isinstance(value, str) and "\0" not in value


def timeout(value: object) -> list[Problem]:
    """Say what is wrong with a time limit."""
    if isinstance(value, (int, float)) and 0 < value < math.inf:
        return []
    return [Problem("delivery.timeout", f"timeout is {value!r}; give seconds above 0.")]


def why(error: Exception) -> str:
    """Say what an error of the system is, without its file names: these are in the target."""
    return f"{getattr(error, 'strerror', None) or error}."
