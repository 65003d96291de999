"""An agent that is stopped or cancelled at a bad moment keeps what is known, and leaves nothing running."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncGenerator
from datetime import timedelta

import attrs
import pytest
from agents import INBOX, PARTY, QUICK, declaration, now, reply, server
from tidy import cancel_until_done

from htpoort import Event, Router, State
from htpoort.agent import Agent, Outbox
from htpoort.ledger import Ledger, Reply
from htpoort.simulator import FaultAction, Gateway, Script, SmtpFault, SmtpStep
from htpoort.transport import Incoming, Receiver

HURRIED = attrs.evolve(QUICK, grace=timedelta(milliseconds=500))


async def stopped(gateway: Gateway, ledger: Ledger, router: Router, outbox: Outbox) -> None:
    """Run an agent until the gateway shows its fault, and stop it there."""
    async with Agent(ledger=ledger, router=router, outboxes=[outbox], timing=HURRIED), asyncio.timeout(60):
        while not gateway.shown_faults:  # noqa: ASYNC110 - no event reports it
            await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def stuck(ledger: Ledger) -> AsyncGenerator[None]:
    """Block every write of the ledger until the end of the block, as a lock of another process does."""
    begun, answers = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def wait(_connection: object) -> None:
        loop.call_soon_threadsafe(begun.set)
        answers.wait()

    writing = ledger.write_soon(wait)
    try:
        await begun.wait()
        yield
    finally:
        answers.set()
        await asyncio.wrap_future(writing)


async def test_an_outcome_that_is_known_is_recorded(ledger: Ledger, router: Router) -> None:
    """A 250 that the ledger could not record before the agent had to end is recorded as soon as it can."""
    began, hold = asyncio.Event(), asyncio.Event()

    async def slow(_incoming: Incoming) -> None:
        began.set()
        await hold.wait()

    ledger.exchanges.queue(declaration("K1"), at=now())
    async with Receiver(slow, hostname="gateway.example", mailboxes=["dms@htpoort.nl"]) as receiver:
        agent = Agent(ledger=ledger, router=router, outboxes=[Outbox(server=server(receiver.port))], timing=HURRIED)
        agent._context.final_seconds = 0.05
        async with contextlib.AsyncExitStack() as leaving:
            await leaving.enter_async_context(agent)
            await began.wait()
            async with stuck(ledger):
                hold.set()
                await leaving.aclose()
    async with Agent(ledger=ledger, router=router, timing=QUICK):
        found = ledger.exchanges.find("K1", party=PARTY)

    assert found is not None
    assert State.ACCEPTED == found.state


async def test_a_reply_that_was_delivered_is_marked(ledger: Ledger, router: Router) -> None:
    """A delivery that the ledger could not record before the agent had to end is not repeated."""
    began, hold = asyncio.Event(), asyncio.Event()
    taken: list[int] = []

    async def process(one: Reply) -> None:
        began.set()
        await hold.wait()
        taken.append(one.key)

    ledger.replies.take_in(router, reply("K1"), mail_from=None, at=now())
    agent = Agent(ledger=ledger, router=router, deliveries={"DMS": process}, timing=HURRIED)
    agent._context.final_seconds = 0.05
    async with contextlib.AsyncExitStack() as leaving:
        await leaving.enter_async_context(agent)
        await began.wait()
        async with stuck(ledger):
            hold.set()
            await leaving.aclose()
    await asyncio.wrap_future(ledger.write_soon(lambda _connection: None))

    assert ([1], {}) == (taken, dict(ledger.status().undelivered))


@pytest.mark.parametrize("rounds", range(1, 5))
async def test_cancelled_again_and_again(ledger: Ledger, router: Router, rounds: int) -> None:
    """However often it is cancelled, an agent leaves no task, no connection and no lock behind."""
    began, hold = asyncio.Event(), asyncio.Event()

    async def silent(_incoming: Incoming) -> None:
        began.set()
        await hold.wait()

    async def until_stopped() -> None:
        async with agent:
            await agent.wait_for_stop_request()

    ledger.exchanges.queue(declaration("K1"), at=now())
    async with Receiver(silent, hostname="gateway.example", mailboxes=["dms@htpoort.nl"], grace=0.1) as receiver:
        outbox = Outbox(server=server(receiver.port))
        agent = Agent(ledger=ledger, router=router, outboxes=[outbox], inboxes=[INBOX], timing=QUICK)
        running = asyncio.create_task(until_stopped())
        await began.wait()
        await cancel_until_done(running, rounds)
        async with Agent(ledger=ledger, router=router, timing=QUICK):
            pass
        async with asyncio.timeout(10):
            await asyncio.wait({*agent._tasks, agent._lease_task})
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", agent.ports[0])
        hold.set()
        async with asyncio.timeout(10):
            while receiver._tracker.connections:  # noqa: ASYNC110 - no event reports it
                await asyncio.sleep(0)


@pytest.mark.parametrize("rounds", range(4))
async def test_all_is_cancelled_as_the_answer_comes(ledger: Ledger, router: Router, rounds: int) -> None:
    """A 250 that has come is recorded even if the loop cancels every task at that moment."""
    began, hold = asyncio.Event(), asyncio.Event()

    async def slow(_incoming: Incoming) -> None:
        began.set()
        await hold.wait()

    ledger.exchanges.queue(declaration("K1"), at=now())
    async with Receiver(slow, hostname="gateway.example", mailboxes=["dms@htpoort.nl"]) as receiver:
        outbox, before = Outbox(server=server(receiver.port), connections=1), asyncio.all_tasks()
        agent = Agent(ledger=ledger, router=router, outboxes=[outbox], timing=QUICK)
        async with agent:
            await began.wait()
            sending = {task for task in asyncio.all_tasks() - before if "OutboxWorker._send" in repr(task)}
            hold.set()
            while not agent._outboxes[0]._free:  # noqa: ASYNC110 - no event reports it
                await asyncio.sleep(0)
            for _ in range(rounds):
                await asyncio.sleep(0)
            for task in (*sending, *agent._tasks):
                task.cancel()
    async with Agent(ledger=ledger, router=router, timing=QUICK):
        found = ledger.exchanges.find("K1", party=PARTY)

    assert found is not None
    assert State.ACCEPTED == found.state


@pytest.mark.parametrize("at", [SmtpStep.GREETING, SmtpStep.EHLO, SmtpStep.MAIL, SmtpStep.RCPT, SmtpStep.DATA])
async def test_before_the_content(ledger: Ledger, router: Router, at: SmtpStep) -> None:
    """A declaration that was not begun when the agent ended loses no attempt: the next agent sends it at once."""
    ledger.exchanges.queue(declaration("K1"), at=now())
    async with Gateway(script=Script(faults=(SmtpFault(at=at, action=FaultAction.STALL),))) as gateway:
        # As at the last attempt: the schedule has no delay left.
        outbox = Outbox(server=server(gateway.smtp_port), retry_schedule=())
        await stopped(gateway, ledger, router, outbox)
        (story,) = ledger.story("K1")
        async with Agent(ledger=ledger, router=router, outboxes=[outbox], timing=QUICK), asyncio.timeout(60):
            while not gateway.received:  # noqa: ASYNC110 - no event reports it
                await asyncio.sleep(0)
        found = ledger.exchanges.find("K1", party=PARTY)

    last = story.entries[-1]
    assert (Event.RETURNED_TO_QUEUE.value, "the agent was stopped before the message was sent") == (
        last.event,
        last.detail,
    )
    assert ["K1"] == [taken.envelope.reference for taken in gateway.received]
    assert found is not None
    assert (State.ACCEPTED, 2) == (found.state, found.attempts)


@pytest.mark.parametrize("at", [SmtpStep.CONTENT, SmtpStep.DOT])
async def test_when_the_content_has_begun(
    ledger: Ledger, router: Router, caplog: pytest.LogCaptureFixture, at: SmtpStep
) -> None:
    """A declaration whose content had begun when the agent ended is unknown, is logged once, and is not sent again."""
    ledger.exchanges.queue(declaration("K1"), at=now())
    async with Gateway(script=Script(faults=(SmtpFault(at=at, action=FaultAction.STALL),))) as gateway:
        outbox = Outbox(server=server(gateway.smtp_port), connections=1)
        await stopped(gateway, ledger, router, outbox)
        before = len(gateway.received)
        async with Agent(ledger=ledger, router=router, outboxes=[outbox], timing=QUICK), asyncio.timeout(60):
            ledger.exchanges.queue(declaration("K2"), at=now())
            while len(gateway.received) == before:  # noqa: ASYNC110 - no event reports it
                await asyncio.sleep(0)
        found = ledger.exchanges.find("K1", party=PARTY)

    assert ["K2"] == [taken.envelope.reference for taken in gateway.received[before:]]
    assert found is not None
    assert (State.UNKNOWN, 1) == (found.state, found.attempts)
    assert "the agent was stopped" == ledger.story("K1")[0].entries[-1].detail
    why = "The agent was stopped while it was being sent."
    then = (
        "Do not send it again: the server may have accepted it. It waits until a reply or htpoort resolve settles it."
    )
    assert [f"Declaration to DMS of {PARTY} under K1: {why} {then}"] == [
        record.getMessage() for record in caplog.records if vars(record).get("event") == "declaration.unknown"
    ]
