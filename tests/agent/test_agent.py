"""The agent between a ledger, the simulated gateway and a process; real sockets lead to every state."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from pathlib import Path

import attrs
import pytest
from agents import INBOX, MAILBOX, PARTY, QUICK, Process, declaration, now, pushed, reply, server

from htpoort import AGS, DMS, InputError, LedgerError, Router, State
from htpoort.agent import Agent, Outbox, Timing
from htpoort.ledger import Ledger, Reply
from htpoort.simulator import Gateway
from htpoort.transport import Incoming, Receiver, Refusal, SmtpServer, TlsSettings


async def reached(ledger: Ledger, reference: str, *states: State) -> State:
    """Wait until an exchange has one of these states."""
    async with asyncio.timeout(60):
        while True:
            found = await asyncio.to_thread(ledger.exchanges.find, reference, party=PARTY)
            assert found is not None
            if found.state in states:
                return found.state
            # Reading the ledger waits for another thread; a longer pause is not needed.
            await asyncio.sleep(0)


async def logged(caplog: pytest.LogCaptureFixture, words: str) -> None:
    """Wait until a line of the log contains these words."""
    async with asyncio.timeout(60):
        while True:
            if any(words in message for message in caplog.messages):
                return
            await asyncio.sleep(0)


class TestExchange:
    """A declaration that is queued is sent once, and its reply reaches its process."""

    async def test_both_systems(self, ledger: Ledger, router: Router) -> None:
        """A declaration to AGS and one to DMS are answered, and each reply reaches the process of its system."""
        ags, dms = Process(), Process()
        async with Gateway() as gateway:
            outbox = Outbox(server=server(gateway.smtp_port))
            parts = {"ledger": ledger, "router": router, "outboxes": [outbox], "inboxes": [INBOX], "timing": QUICK}
            async with Agent(**parts, deliveries={"AGS": ags, "dms": dms}) as agent:  # type: ignore[arg-type]  # the parts
                gateway.register(MAILBOX, server(agent.ports[0]))
                for reference, system in (("K1", AGS), ("K2", DMS)):
                    ledger.exchanges.queue(declaration(reference, system), at=now())
                agent.wake()
                assert (["K1"], ["K2"]) == (await ags.has(1), await dms.has(1))
                await gateway.wait_for_due_replies()

        assert ["K1", "K2"] == sorted(taken.envelope.reference for taken in gateway.received)
        assert {("AGS", State.ANSWERED): 1, ("DMS", State.ANSWERED): 1} == ledger.status().exchanges
        assert {} == ledger.status().undelivered

    async def test_what_is_queued_while_it_runs(self, ledger: Ledger, router: Router) -> None:
        """What another program queues is found, and what the agent's own program queues is sent at once."""
        async with Gateway() as gateway:
            outbox = Outbox(server=server(gateway.smtp_port), connections=1)
            async with Agent(ledger=ledger, router=router, outboxes=[outbox], timing=QUICK) as agent:
                ledger.exchanges.queue(declaration("K1"), at=now())
                await reached(ledger, "K1", State.ACCEPTED)
                ledger.exchanges.queue(declaration("K2"), at=now())
                agent.wake()
                await reached(ledger, "K2", State.ACCEPTED)

        assert ["K1", "K2"] == [taken.envelope.reference for taken in gateway.received]

    async def test_many_over_few_connections(self, ledger: Ledger, router: Router) -> None:
        """Sixty declarations over three connections each arrive once."""
        for number in range(60):
            ledger.exchanges.queue_soon(declaration(f"K{number:02}"), at=now())
        async with Gateway() as gateway:
            outbox = Outbox(server=server(gateway.smtp_port), connections=3)
            async with Agent(ledger=ledger, router=router, outboxes=[outbox], timing=QUICK):
                await reached(ledger, "K59", State.ACCEPTED)
        status = ledger.status()

        assert [f"K{number:02}" for number in range(60)] == sorted(
            taken.envelope.reference for taken in gateway.received
        )
        assert {("DMS", State.ACCEPTED): 60} == status.exchanges

    async def test_a_reply_to_a_stranger_is_in_quarantine(self, ledger: Ledger, router: Router) -> None:
        """A reply for an unknown party is stored in quarantine, the peer gets 250, and the agent goes on."""
        async with Gateway() as gateway, Agent(ledger=ledger, router=router, inboxes=[INBOX], timing=QUICK) as agent:
            gateway.register(MAILBOX, server(agent.ports[0]))
            await gateway.push(pushed(reply("K1", party="NL123456789.99.05")))

        assert ["unknown-addressee"] == [held.reason for held in ledger.quarantine.listed()]


