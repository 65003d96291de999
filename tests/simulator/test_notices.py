"""A gateway plays notices: the same texts that an agent obeys decide what it does, by its own clock."""

from __future__ import annotations

import asyncio
import smtplib
from datetime import UTC, datetime

import pytest

from htpoort import HTPOORT
from htpoort.notices import Notice, NoticeName, read_own_notice
from htpoort.simulator import Behaviour, Declarant, Gateway, SimulatedClock, Window, notice_windows

OPENS = datetime(2026, 11, 2, 19, 0, tzinfo=UTC)
"""20:00 in Amsterdam, in winter."""
CLOSES = datetime(2026, 11, 2, 22, 0, tzinfo=UTC)
DECLARATION = """\
From: edi@forwarder.example
To: dms@htpoort.nl
Subject: [V=NL123456789.02.05][A=DMS4.NL][K={}][S=0]

<MetaData/>
"""


def notice(behaviour: str, recovery: str = "unstated", *, system: str = "DMS", extra: str = "") -> Notice:
    """Write a notice about the evening of 2 November 2026."""
    return read_own_notice(f"""
authority = "douane"
references = ["{behaviour}{system}"]
[[windows]]
system = "{system}"
access = "file"
start = "2026-11-02T20:00"
end = "2026-11-02T23:00"
behaviour = "{behaviour}"
recovery = "{recovery}"
{extra}
""")


@pytest.mark.parametrize(
    ("behaviour", "recovery", "expected"),
    [
        ("rejected", "resubmit", Behaviour.REJECT),
        ("queued", "wait", Behaviour.QUEUE),
        ("delayed", "unstated", Behaviour.DELAY),
        ("unstable", "unstated", Behaviour.DELAY),
        ("unavailable", "new-reference", Behaviour.LOSE),
        ("unavailable", "report-list", Behaviour.QUEUE),
        ("unavailable", "wait", Behaviour.QUEUE),
    ],
)
def test_what_each_row_plays(behaviour: str, recovery: str, expected: Behaviour) -> None:
    """Each behaviour of a notice becomes one of the gateway, at the same moments."""
    windows = notice_windows([notice(behaviour, recovery)], directory=HTPOORT)

    assert (Window(system="DMS", behaviour=expected, begins=OPENS, ends=CLOSES),) == windows


@pytest.mark.parametrize("behaviour", ["limited", "normal", "unstated"])
def test_what_plays_nothing(behaviour: str) -> None:
    """What says nothing that can be played makes no window, nor does a name that means no system."""
    notices = [notice(behaviour), notice("rejected", system="NCTS")]

    assert () == notice_windows(notices, directory=HTPOORT)


def test_names_and_order() -> None:
    """A name of notices is looked up; of windows that overlap, what refuses comes first."""
    notices = [notice("queued", system="Invoer"), notice("rejected", system="Invoer")]
    names = [NoticeName(name="Invoer", system="DMS")]
    windows = notice_windows(notices, directory=HTPOORT, names=names)

    assert [("DMS", Behaviour.REJECT), ("DMS", Behaviour.QUEUE)] == [(each.system, each.behaviour) for each in windows]


async def test_an_evening() -> None:
    """Before the window a declaration is answered; in it refused; another system is answered as usual."""
    clock = SimulatedClock(datetime(2026, 11, 2, 18, tzinfo=UTC))
    declarant = Declarant(mailbox="edi@forwarder.example", password="correct horse")
    async with Gateway(declarants=[declarant], notices=[notice("rejected")], clock=clock) as gateway:
        first = await submitted(gateway, "K1")
        await clock.advance_to(OPENS)
        second = await submitted(gateway, "K2")
        await clock.advance_to(CLOSES)
        third = await submitted(gateway, "K3")
        await gateway.play()

    assert (250, 554, 250) == (first, second, third)
    assert ["K1", "K3"] == [each.declaration.envelope.reference for each in gateway.sent]


async def test_what_is_lost() -> None:
    """While a system is unavailable, a declaration is accepted and never answered."""
    clock = SimulatedClock(OPENS)
    declarant = Declarant(mailbox="edi@forwarder.example", password="correct horse")
    async with Gateway(declarants=[declarant], notices=[notice("unavailable", "resubmit")], clock=clock) as gateway:
        code = await submitted(gateway, "K1")
        await gateway.play()

    assert (250, 1, []) == (code, len(gateway.received), gateway.sent)


async def submitted(gateway: Gateway, reference: str) -> int:
    """Send a declaration; return the code of the gateway."""

    def send() -> int:
        with smtplib.SMTP("127.0.0.1", gateway.smtp_port, local_hostname="forwarder.example") as client:
            client.login("edi@forwarder.example", "correct horse")
            try:
                client.sendmail("edi@forwarder.example", ["dms@htpoort.nl"], DECLARATION.format(reference))
            except smtplib.SMTPResponseException as error:
                return error.smtp_code
        return 250

    return await asyncio.to_thread(send)
