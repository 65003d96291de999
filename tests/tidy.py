"""Cancel a task again and again; check after a test that it has ended its tasks and retrieved its exceptions."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest


async def cancel_until_done(task: asyncio.Task[Any], rounds: int = 1) -> None:
    """Cancel a task until it has ended, each time after some rounds of the loop."""
    while not task.done():
        task.cancel()
        for _ in range(rounds):
            await asyncio.sleep(0)


async def check_tidy(caplog: pytest.LogCaptureFixture, level: int = logging.ERROR) -> None:
    """Fail if a task is left, or if asyncio has logged something at this level or above."""
    for _ in range(3):
        await asyncio.sleep(0)  # the loop closes what the last line of the test has closed
    left = asyncio.all_tasks() - {asyncio.current_task()}
    assert left == set()
    noise = [
        record.getMessage()
        for record in caplog.get_records("call")
        if record.name == "asyncio" and record.levelno >= level
    ]
    assert noise == []
