"""How replies reach declarants: pushed, retried, stored in a mailbox, recorded; and what the gateway reports."""

from __future__ import annotations

import asyncio
import email
import smtplib
import socket
from collections import deque
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import attrs
import pytest

from htpoort import DMS, InputError, SendFailure, Submission, build
from htpoort.simulator import (
    Declarant,
    Gateway,
    RealClock,
    ReplyFault,
    ReplyKind,
    Scenario,
    Script,
    ScriptedReply,
    SimulatedClock,
)
from htpoort.simulator.clock import Timetable
from htpoort.transport import Incoming, Receiver, Refusal, Security, SmtpServer, TlsSettings

MAILBOX, OTHER = "edi@forwarder.example", "edi@trader.example"
REQUEST = "[V=NL123456789.02.05][A=DMS4.NL][K={}][S=0]"
HOUR = timedelta(hours=1)


@attrs.define
class Server:
    """A declarant's mail server that responds as the test says."""

    clock: SimulatedClock = attrs.field(factory=SimulatedClock)
    answers: list[Refusal | None] = attrs.field(factory=list[Refusal | None])
    came: list[Incoming] = attrs.field(factory=list[Incoming])
    hours: list[float] = attrs.field(factory=list[float])
    address: SmtpServer = attrs.field(init=False)

    async def take(self, incoming: Incoming) -> None:
        """Accept a message, or refuse it."""
        self.hours.append((self.clock() - SimulatedClock()()) / HOUR)
        answer = self.answers.pop(0) if self.answers else None
        if answer is not None:
            raise answer
        self.came.append(incoming)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    """Start a declarant's mail server."""
    made = Server()
    async with Receiver(made.take, hostname="forwarder.example", mailboxes=[MAILBOX, OTHER]) as receiver:
        made.address = SmtpServer(host="127.0.0.1", port=receiver.port, security=Security.PLAIN)
        yield made


async def submit(gateway: Gateway, reference: str = "K1", sender: str = MAILBOX, password: str = "") -> None:
    """Send a declaration by smtplib."""
    message = f"From: {sender}\r\nTo: dms@htpoort.nl\r\nSubject: {REQUEST.format(reference)}\r\n\r\n<MetaData/>\r\n"

    def sent() -> None:
        with smtplib.SMTP("127.0.0.1", gateway.smtp_port, local_hostname="forwarder.example") as client:
            if password:
                client.login(sender, password)
            client.sendmail(sender, ["dms@htpoort.nl"], message)

    await asyncio.to_thread(sent)


async def _nobody(_lane: str, _due: object) -> None:
    """Do nothing."""
    raise NotImplementedError


def names_in(folder: Path) -> list[str]:
    """List the names of the files in a folder, in order."""
    return sorted(path.name for path in folder.iterdir())


