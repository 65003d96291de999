"""A rich ledger in a folder, and commands that write pages about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import report_office
from wall_clock import in_amsterdam, stopped

from htpoort.cli import _app

NOW = datetime(2026, 11, 30, 14, 30, tzinfo=UTC)


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with a configuration and a ledger that has something of everything; tests only read it."""
    folder = tmp_path_factory.mktemp("office")
    report_office.fill(folder, NOW)
    return folder


@pytest.fixture
def office(filled: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Be in that folder, in Amsterdam, at the moment for which it was made."""
    monkeypatch.chdir(filled)
    monkeypatch.delenv("HTPOORT_CONFIG", raising=False)
    with in_amsterdam(), stopped(NOW):
        yield filled


@pytest.fixture
def page(office: Path, tmp_path: Path) -> Callable[..., bytes]:
    """Return a function that runs a command with --html, and gives the page that it wrote."""
    del office

    def write(*arguments: str) -> bytes:
        target = tmp_path / "page.html"
        assert 0 == _app.run([*arguments, "--html", str(target)])
        return target.read_bytes()

    return write
