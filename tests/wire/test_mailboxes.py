"""Which mailboxes may be configured: one rule everywhere."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from htpoort import DMS, DeclarationSystem, InputError, Submission, build
from htpoort.simulator import Declarant
from htpoort.transport import Incoming, Receiver
from htpoort.transport.sending import check


async def accept(_incoming: Incoming) -> None:
    """Accept a message."""


def declaration(mailbox: str) -> Submission:
    """Build a declaration from a mailbox."""
    return build(
        system=DMS,
        party="NL123456789.02.05",
        mailbox=mailbox,
        reference="22096222734662",
        payload=b"<MetaData/>\r\n",
        date=datetime(2026, 11, 2, 9, 5, 7, tzinfo=UTC),
        message_id="<1@forwarder.example>",
    )


PLACES: dict[str, Callable[[str], object]] = {
    "build": declaration,
    "DeclarationSystem": lambda mailbox: DeclarationSystem(name="X", mailbox=mailbox, process_id="X.NL"),
    "Receiver": lambda mailbox: Receiver(accept, hostname="mx.forwarder.example", mailboxes=[mailbox]),
    "Declarant": lambda mailbox: Declarant(mailbox=mailbox),
    "send, from": lambda mailbox: check(mailbox, "c@d.example", declaration("a@b.example").data),
    "send, to": lambda mailbox: check("a@b.example", mailbox, declaration("a@b.example").data),
}
TAKEN = [
    *("edi@forwarder.example", "EDI@Forwarder.example", "edi@vpn-host", "edi@localhost", "edi@mail.local"),
    *("edi@mail.internal", "edi@mail.lan", "edi@mail.corp", "edi@mail.test", "edi@mail.invalid", "edi@1.2.3.arpa"),
]
REFUSED = [
    *("", "edi", "edi@", "@b.example", "<edi@b.example>", "edi@b.example\n", "edi@b_c.example", "edi@[127.0.0.1]"),
    *("edi@-b.local", "edi@b-.local", "edi@" + "b" * 64 + ".local", "edi@b." + "c" * 64),
    *("x" * 245 + "@b.example", "\N{CYRILLIC SMALL LETTER IE}di@b.example", "edi@b.example,x@c.example"),
]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("mailbox", TAKEN)
def test_taken_everywhere(mailbox: str, place: str) -> None:
    """A mailbox that one place accepts, every other accepts too, also one of a host name behind a VPN."""
    PLACES[place](mailbox)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("mailbox", REFUSED)
def test_refused_everywhere(mailbox: str, place: str) -> None:
    """Anything but a plain ASCII mailbox within the standards' lengths is refused everywhere."""
    with pytest.raises(InputError):
        PLACES[place](mailbox)