class TestOutcomes:
    """The answer of the server decides the state, and nothing is sent again that may have been accepted."""

    @staticmethod
    async def sent_to(
        handler: Callable[[Incoming], Awaitable[None]], ledger: Ledger, router: Router, *states: State
    ) -> State:
        """Send one declaration to a server with this handler."""
        ledger.exchanges.queue(declaration("K1"), at=now())
        async with Receiver(handler, hostname="gateway.example", mailboxes=["dms@htpoort.nl"]) as receiver:
            outbox = Outbox(server=server(receiver.port), retry_schedule=(timedelta(hours=1),))
            async with Agent(ledger=ledger, router=router, outboxes=[outbox], timing=QUICK):
                return await reached(ledger, "K1", *states)

    async def test_refused(self, ledger: Ledger, router: Router) -> None:
        """A 5xx is permanent, and the history holds the text of the server."""

        async def refuse(_incoming: Incoming) -> None:
            raise Refusal(554, "5.7.1 no")

        assert State.REFUSED == await self.sent_to(refuse, ledger, router, State.REFUSED)
        assert "refused: 554 5.7.1 no" == ledger.story("K1")[0].entries[-1].detail

    async def test_deferred(self, ledger: Ledger, router: Router) -> None:
        """After a 4xx the declaration is sent again by the schedule, and not earlier."""

        async def defer(_incoming: Incoming) -> None:
            raise Refusal(451, "4.3.0 later")

        assert State.DEFERRED == await self.sent_to(defer, ledger, router, State.DEFERRED)
        found = ledger.exchanges.find("K1", party=PARTY)
        assert found is not None
        assert timedelta(minutes=59) < found.due - found.changed <= timedelta(minutes=66)

    async def test_given_up(self, ledger: Ledger, router: Router) -> None:
        """When the schedule is used up the exchange has failed, and the server saw each attempt under the same K."""
        subjects: list[bytes] = []

        async def defer(incoming: Incoming) -> None:
            subjects.append(incoming.raw.split(b"\r\n")[2])
            raise Refusal(451, "4.3.0 later")

        ledger.exchanges.queue(declaration("K1"), at=now())
        async with Receiver(defer, hostname="gateway.example", mailboxes=["dms@htpoort.nl"]) as receiver:
            outbox = Outbox(server=server(receiver.port), retry_schedule=(timedelta(milliseconds=1),) * 2)
            async with Agent(ledger=ledger, router=router, outboxes=[outbox], timing=QUICK):
                await reached(ledger, "K1", State.FAILED)

        assert [b"Subject: [V=NL123456789.02.05][A=DMS4.NL][K=K1][S=0]"] * 3 == subjects

    async def test_ordered_again_after_it_was_given_up(self, ledger: Ledger, router: Router) -> None:
        """A declaration that is ordered to be sent again gets its whole schedule again, under the same K."""
        seen: list[bytes] = []

        async def take_the_fifth(incoming: Incoming) -> None:
            seen.append(incoming.raw.split(b"\r\n")[2])
            if len(seen) < 5:
                raise Refusal(451, "4.3.0 later")

        ledger.exchanges.queue(declaration("K1"), at=now())
        async with Receiver(take_the_fifth, hostname="gateway.example", mailboxes=["dms@htpoort.nl"]) as receiver:
            outbox = Outbox(server=server(receiver.port), retry_schedule=(timedelta(milliseconds=1),))
            async with Agent(ledger=ledger, router=router, outboxes=[outbox], timing=QUICK):
                for _ in range(2):
                    await reached(ledger, "K1", State.FAILED)
                    ledger.exchanges.resend("K1", at=now())
                await reached(ledger, "K1", State.ACCEPTED)

        assert [b"Subject: [V=NL123456789.02.05][A=DMS4.NL][K=K1][S=0]"] * 5 == seen

    async def test_no_server(self, ledger: Ledger, router: Router) -> None:
        """If the server cannot be reached the declaration waits as before, and no attempt is counted."""
        ledger.exchanges.queue(declaration("K1"), at=now())
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))  # reserved until the end, and never listened on
            outbox = Outbox(server=server(closed.getsockname()[1]))
            async with Agent(ledger=ledger, router=router, outboxes=[outbox], timing=QUICK), asyncio.timeout(60):
                while not await asyncio.to_thread(ledger.servers.paused):  # noqa: ASYNC110 - no event reports it
                    await asyncio.sleep(0)

        entries = ledger.story("K1")[0].entries
        assert ["queued", "attempt-started", "returned-to-queue"] == [entry.event for entry in entries]

    async def test_no_answer_to_the_final_dot(self, ledger: Ledger, router: Router) -> None:
        """Without an answer to the final dot the exchange is unknown; it is held, and settled by its reply."""
        hold = asyncio.Event()

        async def silent(_incoming: Incoming) -> None:
            await hold.wait()

        ledger.exchanges.queue(declaration("K1"), at=now())
        process = Process()
        async with Receiver(silent, hostname="gateway.example", mailboxes=["dms@htpoort.nl"], grace=0.1) as receiver:
            outbox = Outbox(server=server(receiver.port, final_timeout=0.2))
            async with Agent(
                ledger=ledger,
                router=router,
                outboxes=[outbox],
                inboxes=[INBOX],
                deliveries={"DMS": process},
                timing=QUICK,
            ) as agent:
                unknown = await reached(ledger, "K1", State.UNKNOWN, State.ACCEPTED)
                async with Gateway() as gateway:
                    gateway.register(MAILBOX, server(agent.ports[0]))
                    await gateway.push(pushed(reply("K1")))
                answered = await reached(ledger, "K1", State.ANSWERED)
            hold.set()

        assert (State.UNKNOWN, State.ANSWERED) == (unknown, answered)
        found = ledger.exchanges.find("K1", party=PARTY)
        assert found is not None
        assert 1 == found.attempts

    async def test_stopped_in_the_middle(self, ledger: Ledger, router: Router) -> None:
        """If the agent must end before the server answers, the exchange is unknown."""
        began, hold = asyncio.Event(), asyncio.Event()

        async def silent(_incoming: Incoming) -> None:
            began.set()
            await hold.wait()

        ledger.exchanges.queue(declaration("K1"), at=now())
        async with Receiver(silent, hostname="gateway.example", mailboxes=["dms@htpoort.nl"], grace=0.1) as receiver:
            hurried = attrs.evolve(QUICK, grace=timedelta(milliseconds=50))
            outbox = Outbox(server=server(receiver.port))
            async with Agent(ledger=ledger, router=router, outboxes=[outbox], timing=hurried):
                await began.wait()
            hold.set()

        assert State.UNKNOWN == await reached(ledger, "K1", State.UNKNOWN)

    async def test_cancelled_while_it_ends(self, ledger: Ledger, router: Router) -> None:
        """If an agent is cancelled while it ends, it stops waiting, and another agent can start."""
        began, hold = asyncio.Event(), asyncio.Event()

        async def silent(_incoming: Incoming) -> None:
            began.set()
            await hold.wait()

        ledger.exchanges.queue(declaration("K1"), at=now())
        async with Receiver(silent, hostname="gateway.example", mailboxes=["dms@htpoort.nl"], grace=0.1) as receiver:
            patient = attrs.evolve(QUICK, grace=timedelta(hours=1))
            outbox = Outbox(server=server(receiver.port))
            agent = Agent(ledger=ledger, router=router, outboxes=[outbox], timing=patient)
            running = asyncio.create_task(until_stopped(agent))
            await began.wait()
            agent.stop()
            await asyncio.sleep(0)
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
            async with Agent(ledger=ledger, router=router, timing=QUICK):
                state = await reached(ledger, "K1", State.UNKNOWN)
            hold.set()

        assert State.UNKNOWN == state


