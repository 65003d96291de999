"""Certificates, declarations and processes for the tests of the simulator."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from htpoort.simulator import GatewayTls


@pytest.fixture(autouse=True)  # ruff: ignore[pytest-fixture-autouse]
async def nothing_is_left_behind(caplog: pytest.LogCaptureFixture) -> AsyncIterator[None]:
    """Fail a test that leaves a task, or an exception that nobody fetched."""
    yield
    for _ in range(3):
        await asyncio.sleep(0)  # what was closed on the last line is closed by the loop
    left = asyncio.all_tasks() - {asyncio.current_task()}
    assert left == set()
    noise = [
        record.getMessage()
        for record in caplog.get_records("call")
        if record.name == "asyncio" and record.levelno >= logging.WARNING
    ]
    assert noise == []


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> GatewayTls:
    """Make the certificates of a gateway."""
    place: Path = tmp_path_factory.mktemp("gateway-tls")
    return GatewayTls.made(place)