class TestPushes:
    """A reply is pushed by a schedule until it is accepted or refused."""

    WAITS = (HOUR, 2 * HOUR)

    async def test_again_when_deferred(self, server: Server) -> None:
        """A deferred reply is pushed again after each wait, and reported once, with the number of attempts."""
        server.answers = [Refusal(451, "later"), Refusal(452, "later")]
        declarants = {MAILBOX: server.address}
        async with Gateway(declarants=declarants, clock=server.clock, retries=self.WAITS) as gateway:
            await submit(gateway)
            await gateway.wait_for_due_replies()
            before = list(gateway.sent)
            await gateway.play()

        assert ([0, 1, 3], []) == (server.hours, before)
        assert [(3, None, "push")] == [(sent.attempts, sent.error, sent.channel) for sent in gateway.sent]

    async def test_given_up_at_the_end_of_the_schedule(self, server: Server) -> None:
        """After the last wait the reply is given up, and listed as undelivered."""
        server.answers = [Refusal(451, "later")] * 4
        declarants = {MAILBOX: server.address}
        async with Gateway(declarants=declarants, clock=server.clock, retries=self.WAITS) as gateway:
            await submit(gateway)
            await gateway.play()

        assert [0, 1, 3] == server.hours
        assert [(SendFailure.DEFERRED, 451)] == [(error.kind, error.code) for error in gateway.undelivered]
        assert [3] == [sent.attempts for sent in gateway.sent]

    async def test_given_up_at_once_when_refused(self, server: Server) -> None:
        """A reply with a 5xx is given up."""
        server.answers = [Refusal(554, "no")]
        async with Gateway(declarants={MAILBOX: server.address}, clock=server.clock) as gateway:
            await submit(gateway)
            await gateway.play()

        assert ([0], [554]) == (server.hours, [error.code for error in gateway.undelivered])
        assert gateway.undelivered == [sent.error for sent in gateway.sent]

    async def test_again_when_nobody_is_there(self, server: Server) -> None:
        """A server that was away and returns at another address gets the reply later."""
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))  # its own until the end, and never listened on
            away = SmtpServer(host="127.0.0.1", port=nobody.getsockname()[1], security=Security.PLAIN)
            async with Gateway(declarants={MAILBOX: away}, clock=server.clock, retries=self.WAITS) as gateway:
                await submit(gateway)
                await gateway.wait_for_due_replies()
                gateway.register(MAILBOX, server.address)
                await gateway.play()

        assert [1] == server.hours

    async def test_a_server_that_changes_meanwhile(self, server: Server) -> None:
        """Of the replies that are due together, those after a change of server go to the new one."""
        moved = asyncio.Event()

        async def first(incoming: Incoming) -> None:
            gateway.register(MAILBOX, server.address)
            moved.set()
            server.came.append(incoming)

        script = Script(scenarios=(Scenario(replies=(ScriptedReply(), ScriptedReply(kind=ReplyKind.RELEASE))),))
        async with Receiver(first, hostname="forwarder.example", mailboxes=[MAILBOX]) as receiver:
            old = SmtpServer(host="127.0.0.1", port=receiver.port, security=Security.PLAIN)
            async with Gateway(declarants={MAILBOX: old}, script=script, clock=server.clock) as gateway:
                await submit(gateway)
                await gateway.wait_for_due_replies()

        assert (True, 2, 1) == (moved.is_set(), len(server.came), len(server.hours))

    async def test_both_ways(self, server: Server) -> None:
        """A declarant with a server and a password gets each reply by both channels."""
        both = Declarant(mailbox=MAILBOX, server=server.address, password="correct horse")
        async with Gateway(declarants=[both], clock=server.clock) as gateway:
            await submit(gateway, password="correct horse")
            await gateway.wait_for_due_replies()
        (mail,) = gateway.mailbox(MAILBOX).messages

        assert [mail.raw] == [incoming.raw for incoming in server.came]
        assert {"push", "pop3"} == {sent.channel for sent in gateway.sent}

    async def test_an_empty_mail_from(self, server: Server) -> None:
        """A bounce has an empty MAIL FROM."""
        script = Script(scenarios=(Scenario(replies=(ScriptedReply(fault=ReplyFault.BOUNCE),)),))
        async with Gateway(declarants={MAILBOX: server.address}, script=script, clock=server.clock) as gateway:
            await submit(gateway)
            await gateway.wait_for_due_replies()

        assert [""] == [incoming.mail_from for incoming in server.came]

    @pytest.mark.parametrize(
        ("field", "value"),
        [("mail_from", "a@b.example>\r\nRSET"), ("data", b"Subject: x\r\n\r\nno end"), ("mail_from", "nobody")],
    )
    async def test_what_cannot_be_pushed(self, server: Server, field: str, value: str | bytes) -> None:
        """A message that would break the SMTP dialogue is refused before it is sent."""
        async with Gateway(declarants={MAILBOX: server.address}) as gateway:
            with pytest.raises(InputError):
                await gateway.push(attrs.evolve(_genuine(), **{field: value}))  # type: ignore[arg-type]  # one field

        assert [] == server.came


