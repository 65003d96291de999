"""What our agent makes of each fault of the gateway: state of the exchange, reason of a quarantine, nothing lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import attrs
import pytest

from htpoort import AGS, DMS, DeclarationSystem, Router, Submission, build
from htpoort.agent import Agent, Outbox, SmtpInbox, Timing
from htpoort.exchange import State
from htpoort.ledger import Ledger, Reply
from htpoort.simulator import (
    Action,
    Answer,
    AnswerFault,
    At,
    Behaviour,
    Declarant,
    Gateway,
    GatewayTls,
    Kind,
    RepeatedK,
    Scenario,
    Script,
    SimulatedClock,
    SmtpFault,
    Window,
)
from htpoort.simulator.answers import OTHER_PARTY
from htpoort.transport import Security, SmtpServer

PARTY = "NL123456789.02.05"
MAILBOX = "edi@forwarder.example"
OTHER_MAILBOX = "edi@trader.example"
PASSWORD = "correct horse"
HOUR = timedelta(hours=1)
ANSWERED_LATER = (Scenario(answers=(Answer(after=HOUR),)),)
QUICK = Timing(
    poll=timedelta(milliseconds=20),
    lease=timedelta(days=30),
    grace=timedelta(seconds=10),
    again=timedelta(milliseconds=20),
    rest=(timedelta(milliseconds=20),),
    rest_login=timedelta(milliseconds=20),
)
LARGE = b"<MetaData>" + b"synthetic\r\n" * 1_200_000 + b"</MetaData>\r\n"


@attrs.define
class Process:
    """A process that takes replies."""

    taken: list[Reply] = attrs.field(factory=list[Reply])
    came: asyncio.Condition = attrs.field(factory=asyncio.Condition)

    async def __call__(self, reply: Reply) -> None:
        """Take one reply."""
        async with self.came:
            self.taken.append(reply)
            self.came.notify_all()

    async def has(self, number: int) -> list[str]:
        """Wait for so many replies; gives their references."""
        async with asyncio.timeout(60), self.came:
            await self.came.wait_for(lambda: len(self.taken) >= number)
        return [reply.reference for reply in self.taken]


@attrs.define
class Scene:
    """A gateway, and an agent that sends to it and is answered by it; both live by one simulated clock."""

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
                found = await asyncio.to_thread(self.ledger.exchanges.find, PARTY, reference)
                assert found is not None
                if found.state in states:
                    return found.state
                # Reading the ledger takes a turn of another thread; nothing else is waited for.
                await asyncio.sleep(0)

    async def played(self, until: timedelta | None = None) -> None:
        """Let the time of every answer come."""
        async with asyncio.timeout(60):
            await self.gateway.play(until)

    @property
    def taken(self) -> list[str]:
        """The references that the gateway took."""
        return [taken.envelope.reference for taken in self.gateway.received]

    @property
    def quarantine(self) -> list[str]:
        """The reasons in quarantine."""
        return [held.reason for held in self.ledger.quarantine.listed()]


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """Open a new ledger."""
    with Ledger.open(f"sqlite:///{tmp_path / 'htpoort.db'}") as opened:
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
            router=Router(parties=parties, sent=ledger.sent),
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
    (At.GREETING, Action.REFUSE, State.QUEUED),
    (At.GREETING, Action.DEFER, State.QUEUED),
    (At.GREETING, Action.DROP, State.QUEUED),
    (At.GREETING, Action.STALL, State.QUEUED),
    (At.GREETING, Action.TRICKLE, State.ACCEPTED),
    (At.EHLO, Action.REFUSE, State.QUEUED),
    (At.EHLO, Action.DEFER, State.QUEUED),
    (At.EHLO, Action.DROP, State.QUEUED),
    (At.EHLO, Action.STALL, State.QUEUED),
    (At.EHLO, Action.TRICKLE, State.ACCEPTED),
    (At.STARTTLS, Action.REFUSE, State.QUEUED),
    (At.STARTTLS, Action.DEFER, State.QUEUED),
    (At.STARTTLS, Action.DROP, State.QUEUED),
    (At.STARTTLS, Action.STALL, State.QUEUED),
    (At.STARTTLS, Action.TRICKLE, State.ACCEPTED),
    (At.AUTH, Action.REFUSE, State.QUEUED),
    (At.AUTH, Action.DEFER, State.QUEUED),
    (At.AUTH, Action.DROP, State.QUEUED),
    (At.AUTH, Action.STALL, State.QUEUED),
    (At.AUTH, Action.TRICKLE, State.ACCEPTED),
    (At.MAIL, Action.REFUSE, State.REFUSED),
    (At.MAIL, Action.DEFER, State.DEFERRED),
    (At.MAIL, Action.DROP, State.QUEUED),
    (At.MAIL, Action.STALL, State.QUEUED),
    (At.MAIL, Action.TRICKLE, State.ACCEPTED),
    (At.RCPT, Action.REFUSE, State.REFUSED),
    (At.RCPT, Action.DEFER, State.DEFERRED),
    (At.RCPT, Action.GREYLIST, State.DEFERRED),
    (At.RCPT, Action.DROP, State.DEFERRED),
    (At.RCPT, Action.STALL, State.DEFERRED),
    (At.RCPT, Action.TRICKLE, State.ACCEPTED),
    (At.DATA, Action.REFUSE, State.REFUSED),
    (At.DATA, Action.DEFER, State.DEFERRED),
    (At.DATA, Action.DROP, State.DEFERRED),
    (At.DATA, Action.STALL, State.DEFERRED),
    (At.DATA, Action.TRICKLE, State.ACCEPTED),
    (At.CONTENT, Action.DROP, State.DEFERRED),
    (At.CONTENT, Action.STALL, State.DEFERRED),
    (At.QUIT, Action.REFUSE, State.ACCEPTED),
    (At.QUIT, Action.DEFER, State.ACCEPTED),
    (At.QUIT, Action.DROP, State.ACCEPTED),
    (At.QUIT, Action.STALL, State.ACCEPTED),
    (At.QUIT, Action.TRICKLE, State.ACCEPTED),
]


@pytest.mark.parametrize(("at", "action", "state"), BEFORE_THE_DOT)
async def test_before_the_final_dot(ledger: Ledger, tls: GatewayTls, at: At, action: Action, state: State) -> None:
    """Nothing was taken, so what is not refused goes again under the same K, is taken once, and is answered once."""
    script = Script(scenarios=ANSWERED_LATER, faults=(SmtpFault(at=at, action=action),))
    patience = 1.0 if action is Action.STALL else 60.0
    payload = LARGE if at is At.CONTENT else b"<MetaData/>"
    final = (State.ACCEPTED, State.REFUSED, State.UNKNOWN)
    async with scene(ledger, tls, script, patience=patience) as play:
        first = await play.send(State.DEFERRED, *final, payload=payload)
        if first is State.DEFERRED:
            await play.clock.advance(HOUR)
            await play.reached(*final)
        await play.played()
        if state is not State.REFUSED:
            await play.process.has(1)
    found = ledger.exchanges.find(PARTY, "K1")
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
    assert [(at, action)] == [(fault.at, fault.action) for _, fault in play.gateway.shown]


AT_THE_DOT = [
    # What, whether the gateway has it, the state that it leads to, and the last state.
    (Action.REFUSE, False, State.REFUSED, State.REFUSED),
    (Action.DEFER, False, State.DEFERRED, State.ANSWERED),
    (Action.DROP, True, State.UNKNOWN, State.ANSWERED),
    (Action.DROP, False, State.UNKNOWN, State.UNKNOWN),
    (Action.STALL, True, State.UNKNOWN, State.ANSWERED),
    (Action.STALL, False, State.UNKNOWN, State.UNKNOWN),
    (Action.TRICKLE, True, State.ACCEPTED, State.ANSWERED),
]


@pytest.mark.parametrize(("action", "taken", "first", "last"), AT_THE_DOT)
async def test_at_the_final_dot(  # noqa: PLR0913, PLR0917 - the columns of the table
    ledger: Ledger,
    tls: GatewayTls,
    action: Action,
    taken: bool,  # noqa: FBT001 - the same
    first: State,
    last: State,
) -> None:
    """What may have been taken is never sent again: it is held as unknown, in view, until an answer settles it."""
    script = Script(scenarios=ANSWERED_LATER, faults=(SmtpFault(at=At.DOT, action=action, taken=taken),))
    patience = 1.0 if action is Action.STALL else 60.0
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
    """The 101st message of an hour is deferred, and goes when the hour is over."""
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
    """In a window of five hours: refused; or answered an hour after it ends; or two hours later than usual."""
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
    """A K that another program of the party has used: accepted, refused or taken in silence, as the setting says."""
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
            router = Router(parties=[PARTY], sent=second.sent)
            async with Agent(
                ledger=second, router=router, outboxes=[Outbox(server=server)], clock=play.clock, timing=QUICK
            ) as agent:
                again.agent = agent
                seen = await again.send(State.ACCEPTED, State.REFUSED)
            await play.gateway.answered()

    assert (state, answers) == (seen, len([sent for sent in gateway.sent if sent.way == "push"]))


# ── faults of answers ────────────────────────────────────────────────────────

FAULTY_ANSWERS = [
    # Fault, references that reach the process, reasons in quarantine, state.
    (AnswerFault.DUPLICATE, ["K1"], [], State.ANSWERED),
    (AnswerFault.OTHER_SYSTEM, [], ["other-system"], State.ACCEPTED),
    (AnswerFault.WRONG_PROCESS_ID, [], ["mailbox-process-disagree"], State.ACCEPTED),
    (AnswerFault.OTHER_PARTY, [], ["unknown-addressee"], State.ACCEPTED),
    (AnswerFault.NO_K, [], ["bad-envelope"], State.ACCEPTED),
    (AnswerFault.LOWER_CASE, ["K1"], [], State.ANSWERED),
    (AnswerFault.FOLDED, ["K1"], [], State.ANSWERED),
    (AnswerFault.ENCODED_WORDS, ["K1"], [], State.ANSWERED),
    (AnswerFault.FORGED_FROM, [], ["ambiguous-from"], State.ACCEPTED),
    (AnswerFault.BOUNCE, [], ["no-envelope"], State.ACCEPTED),
    (AnswerFault.LARGE, ["K1"], [], State.ANSWERED),
]


@pytest.mark.parametrize(("fault", "delivered", "reasons", "state"), FAULTY_ANSWERS)
async def test_a_faulty_answer(  # noqa: PLR0913, PLR0917 - the columns of the table
    ledger: Ledger, tls: GatewayTls, fault: AnswerFault, delivered: list[str], reasons: list[str], state: State
) -> None:
    """An answer reaches its process once, or stands in quarantine with its reason: never both, never neither."""
    script = Script(scenarios=(Scenario(answers=(Answer(after=HOUR, fault=fault),)),))
    async with scene(ledger, tls, script) as play:
        await play.send(State.ACCEPTED)
        await play.played()
        await play.process.has(len(delivered))
        await play.reached(state)
    pushed = [sent for sent in play.gateway.sent if sent.way == "push"]

    assert delivered == [reply.reference for reply in play.process.taken]
    assert (reasons, []) == (play.quarantine, play.gateway.undelivered)
    assert (2 if fault is AnswerFault.DUPLICATE else 1) == len(pushed)


async def test_an_answer_for_another_party_of_ours(ledger: Ledger, tls: GatewayTls) -> None:
    """An answer that names another of our own parties, who never sent this K, reaches neither."""
    script = Script(scenarios=(Scenario(answers=(Answer(after=HOUR, fault=AnswerFault.OTHER_PARTY),)),))
    async with scene(ledger, tls, script, parties=(PARTY, OTHER_PARTY)) as play:
        await play.send(State.ACCEPTED)
        await play.played()

    assert (["other-party"], []) == (play.quarantine, play.process.taken)


async def test_an_answer_under_another_k(ledger: Ledger, tls: GatewayTls) -> None:
    """A K that nobody sent reaches the process by mailbox and process ID, marked so; the exchange goes on waiting."""
    script = Script(scenarios=(Scenario(answers=(Answer(after=HOUR, fault=AnswerFault.OTHER_K),)),))
    async with scene(ledger, tls, script) as play:
        await play.send(State.ACCEPTED)
        await play.played()
        (reference,) = await play.process.has(1)

    assert reference != "K1"
    assert ["unknown-reference"] == [reply.correlation for reply in play.process.taken]
    assert {("DMS", State.ACCEPTED): 1} == ledger.status().exchanges


async def test_answers_out_of_order(ledger: Ledger, tls: GatewayTls) -> None:
    """The release comes before the acceptance: both reach the process, in the order in which they came."""
    answers = (
        Answer(kind=Kind.ACCEPTANCE, after=HOUR, fault=AnswerFault.OUT_OF_ORDER),
        Answer(kind=Kind.RELEASE, after=2 * HOUR),
    )
    async with scene(ledger, tls, Script(scenarios=(Scenario(answers=answers),))) as play:
        await play.send(State.ACCEPTED)
        await play.played()
        references = await play.process.has(2)

    pushed = [sent.answer.kind for sent in play.gateway.sent if sent.way == "push"]
    assert (["K1", "K1"], [Kind.RELEASE, Kind.ACCEPTANCE]) == (references, pushed)


async def test_an_answer_in_the_wrong_mailbox(ledger: Ledger, tls: GatewayTls, tmp_path: Path) -> None:
    """An answer that another declarant gets stands in that one's quarantine, and ours goes on waiting."""
    script = Script(scenarios=(Scenario(answers=(Answer(after=HOUR, fault=AnswerFault.WRONG_MAILBOX),)),))
    with Ledger.open(f"sqlite:///{tmp_path / 'other.db'}") as others:
        async with (
            scene(ledger, tls, script) as play,
            Agent(
                ledger=others,
                router=Router(parties=[OTHER_PARTY], sent=others.sent),
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
    Where nobody else is known, an answer for another mailbox is offered to our server, which refuses it at RCPT.

    It is put into no mailbox either.
    """
    script = Script(scenarios=(Scenario(answers=(Answer(after=HOUR, fault=AnswerFault.WRONG_MAILBOX),)),))
    async with scene(ledger, tls, script) as play:
        await play.send(State.ACCEPTED)
        await play.played()

    codes = {sent.way: error.code for sent in play.gateway.sent if (error := sent.error) is not None}
    assert ({"pop3": None, "push": 550}, []) == (codes, play.quarantine)
    assert () == play.gateway.mailbox(MAILBOX).mails
