"""
The events that Customs has had, in our own words: what the notice says is done, by order only, and nothing else is.

An agent and the gateway in a box play each one by the same clock. The gateway does what the notice says; the agent
learns of it before, or when it is too late.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import attrs
import pytest
from agents import INBOX, MAILBOX, PARTY, QUICK, declaration, server
from databases import new_ledger
from notice_builders import THREE_TEXTS

from htpoort import AGS, HTPOORT, DeclarationSystem, InputError, Router, State, build
from htpoort.agent import Agent, Outbox
from htpoort.ledger import Ledger, NoticeForm
from htpoort.notices import NoticeName, RecoveryAction, read_notice, read_own_notice
from htpoort.simulator import Gateway, SimulatedClock

DIRECTORY = HTPOORT.add(DeclarationSystem(name="NCTS", mailbox="ncts@customs.example", process_id="NCTS.NL"))
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


@attrs.frozen(kw_only=True)
class Event:
    """
    What happened, and what the notice said.

    Args:
        system: The system.
        start: Local time in Amsterdam, as the notice has it.
        end: The same.
        opens: The start, in UTC.
        behaviour: What the notice says of what is sent.
        recovery: What it says to do.
        allowed: What may be ordered because of it.
        comes_late: Whether the notice is learned after a declaration was sent.
        answered: Whether the declaration gets its answer after the window, without anything being sent.
    """

    system: str
    start: str
    end: str
    opens: datetime
    behaviour: str
    recovery: str
    allowed: frozenset[RecoveryAction]
    comes_late: bool
    answered: bool

    @property
    def text(self) -> str:
        """The notice as a table of one's own."""
        return f"""
authority = "douane"
references = ["{self.start}"]
state = "ended"
[[windows]]
system = "{self.system}"
access = "file"
start = "{self.start}"
end = "{self.end}"
behaviour = "{self.behaviour}"
recovery = "{self.recovery}"
"""


_A = RecoveryAction
EVENTS = {
    "planned maintenance: deliver as usual, it is buffered and answered afterwards": Event(
        system="DMS",
        start="2025-06-07T21:00",
        end="2025-06-08T09:00",
        opens=datetime(2025, 6, 7, 19, tzinfo=UTC),
        behaviour="queued",
        recovery="wait",
        allowed=frozenset({_A.WAIT, _A.REPORT}),
        comes_late=False,
        answered=True,
    ),
    "AGS, 24 April 2023: without a reply, submit again with the same LRN": Event(
        system="AGS",
        start="2023-04-24T10:00",
        end="2023-04-24T14:00",
        opens=datetime(2023, 4, 24, 8, tzinfo=UTC),
        behaviour="unavailable",
        recovery="same-reference",
        allowed=frozenset({_A.WAIT, _A.REPORT, _A.SAME_REFERENCE}),
        comes_late=True,
        answered=False,
    ),
    "NCTS, 30 September 2025: it may be sent again with the same LRN; a second copy is rejected": Event(
        system="NCTS",
        start="2025-09-30T07:00",
        end="2025-09-30T11:30",
        opens=datetime(2025, 9, 30, 5, tzinfo=UTC),
        behaviour="unavailable",
        recovery="resend-same-reference-optional",
        allowed=frozenset({_A.WAIT, _A.REPORT, _A.SAME_REFERENCE}),
        comes_late=True,
        answered=False,
    ),
    "NCTS, 4 July 2025: it will not be processed; declare anew with another LRN": Event(
        system="NCTS",
        start="2025-07-04T09:00",
        end="2025-07-04T13:00",
        opens=datetime(2025, 7, 4, 7, tzinfo=UTC),
        behaviour="unavailable",
        recovery="new-reference",
        allowed=frozenset({_A.WAIT, _A.REPORT, _A.NEW_REFERENCE}),
        comes_late=True,
        answered=False,
    ),
    "the gateway, 1 and 2 March 2023: nothing can be sent again; Customs asks for a list": Event(
        system="DMS",
        start="2023-03-01T16:00",
        end="2023-03-02T12:00",
        opens=datetime(2023, 3, 1, 15, tzinfo=UTC),
        behaviour="unavailable",
        recovery="report-list",
        allowed=frozenset({_A.WAIT, _A.REPORT}),
        comes_late=True,
        answered=True,
    ),
}