class TestPlay:
    """The time jumps from one due reply to the next."""

    SCRIPT = Script(scenarios=(Scenario(replies=tuple(ScriptedReply(after=days * 24 * HOUR) for days in (0, 1, 3))),))

    async def test_jumps(self, server: Server) -> None:
        """Each reply is sent at its moment, with the date of that moment."""
        async with Gateway(declarants={MAILBOX: server.address}, script=self.SCRIPT, clock=server.clock) as gateway:
            await submit(gateway)
            await gateway.play()
        dates = [email.message_from_bytes(incoming.raw)["Date"] for incoming in server.came]

        assert ([0, 24, 72], None) == (server.hours, gateway.next_moment)
        assert ["Mon, 02 Nov", "Tue, 03 Nov", "Thu, 05 Nov"] == [str(date)[:11] for date in dates]

    async def test_until(self, server: Server) -> None:
        """With a limit of two days the clock stops there, and the gateway reports when the next reply is due."""
        begins = server.clock()
        async with Gateway(declarants={MAILBOX: server.address}, script=self.SCRIPT, clock=server.clock) as gateway:
            await submit(gateway)
            await gateway.play(48 * HOUR)
            stopped, following = server.clock(), gateway.next_moment

        assert ([0, 24], begins + 48 * HOUR, begins + 72 * HOUR) == (server.hours, stopped, following)

    async def test_the_clock_moves_it_too(self, server: Server) -> None:
        """When a test moves the clock, replies are delivered, those of two gateways in the order of their moments."""
        later = Script(scenarios=(Scenario(replies=(ScriptedReply(after=2 * HOUR),)),))
        async with (
            Gateway(declarants={MAILBOX: server.address}, script=self.SCRIPT, clock=server.clock) as first,
            Gateway(declarants={MAILBOX: server.address}, script=later, clock=server.clock) as second,
        ):
            await submit(first, "K1")
            await submit(second, "K2")
            await server.clock.advance(24 * HOUR)
        references = [incoming.raw.split(b"[K=")[1][:2] for incoming in server.came]

        assert ([0, 2, 24], [b"K1", b"K2", b"K1"]) == (server.hours, references)

    async def test_real_time(self, server: Server) -> None:
        """In real time `play` takes as long as the replies do, and no longer than the limit."""
        pause = timedelta(milliseconds=30)
        script = Script(
            scenarios=(Scenario(replies=(ScriptedReply(), ScriptedReply(after=pause), ScriptedReply(after=24 * HOUR))),)
        )
        clock = RealClock()
        async with Gateway(declarants={MAILBOX: server.address}, script=script, clock=clock) as gateway:
            await submit(gateway)
            await gateway.play(10 * pause)
            (taken,) = gateway.received
            following = gateway.next_moment

        assert 2 == len(server.came)
        assert taken.at + pause <= gateway.sent[-1].at
        assert taken.at + 24 * HOUR == following

    async def test_who_stops_waiting_stops_nothing(self, server: Server) -> None:
        """Cancelling `wait_for_due_replies` does not cancel the delivery."""
        hold, began = asyncio.Event(), asyncio.Event()

        async def slow(incoming: Incoming) -> None:
            began.set()
            await hold.wait()
            server.came.append(incoming)

        async with Receiver(slow, hostname="forwarder.example", mailboxes=[MAILBOX]) as receiver:
            address = SmtpServer(host="127.0.0.1", port=receiver.port, security=Security.PLAIN)
            async with Gateway(declarants={MAILBOX: address}) as gateway:
                await submit(gateway)
                waiting = asyncio.create_task(gateway.wait_for_due_replies())
                await began.wait()
                waiting.cancel()
                await asyncio.gather(waiting, return_exceptions=True)
                hold.set()
                await gateway.wait_for_due_replies()

        assert (1, 1) == (len(server.came), len(gateway.sent))

    async def test_nothing_is_due_after_the_end(self) -> None:
        """An item that is added after the end wakes no worker."""
        schedule = Timetable[str, str](SimulatedClock(), _nobody)
        await schedule.close()
        schedule.put(SimulatedClock()() + HOUR, "lane", "late")
        await schedule.wait_until_idle()

        assert schedule.next_moment is None

    async def test_entered_again(self, server: Server) -> None:
        """A gateway that is entered again replies again; replies that were left when it was closed are dropped."""
        scenario = Scenario(replies=(ScriptedReply(), ScriptedReply(kind=ReplyKind.RELEASE, after=HOUR)))
        gateway = Gateway(
            declarants={MAILBOX: server.address}, script=Script(scenarios=(scenario,)), clock=server.clock
        )
        async with gateway:
            await submit(gateway, "K1")
            await gateway.wait_for_due_replies()
        async with gateway:
            await submit(gateway, "K2")
            await gateway.play()

        assert [("K1", ReplyKind.ACCEPTANCE), ("K2", ReplyKind.ACCEPTANCE), ("K2", ReplyKind.RELEASE)] == [
            (sent.declaration.envelope.reference, sent.scripted.kind) for sent in gateway.sent
        ]

    async def test_opened_again(self) -> None:
        """Items from before the end, started or not, do not block those after a new start."""
        done: list[str] = []

        async def work(_lane: str, due: deque[str]) -> None:
            done.append(due.popleft())

        clock = SimulatedClock()
        schedule = Timetable[str, str](clock, work)
        for again in ("before", "after"):
            schedule.open()
            schedule.put(clock(), "lane", f"at once {again}")
            schedule.put(clock() + HOUR, "lane", f"later {again}")
            if again == "before":
                await schedule.close()
        await clock.advance(HOUR)
        await schedule.wait_until_idle()
        await schedule.close()

        assert ["at once after", "later after"] == done

    async def test_closing_ends_the_waiting(self, server: Server) -> None:
        """A caller that waits for replies is released when the gateway closes."""
        began, hold = asyncio.Event(), asyncio.Event()

        async def slow(_incoming: Incoming) -> None:
            began.set()
            await hold.wait()

        async with Receiver(slow, hostname="forwarder.example", mailboxes=[MAILBOX]) as receiver:
            address = SmtpServer(host="127.0.0.1", port=receiver.port, security=Security.PLAIN)
            async with Gateway(declarants={MAILBOX: address}) as gateway:
                await submit(gateway)
                waiting = asyncio.create_task(gateway.wait_for_due_replies())
                await began.wait()
            await waiting
            hold.set()

        assert ([], []) == (gateway.sent, server.came)

    async def test_a_broken_certificate_of_a_declarant(self, tmp_path: Path) -> None:
        """If files of a declarant's server cannot be read, `wait_for_due_replies` raises the error once."""
        broken = SmtpServer(host="127.0.0.1", tls=TlsSettings(ca_file=tmp_path / "none.pem"))
        async with Gateway(declarants={MAILBOX: broken}) as gateway:
            await submit(gateway)
            with pytest.raises(InputError, match="ca_file cannot be used"):
                await gateway.wait_for_due_replies()
            await gateway.wait_for_due_replies()


