"""The agent between a ledger, the gateway in a box and a process: every state is reached over real sockets."""

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

from htpoort import AGS, DMS, InputError, LedgerError, Router
from htpoort.agent import Agent, Outbox, Timing
from htpoort.exchange import State
from htpoort.ledger import Ledger, Reply
from htpoort.simulator import Gateway
from htpoort.transport import Incoming, Receiver, Refusal, SmtpServer, TlsSettings


async def reached(ledger: Ledger, reference: str, *states: State) -> State:
    """Wait until an exchange is in one of some states."""
    async with asyncio.timeout(60):
        while True:
            found = await asyncio.to_thread(ledger.exchanges.find, PARTY, reference)
            assert found is not None
            if found.state in states:
                return found.state
            # Reading the ledger takes a turn of another thread; nothing else is waited for.
            await asyncio.sleep(0)


async def logged(caplog: pytest.LogCaptureFixture, words: str) -> None:
    """Wait until a line of the log has some words."""
    async with asyncio.timeout(60):
        while True:
            if any(words in message for message in caplog.messages):
                return
            await asyncio.sleep(0)


class TestExchange:
    """What is queued goes out once, its reply comes in and reaches its process."""

    async def test_both_systems(self, ledger: Ledger, router: Router) -> None:
        """One declaration to AGS and one to DMS are answered, each reply at the process of its system."""
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
                await gateway.answered()

        assert ["K1", "K2"] == sorted(taken.envelope.reference for taken in gateway.received)
        assert {("AGS", State.ANSWERED): 1, ("DMS", State.ANSWERED): 1} == ledger.status().exchanges
        assert {} == ledger.status().undelivered

    async def test_what_is_queued_while_it_runs(self, ledger: Ledger, router: Router) -> None:
        """A declaration that another program queues is found; one that this program queues is sent at once."""
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
        """Sixty declarations over three connections arrive once each."""
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

    async def test_a_reply_to_nobody_is_in_quarantine(self, ledger: Ledger, router: Router) -> None:
        """A reply for a stranger is stored apart, the peer gets its 250, and the agent goes on."""
        async with Gateway() as gateway, Agent(ledger=ledger, router=router, inboxes=[INBOX], timing=QUICK) as agent:
            gateway.register(MAILBOX, server(agent.ports[0]))
            await gateway.push(pushed(reply("K1", party="NL123456789.99.05")))

        assert ["unknown-addressee"] == [held.reason for held in ledger.quarantine.listed()]