class TestRecovery:
    """An agent takes over what an earlier agent left behind."""

    async def test_what_was_being_sent_is_unknown(self, ledger: Ledger, router: Router) -> None:
        """A SQLite ledger has one agent, so what a dead one was sending is unknown at once, and not sent again."""
        ledger.exchanges.queue(declaration("K1"), at=now())
        ledger.exchanges.claim_soon(("DMS",), owner="dead", most=1, at=now(), lease=timedelta(days=1)).result()
        async with Gateway() as gateway:
            outbox = Outbox(server=server(gateway.smtp_port))
            async with Agent(ledger=ledger, router=router, outboxes=[outbox], timing=QUICK):
                state = await reached(ledger, "K1", State.UNKNOWN)

        assert (State.UNKNOWN, []) == (state, gateway.received)

    async def test_what_became_unknown_is_logged(
        self, ledger: Ledger, router: Router, caplog: pytest.LogCaptureFixture
    ) -> None:
        """One warning is logged for a declaration that becomes unknown, at the start of an agent or later."""
        short, clock = attrs.evolve(QUICK, lease=timedelta(milliseconds=60)), Clock()
        for number in (1, 2):
            ledger.exchanges.queue(declaration(f"K{number}"), at=clock())
        leases = ledger.exchanges
        leases.claim_soon(("DMS",), owner="dead", most=1, at=clock(), lease=timedelta(days=1)).result()
        async with Agent(ledger=ledger, router=router, timing=short, clock=clock):
            at_start = list(caplog.messages)
            clock.at += timedelta(seconds=1)
            leases.claim_soon(("DMS",), owner="other", most=1, at=clock(), lease=timedelta(0)).result()
            clock.at += timedelta(seconds=1)
            await logged(caplog, "under K2")

        first, second = (
            f"Declaration to DMS of {PARTY} under {key}: It is not known whether it was sent: its worker is gone, "
            "and the server may have accepted it. It is not sent again until a reply or htpoort resolve "
            f"{key} settles it"
            for key in ("K1", "K2")
        )
        assert ([first], [first, second]) == (at_start, caplog.messages)

    async def test_what_was_being_delivered_is_delivered(self, ledger: Ledger, router: Router) -> None:
        """A reply that a dead agent was delivering is delivered again at once, with the same key."""
        key = ledger.replies.take_in(router, reply("K1"), mail_from=None, at=now()).key
        ledger.replies.claim_soon("DMS", owner="dead", most=1, at=now(), lease=timedelta(days=1)).result()
        process = Process()
        async with Agent(ledger=ledger, router=router, deliveries={"DMS": process}, timing=QUICK):
            await process.has(1)

        assert [key] == [taken.key for taken in process.taken]

    async def test_leases_are_kept(self, ledger: Ledger, router: Router) -> None:
        """A running agent renews the leases of its work, however long the server takes."""
        began, hold, clock = asyncio.Event(), asyncio.Event(), Clock()

        async def slow(_incoming: Incoming) -> None:
            began.set()
            await hold.wait()

        short = attrs.evolve(QUICK, lease=timedelta(milliseconds=300))
        ledger.exchanges.queue(declaration("K1"), at=clock())
        async with Receiver(slow, hostname="gateway.example", mailboxes=["dms@htpoort.nl"]) as receiver:
            outboxes = [Outbox(server=server(receiver.port))]
            async with Agent(ledger=ledger, router=router, outboxes=outboxes, timing=short, clock=clock):
                await began.wait()
                for _ in range(2):
                    await renewed(ledger, clock)
                hold.set()
                state = await reached(ledger, "K1", State.ACCEPTED, State.UNKNOWN)

        assert State.ACCEPTED == state

    async def test_leases_are_kept_to_the_end(self, ledger: Ledger, router: Router) -> None:
        """An agent that is asked to stop renews the leases of work in progress until its grace period is over."""
        began, hold, clock = asyncio.Event(), asyncio.Event(), Clock()

        async def slow(_incoming: Incoming) -> None:
            began.set()
            await hold.wait()

        short = attrs.evolve(QUICK, lease=timedelta(milliseconds=300), grace=timedelta(seconds=60))
        ledger.exchanges.queue(declaration("K1"), at=clock())
        async with Receiver(slow, hostname="gateway.example", mailboxes=["dms@htpoort.nl"]) as receiver:
            outboxes = [Outbox(server=server(receiver.port))]
            agent = Agent(ledger=ledger, router=router, outboxes=outboxes, timing=short, clock=clock)
            async with asyncio.TaskGroup() as group:
                group.create_task(until_stopped(agent))
                await began.wait()
                agent.stop()
                for _ in range(4):
                    await renewed(ledger, clock)
                hold.set()

        assert State.ACCEPTED == await reached(ledger, "K1", State.ACCEPTED, State.UNKNOWN)

    async def test_a_lost_one_is_taken_back_while_it_runs(self, ledger: Ledger, router: Router) -> None:
        """An exchange whose lease runs out while an agent runs becomes unknown."""
        short = attrs.evolve(QUICK, lease=timedelta(milliseconds=60))
        async with Agent(ledger=ledger, router=router, timing=short):
            ledger.exchanges.queue(declaration("K1"), at=now())
            ledger.exchanges.claim_soon(("DMS",), owner="other", most=1, at=now(), lease=timedelta(0)).result()

            assert State.UNKNOWN == await reached(ledger, "K1", State.UNKNOWN)


