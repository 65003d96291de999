"""The work of a call, counted instead of timed."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from types import FrameType


def work(call: Callable[[], object]) -> int:
    """Count the function calls, of Python and of C, that a call makes: work that no clock disturbs."""
    count = 0

    def counted(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal count
        count += event in {"call", "c_call"}

    call()  # what is loaded or cached once is no work of the call
    before, collects = sys.getprofile(), gc.isenabled()
    gc.disable()  # it runs callbacks of others, whenever it likes
    sys.setprofile(counted)
    try:
        call()
    finally:
        sys.setprofile(before)
        if collects:
            gc.enable()
    return count