class TestOutcomes:
    """What the server does to a message decides its state, and nothing is sent that may have been taken."""

    @staticmethod
    async def sent_to(
        handler: Callable[[Incoming], Awaitable[None]], ledger: Ledger, router: Router, *states: State
    ) -> State:
        """Send one declaration to a server that does as the handler says."""
        ledger.exchanges.queue(declaration("K1"), at=now())
        async with Receiver(handler, hostname="gateway.example", mailboxes=["dms@htpoort.nl"]) as receiver:
            outbox = Outbox(server=server(receiver.port), schedule=(timedelta(hours=1),))
            async with Agent(ledger=ledger, router=router, outboxes=[outbox], timing=QUICK):
                return await reached(ledger, "K1", *states)

    async def test_refused(self, ledger: Ledger, router: Router) -> None:
        """A 5xx is for good, and the server's words are in the story."""

        async def refuse(_incoming: Incoming) -> None:
            raise Refusal(554, "5.7.1 no")

        assert State.REFUSED == await self.sent_to(refuse, ledger, router, State.REFUSED)
        assert "refused: 554 5.7.1 no" == ledger.story("K1")[0].entries[-1].detail

    async def test_deferred(self, ledger: Ledger, router: Router) -> None:
        """A 4xx is tried again when the schedule says so, not before."""

        async def defer(_incoming: Incoming) -> None:
            raise Refusal(451, "4.3.0 later")

        assert State.DEFERRED == await self.sent_to(defer, ledger, router, State.DEFERRED)
        found = ledger.exchanges.find(PARTY, "K1")
        assert found is not None
        assert timedelta(minutes=59) < found.due - found.changed <= timedelta(minutes=66)

    async def test_given_up(self, ledger: Ledger, router: Router) -> None:
        """After the last wait of the schedule the exchange has failed, and the server saw each attempt under one K."""
        subjects: list[bytes] = []

        async def defer(incoming: Incoming) -> None:
            subjects.append(incoming.raw.split(b"\r\n")[2])
            raise Refusal(451, "4.3.0 later")

        ledger.exchanges.queue(declaration("K1"), at=now())
        async with Receiver(defer, hostname="gateway.example", mailboxes=["dms@htpoort.nl"]) as receiver:
            outbox = Outbox(server=server(receiver.port), schedule=(timedelta(milliseconds=1),) * 2)
            async with Agent(ledger=ledger, router=router, outboxes=[outbox], timing=QUICK):
                await reached(ledger, "K1", State.FAILED)

        assert [b"Subject: [V=NL123456789.02.05][A=DMS4.NL][K=K1][S=0]"] * 3 == subjects

    async def test_ordered_again_after_it_was_given_up(self, ledger: Ledger, router: Router) -> None:
        """What a person orders to be sent again has its whole schedule before it, and all of it under one K."""
        seen: list[bytes] = []

        async def take_the_fifth(incoming: Incoming) -> None:
            seen.append(incoming.raw.split(b"\r\n")[2])
            if len(seen) < 5:
                raise Refusal(451, "4.3.0 later")

        ledger.exchanges.queue(declaration("K1"), at=now())
        async with Receiver(take_the_fifth, hostname="gateway.example", mailboxes=["dms@htpoort.nl"]) as receiver:
            outbox = Outbox(server=server(receiver.port), schedule=(timedelta(milliseconds=1),))
            async with Agent(ledger=ledger, router=router, outboxes=[outbox], timing=QUICK):
                for _ in range(2):
                    await reached(ledger, "K1", State.FAILED)
                    ledger.exchanges.resend("K1", at=now())
                await reached(ledger, "K1", State.ACCEPTED)

        assert [b"Subject: [V=NL123456789.02.05][A=DMS4.NL][K=K1][S=0]"] * 5 == seen

    async def test_nobody_there(self, ledger: Ledger, router: Router) -> None:
        """A server that is away costs the declaration nothing: it waits as before, and no attempt counts."""
        ledger.exchanges.queue(declaration("K1"), at=now())
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))  # its own until the end, and never listened on
            outbox = Outbox(server=server(nobody.getsockname()[1]))
            async with Agent(ledger=ledger, router=router, outboxes=[outbox], timing=QUICK), asyncio.timeout(60):
                while not await asyncio.to_thread(ledger.servers.resting):  # noqa: ASYNC110 - no event tells of it
                    await asyncio.sleep(0)

        entries = ledger.story("K1")[0].entries
        assert ["queued", "attempt-started", "returned-to-queue"] == [entry.event for entry in entries]

    async def test_no_answer_to_the_final_dot(self, ledger: Ledger, router: Router) -> None:
        """Whether the gateway has it cannot be known: it is held, and settled by the reply that comes."""
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
        found = ledger.exchanges.find(PARTY, "K1")
        assert found is not None
        assert 1 == found.attempts

    async def test_stopped_in_the_middle(self, ledger: Ledger, router: Router) -> None:
        """An agent that must end before the server answers leaves the exchange unknown."""
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

    async def test_told_to_end_again(self, ledger: Ledger, router: Router) -> None:
        """Cancelled while it ends, an agent waits for nobody any more, and another one can begin."""
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
    """What an agent left behind is taken back by the next one."""

    async def test_what_was_being_sent_is_unknown(self, ledger: Ledger, router: Router) -> None:
        """On SQLite only one agent lives, so what a dead one was sending is unknown at once, and not sent again."""
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
        """A declaration that becomes unknown is one warning, whether an agent takes it back at its start or later."""
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
            f"Declaration to DMS of {PARTY} under {key} is unknown: the worker that sent it is gone, and the server "
            f"may have taken it. It is not sent again until a reply or htpoort resolve {key} settles it"
            for key in ("K1", "K2")
        )
        assert ([first], [first, second]) == (at_start, caplog.messages)

    async def test_what_was_being_delivered_is_delivered(self, ledger: Ledger, router: Router) -> None:
        """A reply that a dead agent was delivering is delivered again at once, under the same number."""
        key = ledger.replies.take_in(router, reply("K1"), mail_from=None, at=now()).key
        ledger.replies.claim_soon("DMS", owner="dead", most=1, at=now(), lease=timedelta(days=1)).result()
        process = Process()
        async with Agent(ledger=ledger, router=router, deliveries={"DMS": process}, timing=QUICK):
            await process.has(1)

        assert [key] == [taken.key for taken in process.taken]

    async def test_leases_are_kept(self, ledger: Ledger, router: Router) -> None:
        """An agent that lives renews what it is at, however long the server takes."""
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
        """An agent that is stopped renews what is still under way, for as long as its time of grace lasts."""
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
        """A lease that runs out while the agent lives becomes unknown."""
        short = attrs.evolve(QUICK, lease=timedelta(milliseconds=60))
        async with Agent(ledger=ledger, router=router, timing=short):
            ledger.exchanges.queue(declaration("K1"), at=now())
            ledger.exchanges.claim_soon(("DMS",), owner="other", most=1, at=now(), lease=timedelta(0)).result()

            assert State.UNKNOWN == await reached(ledger, "K1", State.UNKNOWN)


