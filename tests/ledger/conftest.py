"""Fixtures that run each test of the ledger on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from databases import new_database, new_ledger, postgresql

from htpoort import DMS, DeclarationSystem, Outcome, Router, Submission, build
from htpoort.ledger import Exchange, Ledger

NOON = datetime(2026, 11, 2, 12, 0, 0, tzinfo=UTC)


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """Run one PostgreSQL server for all tests."""
    with postgresql() as uri:
        yield uri


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'htpoort.db'}"
    return new_database(request.getfixturevalue("server"))


@pytest.fixture
def ledger(url: str, tmp_path: Path) -> Iterator[Ledger]:
    """Open a new ledger."""
    if url.startswith("sqlite:"):
        new_ledger(tmp_path / "htpoort.db")
    with Ledger.open(url) as opened:
        yield opened


@pytest.fixture
def router() -> Router:
    """Return a router that finds system and party; the ledger compares the K with what was sent."""
    return Router(parties=["NL123456789.02.05", "NL123456789.03.05"])


@pytest.fixture
def clock() -> Callable[[float], datetime]:
    """Return a function that returns the moment a number of minutes after noon on 2 November 2026."""
    return lambda minutes=0.0: NOON + timedelta(minutes=minutes)


@pytest.fixture
def declaration() -> Callable[..., Submission]:
    """Return a function that builds a declaration."""

    def make(
        reference: str, *, system: DeclarationSystem = DMS, party: str = "NL123456789.02.05", payload: bytes = b"<a/>"
    ) -> Submission:
        return build(
            system=system,
            party=party,
            mailbox="edi@forwarder.example",
            reference=reference,
            payload=payload,
            date=NOON,
            message_id=f"<{reference}@forwarder.example>",
        )

    return make


@pytest.fixture
def sent(ledger: Ledger, declaration: Callable[..., Submission]) -> Callable[..., Exchange]:
    """Return a function that queues a declaration and records that the mail server accepted it."""

    def make(reference: str, *, at: datetime = NOON, system: DeclarationSystem = DMS) -> Exchange:
        queued = ledger.exchanges.queue(declaration(reference, system=system), at=at)
        claims = ledger.exchanges.claim_soon([system.name], owner="a", most=1, at=at, lease=timedelta(minutes=2))
        for claimed in claims.result():
            assert reference == claimed.reference
            ledger.exchanges.settle_soon(claimed, Outcome.ACCEPTED, at=at).result()
        return queued

    return make


@pytest.fixture
def reply() -> Callable[..., bytes]:
    """Return a function that writes a reply."""

    def make(  # noqa: PLR0913 - one for each part of a reply
        reference: str,
        *,
        mailbox: str = "dms@htpoort.nl",
        process_id: str = "DMS4.NL",
        party: str = "NL123456789.02.05",
        body: str = "<Response/>",
        trace: str = "",
    ) -> bytes:
        subject = f"[V= {process_id}][A= {party}][K={reference}][S=0]"
        return f"{trace}From: {mailbox}\r\nSubject: {subject}\r\n\r\n{body}\r\n".encode()

    return make