async def until_stopped(agent: Agent) -> None:
    """Run an agent until it is stopped."""
    async with agent:
        await agent.wait_for_stop_request()


@attrs.define
class Clock:
    """A clock that the test moves, so that no lease runs out on a slow machine."""

    at: datetime = attrs.field(factory=now)

    def __call__(self) -> datetime:
        """Return the time."""
        return self.at


async def renewed(ledger: Ledger, clock: Clock) -> None:
    """Let the lease of the only exchange run out, and wait until it is renewed."""
    before = await read_lease(ledger)
    clock.at += timedelta(minutes=1)
    async with asyncio.timeout(60):
        while await read_lease(ledger) == before:
            pass  # reading the ledger waits for another thread


async def read_lease(ledger: Ledger) -> int:
    """Read the lease of the only exchange, which is being sent."""
    query = "SELECT lease FROM htpoort_exchanges"
    return int(
        await asyncio.wrap_future(ledger.write_soon(lambda connection: connection.exec_driver_sql(query).scalar_one()))
    )


class TestDelivery:
    """A reply that was acknowledged reaches its process, however often delivery fails."""

    async def test_again_after_a_failure(self, ledger: Ledger, router: Router) -> None:
        """A failed delivery is repeated until it succeeds, and the history holds each failure."""
        ledger.exchanges.queue(declaration("K1"), at=now(), held=True)
        ledger.replies.take_in(router, reply("K1"), mail_from=None, at=now())
        process = Process(fails=2)
        often = attrs.evolve(QUICK, redelivery_schedule=(timedelta(milliseconds=1),))
        async with Agent(ledger=ledger, router=router, deliveries={"DMS": process}, timing=often):
            await process.has(1)
        events = [(entry.event, entry.detail) for entry in ledger.story("K1")[0].entries[-3:]]

        trouble = ("delivery-failed", "ConnectionError: the process is away")
        assert [trouble, trouble, ("delivered", "")] == events

    async def test_one_system_does_not_wait_for_another(self, ledger: Ledger, router: Router) -> None:
        """A process of AGS that hangs does not delay the replies of DMS."""
        hold = asyncio.Event()
        dms = Process()

        async def hang(_reply: Reply) -> None:
            await hold.wait()

        for system in (AGS, DMS):
            ledger.replies.take_in(router, reply("K1", system), mail_from=None, at=now())
        async with Agent(ledger=ledger, router=router, deliveries={"AGS": hang, "DMS": dms}, timing=QUICK):
            references = await dms.has(1)
            hold.set()

        assert ["K1"] == references

    async def test_without_a_delivery_replies_wait(self, ledger: Ledger, router: Router) -> None:
        """The replies of a system without a process stay in the ledger, where they are counted."""
        async with Gateway() as gateway, Agent(ledger=ledger, router=router, inboxes=[INBOX], timing=QUICK) as agent:
            gateway.register(MAILBOX, server(agent.ports[0]))
            await gateway.push(pushed(reply("K1")))

        assert {"DMS": 1} == ledger.status().undelivered


