"""Fetching from a POP3 server of a test: its account, a store in memory, and the outcome of an error."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from pop3_server import PASSWORD, Pop3Box

from htpoort.transport import FetchError, FetchFailure, Pop3Account, Pop3Mailbox, Security, SessionReport

ONE = b"From: dms@htpoort.nl\r\nSubject: [V=DMS4.NL][A=NL123456789.02.05][K=1][S=0]\r\n\r\n<MetaData/>\r\n"
TWO = ONE.replace(b"K=1", b"K=2")
THREE = ONE.replace(b"K=1", b"K=3")


def mailbox(port: int, *, largest: int | None = None, **settings: Any) -> Pop3Mailbox:
    """Describe how to reach a server of a test, in the clear by default."""
    usual = {"host": "127.0.0.1", "security": Security.PLAIN, "username": "edi", "password": PASSWORD, "timeout": 60}
    server = Pop3Account(port=port, **{**usual, **settings})
    return Pop3Mailbox(server) if largest is None else Pop3Mailbox(server, largest=largest)


@attrs.define
class Shelf:
    """Store in memory; fails at a mail on request."""

    mails: list[tuple[str, bytes]] = attrs.field(factory=list[tuple[str, bytes]])
    fails_at: str = ""

    async def __call__(self, uidl: str, raw: bytes) -> None:
        if uidl == self.fails_at:
            message = "the disk is full"
            raise OSError(message)
        self.mails.append((uidl, raw))

    @property
    def uidls(self) -> frozenset[str]:
        """The UIDLs that a ledger would know."""
        return frozenset(uidl for uidl, _ in self.mails)


async def got(box: Pop3Box, **settings: Any) -> tuple[SessionReport, Shelf]:
    """Fetch everything."""
    shelf = Shelf()
    return await mailbox(box.port, **settings).fetch(shelf), shelf


async def failure(box: Pop3Box, **settings: Any) -> FetchError:
    """Fetch, and return the error; nothing was stored."""
    shelf = Shelf()
    with pytest.raises(FetchError) as caught:
        await mailbox(box.port, **settings).fetch(shelf)
    assert [] == shelf.mails
    return caught.value


def outcome(error: FetchError) -> tuple[FetchFailure, str, bool]:
    """Return the data of an error."""
    return error.kind, error.reply, error.retryable
