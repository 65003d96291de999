"""Gateways with a page, for the tests of the live page."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Generator

import attrs
import live_traffic
import pytest
from tidy import check_tidy

from htpoort.live import LivePage
from htpoort.simulator import Gateway


@pytest.fixture(autouse=True)  # ruff: ignore[pytest-fixture-autouse]
async def nothing_is_left_behind(caplog: pytest.LogCaptureFixture) -> AsyncIterator[None]:
    """Fail a test that leaves a task, or an exception that was not retrieved."""
    yield
    await check_tidy(caplog, logging.WARNING)


@attrs.frozen
class Shown:
    """A gateway, and its page."""

    gateway: Gateway
    page: LivePage


@pytest.fixture
async def empty() -> AsyncIterator[Shown]:
    """Serve the page of a gateway at which nothing has happened."""
    gateway = live_traffic.gateway()
    async with live_traffic.serving(gateway) as page:
        yield Shown(gateway, page)


@pytest.fixture
async def filled(empty: Shown) -> Shown:
    """Serve the page of a gateway at which everything has happened once."""
    await live_traffic.fill(empty.gateway)
    return empty


@pytest.fixture(scope="session")
def live_simulator() -> Generator[live_traffic.Running]:
    """Serve a page with traffic, faults and a failed login beside the test; its time runs, and can be moved."""
    with live_traffic.in_a_thread() as running:
        yield running