OVER = """
authority = "toldstyrelsen"
references = ["WO0000001421830"]
state = "ended"
"""


@attrs.frozen
class Night:
    """A gateway and an agent with one clock."""

    event: Event
    ledger: Ledger
    clock: SimulatedClock
    gateway: Gateway
    agent: Agent

    def queue(self, reference: str) -> None:
        """Queue a declaration to the system of the event."""
        message = build(
            system=self.event.system,
            party=PARTY,
            mailbox=MAILBOX,
            reference=reference,
            payload=b"<MetaData>LRN1</MetaData>",
            date=self.clock(),
            message_id=f"<{reference}@forwarder.example>",
            directory=DIRECTORY,
        )
        self.ledger.exchanges.queue(message, at=self.clock(), business_reference="LRN1")
        self.agent.wake()

    def learn(self) -> None:
        """Store the notice."""
        self.ledger.notices.add(self.event.text, at=self.clock(), form=NoticeForm.OWN)

    async def reached(self, reference: str, state: State) -> None:
        """Wait until an exchange has a state."""
        async with asyncio.timeout(60):
            while True:
                found = await asyncio.to_thread(self.ledger.exchanges.find, reference, party=PARTY)
                if found is not None and found.state is state:
                    return
                await asyncio.sleep(0)

    def ordered(self, action: RecoveryAction, despite: str | None = None) -> str:
        """Order something for K1; return the K of what is sent, or why it was refused."""
        is_new = action is RecoveryAction.NEW_REFERENCE
        try:
            order = self.ledger.recoveries.order(
                self.event.start,
                action,
                "K1",
                at=self.clock(),
                despite=despite,
                replacement=b"<MetaData>LRN2</MetaData>" if is_new else None,
                business_reference="LRN2" if is_new else None,
            )
        except InputError as error:
            return error.problems[0].code
        self.agent.wake()
        return order.resubmission or ""

    @property
    def received(self) -> list[str]:
        """The K of what the gateway accepted."""
        return [each.envelope.reference for each in self.gateway.received]


@pytest.fixture
def night(ledger: Ledger) -> Callable[..., object]:
    """Return a function that runs a gateway and an agent, one minute after the window of an event has opened."""

    @asynccontextmanager
    async def run(event: Event) -> AsyncGenerator[Night]:
        clock = SimulatedClock(event.opens + MINUTE)
        router = Router(parties=[PARTY], directory=DIRECTORY)
        played = [read_own_notice(event.text)]
        async with Gateway(directory=DIRECTORY, notices=played, clock=clock) as gateway:
            outboxes = [Outbox(server=server(gateway.smtp_port))]
            parts = {"ledger": ledger, "router": router, "outboxes": outboxes, "inboxes": [INBOX]}
            agent = Agent(**parts, clock=clock, timing=attrs.evolve(QUICK, release_spread=timedelta(microseconds=1)))  # type: ignore[arg-type]  # the parts
            async with agent:
                gateway.register(MAILBOX, server(agent.ports[0]))
                yield Night(event, ledger, clock, gateway, agent)

    return run


@pytest.mark.parametrize("name", EVENTS)
async def test_what_happened(night: Callable[..., object], name: str) -> None:
    """In the window nothing but what the notice allows can be ordered; after it, the declaration is where it says."""
    event = EVENTS[name]
    async with night(event) as running:  # type: ignore[attr-defined]  # a context manager
        if not event.comes_late:
            running.learn()
        running.queue("K1")
        await running.reached("K1", State.ACCEPTED)
        running.learn()
        # Typed by hand above: whatever the notice does not allow is refused, and nothing goes out.
        refused = {action: running.ordered(action) for action in RecoveryAction if action not in event.allowed}
        assert set(refused.values()) <= {"ledger.notice-forbids"}
        (concern,) = running.ledger.recoveries.concerned(event.start, at=running.clock())
        assert event.allowed == set(concern.rule.allowed)
        await running.gateway.play(24 * HOUR)
        if event.answered:
            await running.reached("K1", State.ANSWERED)
            assert () == running.ledger.recoveries.concerned(event.start, at=running.clock())

        assert ["K1"] == running.received
        assert 1 == len(list(running.ledger.exchanges.listed()))


