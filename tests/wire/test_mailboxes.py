"""Which mailboxes may be configured: one rule, wherever one is given."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import attrs
import pytest

from htpoort import DMS, DeclarationSystem, InputError, Submission, build
from htpoort.simulator import Declarant
from htpoort.transport import Receiver, _sendable
from htpoort.transport.incoming import Incoming


async def kept(_incoming: Incoming) -> None:
    """Take a message."""


def built(mailbox: str) -> Submission:
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
    "build": built,
    "DeclarationSystem": lambda mailbox: DeclarationSystem(name="X", mailbox=mailbox, process_id="X.NL"),
    "Receiver": lambda mailbox: Receiver(kept, hostname="mx.forwarder.example", mailboxes=[mailbox]),
    "Declarant": lambda mailbox: Declarant(mailbox=mailbox),
    "send, from": lambda mailbox: _sendable.check(attrs.evolve(built("a@b.example"), mail_from=mailbox)),
    "send, to": lambda mailbox: _sendable.check(attrs.evolve(built("a@b.example"), rcpt_to=mailbox)),
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
    """A mailbox that one place takes, every other takes too, also one of a name behind a VPN."""
    PLACES[place](mailbox)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("mailbox", REFUSED)
def test_refused_everywhere(mailbox: str, place: str) -> None:
    """What is not a plain ASCII mailbox within the standards' lengths is refused wherever it is given."""
    with pytest.raises(InputError):
        PLACES[place](mailbox)