class TestSettings:
    """Wrong settings are refused before anything is started."""

    def test_systems_of_outboxes(self, ledger: Ledger, router: Router) -> None:
        """An unknown system and a system in two outboxes are reported together."""
        outboxes = [Outbox(server=server(25), systems=("AGS", "NCTS")), Outbox(server=server(26))]
        with pytest.raises(InputError) as caught:
            Agent(ledger=ledger, router=router, outboxes=outboxes)

        assert 2 == len(caught.value.problems)

    @pytest.mark.parametrize("options", [{"connections": 0}, {"connections": 65}, {"per_hour": 0}])
    def test_numbers_of_an_outbox(self, options: dict[str, int]) -> None:
        """Connections and rate are checked against their ranges."""
        with pytest.raises(InputError):
            Outbox(server=server(25), **options)  # type: ignore[arg-type]  # numbers only

    def test_an_empty_schedule(self) -> None:
        """No reply is abandoned, so an empty schedule is refused."""
        with pytest.raises(InputError, match="redelivery_schedule is empty"):
            Timing(redelivery_schedule=())

    def test_times(self) -> None:
        """Each time that is not above 0 is reported by its name."""
        with pytest.raises(InputError) as caught:
            Timing(poll_interval=timedelta(0), grace=timedelta(-1), delivery_timeout=timedelta(0))

        expected = ["poll_interval", "grace", "delivery_timeout"]
        assert expected == [problem.message.split()[0] for problem in caught.value.problems]

    async def test_one_agent_for_a_file(self, ledger: Ledger, router: Router) -> None:
        """A second agent on a SQLite ledger is refused, and the first one goes on."""
        async with Agent(ledger=ledger, router=router, timing=QUICK):
            with pytest.raises(LedgerError, match="Another agent"):
                async with Agent(ledger=ledger, router=router, timing=QUICK):
                    pass

    async def test_a_certificate_that_cannot_be_used(self, ledger: Ledger, router: Router, tmp_path: Path) -> None:
        """An outbox that could never send is refused at the start, and no lock is left behind."""
        settings = TlsSettings(ca_file=tmp_path / "absent.pem")
        outbox = Outbox(server=SmtpServer(host="127.0.0.1", port=587, tls=settings))
        with pytest.raises(InputError):
            async with Agent(ledger=ledger, router=router, outboxes=[outbox], timing=QUICK):
                pass
        async with Agent(ledger=ledger, router=router, timing=QUICK):
            pass

    async def test_a_port_that_is_taken(self, ledger: Ledger, router: Router) -> None:
        """An inbox that cannot listen is an error, and no lock is left behind."""
        async with Gateway() as gateway:
            taken = attrs.evolve(INBOX, port=gateway.smtp_port)
            with pytest.raises(OSError, match=r"Address already in use: '127\.0\.0\.1:"):
                async with Agent(ledger=ledger, router=router, inboxes=[taken], timing=QUICK):
                    pass
        async with Agent(ledger=ledger, router=router, timing=QUICK):
            pass


