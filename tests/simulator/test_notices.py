"""A gateway plays notices: the same texts that an agent obeys decide what it does, by its own clock."""

from __future__ import annotations

import asyncio
import smtplib
from datetime import UTC, datetime

import attrs
import pytest

from htpoort import HTPOORT, InputError, UnknownError
from htpoort.notices import Notice, NoticeName, NoticeState, read_own_notice
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


DOUBT = "is in doubt: the text does not firmly state it, or gives no time for it"


def in_state(state: NoticeState) -> Notice:
    """Give the notice about the evening in another state."""
    given = notice("rejected")
    return attrs.evolve(given, revisions=(attrs.evolve(given.newest, state=state),))


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


def test_what_is_left_out_is_reported() -> None:
    """A gateway says which rows it does not play, and why; the others it lists with their times."""
    rows = "".join(
        f"""[[windows]]
system = "{system}"
access = "{access}"
start = "2026-11-0{day}T20:00"
end = "2026-11-0{day}T23:00"
behaviour = "{behaviour}"
"""
        for system, access, behaviour, day in (
            ("NCTS", "file", "rejected", 2),
            ("DMS", "file", "limited", 2),
            ("DMS", "file", "rejected", 1),
            ("DMS", "online", "unavailable", 2),
            ("AGS", "any", "normal", 2),
        )
    )
    clock = SimulatedClock(datetime(2026, 11, 2, 18, tzinfo=UTC))
    gateway = Gateway(notices=[notice("rejected", extra=rows), ended_early()], clock=clock)

    assert (Window(system="DMS", behaviour=Behaviour.REJECT, begins=OPENS, ends=CLOSES),) == gateway.played.windows
    assert (
        "notice rejectedDMS: NCTS means none of AGS, DMS; say which by notice_names.",
        "notice rejectedDMS: DMS has a behaviour that is not played: limited.",
        "notice rejectedDMS: DMS is over.",
        "notice 2: it states no window.",
    ) == gateway.played.left_out
    assert ((), ()) == (Gateway().played.windows, Gateway().played.left_out)


def ended_early() -> Notice:
    """Give a notice in which nothing but an end is stated."""
    return attrs.evolve(read_own_notice('authority = "douane"\nstate = "ended"\nreferences = ["X"]\n'), references=())


@pytest.mark.parametrize(
    ("played", "at", "expected"),
    [
        (notice("rejected"), CLOSES, "Notice rejectedDMS: DMS is over."),
        (
            notice("rejected", system="NCTS"),
            OPENS,
            "Notice rejectedNCTS: NCTS means none of AGS, DMS; say which by notice_names.",
        ),
        (attrs.evolve(notice("rejected"), zone=None), OPENS, f"Notice rejectedDMS: DMS {DOUBT}."),
        (in_state(NoticeState.CANCELLED), OPENS, "Notice rejectedDMS: DMS is cancelled."),
    ],
)
def test_a_gateway_that_would_play_nothing(played: Notice, at: datetime, expected: str) -> None:
    """If nothing of the notices would be played, a gateway is refused, with the reason for each row."""
    with pytest.raises(InputError) as refused:
        Gateway(notices=[played], clock=SimulatedClock(at))

    assert [("simulator.notices", f"notices: nothing would be played. {expected}")] == [
        (problem.code, problem.message) for problem in refused.value.problems
    ]


def test_a_name_for_an_unknown_system() -> None:
    """A name that is to mean a system that the gateway does not play is refused."""
    with pytest.raises(
        UnknownError, match=r"notice_names 'DSM' is not in the systems that are played; did you mean DMS?"
    ):
        Gateway(notices=[notice("rejected")], notice_names=[NoticeName(name="Invoer", system="DSM")])


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