async def until_stopped(agent: Agent) -> None:
    """Run an agent until somebody stops it."""
    async with agent:
        await agent.stopped()


@attrs.define
class Clock:
    """A clock that a test moves: no lease runs out by itself, however slow the machine is."""

    at: datetime = attrs.field(factory=now)

    def __call__(self) -> datetime:
        """Give the time."""
        return self.at


async def renewed(ledger: Ledger, clock: Clock) -> None:
    """Let the lease of the one exchange run out, and wait until there is another."""
    before = await lease_of_the_one(ledger)
    clock.at += timedelta(minutes=1)
    async with asyncio.timeout(60):
        while await lease_of_the_one(ledger) == before:
            pass  # reading the ledger takes a turn of another thread


async def lease_of_the_one(ledger: Ledger) -> int:
    """Read the lease of the one exchange, which is being sent."""
    query = "SELECT lease FROM htpoort_exchanges"
    return int(
        await asyncio.wrap_future(ledger.soon(lambda connection: connection.exec_driver_sql(query).scalar_one()))
    )


class TestDelivery:
    """A reply that was acknowledged reaches its process, however often that fails."""

    async def test_again_after_a_failure(self, ledger: Ledger, router: Router) -> None:
        """A delivery that failed is made again until it succeeds, and every failure is in the story."""
        ledger.exchanges.queue(declaration("K1"), at=now(), held=True)
        ledger.replies.take_in(router, reply("K1"), mail_from=None, at=now())
        process = Process(fails=2)
        often = attrs.evolve(QUICK, redeliver=(timedelta(milliseconds=1),))
        async with Agent(ledger=ledger, router=router, deliveries={"DMS": process}, timing=often):
            await process.has(1)
        told = [(entry.event, entry.detail) for entry in ledger.story("K1")[0].entries[-3:]]

        trouble = ("delivery-failed", "ConnectionError: the process is away")
        assert [trouble, trouble, ("delivered", "")] == told

    async def test_one_system_does_not_wait_for_another(self, ledger: Ledger, router: Router) -> None:
        """A process of AGS that hangs keeps no reply of DMS back."""
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
        """A system without a process keeps its replies in the ledger, in view."""
        async with Gateway() as gateway, Agent(ledger=ledger, router=router, inboxes=[INBOX], timing=QUICK) as agent:
            gateway.register(MAILBOX, server(agent.ports[0]))
            await gateway.push(pushed(reply("K1")))

        assert {"DMS": 1} == ledger.status().undelivered