async def test_it_ends_when_it_is_asked(ledger: Ledger, router: Router) -> None:
    """After `stop`, `stopped` returns, and leaving the block ends every task."""
    async with Agent(ledger=ledger, router=router, timing=QUICK) as agent:
        asyncio.get_running_loop().call_soon(agent.stop)
        await agent.wait_for_stop_request()

    assert [] == [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]


async def test_a_closed_window_is_respected(ledger: Ledger, router: Router) -> None:
    """A declaration that a service window holds is sent when the window closes."""
    ledger.exchanges.queue(declaration("K1"), at=now(), held=True)
    ledger.exchanges.queue(declaration("K2"), at=now())
    async with Gateway() as gateway:
        outbox = Outbox(server=server(gateway.smtp_port), connections=1)
        async with Agent(ledger=ledger, router=router, outboxes=[outbox], timing=QUICK):
            await reached(ledger, "K2", State.ACCEPTED)
            held = await reached(ledger, "K1", State.HELD)
            ledger.exchanges.let_go(["DMS"], at=now())
            await reached(ledger, "K1", State.ACCEPTED)

    assert (State.HELD, ["K2", "K1"]) == (held, [taken.envelope.reference for taken in gateway.received])


async def test_a_reply_to_what_was_not_sent(ledger: Ledger, router: Router, caplog: pytest.LogCaptureFixture) -> None:
    """If a reply with a null sender comes while the gateway is down, the declaration still waits and is then sent."""
    process = Process()
    ledger.exchanges.queue(declaration("K1"), at=now())
    ledger.replies.take_in(router, reply("K1"), mail_from="", at=now())
    before = ledger.exchanges.find("K1", party=PARTY)
    async with Gateway() as gateway:
        outbox = Outbox(server=server(gateway.smtp_port))
        async with Agent(
            ledger=ledger,
            router=router,
            outboxes=[outbox],
            inboxes=[INBOX],
            deliveries={"DMS": process},
            timing=QUICK,
        ) as agent:
            await reached(ledger, "K1", State.ACCEPTED)
            await process.has(1)
            ledger.exchanges.queue(declaration("K2"), at=now(), held=True)
            gateway.register(MAILBOX, server(agent.ports[0]))
            await gateway.push(pushed(reply("K2")))
            held = await reached(ledger, "K2", State.HELD)

    assert before is not None
    assert (State.QUEUED, ["K1"], ["not-sent"], State.HELD) == (
        before.state,
        [taken.envelope.reference for taken in gateway.received],
        [one.correlation for one in process.taken][:1],
        held,
    )
    (warning,) = (one.getMessage() for one in caplog.records if "cannot have been sent yet" in one.getMessage())
    assert warning == (
        f"Reply 2 of DMS for {PARTY} came under K2, but that declaration cannot have been sent yet. "
        "The reply does not count as an answer; see htpoort show K2"
    )


