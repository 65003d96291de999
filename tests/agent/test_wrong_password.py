"""A wrong password must not lock an account: how often an agent logs in, counted at the gateway."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from agents import MAILBOX, QUICK, declaration, now

from htpoort import Router, SendFailure, State
from htpoort.agent import Agent, Outbox, Pop3Inbox, Timing
from htpoort.agent._server_pauses import ServerPauses
from htpoort.ledger import Ledger, PausedServer
from htpoort.simulator import Declarant, Gateway
from htpoort.transport import Pop3Account, Security, SmtpServer

AT = datetime(2026, 11, 2, 9, 5, 7, tzinfo=UTC)
USUAL = Timing()


def agent(ledger: Ledger, router: Router, gateway: Gateway, *, keep_pauses: bool = False) -> Agent:
    """Make an agent with a wrong password, eight connections, and the usual pauses."""
    login = {"username": MAILBOX, "password": "falsch"}
    server = SmtpServer(host="127.0.0.1", port=gateway.smtp_port, security=Security.PLAIN, **login)
    assert gateway.pop3_port is not None
    account = Pop3Account(host="127.0.0.1", port=gateway.pop3_port, security=Security.PLAIN, **login)
    return Agent(
        ledger=ledger,
        router=router,
        outboxes=[Outbox(server=server, connections=8)],
        inboxes=[Pop3Inbox(server=account, poll_interval=timedelta(milliseconds=5))],
        timing=Timing(poll_interval=QUICK.poll_interval),
        keep_pauses=keep_pauses,
    )


async def paused(ledger: Ledger) -> tuple[PausedServer, ...]:
    """Wait until both servers are paused."""
    async with asyncio.timeout(60):
        while len(servers := await asyncio.to_thread(ledger.servers.paused)) < 2:  # noqa: ASYNC110 - no event reports it
            await asyncio.sleep(0)
    return servers


@pytest.mark.parametrize(
    ("kind", "minutes"),
    [
        (SendFailure.LOGIN, [0]),
        (SendFailure.CONNECT, [0, 1, 3, 8]),
        (SendFailure.TLS, [0, 1, 3, 8]),
        (SendFailure.DEFERRED, [0, 1, 3, 8]),
    ],
)
def test_the_first_ten_minutes(kind: SendFailure, minutes: list[int]) -> None:
    """At most four attempts; a refused login is repeated after 15 minutes only."""
    pauses, at, tried = ServerPauses("SMTP", USUAL), AT, list[datetime]()
    while at < AT + timedelta(minutes=10):
        tried.append(at)
        minimum = USUAL.login_pause if kind is SendFailure.LOGIN else timedelta(0)
        at += pauses.failed("no", kind=kind, at=at, minimum=minimum)

    assert minutes == [(one - AT).total_seconds() / 60 for one in tried]


async def test_an_agent_logs_in_once(ledger: Ledger, router: Router) -> None:
    """One login for each server, whatever is queued, and then a pause of 15 minutes for both."""
    for number in range(20):
        ledger.exchanges.queue(declaration(f"K{number}"), at=now())
    async with (
        Gateway(declarants=[Declarant(mailbox=MAILBOX, password="geheim")]) as gateway,
        agent(ledger, router, gateway) as running,
    ):
        servers = await paused(ledger)
        running.wake()
        await running.wait_until_idle()

    assert {("POP3", MAILBOX), ("SMTP", MAILBOX)} == {(one.protocol, one.username) for one in gateway.failed_logins}
    assert 2 == len(gateway.failed_logins)
    minutes = {round((server.next_try - server.since).total_seconds() / 60) for server in servers}
    assert {15} == minutes
    assert ([], {("DMS", State.QUEUED): 20}) == (gateway.received, ledger.status().exchanges)


async def test_agents_that_begin_again_and_again(ledger: Ledger, router: Router) -> None:
    """An agent that keeps the pauses of earlier ones, as cron starts it, logs in once in all."""
    ledger.exchanges.queue(declaration("K1"), at=now())
    async with Gateway(declarants=[Declarant(mailbox=MAILBOX, password="geheim")]) as gateway:
        for _ in range(10):
            async with agent(ledger, router, gateway, keep_pauses=True) as running:
                await running.wait_until_idle()
            servers = ledger.servers.paused()

    assert 2 == len(gateway.failed_logins)
    assert [1, 1] == [server.failures for server in servers]


async def test_agents_that_begin_again_after_an_order(ledger: Ledger, router: Router) -> None:
    """An order to resume counts for the next agent, and its failure is the next one of the same trouble."""
    ledger.exchanges.queue(declaration("K1"), at=now())
    async with Gateway(declarants=[Declarant(mailbox=MAILBOX, password="geheim")]) as gateway:
        async with agent(ledger, router, gateway, keep_pauses=True) as running:
            await running.wait_until_idle()
        before = ledger.servers.paused()
        ordered = ledger.servers.resume(at=now())
        async with agent(ledger, router, gateway, keep_pauses=True) as running:
            await running.wait_until_idle()
        after = ledger.servers.paused()

    assert sorted(server.name for server in before) == list(ordered)
    assert 4 == len(gateway.failed_logins)
    assert [server.since for server in before] == [server.since for server in after]
    assert [2, 2] == [server.failures for server in after]


async def test_an_order_to_resume(ledger: Ledger, router: Router) -> None:
    """A running agent tries each server once more for each order, and only the ordered one."""
    ledger.exchanges.queue(declaration("K1"), at=now())
    async with (
        Gateway(declarants=[Declarant(mailbox=MAILBOX, password="geheim")]) as gateway,
        agent(ledger, router, gateway),
        asyncio.timeout(60),
    ):
        pop3, smtp = sorted(server.name for server in await paused(ledger))
        ledger.servers.resume(at=now())
        while {2} != {server.failures for server in await paused(ledger)}:  # noqa: ASYNC110 - no event reports it
            await asyncio.sleep(0)
        assert (smtp,) == ledger.servers.resume(smtp, "SMTP of nobody", at=now())
        while len(gateway.failed_logins) < 5:  # noqa: ASYNC110 - what is awaited happens in this loop
            await asyncio.sleep(0)

    assert ["POP3", "POP3", "SMTP", "SMTP", "SMTP"] == sorted(one.protocol for one in gateway.failed_logins)
    assert {pop3: 1, smtp: 2} == ledger.servers.resume_orders()