class TestScenarios:
    """The first scenario that fits a declaration and is not used up applies."""

    async def test_the_first_that_fits(self, server: Server) -> None:
        """Scenarios apply by K and by their number of times, then the next one does; without one there is no reply."""
        script = Script(
            scenarios=(
                Scenario(name="silent", reference="K2", replies=()),
                Scenario(name="twice", times=2, replies=(ScriptedReply(kind=ReplyKind.RELEASE),)),
                Scenario(name="once", times=1, replies=(ScriptedReply(kind=ReplyKind.CONTROL),)),
            )
        )
        async with Gateway(declarants={MAILBOX: server.address}, script=script, clock=server.clock) as gateway:
            for number in range(1, 6):
                await submit(gateway, f"K{number}")
            await gateway.wait_for_due_replies()

        given = [(sent.declaration.envelope.reference, sent.scripted.kind) for sent in gateway.sent]
        assert [("K1", ReplyKind.RELEASE), ("K3", ReplyKind.RELEASE), ("K4", ReplyKind.CONTROL)] == given
        assert [1, 2, 3, 4, 5] == [taken.number for taken in gateway.received]

    async def test_a_repeated_answer_to_another_declarant(self, server: Server) -> None:
        """Rate and repeated K are counted for each declarant; the same K of another party is another K."""
        script = Script(per_hour=1)
        declarants = {MAILBOX: server.address, OTHER: server.address}
        async with Gateway(declarants=declarants, script=script, clock=server.clock) as gateway:
            await submit(gateway, "K1")
            await submit(gateway, "K2", sender=OTHER)
            with pytest.raises(smtplib.SMTPDataError) as caught:
                await submit(gateway, "K3")
            await server.clock.advance(HOUR)
            await submit(gateway, "K4")

        assert 452 == caught.value.smtp_code
        assert ["K1", "K2", "K4"] == [taken.envelope.reference for taken in gateway.received]
        assert ["More than 1 messages in an hour"] == [why for _, why in gateway.refused]


class TestAstray:
    """A reply to another declarant's mailbox never reaches the right one."""

    SCRIPT = Script(scenarios=(Scenario(replies=(ScriptedReply(fault=ReplyFault.WRONG_MAILBOX),)),))

    async def answered(self, *declarants: Declarant) -> Gateway:
        """Reply to a declaration of the first declarant."""
        async with Gateway(declarants=declarants, script=self.SCRIPT, clock=SimulatedClock()) as gateway:
            await submit(gateway, password="geheim")
            await gateway.play()
        return gateway

    async def test_into_the_mailbox_of_another(self) -> None:
        """The first other declarant that receives replies gets it."""
        own, deaf = Declarant(mailbox=MAILBOX, password="geheim"), Declarant(mailbox="edi@broker.example")
        other = Declarant(mailbox="edi@trader.example", password="geheim")
        gateway = await self.answered(own, deaf, other)

        assert (0, 1, []) == (
            len(gateway.mailbox(MAILBOX).messages),
            len(gateway.mailbox(other.mailbox).messages),
            gateway.undelivered,
        )

    async def test_where_there_is_no_other(self) -> None:
        """If no other declarant receives replies, it is in no mailbox, and is listed as undelivered."""
        deaf = Declarant(mailbox="edi@broker.example")
        gateway = await self.answered(Declarant(mailbox=MAILBOX, password="geheim"), deaf)
        (error,) = gateway.undelivered

        assert ((), "edi@other-declarant.example", SendFailure.REFUSED) == (
            gateway.mailbox(MAILBOX).messages,
            error.recipient,
            error.kind,
        )
        assert [("pop3", 1, error)] == [(sent.channel, sent.attempts, sent.error) for sent in gateway.sent]


