"""At level INFO the log shows names and numbers of declarations and replies, but none of their content."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Iterator
from datetime import timedelta

import attrs
import pytest
from agents import INBOX, MAILBOX, PARTY, QUICK, declaration, now, pushed, reply, server

from htpoort import AGS, DMS, Router
from htpoort.agent import Agent, Outbox
from htpoort.ledger import Ledger, Reply
from htpoort.simulator import FaultAction, Gateway, Script, SmtpFault, SmtpStep


class Lines(logging.Handler):
    """Collect log lines, and signal each one."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[tuple[str, str]] = []
        self.came = asyncio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line."""
        self.lines.append((record.levelname, record.getMessage()))
        self.came.set()


@pytest.fixture
def lines() -> Iterator[Lines]:
    """Collect what the agent logs."""
    log, handler = logging.getLogger("htpoort.agent"), Lines()
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    yield handler
    log.setLevel(logging.NOTSET)
    log.removeHandler(handler)


async def test_one_line_for_each_step(ledger: Ledger, router: Router, lines: Lines) -> None:
    """Each acceptance and each stored reply is logged once, with system, party and K; a copy is not logged again."""
    ledger.exchanges.queue(declaration("K0", AGS), at=now())
    async with Gateway() as gateway:
        outbox = Outbox(server=server(gateway.smtp_port), systems=("DMS",))
        async with Agent(ledger=ledger, router=router, outboxes=[outbox], inboxes=[INBOX], timing=QUICK) as agent:
            # The first check for unserved systems is over, and will not find the reply.
            await warnings(lines, 1)
            lines.came.clear()
            ledger.exchanges.queue(declaration("K1"), at=now())
            async with asyncio.timeout(60):
                await lines.came.wait()
            gateway.register(MAILBOX, server(agent.ports[0]))
            for _ in range(2):
                await gateway.push(pushed(reply("K1")))

    assert [
        ("WARNING", "Declarations to AGS wait (1), because this agent has no outbox for AGS"),
        ("INFO", f"Declaration to DMS of {PARTY} under K1 was accepted"),
        ("INFO", f"Reply 1 of DMS for {PARTY} under K1 was stored"),
    ] == lines.lines


async def warnings(lines: Lines, number: int) -> list[tuple[str, str]]:
    """Wait for this many warnings of what waits."""
    async with asyncio.timeout(60):
        while len(waiting := [line for line in lines.lines if " wait " in line[1]]) < number:
            lines.came.clear()
            await lines.came.wait()
    return waiting


async def test_what_no_agent_serves(ledger: Ledger, router: Router, lines: Lines) -> None:
    """Declarations without an outbox and replies without a delivery are logged once, at the start or when they come."""
    often = attrs.evolve(QUICK, lease=timedelta(milliseconds=30))
    for reference in ("K1", "K2"):
        ledger.exchanges.queue(declaration(reference, AGS), at=now())
    ledger.exchanges.queue(declaration("K3"), at=now(), held=True)
    ledger.replies.take_in(router, reply("K8"), mail_from=None, at=now())
    async with Agent(ledger=ledger, router=router, timing=often):
        await warnings(lines, 2)
        ledger.exchanges.queue(declaration("K4", AGS), at=now())
        ledger.replies.take_in(router, reply("K9", AGS), mail_from=None, at=now())
        await warnings(lines, 3)
        ledger.exchanges.queue(declaration("K5"), at=now())
        found = await warnings(lines, 4)

    assert [
        ("WARNING", "Declarations to AGS wait (2), because this agent has no outbox for AGS"),
        ("WARNING", "Replies of DMS wait (1), because this agent has no delivery for DMS"),
        ("WARNING", "Replies of AGS wait (1), because this agent has no delivery for AGS"),
        ("WARNING", "Declarations to DMS wait (1), because this agent has no outbox for DMS"),
    ] == found


async def test_what_only_waits_for_its_time(ledger: Ledger, router: Router, lines: Lines) -> None:
    """What was deferred or not delivered but has an outbox and a delivery is not logged as unserved."""
    ledger.exchanges.queue(declaration("K1"), at=now())
    ledger.replies.take_in(router, reply("K8"), mail_from=None, at=now())

    async def away(_reply: Reply) -> None:
        raise ConnectionError

    often = attrs.evolve(QUICK, lease=timedelta(milliseconds=30))
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # reserved until the end, and never listened on
        outbox = Outbox(server=server(closed.getsockname()[1]), systems=("dms",))
        async with Agent(ledger=ledger, router=router, outboxes=[outbox], deliveries={"dms": away}, timing=often):
            ledger.replies.take_in(router, reply("K9", AGS), mail_from=None, at=now())
            await warnings(lines, 1)
            ledger.exchanges.queue(declaration("K2", AGS), at=now())
            found = await warnings(lines, 2)

    assert ["Replies of AGS", "Declarations to AGS"] == [line.partition(" wait")[0] for _, line in found]


async def test_what_was_not_sent(ledger: Ledger, router: Router, lines: Lines) -> None:
    """Each failed attempt is logged with system, party, K and reason, so that the declaration can be identified."""
    ledger.exchanges.queue(declaration("K1"), at=now())
    ledger.exchanges.queue(declaration("K2", AGS), at=now())
    busy = SmtpFault(at=SmtpStep.RCPT, action=FaultAction.DEFER, times=None)
    async with Gateway(script=Script(faults=(busy,))) as gateway:
        outbox = Outbox(server=server(gateway.smtp_port))
        async with Agent(ledger=ledger, router=router, outboxes=[outbox], timing=QUICK), asyncio.timeout(60):
            while len(lines.lines) < 2:
                lines.came.clear()
                await lines.came.wait()

    why = "(deferred): 450 Mailbox busy. The agent sends it again, as long as its retry schedule lasts."
    assert [
        ("WARNING", f"Declaration to AGS of {PARTY} under K2: Not sent to {AGS.mailbox} {why}"),
        ("WARNING", f"Declaration to DMS of {PARTY} under K1: Not sent to {DMS.mailbox} {why}"),
    ] == sorted(lines.lines)


async def test_what_may_have_been_sent(ledger: Ledger, router: Router, lines: Lines) -> None:
    """The log never calls not sent what the server may have accepted: an operator in a hurry would send it again."""
    ledger.exchanges.queue(declaration("K1"), at=now())
    lost = SmtpFault(at=SmtpStep.DOT, action=FaultAction.DROP, times=None)
    async with Gateway(script=Script(faults=(lost,))) as gateway:
        outbox = Outbox(server=server(gateway.smtp_port))
        async with Agent(ledger=ledger, router=router, outboxes=[outbox], timing=QUICK):
            async with asyncio.timeout(60):
                await lines.came.wait()

    ((level, text),) = lines.lines
    outcome, _, reason = text.partition(" (unknown): ")
    expected = f"Declaration to DMS of {PARTY} under K1: It is not known whether the message was sent to {DMS.mailbox}"
    assert ("WARNING", expected) == (level, outcome)
    assert reason.endswith(
        ". Do not send it again: the server may have accepted it. It waits until a reply or htpoort resolve settles it."
    )


async def test_what_cannot_be_sent(ledger: Ledger, router: Router, lines: Lines) -> None:
    """A declaration that is refused before anything is sent is logged like one that the server has refused."""
    ledger.exchanges.queue(attrs.evolve(declaration("K1"), data=b"no end of a line"), at=now())
    async with Gateway() as gateway:
        outbox = Outbox(server=server(gateway.smtp_port))
        async with Agent(ledger=ledger, router=router, outboxes=[outbox], timing=QUICK):
            async with asyncio.timeout(60):
                await lines.came.wait()

    why = "The message is not 7-bit lines of at most 998 octets, each ended by CRLF; make it with htpoort.build."
    then = "The agent does not send it again; htpoort show has its history."
    assert [("WARNING", f"Declaration to DMS of {PARTY} under K1: {why} {then}")] == lines.lines


async def test_when_the_schedule_is_over(ledger: Ledger, router: Router, lines: Lines) -> None:
    """A declaration that was deferred for the last time is logged once more: from then on it needs a person."""
    ledger.exchanges.queue(declaration("K1"), at=now())
    busy = SmtpFault(at=SmtpStep.RCPT, action=FaultAction.DEFER, times=None)
    async with Gateway(script=Script(faults=(busy,))) as gateway:
        outbox = Outbox(server=server(gateway.smtp_port), retry_schedule=(timedelta(milliseconds=1),))
        async with Agent(ledger=ledger, router=router, outboxes=[outbox], timing=QUICK), asyncio.timeout(60):
            while len(lines.lines) < 3:
                lines.came.clear()
                await lines.came.wait()

    named = f"Declaration to DMS of {PARTY} under K1"
    deferred = f"Not sent to {DMS.mailbox} (deferred): 450 Mailbox busy."
    again = "The agent sends it again, as long as its retry schedule lasts."
    over = "its retry schedule is over. The agent does not send it again until htpoort resolve K1 settles it"
    assert [
        ("WARNING", f"{named}: {deferred} {again}"),
        ("WARNING", f"{named}: {deferred} {again}"),
        ("WARNING", f"{named} has failed: {over}"),
    ] == lines.lines