@pytest.mark.parametrize("name", [name for name, event in EVENTS.items() if not event.answered])
async def test_what_is_sent_again(night: Callable[..., object], name: str) -> None:
    """What the notice says to send again is sent once, by order, and answered; the order repeated sends nothing."""
    event = EVENTS[name]
    action = RecoveryAction.NEW_REFERENCE if event.recovery == "new-reference" else RecoveryAction.SAME_REFERENCE
    async with night(event) as running:  # type: ignore[attr-defined]  # a context manager
        running.queue("K1")
        await running.reached("K1", State.ACCEPTED)
        running.learn()
        await running.clock.advance(24 * HOUR)
        second = running.ordered(action)
        await running.reached(second, State.ACCEPTED if second == "K1" else State.ANSWERED)
        again = running.ordered(action)
        await running.reached("K1", State.CLOSED)
        lrn = running.ledger.exchanges.find(second, party=PARTY).business_reference

        assert second == again
        assert ["K1", second] == running.received
        assert ("LRN2" if action is RecoveryAction.NEW_REFERENCE else "LRN1") == lrn


@pytest.mark.parametrize("name", EVENTS)
async def test_despite_the_notice(night: Callable[..., object], name: str) -> None:
    """A person who knows better can order anything, with a reason that is recorded."""
    event = EVENTS[name]
    async with night(event) as running:  # type: ignore[attr-defined]  # a context manager
        running.queue("K1")
        await running.reached("K1", State.ACCEPTED)
        running.learn()
        second = running.ordered(RecoveryAction.SAME_REFERENCE, despite="the helpdesk asked for it")
        (exchange,) = [each for each in running.ledger.exchanges.listed() if each.reference == "K1"]
        (order,) = running.ledger.recoveries.orders(exchange)

        allowed = RecoveryAction.SAME_REFERENCE in event.allowed
        assert (second, None if allowed else "the helpdesk asked for it") == (order.resubmission, order.despite)


async def test_a_published_text_drives_both(tmp_path: Path) -> None:
    """
    The same text holds declarations and is played by the gateway; its expected end releases nothing.

    When a person states that it is over, what was held is sent once, and the gateway takes it.
    """
    clock = SimulatedClock(datetime(2025, 6, 6, 18, tzinfo=UTC))  # 20:00 in Copenhagen, an hour before the window
    names = [NoticeName(name=name, system="DMS") for name in ("DMS Import", "DMS Eksport", "DMS Forsendelse")]
    played = [read_notice(THREE_TEXTS)]
    with Ledger.open(new_ledger(tmp_path / "night.db"), notice_names=names) as ledger:
        ledger.notices.add(THREE_TEXTS, at=clock())
        async with Gateway(notices=played, notice_names=names, clock=clock) as gateway:
            agent = Agent(
                ledger=ledger,
                router=Router(parties=[PARTY]),
                outboxes=[Outbox(server=server(gateway.smtp_port))],
                clock=clock,
                timing=attrs.evolve(QUICK, release_spread=timedelta(microseconds=1)),
            )
            async with agent:
                night = Night(EVENTS[next(iter(EVENTS))], ledger, clock, gateway, agent)
                night.queue("K1")
                await night.reached("K1", State.ACCEPTED)
                await clock.advance_to(datetime(2025, 6, 6, 19, tzinfo=UTC))
                night.queue("K2")
                await night.reached("K2", State.HELD)
                await clock.advance_to(datetime(2025, 6, 7, 23, tzinfo=UTC))
                ledger.exchanges.queue(declaration("A1", AGS), at=clock())
                agent.wake()
                await night.reached("A1", State.ACCEPTED)
                before = night.received
                ledger.notices.add(OVER, at=clock(), form=NoticeForm.OWN)
                await night.reached("K2", State.ACCEPTED)

    assert (["K1", "A1"], ["K1", "A1", "K2"]) == (before, night.received)
    assert [] == gateway.refused