class TestRecord:
    """Every message is written to a folder, as it was on the wire."""

    async def test_in_order(self, server: Server, tmp_path: Path) -> None:
        """Messages in both directions are numbered, refused ones too; the names have direction and K."""
        folder = tmp_path / "new" / "record"
        async with Gateway(declarants={MAILBOX: server.address}, record=folder, clock=server.clock) as gateway:
            await submit(gateway, "K1")
            await gateway.wait_for_due_replies()
            with pytest.raises(smtplib.SMTPDataError):
                await submit(gateway, "K2][K=K3")
            await gateway.push(_genuine())
        names = ["000001-in-K1.eml", "000002-out-K1.eml", "000003-in-none.eml", "000004-out-1.eml"]

        assert names == names_in(folder)
        assert server.came[0].raw == (folder / names[1]).read_bytes()
        assert gateway.received[0].raw == (folder / names[0]).read_bytes()

    async def test_it_counts_on(self, server: Server, tmp_path: Path) -> None:
        """A second gateway continues the numbers and overwrites nothing; it leaves other files alone."""
        (tmp_path / "notes.txt").write_text("mine", encoding="ascii")
        for reference in ("K1", "K2"):
            async with Gateway(declarants={MAILBOX: server.address}, record=tmp_path, clock=server.clock) as gateway:
                await submit(gateway, reference)
                await gateway.wait_for_due_replies()

        names = ["000001-in-K1.eml", "000002-out-K1.eml", "000003-in-K2.eml", "000004-out-K2.eml", "notes.txt"]
        assert names == names_in(tmp_path)

    async def test_a_k_that_is_no_file_name(self, server: Server, tmp_path: Path) -> None:
        """A K with a path in it does not lead out of the folder."""
        async with Gateway(declarants={MAILBOX: server.address}, record=tmp_path) as gateway:
            await submit(gateway, "../" + "K" * 100)

        assert f"000001-in-___{'K' * 61}.eml" == min(names_in(tmp_path))


class TestDeclarants:
    """Declarants must be distinct before anything starts."""

    def test_two_that_are_the_same(self) -> None:
        """Two declarants with the same mailbox and the same user name are refused, with a problem for each."""
        one = Declarant(mailbox=MAILBOX, username="same")
        other = Declarant(mailbox="EDI@forwarder.example", username="same")
        with pytest.raises(InputError) as caught:
            Gateway(declarants=[one, other])

        assert [
            "mailbox 'edi@forwarder.example' belongs to two declarants; give each its own.",
            "username 'same' belongs to two declarants; give each its own.",
        ] == [problem.message for problem in caught.value.problems]

    @pytest.mark.parametrize(
        "values", [{"mailbox": "nobody"}, {"password": ""}, {"password": "a\nb"}, {"username": ""}]
    )
    def test_what_cannot_be(self, values: dict[str, str]) -> None:
        """An invalid mailbox and a login with unprintable characters are refused."""
        with pytest.raises(InputError):
            Declarant(**{"mailbox": MAILBOX, **values})

    def test_no_password_is_shown(self) -> None:
        """A password is in no repr."""
        assert "correct" not in repr(Declarant(mailbox=MAILBOX, password="correct horse"))

    async def test_a_server_elsewhere(self) -> None:
        """A declarant's server on another machine is refused, at the start and later, unless it is allowed by name."""
        away = SmtpServer(host="mx.forwarder.example")
        with pytest.raises(InputError, match="beyond_loopback=True"):
            Gateway(declarants={MAILBOX: away})
        async with Gateway() as gateway:
            with pytest.raises(InputError, match="beyond_loopback=True"):
                gateway.register(MAILBOX, away)
        Gateway(declarants={MAILBOX: away}, beyond_loopback=True)


def _genuine() -> Submission:
    """Make a message from DMS to the declarant."""
    declaration = build(
        system=DMS,
        party="NL123456789.02.05",
        mailbox=MAILBOX,
        reference="1",
        payload=b"<MetaData/>",
        date=SimulatedClock()(),
        message_id="<1@forwarder.example>",
    )
    return attrs.evolve(declaration, mail_from="dms@htpoort.nl", rcpt_to=MAILBOX)
