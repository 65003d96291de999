"""How the agent handles each fault of the gateway: state of the exchange, reason of a quarantine, nothing lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import attrs
import pytest
from databases import new_ledger

from htpoort import AGS, DMS, DeclarationSystem, Router, State, Submission, build
from htpoort.agent import Agent, Outbox, SmtpInbox, Timing
from htpoort.ledger import Ledger, Reply
from htpoort.simulator import (
    Behaviour,
    Declarant,
    FaultAction,
    Gateway,
    GatewayTls,
    RepeatedK,
    ReplyFault,
    ReplyKind,
    Scenario,
    Script,
    ScriptedReply,
    SimulatedClock,
    SmtpFault,
    SmtpStep,
    Window,
)
from htpoort.simulator.replies import OTHER_PARTY
from htpoort.transport import Security, SmtpServer

PARTY = "NL123456789.02.05"
MAILBOX = "edi@forwarder.example"
OTHER_MAILBOX = "edi@trader.example"
PASSWORD = "correct horse"
HOUR = timedelta(hours=1)
ANSWERED_LATER = (Scenario(replies=(ScriptedReply(after=HOUR),)),)
QUICK = Timing(
    poll_interval=timedelta(milliseconds=20),
    lease=timedelta(days=30),
    grace=timedelta(seconds=10),
    retry_delay=timedelta(milliseconds=20),
    pause_schedule=(timedelta(milliseconds=20),),
    login_pause=timedelta(milliseconds=20),
)
LARGE = b"<MetaData>" + b"synthetic\r\n" * 1_200_000 + b"</MetaData>\r\n"


@attrs.define
class Process:
    """A process that receives replies."""

    taken: list[Reply] = attrs.field(factory=list[Reply])
    came: asyncio.Condition = attrs.field(factory=asyncio.Condition)

    async def __call__(self, reply: Reply) -> None:
        """Receive one reply."""
        async with self.came:
            self.taken.append(reply)
            self.came.notify_all()

    async def has(self, number: int) -> list[str]:
        """Wait for a number of replies, and return their references."""
        async with asyncio.timeout(60), self.came:
            await self.came.wait_for(lambda: len(self.taken) >= number)
        return [reply.reference for reply in self.taken]


@attrs.define
class Scene:
    """A gateway, and an agent that exchanges messages with it, on one simulated clock."""

    gateway: Gateway
    agent: Agent
    ledger: Ledger
    clock: SimulatedClock
    process: Process = attrs.field(factory=Process)

    async def send(
        self, *states: State, reference: str = "K1", system: DeclarationSystem = DMS, payload: bytes = b"<MetaData/>"
    ) -> State:
        """Queue a declaration, and wait until it is in one of some states."""
        self.ledger.exchanges.queue(self.declaration(reference, system, payload), at=self.clock())
        self.agent.wake()
        return await self.reached(*states, reference=reference)

    def declaration(self, reference: str, system: DeclarationSystem, payload: bytes) -> Submission:
        """Build a declaration."""
        return build(
            system=system,
            party=PARTY,
            mailbox=MAILBOX,
            reference=reference,
            payload=payload,
            date=self.clock(),
            message_id=f"<{reference}@forwarder.example>",
        )

    async def reached(self, *states: State, reference: str = "K1") -> State:
        """Wait until an exchange is in one of some states."""
        async with asyncio.timeout(60):
            while True:
                found = await asyncio.to_thread(self.ledger.exchanges.find, reference, party=PARTY)
                assert found is not None
                if found.state in states:
                    return found.state
                # Reading the ledger takes a turn of another thread; nothing else is waited for.
                await asyncio.sleep(0)

    async def played(self, until: timedelta | None = None) -> None:
        """Play every reply."""
        async with asyncio.timeout(60):
            await self.gateway.play(until)

    @property
    def taken(self) -> list[str]:
        """The references that the gateway accepted."""
        return [taken.envelope.reference for taken in self.gateway.received]

    @property
    def quarantine(self) -> list[str]:
        """The reasons in quarantine."""
        return [held.reason for held in self.ledger.quarantine.listed()]


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """Open a new ledger."""
    with Ledger.open(new_ledger(tmp_path / "htpoort.db")) as opened:
        yield opened


@asynccontextmanager
async def scene(  # noqa: PLR0913 - one argument for each thing that a test differs in
    ledger: Ledger,
    tls: GatewayTls,
    script: Script,
    *,
    parties: tuple[str, ...] = (PARTY,),
    patience: float = 60.0,
    final_patience: float = 60.0,
) -> AsyncGenerator[Scene]:
    """Start a gateway that plays a script, and an agent over STARTTLS and a login."""
    clock, process = SimulatedClock(), Process()
    declarant = Declarant(mailbox=MAILBOX, password=PASSWORD)
    async with Gateway(declarants=[declarant], script=script, tls=tls, clock=clock) as gateway:
        outbox = Outbox(
            server=SmtpServer(
                host="127.0.0.1",
                port=gateway.smtp_port,
                security=Security.STARTTLS,
                username=MAILBOX,
                password=PASSWORD,
                tls=tls.for_clients,
                timeout=patience,
                final_timeout=final_patience,
            ),
            connections=1,
        )
        async with Agent(
            ledger=ledger,
            router=Router(parties=parties),
            outboxes=[outbox],
            inboxes=[SmtpInbox(hostname="forwarder.example", mailboxes=(MAILBOX,))],
            deliveries={"DMS": process, "AGS": process},
            clock=clock,
            timing=QUICK,
        ) as agent:
            gateway.register(MAILBOX, SmtpServer(host="127.0.0.1", port=agent.ports[0], security=Security.PLAIN))
            yield Scene(gateway, agent, ledger, clock, process)


# ── faults of the dialogue ───────────────────────────────────────────────────

BEFORE_THE_DOT = [
    # Where, what, the state that it leads to. What is deferred goes again and is answered; what goes wrong before MAIL
    # is taken is about the server, so that the declaration waits as before and goes when the server has rested.
    (SmtpStep.GREETING, FaultAction.REFUSE, State.QUEUED),
    (SmtpStep.GREETING, FaultAction.DEFER, State.QUEUED),
    (SmtpStep.GREETING, FaultAction.DROP, State.QUEUED),
    (SmtpStep.GREETING, FaultAction.STALL, State.QUEUED),
    (SmtpStep.GREETING, FaultAction.TRICKLE, State.ACCEPTED),
    (SmtpStep.EHLO, FaultAction.REFUSE, State.QUEUED),
    (SmtpStep.EHLO, FaultAction.DEFER, State.QUEUED),
    (SmtpStep.EHLO, FaultAction.DROP, State.QUEUED),
    (SmtpStep.EHLO, FaultAction.STALL, State.QUEUED),
    (SmtpStep.EHLO, FaultAction.TRICKLE, State.ACCEPTED),
    (SmtpStep.STARTTLS, FaultAction.REFUSE, State.QUEUED),
    (SmtpStep.STARTTLS, FaultAction.DEFER, State.QUEUED),
    (SmtpStep.STARTTLS, FaultAction.DROP, State.QUEUED),
    (SmtpStep.STARTTLS, FaultAction.STALL, State.QUEUED),
    (SmtpStep.STARTTLS, FaultAction.TRICKLE, State.ACCEPTED),
    (SmtpStep.AUTH, FaultAction.REFUSE, State.QUEUED),
    (SmtpStep.AUTH, FaultAction.DEFER, State.QUEUED),
    (SmtpStep.AUTH, FaultAction.DROP, State.QUEUED),
    (SmtpStep.AUTH, FaultAction.STALL, State.QUEUED),
    (SmtpStep.AUTH, FaultAction.TRICKLE, State.ACCEPTED),
    (SmtpStep.MAIL, FaultAction.REFUSE, State.REFUSED),
    (SmtpStep.MAIL, FaultAction.DEFER, State.DEFERRED),
    (SmtpStep.MAIL, FaultAction.DROP, State.QUEUED),
    (SmtpStep.MAIL, FaultAction.STALL, State.QUEUED),
    (SmtpStep.MAIL, FaultAction.TRICKLE, State.ACCEPTED),
    (SmtpStep.RCPT, FaultAction.REFUSE, State.REFUSED),
    (SmtpStep.RCPT, FaultAction.DEFER, State.DEFERRED),
    (SmtpStep.RCPT, FaultAction.GREYLIST, State.DEFERRED),
    (SmtpStep.RCPT, FaultAction.DROP, State.DEFERRED),
    (SmtpStep.RCPT, FaultAction.STALL, State.DEFERRED),
    (SmtpStep.RCPT, FaultAction.TRICKLE, State.ACCEPTED),
    (SmtpStep.DATA, FaultAction.REFUSE, State.REFUSED),
    (SmtpStep.DATA, FaultAction.DEFER, State.DEFERRED),
    (SmtpStep.DATA, FaultAction.DROP, State.DEFERRED),
    (SmtpStep.DATA, FaultAction.STALL, State.DEFERRED),
    (SmtpStep.DATA, FaultAction.TRICKLE, State.ACCEPTED),
    (SmtpStep.CONTENT, FaultAction.DROP, State.DEFERRED),
    (SmtpStep.CONTENT, FaultAction.STALL, State.DEFERRED),
    (SmtpStep.QUIT, FaultAction.REFUSE, State.ACCEPTED),
    (SmtpStep.QUIT, FaultAction.DEFER, State.ACCEPTED),
    (SmtpStep.QUIT, FaultAction.DROP, State.ACCEPTED),
    (SmtpStep.QUIT, FaultAction.STALL, State.ACCEPTED),
    (SmtpStep.QUIT, FaultAction.TRICKLE, State.ACCEPTED),
]


@pytest.mark.parametrize(("at", "action", "state"), BEFORE_THE_DOT)
async def test_before_the_final_dot(
    ledger: Ledger, tls: GatewayTls, at: SmtpStep, action: FaultAction, state: State
) -> None:
    """Unless it was refused, the declaration is sent again with its K, accepted once, and gets one reply."""
    script = Script(scenarios=ANSWERED_LATER, faults=(SmtpFault(at=at, action=action),))
    patience = 1.0 if action is FaultAction.STALL else 60.0
    payload = LARGE if at is SmtpStep.CONTENT else b"<MetaData/>"
    final = (State.ACCEPTED, State.REFUSED, State.UNKNOWN)
    async with scene(ledger, tls, script, patience=patience) as play:
        first = await play.send(State.DEFERRED, *final, payload=payload)
        if first is State.DEFERRED:
            await play.clock.advance(HOUR)
            await play.reached(*final)
        await play.played()
        if state is not State.REFUSED:
            await play.process.has(1)
    found = ledger.exchanges.find("K1", party=PARTY)
    assert found is not None
    refused, returned = state is State.REFUSED, state is State.QUEUED
    happened = [entry.event for entry in ledger.story("K1")[0].entries]

    assert (State.ACCEPTED if returned else state, [] if refused else ["K1"]) == (first, play.taken)
    assert returned == ("returned-to-queue" in happened)
    assert (State.REFUSED if refused else State.ANSWERED, [] if refused else ["K1"]) == (
        found.state,
        [reply.reference for reply in play.process.taken],
    )
    assert (2 if returned or state is State.DEFERRED else 1, []) == (found.attempts, play.quarantine)
    assert [(at, action)] == [(fault.at, fault.action) for _, fault in play.gateway.shown_faults]


AT_THE_DOT = [
    # What, whether the gateway has it, the state that it leads to, and the last state.
    (FaultAction.REFUSE, False, State.REFUSED, State.REFUSED),
    (FaultAction.DEFER, False, State.DEFERRED, State.ANSWERED),
    (FaultAction.DROP, True, State.UNKNOWN, State.ANSWERED),
    (FaultAction.DROP, False, State.UNKNOWN, State.UNKNOWN),
    (FaultAction.STALL, True, State.UNKNOWN, State.ANSWERED),
    (FaultAction.STALL, False, State.UNKNOWN, State.UNKNOWN),
    (FaultAction.TRICKLE, True, State.ACCEPTED, State.ANSWERED),
]


@pytest.mark.parametrize(("action", "accepted", "first", "last"), AT_THE_DOT)
async def test_at_the_final_dot(  # noqa: PLR0913, PLR0917 - the columns of the table
    ledger: Ledger,
    tls: GatewayTls,
    action: FaultAction,
    accepted: bool,  # noqa: FBT001 - the same
    first: State,
    last: State,
) -> None:
    """A declaration that may have been accepted is never sent again: it is held as unknown until a reply settles it."""
    script = Script(scenarios=ANSWERED_LATER, faults=(SmtpFault(at=SmtpStep.DOT, action=action, accepted=accepted),))
    patience = 1.0 if action is FaultAction.STALL else 60.0
    async with scene(ledger, tls, script, final_patience=patience) as play:
        seen = await play.send(State.DEFERRED, State.ACCEPTED, State.REFUSED, State.UNKNOWN)
        await play.clock.advance(HOUR / 2)
        if seen is State.DEFERRED:
            await play.reached(State.ACCEPTED)
        await play.played()
        await play.reached(last)
    answered = last is State.ANSWERED

    assert (first, ["K1"] if answered else []) == (seen, play.taken)
    assert ["K1"] * answered == [reply.reference for reply in play.process.taken]
    assert {("DMS", last): 1} == ledger.status().exchanges


# ── rates, windows, a K that comes twice ─────────────────────────────────────


async def test_more_than_an_hour_takes(ledger: Ledger, tls: GatewayTls) -> None:
    """The 101st message of an hour is deferred, and accepted when the hour is over."""
    async with scene(ledger, tls, Script(per_hour=100)) as play:
        for number in range(100):
            play.ledger.exchanges.queue_soon(play.declaration(f"K{number:03}", DMS, b"<x/>"), at=play.clock())
        await play.process.has(100)
        deferred = await play.send(State.DEFERRED, State.ACCEPTED, reference="K100")
        story = play.ledger.story("K100")[0].entries[-1].detail
        await play.clock.advance(HOUR)
        references = await play.process.has(101)

    assert (State.DEFERRED, 101, "K100") == (deferred, len(references), references[-1])
    assert "deferred: 452 4.7.1 More than 100 messages in an hour, try again later" == story


@pytest.mark.parametrize(
    ("behaviour", "state", "hours"),
    [
        (Behaviour.REJECT, State.REFUSED, []),
        (Behaviour.QUEUE, State.ACCEPTED, [6]),
        (Behaviour.DELAY, State.ACCEPTED, [3]),
    ],
)
async def test_windows(ledger: Ledger, tls: GatewayTls, behaviour: Behaviour, state: State, hours: list[int]) -> None:
    """In a window, declarations are refused, or get replies an hour after its end, or two hours later than usual."""
    begins = SimulatedClock()()
    window = Window(system="DMS", behaviour=behaviour, begins=begins, ends=begins + 5 * HOUR, delay=2 * HOUR)
    async with scene(ledger, tls, Script(scenarios=ANSWERED_LATER, windows=(window,))) as play:
        seen = await play.send(State.ACCEPTED, State.REFUSED)
        other = await play.send(State.ACCEPTED, State.REFUSED, reference="K2", system=AGS)
        await play.played()
        await play.process.has(1 + len(hours))

    assert (state, State.ACCEPTED) == (seen, other)
    given = {(sent.declaration.envelope.reference, sent.at - begins) for sent in play.gateway.sent}
    assert {("K2", HOUR), *(("K1", number * HOUR) for number in hours)} == given


@pytest.mark.parametrize(
    ("repeated", "state", "answers"),
    [
        (RepeatedK.ACCEPT, State.ACCEPTED, 2),
        (RepeatedK.REFUSE, State.REFUSED, 1),
        (RepeatedK.IGNORE, State.ACCEPTED, 1),
    ],
)
async def test_a_repeated_k(  # noqa: PLR0913, PLR0917 - the columns of the table
    ledger: Ledger, tls: GatewayTls, tmp_path: Path, repeated: RepeatedK, state: State, answers: int
) -> None:
    """A K that another program of the party has used is accepted, refused or gets no reply, as the setting says."""
    with Ledger.open(f"sqlite:///{tmp_path / 'second.db'}") as second:
        async with scene(ledger, tls, Script(repeated=repeated)) as play:
            await play.send(State.ANSWERED)
            gateway = play.gateway
            again = attrs.evolve(play, ledger=second)
            server = SmtpServer(
                host="127.0.0.1",
                port=gateway.smtp_port,
                username=MAILBOX,
                password=PASSWORD,
                tls=tls.for_clients,
            )
            router = Router(parties=[PARTY])
            async with Agent(
                ledger=second, router=router, outboxes=[Outbox(server=server)], clock=play.clock, timing=QUICK
            ) as agent:
                again.agent = agent
                seen = await again.send(State.ACCEPTED, State.REFUSED)
            await play.gateway.wait_for_due_replies()

    assert (state, answers) == (seen, len([sent for sent in gateway.sent if sent.channel == "push"]))


# ── faults of answers ────────────────────────────────────────────────────────

FAULTY_ANSWERS = [
    # Fault, references that reach the process, reasons in quarantine, state.
    (ReplyFault.DUPLICATE, ["K1"], [], State.ANSWERED),
    (ReplyFault.OTHER_SYSTEM, [], ["other-system"], State.ACCEPTED),
    (ReplyFault.WRONG_PROCESS_ID, [], ["mailbox-process-disagree"], State.ACCEPTED),
    (ReplyFault.OTHER_PARTY, [], ["unknown-addressee"], State.ACCEPTED),
    (ReplyFault.NO_K, [], ["bad-envelope"], State.ACCEPTED),
    (ReplyFault.LOWER_CASE, ["K1"], [], State.ANSWERED),
    (ReplyFault.FOLDED, ["K1"], [], State.ANSWERED),
    (ReplyFault.ENCODED_WORDS, ["K1"], [], State.ANSWERED),
    (ReplyFault.FORGED_FROM, [], ["ambiguous-from"], State.ACCEPTED),
    (ReplyFault.BOUNCE, [], ["no-envelope"], State.ACCEPTED),
    (ReplyFault.LARGE, ["K1"], [], State.ANSWERED),
]


@pytest.mark.parametrize(("fault", "delivered", "reasons", "state"), FAULTY_ANSWERS)
async def test_a_faulty_answer(  # noqa: PLR0913, PLR0917 - the columns of the table
    ledger: Ledger, tls: GatewayTls, fault: ReplyFault, delivered: list[str], reasons: list[str], state: State
) -> None:
    """A reply reaches its process once, or is quarantined with its reason: never both, never neither."""
    script = Script(scenarios=(Scenario(replies=(ScriptedReply(after=HOUR, fault=fault),)),))
    async with scene(ledger, tls, script) as play:
        await play.send(State.ACCEPTED)
        await play.played()
        await play.process.has(len(delivered))
        await play.reached(state)
    pushed = [sent for sent in play.gateway.sent if sent.channel == "push"]

    assert delivered == [reply.reference for reply in play.process.taken]
    assert (reasons, []) == (play.quarantine, play.gateway.undelivered)
    assert (2 if fault is ReplyFault.DUPLICATE else 1) == len(pushed)


async def test_an_answer_for_another_party_of_ours(ledger: Ledger, tls: GatewayTls) -> None:
    """A reply that names another of our own parties, which never sent this K, reaches neither of them."""
    script = Script(scenarios=(Scenario(replies=(ScriptedReply(after=HOUR, fault=ReplyFault.OTHER_PARTY),)),))
    async with scene(ledger, tls, script, parties=(PARTY, OTHER_PARTY)) as play:
        await play.send(State.ACCEPTED)
        await play.played()

    assert (["other-party"], []) == (play.quarantine, play.process.taken)


async def test_an_answer_under_another_k(ledger: Ledger, tls: GatewayTls) -> None:
    """A reply with an unknown K reaches the process, marked as such; the exchange keeps waiting."""
    script = Script(scenarios=(Scenario(replies=(ScriptedReply(after=HOUR, fault=ReplyFault.OTHER_K),)),))
    async with scene(ledger, tls, script) as play:
        await play.send(State.ACCEPTED)
        await play.played()
        (reference,) = await play.process.has(1)

    assert reference != "K1"
    assert ["unknown-reference"] == [reply.correlation for reply in play.process.taken]
    assert {("DMS", State.ACCEPTED): 1} == ledger.status().exchanges


async def test_answers_out_of_order(ledger: Ledger, tls: GatewayTls) -> None:
    """The release arrives before the acceptance: both reach the process, in the order of their arrival."""
    answers = (
        ScriptedReply(kind=ReplyKind.ACCEPTANCE, after=HOUR, fault=ReplyFault.OUT_OF_ORDER),
        ScriptedReply(kind=ReplyKind.RELEASE, after=2 * HOUR),
    )
    async with scene(ledger, tls, Script(scenarios=(Scenario(replies=answers),))) as play:
        await play.send(State.ACCEPTED)
        await play.played()
        references = await play.process.has(2)

    pushed = [sent.scripted.kind for sent in play.gateway.sent if sent.channel == "push"]
    assert (["K1", "K1"], [ReplyKind.RELEASE, ReplyKind.ACCEPTANCE]) == (references, pushed)


async def test_an_answer_in_the_wrong_mailbox(ledger: Ledger, tls: GatewayTls, tmp_path: Path) -> None:
    """A reply that another declarant gets is quarantined there, and our exchange keeps waiting."""
    script = Script(scenarios=(Scenario(replies=(ScriptedReply(after=HOUR, fault=ReplyFault.WRONG_MAILBOX),)),))
    with Ledger.open(f"sqlite:///{tmp_path / 'other.db'}") as others:
        async with (
            scene(ledger, tls, script) as play,
            Agent(
                ledger=others,
                router=Router(parties=[OTHER_PARTY]),
                inboxes=[SmtpInbox(hostname="trader.example", mailboxes=(OTHER_MAILBOX,))],
                timing=QUICK,
            ) as agent,
        ):
            server = SmtpServer(host="127.0.0.1", port=agent.ports[0], security=Security.PLAIN)
            play.gateway.register(OTHER_MAILBOX, server)
            await play.send(State.ACCEPTED)
            await play.played()
        reasons = [held.reason for held in others.quarantine.listed()]

    assert (["unknown-addressee"], [], []) == (reasons, play.quarantine, play.process.taken)
    assert {("DMS", State.ACCEPTED): 1} == ledger.status().exchanges


async def test_an_answer_for_a_stranger_is_not_taken(ledger: Ledger, tls: GatewayTls) -> None:
    """
    If no other declarant is known, a reply for another mailbox is offered to our server, which refuses it at RCPT.

    It is put into no mailbox either.
    """
    script = Script(scenarios=(Scenario(replies=(ScriptedReply(after=HOUR, fault=ReplyFault.WRONG_MAILBOX),)),))
    async with scene(ledger, tls, script) as play:
        await play.send(State.ACCEPTED)
        await play.played()

    codes = {sent.channel: error.code for sent in play.gateway.sent if (error := sent.error) is not None}
    assert ({"pop3": None, "push": 550}, []) == (codes, play.quarantine)
    assert () == play.gateway.mailbox(MAILBOX).messages
