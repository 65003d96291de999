"""Hypothesis profiles, and where the foreign messages are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# No deadline anywhere: a busy machine is no bug. What must be linear is counted, not timed.
settings.register_profile("dev", deadline=None, max_examples=100)
settings.register_profile("ci", deadline=None, max_examples=100, derandomize=True, database=None, print_blob=True)
settings.register_profile(
    "long",
    deadline=None,
    max_examples=100_000,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))

_ABSENT = "NOT THERE (set HTPOORT_CORPUS); only messages of CPython and our own are read"


def _corpus_of(config: pytest.Config) -> Path | None:
    """Find the folder of foreign messages; None where this machine has none."""
    folder = Path(os.environ.get("HTPOORT_CORPUS", config.rootpath.parent / "shared" / "corpus"))
    return folder if folder.is_dir() else None


def pytest_report_header(config: pytest.Config) -> str:
    """Say which foreign messages are read, and say it too when there are none."""
    return f"foreign corpus: {_corpus_of(config) or _ABSENT}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say it at the end too, where a quiet run has no header."""
    if _corpus_of(config) is None:
        terminalreporter.write_line(f"foreign corpus: {_ABSENT}")


@pytest.fixture(scope="session")
def corpus(pytestconfig: pytest.Config) -> Path | None:
    """Give the folder of foreign messages, or None."""
    return _corpus_of(pytestconfig)