class TestSettings:
    """What cannot be right is refused before anything is started."""

    def test_systems_of_outboxes(self, ledger: Ledger, router: Router) -> None:
        """A system that is not there, and one in two outboxes, are told together."""
        outboxes = [Outbox(server=server(25), systems=("AGS", "NCTS")), Outbox(server=server(26))]
        with pytest.raises(InputError) as caught:
            Agent(ledger=ledger, router=router, outboxes=outboxes)

        assert 2 == len(caught.value.problems)

    @pytest.mark.parametrize("options", [{"connections": 0}, {"connections": 65}, {"per_hour": 0}])
    def test_numbers_of_an_outbox(self, options: dict[str, int]) -> None:
        """Connections and rate have their ranges."""
        with pytest.raises(InputError):
            Outbox(server=server(25), **options)  # type: ignore[arg-type]  # numbers only

    def test_a_schedule_of_nothing(self) -> None:
        """A reply is never given up, so there is always a wait."""
        with pytest.raises(InputError, match="redeliver is empty"):
            Timing(redeliver=())

    def test_times(self) -> None:
        """A time of nothing is told by its name, each one."""
        with pytest.raises(InputError) as caught:
            Timing(poll=timedelta(0), grace=timedelta(-1), delivery=timedelta(0))

        assert ["poll", "grace", "delivery"] == [problem.message.split()[0] for problem in caught.value.problems]

    async def test_one_agent_for_a_file(self, ledger: Ledger, router: Router) -> None:
        """A second agent on a SQLite ledger is refused, and the first goes on."""
        async with Agent(ledger=ledger, router=router, timing=QUICK):
            with pytest.raises(LedgerError, match="Another agent"):
                async with Agent(ledger=ledger, router=router, timing=QUICK):
                    pass

    async def test_a_certificate_that_cannot_be_used(self, ledger: Ledger, router: Router, tmp_path: Path) -> None:
        """An outbox that could never send is told at the start, and leaves no lock behind."""
        settings = TlsSettings(ca_file=tmp_path / "absent.pem")
        outbox = Outbox(server=SmtpServer(host="127.0.0.1", port=587, tls=settings))
        with pytest.raises(InputError):
            async with Agent(ledger=ledger, router=router, outboxes=[outbox], timing=QUICK):
                pass
        async with Agent(ledger=ledger, router=router, timing=QUICK):
            pass

    async def test_a_port_that_is_taken(self, ledger: Ledger, router: Router) -> None:
        """An inbox that cannot listen is told, and leaves no lock behind."""
        async with Gateway() as gateway:
            taken = attrs.evolve(INBOX, port=gateway.smtp_port)
            with pytest.raises(OSError, match="address already in use"):
                async with Agent(ledger=ledger, router=router, inboxes=[taken], timing=QUICK):
                    pass
        async with Agent(ledger=ledger, router=router, timing=QUICK):
            pass


async def test_it_ends_when_it_is_asked(ledger: Ledger, router: Router) -> None:
    """`stop` lets `stopped` return, and leaving ends every task."""
    async with Agent(ledger=ledger, router=router, timing=QUICK) as agent:
        asyncio.get_running_loop().call_soon(agent.stop)
        await agent.stopped()

    assert [] == [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]


async def test_a_closed_window_is_respected(ledger: Ledger, router: Router) -> None:
    """What is held by a service window is sent when the window closes."""
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
    """The gateway is away, and one reply comes with a null sender: the declaration stays to be sent, and is."""
    process = Process()
    ledger.exchanges.queue(declaration("K1"), at=now())
    ledger.replies.take_in(router, reply("K1"), mail_from="", at=now())
    before = ledger.exchanges.find(PARTY, "K1")
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
        f"Reply 2 of DMS for {PARTY} came under K2, which cannot have been sent yet; it is no answer. "
        "Look at it: htpoort show K2"
    )


@pytest.mark.parametrize(
    ("there", "after"), [(True, State.REFUSED), (False, State.QUEUED)], ids=["550 at RCPT", "no server"]
)
async def test_an_attempt_without_content_is_no_sending(
    ledger: Ledger, router: Router, *, there: bool, after: State
) -> None:
    """What ends before the content is known as not sent; a reply that comes then settles nothing."""

    async def take(_incoming: Incoming) -> None:
        return None

    ledger.exchanges.queue(declaration("K1"), at=now())
    async with contextlib.AsyncExitStack() as serving:
        receiver = Receiver(take, hostname="gateway.example", mailboxes=["other@htpoort.nl"])
        port = (await serving.enter_async_context(receiver)).port
        if not there:
            await serving.aclose()
        outbox = Outbox(server=server(port), schedule=(timedelta(hours=1),))
        async with Agent(ledger=ledger, router=router, outboxes=[outbox], timing=QUICK), asyncio.timeout(60):
            # A server that is away rests, and the declaration waits as before.
            while not there and not await asyncio.to_thread(ledger.servers.resting):  # noqa: ASYNC110 - the same
                await asyncio.sleep(0)
            await reached(ledger, "K1", after)
    ledger.replies.take_in(router, reply("K1"), mail_from="", at=now())
    found = ledger.exchanges.find(PARTY, "K1")

    assert found is not None
    assert (after, False, 1) == (found.state, found.content_begun, ledger.status().early)
