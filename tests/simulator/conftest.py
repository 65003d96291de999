"""Certificates, declarations and processes for the tests of the simulator."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tidy import check_tidy

from htpoort.simulator import GatewayTls


@pytest.fixture(autouse=True)  # ruff: ignore[pytest-fixture-autouse]
async def nothing_is_left_behind(caplog: pytest.LogCaptureFixture) -> AsyncIterator[None]:
    """Fail a test that leaves a task, or an exception that was not retrieved."""
    yield
    await check_tidy(caplog, logging.WARNING)


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> GatewayTls:
    """Make the certificates of a gateway."""
    place: Path = tmp_path_factory.mktemp("gateway-tls")
    return GatewayTls.made(place)
