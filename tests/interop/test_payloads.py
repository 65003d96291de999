"""Whether a payload arrives octet for octet, through servers that break or change lines."""

from __future__ import annotations

import email
from datetime import UTC, datetime

import pytest
from interop.messages import MAILBOX, PARTY
from interop.servers import SERVERS, Files
from interop.writers import by_htpoort

from htpoort import DMS, build

LINES = (989, 991, 998)
"""Octets of a line: what every server here preserves, what Sendmail and Haraka break, and what RFC 5322 allows."""

PAYLOADS = [b"<a>" + b"x" * (length - 7) + b"</a>\r\n" for length in LINES]
PAYLOADS += [
    b"<a>\r\nFrom 1 January the goods lie in Rotterdam.   \r\n</a>\r\n",
    b"<a>\r\n.\r\n..\r\n \t\r\n</a>",
]


@pytest.mark.parametrize("server", SERVERS)
async def test_lines_are_kept(server: str, files: Files) -> None:
    """The payload of `build` arrives unchanged, whatever the length, the beginning and the end of its lines."""
    tls = "1.3" if "implicit" in server else None
    arrived: list[object] = []
    async with SERVERS[server](files, tls) as taking:
        for number, payload in enumerate(PAYLOADS, start=1):
            message = build(
                system=DMS,
                party=PARTY,
                mailbox=MAILBOX,
                reference=f"L{number}",
                payload=payload,
                date=datetime(2026, 1, 5, 9, 30, tzinfo=UTC),
                message_id=f"<L{number}@forwarder.example>",
            )
            await by_htpoort(message, taking.place)
            raw = await taking.came(number)
            arrived.append(email.message_from_bytes(raw).get_payload(decode=True))

    assert PAYLOADS == arrived
