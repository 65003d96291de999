"""Hypothesis profiles, and the folder of more foreign messages."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# No deadline anywhere: a busy machine is no bug. What must be linear is counted, not timed.
settings.register_profile("dev", deadline=None, max_examples=100)
settings.register_profile("ci", deadline=None, max_examples=100, derandomize=True, database=None, print_blob=True)
# For a second interpreter: what it can change shows in few examples; the first one has tried the many.
settings.register_profile("few", deadline=None, max_examples=25, derandomize=True, database=None, print_blob=True)
settings.register_profile(
    "long",
    deadline=None,
    max_examples=100_000,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))

CORPUS = Path(os.environ["HTPOORT_CORPUS"]) if "HTPOORT_CORPUS" in os.environ else None
"""A folder of foreign messages to read beside those of the standard library and our own."""


def pytest_report_header() -> str:
    """Show which foreign messages are read."""
    return f"more foreign messages: {CORPUS or 'none (HTPOORT_CORPUS names a folder)'}"


@pytest.fixture(scope="session")
def corpus() -> Path | None:
    """Return the folder of more foreign messages, or None."""
    return CORPUS
