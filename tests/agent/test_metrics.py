"""An agent counts what it does, and reads its gauges from the ledger; a library keeps both."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from datetime import timedelta
from pathlib import Path

import attrs
from agents import INBOX, MAILBOX, QUICK, Process, declaration, now, pushed, reply, server

from htpoort import AGS, Router, State
from htpoort.agent import METRICS, Agent, Metric, MetricKind, Outbox, Pop3Inbox
from htpoort.ledger import Ledger
from htpoort.simulator import Declarant, FaultAction, Gateway, Script, SmtpFault, SmtpStep
from htpoort.transport import Pop3Account, Security

ROOT = Path(__file__).parents[2]


@attrs.define
class Kept:
    """Metrics that are kept in memory, and a signal for each change."""

    counted: Counter[str] = attrs.field(factory=Counter[str])
    measured: Counter[str] = attrs.field(factory=Counter[str])
    shown: dict[str, float] = attrs.field(factory=dict[str, float])
    changed: asyncio.Event = attrs.field(factory=asyncio.Event)

    def count(self, metric: Metric, /, **labels: str) -> None:
        """Add one."""
        assert (MetricKind.COUNTER, set(metric.labels)) == (metric.kind, labels.keys())
        self.counted[" ".join((metric.name, *labels.values()))] += 1

    def measure(self, metric: Metric, seconds: float, /, **labels: str) -> None:
        """Keep that something was measured; no time is negative."""
        assert (MetricKind.HISTOGRAM, set(metric.labels)) == (metric.kind, labels.keys())
        assert seconds >= 0
        self.measured[" ".join((metric.name, *labels.values()))] += 1

    def show(self, metric: Metric, value: float, /, **labels: str) -> None:
        """Keep a number."""
        assert (MetricKind.GAUGE, set(metric.labels)) == (metric.kind, labels.keys())
        self.shown[" ".join((metric.name, *labels.values()))] = value
        self.changed.set()


async def test_a_declaration_and_its_reply(ledger: Ledger, router: Router) -> None:
    """What is sent, comes in and is delivered is counted under the system's name; a copy of a reply is not."""
    kept, process = Kept(), Process(fails=1)
    timing = attrs.evolve(QUICK, redelivery_schedule=(timedelta(milliseconds=20),))
    async with Gateway() as gateway:
        outbox = Outbox(server=server(gateway.smtp_port))
        parts = {"outboxes": [outbox], "inboxes": [INBOX], "timing": timing, "metrics": kept}
        async with Agent(ledger=ledger, router=router, deliveries={"DMS": process}, **parts) as agent:  # type: ignore[arg-type]  # the parts
            gateway.register(MAILBOX, server(agent.ports[0]))
            ledger.exchanges.queue(declaration("K1"), at=now())
            agent.wake()
            await process.has(1)
            for _ in range(2):  # another reply, and a copy of it, which is not counted
                await gateway.push(pushed(reply("K1")))
            await gateway.push(pushed(b"From: evil@x\r\nSubject: x\r\n\r\n"))
            await process.has(2)

    assert {
        "htpoort_attempts_total DMS accepted": 1,
        "htpoort_replies_total DMS": 2,
        "htpoort_deliveries_total DMS failed": 1,
        "htpoort_deliveries_total DMS delivered": 2,
        "htpoort_quarantined_total sender-disagrees": 1,
    } == kept.counted
    assert {"htpoort_attempt_seconds DMS": 1, "htpoort_delivery_seconds DMS": 3} == kept.measured


async def test_what_was_refused(ledger: Ledger, router: Router) -> None:
    """A declaration that the server refuses counts as refused, and not as accepted."""
    kept = Kept()
    refusing = Script(faults=(SmtpFault(at=SmtpStep.RCPT, action=FaultAction.REFUSE),))
    async with Gateway(script=refusing) as gateway:
        outbox = Outbox(server=server(gateway.smtp_port))
        async with Agent(ledger=ledger, router=router, outboxes=[outbox], timing=QUICK, metrics=kept) as agent:
            ledger.exchanges.queue(declaration("K1"), at=now())
            agent.wake()
            await agent.wait_until_idle()

    assert {"htpoort_attempts_total DMS refused": 1} == kept.counted