@pytest.mark.parametrize(
    ("there", "after"), [(True, State.REFUSED), (False, State.QUEUED)], ids=["550 at RCPT", "no server"]
)
async def test_an_attempt_without_content_has_sent_nothing(
    ledger: Ledger, router: Router, *, there: bool, after: State
) -> None:
    """An attempt that ends before the content has sent nothing; a reply that comes then does not settle it."""

    async def take(_incoming: Incoming) -> None:
        return None

    ledger.exchanges.queue(declaration("K1"), at=now())
    async with contextlib.AsyncExitStack() as serving:
        receiver = Receiver(take, hostname="gateway.example", mailboxes=["other@htpoort.nl"])
        port = (await serving.enter_async_context(receiver)).port
        if not there:
            await serving.aclose()
        outbox = Outbox(server=server(port), retry_schedule=(timedelta(hours=1),))
        async with Agent(ledger=ledger, router=router, outboxes=[outbox], timing=QUICK), asyncio.timeout(60):
            # A server that cannot be reached is paused, and the declaration waits as before.
            while not there and not await asyncio.to_thread(ledger.servers.paused):  # noqa: ASYNC110 - the same
                await asyncio.sleep(0)
            await reached(ledger, "K1", after)
    ledger.replies.take_in(router, reply("K1"), mail_from="", at=now())
    found = ledger.exchanges.find("K1", party=PARTY)

    assert found is not None
    assert (after, False, 1) == (found.state, found.content_begun, ledger.status().not_sent_replies)
