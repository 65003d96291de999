"""Let the clock on the wall be that of another place, or ahead."""

from __future__ import annotations

import os
import time
from collections.abc import Generator
from contextlib import contextmanager
from datetime import datetime, timedelta

import pytest

from htpoort import _clock


@contextmanager
def in_amsterdam() -> Generator[None]:
    """Let the clock on the wall be that of Amsterdam."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = "Europe/Amsterdam"
    time.tzset()
    try:
        yield
    finally:
        del os.environ["TZ"]
        if before is not None:
            os.environ["TZ"] = before
        time.tzset()


@contextmanager
def ahead(by: timedelta) -> Generator[None]:
    """Let the clock of the machine be ahead: no program can set back when a file came."""
    now = _clock.now
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(_clock, "now", lambda: now() + by)
        yield


@contextmanager
def stopped(at: datetime) -> Generator[None]:
    """Let the clock of the machine stand still: a page says when it was made, and how old things are then."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(_clock, "now", lambda: at)
        yield
