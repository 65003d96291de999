"""Receiving through one's own mail server that rewrites MAIL FROM: when it is compared with From."""

from __future__ import annotations

import asyncio
import smtplib

import attrs
import pytest
from agents import INBOX, MAILBOX, QUICK, reply

from htpoort import InputError, Router
from htpoort.agent import Agent, SmtpInbox
from htpoort.ledger import Ledger

SRS = "SRS0=HHH=TT=htpoort.nl=dms@relay.forwarder.example"
RELAY = "127.0.0.2"


def submit(port: int, sender: str, raw: bytes, peer: str) -> int:
    """Submit a message as the mail server at an address does; return the code of the answer."""
    with smtplib.SMTP("127.0.0.1", port, local_hostname="relay.example", source_address=(peer, 0)) as client:
        client.ehlo()
        client.mail(sender)
        client.rcpt(MAILBOX)
        return client.data(raw)[0]


async def became(inbox: SmtpInbox, ledger: Ledger, router: Router, sender: str, peer: str) -> tuple[int, list[str]]:
    """Return the answer to a reply, and its K or the reason why it is in quarantine."""
    async with Agent(ledger=ledger, router=router, inboxes=[inbox], timing=QUICK) as agent:
        code = await asyncio.to_thread(submit, agent.ports[0], sender, reply("K1"), peer)
    stored = [one.reference for one in ledger.replies.listed()]
    return code, stored + [one.reason for one in ledger.quarantine.listed()]


@pytest.mark.parametrize(
    ("relays", "sender", "peer", "expected"),
    [
        ((), SRS, RELAY, "sender-disagrees"),
        ((f"{RELAY}/32",), SRS, RELAY, "K1"),
        ((f"{RELAY}/32",), SRS, "127.0.0.1", "sender-disagrees"),
        ((f"{RELAY}/32",), "dms@htpoort.nl", "127.0.0.1", "K1"),
        (("127.0.0.4/31", "127.0.0.2/31"), SRS, "127.0.0.3", "K1"),
    ],
)
async def test_what_is_compared(  # noqa: PLR0913, PLR0917 - the fixtures beside the cases
    ledger: Ledger, router: Router, relays: tuple[str, ...], sender: str, peer: str, expected: str
) -> None:
    """MAIL FROM is ignored if one's own mail server wrote it, and compared as usual from every other peer."""
    inbox = attrs.evolve(INBOX, mail_from_rewritten_by=relays)

    assert (250, [expected]) == await became(inbox, ledger, router, sender, peer)


@pytest.mark.parametrize(
    ("relay", "problem"),
    [
        ("relay.example", "'relay.example'; give an address with a prefix, such as 192.0.2.10/32."),
        ("192.0.2.0/24", "'192.0.2.0/24', which is not within networks, so it cannot connect. Add it to networks."),
        ("127.0.0.0/7", "'127.0.0.0/7'; give an address with a prefix, such as 192.0.2.10/32."),
        ("::/0", "'::/0', which is not within networks, so it cannot connect. Add it to networks."),
    ],
)
def test_what_is_not_a_relay(relay: str, problem: str) -> None:
    """A text that is not a network, or a network that is not admitted, is reported."""
    with pytest.raises(InputError) as caught:
        attrs.evolve(INBOX, mail_from_rewritten_by=("127.0.0.1", relay))

    assert [("inbox.relay", f"mail_from_rewritten_by holds {problem}")] == [
        (one.code, one.message) for one in caught.value.problems
    ]


def test_an_address_of_both_versions() -> None:
    """A peer's IPv4 address is recognised when written as IPv6, and an address may include its interface."""
    inbox = attrs.evolve(INBOX, networks=("127.0.0.0/8", "fe80::/10"), mail_from_rewritten_by=("127.0.0.2", "fe80::1"))

    assert [None, None, None, SRS] == [
        inbox.comparable_mail_from(SRS, peer)
        for peer in ("127.0.0.2", "::ffff:127.0.0.2", "fe80::1%eth0", "fe80::2%eth0")
    ]
