"""Let the clock on the wall be that of another place."""

from __future__ import annotations

import os
import time
from collections.abc import Generator
from contextlib import contextmanager


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