async def test_polls(ledger: Ledger, router: Router) -> None:
    """A poll that comes to its end is done; one whose server is away has failed."""
    kept = Kept()
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    async with Gateway(declarants=[Declarant(mailbox=MAILBOX, password="geheim")]) as gateway:
        accounts = [
            Pop3Account(
                host="127.0.0.1", port=number or 0, username=MAILBOX, password="geheim", security=Security.PLAIN
            )
            for number in (gateway.pop3_port, port)
        ]
        inboxes = [Pop3Inbox(server=account) for account in accounts]
        async with Agent(ledger=ledger, router=router, inboxes=inboxes, timing=QUICK, metrics=kept) as agent:
            await agent.wait_until_idle()

    assert {"htpoort_polls_total done": 1, "htpoort_polls_total failed": 1} == kept.counted


async def test_gauges_are_those_of_the_ledger(ledger: Ledger, router: Router) -> None:
    """Exchanges, quarantine and what is undelivered are shown as the ledger has them; what is gone goes back to 0."""
    kept = Kept()
    ledger.exchanges.queue(declaration("K1"), at=now() - timedelta(hours=1))
    ledger.exchanges.queue(declaration("K2", AGS), at=now())
    ledger.replies.take_in(router, b"From: evil@x\r\nSubject: x\r\n\r\n", mail_from=None, at=now())
    async with Agent(ledger=ledger, router=router, timing=QUICK, metrics=kept):
        await shown(kept, "htpoort_exchanges DMS queued", 1)
        first = dict(kept.shown)

    assert {"htpoort_exchanges DMS queued": 1, "htpoort_exchanges AGS queued": 1, "htpoort_quarantine": 1} == {
        name: value for name, value in first.items() if value == 1
    }
    assert 3_600 <= first["htpoort_oldest_open_seconds DMS"] < 3_660


async def shown(kept: Kept, name: str, value: float) -> None:
    """Wait until a gauge shows a value."""
    async with asyncio.timeout(60):
        while kept.shown.get(name) != value:
            kept.changed.clear()
            await kept.changed.wait()


async def test_health(ledger: Ledger, router: Router) -> None:
    """An agent that runs is healthy; one that has not started, or that ends, says so."""
    agent = Agent(ledger=ledger, router=router, timing=QUICK)
    stopped = ("The agent does not run: it has not started, or it was asked to stop.",)

    assert stopped == agent.troubles()
    async with agent:
        assert () == agent.troubles()
        agent.stop()
        assert stopped == agent.troubles()


async def test_what_waits_is_no_fault_of_the_agent(ledger: Ledger, router: Router) -> None:
    """A declaration that nobody sends and a paused server leave the agent healthy: a new start would mend neither."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    ledger.exchanges.queue(declaration("K1"), at=now())
    async with Agent(ledger=ledger, router=router, outboxes=[Outbox(server=server(port))], timing=QUICK) as agent:
        await agent.wait_until_idle()
        assert [f"SMTP 127.0.0.1:{port}"] == [pause.name for pause in ledger.servers.paused()]
        assert () == agent.troubles()
    assert {("DMS", State.QUEUED): 1} == ledger.status().exchanges


def test_names_are_those_of_the_page() -> None:
    """The names, kinds and labels of all metrics are in the reference, and no other is."""
    page = (ROOT / "docs/reference/metrics.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in page.splitlines() if line.startswith("| `htp")]

    assert [
        [f"`{metric.name}`", metric.kind.value, ", ".join(f"`{label}`" for label in metric.labels), metric.meaning]
        for metric in METRICS
    ] == rows


def test_no_label_is_of_a_declarant() -> None:
    """No metric has a label for K, a party, a mailbox or a server."""
    assert {"system", "outcome", "reason", "state"} == {label for metric in METRICS for label in metric.labels}
