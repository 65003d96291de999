"""Watch over tests with an event loop: each ends its tasks, and fetches its exceptions."""

from __future__ import annotations

import asyncio
import logging

import pytest


async def check_tidy(caplog: pytest.LogCaptureFixture, level: int = logging.ERROR) -> None:
    """Fail where a task is left, or where asyncio has logged something from a level on."""
    for _ in range(3):
        await asyncio.sleep(0)  # what was closed on the last line is closed by the loop
    left = asyncio.all_tasks() - {asyncio.current_task()}
    assert left == set()
    noise = [
        record.getMessage()
        for record in caplog.get_records("call")
        if record.name == "asyncio" and record.levelno >= level
    ]
    assert noise == []
