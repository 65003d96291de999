"""The journal of a gateway: what happened and what was said, within limits, and never a password or a payload."""

from __future__ import annotations

import asyncio
import base64
import poplib
import smtplib
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest

from htpoort import InputError
from htpoort.simulator import (
    Declarant,
    Declaration,
    Dialogue,
    FailedLogin,
    FaultAction,
    Gateway,
    GatewayTls,
    Journal,
    Pop3Fault,
    RefusedMessage,
    ReplyKind,
    Scenario,
    Script,
    ScriptedReply,
    SentReply,
    SimulatedClock,
    SmtpFault,
    SmtpStep,
    Speaker,
    TimePassed,
)

MAILBOX, PASSWORD = "edi@forwarder.example", "zeer-geheim"
DECLARANT = Declarant(mailbox=MAILBOX, password=PASSWORD)
SECRET = "een-lading-die-niemand-mag-zien"
DAY = timedelta(days=1)


def declaration(reference: str = "K1", process_id: str = "DMS4.NL") -> str:
    """Write a declaration."""
    subject = f"[V=NL123456789.02.05][A={process_id}][K={reference}][S=0]"
    return f"From: {MAILBOX}\r\nTo: dms@htpoort.nl\r\nSubject: {subject}\r\n\r\n<x>{SECRET}</x>\r\n"


def submit(port: int, *references: str, process_id: str = "DMS4.NL", password: str = PASSWORD) -> None:
    """Log in and send by smtplib; a refusal is not raised."""
    with suppress(smtplib.SMTPException), smtplib.SMTP("127.0.0.1", port, local_hostname="forwarder.example") as client:
        client.login(MAILBOX, password)
        for reference in references or ("K1",):
            client.sendmail(MAILBOX, ["dms@htpoort.nl"], declaration(reference, process_id))


def fetch(port: int | None, password: str = PASSWORD) -> None:
    """Log in by poplib, fetch everything, and delete it."""
    client = poplib.POP3("127.0.0.1", port or 0)
    try:
        client.user(MAILBOX)
        client.pass_(password)
        for number in range(client.stat()[0]):
            client.retr(number + 1)
            client.dele(number + 1)
    except poplib.error_proto:
        pass
    finally:
        client.quit()


def typed(port: int, *lines: bytes) -> list[bytes]:
    """Send lines one by one, each after the response to the one before; return the responses."""
    responses: list[bytes] = []
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection, connection.makefile("rwb") as stream:
        responses.append(stream.readline())
        for line in lines:
            stream.write(line)
            stream.flush()
            while (response := stream.readline())[3:4] == b"-":
                responses.append(response)
            responses.append(response)
    return responses


async def closed(journal: Journal) -> tuple[Dialogue, ...]:
    """Wait until every session of a journal has ended."""
    async with asyncio.timeout(60):
        while any(one.ended is None for one in journal.dialogues):
            await journal.wait(journal.version)
    return journal.dialogues


def lines(dialogue: Dialogue) -> list[tuple[Speaker, str]]:
    """Give who said what."""
    return [(line.speaker, line.text) for line in dialogue.lines]


C, G, N = Speaker.CLIENT, Speaker.GATEWAY, Speaker.NOTE


class TestWhatHappened:
    """Everything that happens is an entry, in order, with its session."""

    async def test_a_declaration_and_its_replies(self) -> None:
        """A declaration, its replies and a move of the clock are entries at the time of the gateway."""
        replies = (ScriptedReply(), ScriptedReply(kind=ReplyKind.RELEASE, after=DAY))
        clock = SimulatedClock()
        async with Gateway(
            declarants=[DECLARANT], script=Script(scenarios=(Scenario(replies=replies),)), clock=clock
        ) as gateway:
            await asyncio.to_thread(submit, gateway.smtp_port)
            await gateway.play(2 * DAY)
            entries = gateway.journal.entries

        assert [Declaration, SentReply, SentReply, TimePassed] == [type(entry.what) for entry in entries]
        assert [1, 2, 3, 4] == [entry.number for entry in entries]
        assert [1, None, None, None] == [entry.dialogue for entry in entries]
        assert ["02 08", "02 08", "03 08", "04 08"] == [f"{entry.at:%d %H}" for entry in entries]
        assert gateway.received[0] is entries[0].what

    async def test_what_is_wrong(self) -> None:
        """A refused message, a fault of each protocol and a failed login of each are entries of their sessions."""
        script = Script(
            faults=(SmtpFault(at=SmtpStep.MAIL, action=FaultAction.DEFER),),
            pop3_faults=(Pop3Fault(command="STAT", action=FaultAction.REFUSE),),
        )
        async with Gateway(declarants=[DECLARANT], script=script) as gateway:
            await asyncio.to_thread(submit, gateway.smtp_port)
            await asyncio.to_thread(submit, gateway.smtp_port, process_id="DMS.NL")
            await asyncio.to_thread(submit, gateway.smtp_port, password="wrong")
            await asyncio.to_thread(fetch, gateway.pop3_port, "wrong")
            await asyncio.to_thread(fetch, gateway.pop3_port)
            entries = gateway.journal.entries

        assert [SmtpFault, RefusedMessage, FailedLogin] == list(dict.fromkeys(type(one.what) for one in entries))[:3]
        (refused,) = (one.what for one in entries if isinstance(one.what, RefusedMessage))
        assert (MAILBOX, "dms@htpoort.nl") == (refused.mail_from, refused.rcpt_to)
        assert "This mailbox belongs to DMS; set A to DMS4.NL." == refused.reason
        assert declaration(process_id="DMS.NL").encode() == refused.raw
        assert ["SMTP", "POP3"] == [
            *dict.fromkeys(one.what.protocol for one in entries if isinstance(one.what, FailedLogin))
        ]
        assert [5] == [one.dialogue for one in entries if isinstance(one.what, Pop3Fault)]

    async def test_replies_that_are_planned(self) -> None:
        """Replies that are still to come are listed; one of them can be sent now, without a move of the clock."""
        replies = tuple(
            ScriptedReply(kind=kind, after=days * DAY)
            for kind, days in ((ReplyKind.ACCEPTANCE, 1), (ReplyKind.RELEASE, 3))
        )
        script = Script(scenarios=(Scenario(replies=replies),))
        async with Gateway(declarants=[DECLARANT], script=script, clock=SimulatedClock()) as gateway:
            await asyncio.to_thread(submit, gateway.smtp_port)
            planned = gateway.planned
            was_there = await gateway.answer_now(planned[1].number)
            again = await gateway.answer_now(planned[1].number)
            left = gateway.planned

        assert [(ReplyKind.ACCEPTANCE, 3), (ReplyKind.RELEASE, 5)] == [
            (one.scripted.kind, one.due.day) for one in planned
        ]
        assert (True, False) == (was_there, again)
        assert [(ReplyKind.RELEASE, 2)] == [(sent.scripted.kind, sent.at.day) for sent in gateway.sent]
        assert [ReplyKind.ACCEPTANCE] == [one.scripted.kind for one in left]


class TestDialogues:
    """What both sides say is kept line by line, without what is secret."""

    async def test_smtp(self) -> None:
        """A session by SMTP is kept with each command and response; the login and the content are left out."""
        async with Gateway(declarants=[DECLARANT]) as gateway:
            await asyncio.to_thread(submit, gateway.smtp_port)
            (dialogue,) = await closed(gateway.journal)

        assert ("SMTP", "127.0.0.1", 0) == (dialogue.protocol, dialogue.peer, dialogue.left_out)
        assert [
            (C, "AUTH PLAIN •••"),
            (G, "235 2.7.0 Authentication successful"),
            (C, "mail FROM:<edi@forwarder.example> size=145"),
            (G, "250 OK"),
            (C, "rcpt TO:<dms@htpoort.nl>"),
            (G, "250 OK"),
            (C, "data"),
            (G, "354 End data with <CR><LF>.<CR><LF>"),
            (C, "(content; 145 octets)"),
            (G, "250 OK"),
            (C, "QUIT"),
            (G, "221 Bye"),
        ] == lines(dialogue)[-12:]

    async def test_pop3(self) -> None:
        """A session by POP3 is kept likewise; a message that is fetched is left out."""
        async with Gateway(declarants=[DECLARANT]) as gateway:
            await asyncio.to_thread(submit, gateway.smtp_port)
            await gateway.wait_for_due_replies()
            await asyncio.to_thread(fetch, gateway.pop3_port)
            dialogue = (await closed(gateway.journal))[-1]
            (fetched,) = gateway.mailbox(MAILBOX).fetched

        said = lines(dialogue)
        assert [
            (G, "+OK POP3 of a simulator, not of Customs"),
            (C, "USER edi@forwarder.example"),
            (G, "+OK Send the password"),
            (C, "PASS •••"),
            (G, "+OK 1 messages"),
        ] == said[:5]
        assert (C, "RETR 1") in said
        assert (G, f"+OK {len(fetched.raw)} octets") in said
        assert not any("<" in text for _, text in said)

    async def test_faults(self) -> None:
        """A fault is noted in its session, before what the gateway says in place of the right thing."""
        fault = SmtpFault(at=SmtpStep.RCPT, action=FaultAction.DEFER)
        async with Gateway(script=Script(faults=(fault,))) as gateway:
            await asyncio.to_thread(
                typed, gateway.smtp_port, b"HELO a\r\n", b"MAIL FROM:<a@b.example>\r\n", b"RCPT TO:<dms@htpoort.nl>\r\n"
            )
            (dialogue,) = await closed(gateway.journal)

        assert [(N, "fault of the script: defer at rcpt"), (G, "450 Mailbox busy")] == lines(dialogue)[-2:]

    async def test_a_content_without_its_end(self) -> None:
        """If the client leaves within the content, the size so far is kept."""
        commands = (b"HELO a\r\n", b"MAIL FROM:<a@b.example>\r\n", b"RCPT TO:<dms@htpoort.nl>\r\n", b"DATA\r\n")

        def leave(port: int) -> None:
            with socket.create_connection(("127.0.0.1", port)) as connection, connection.makefile("rwb") as stream:
                stream.readline()
                for line in (*commands, b"1234567"):
                    stream.write(line)
                    stream.flush()
                    if line.endswith(b"\n"):
                        stream.readline()

        async with Gateway() as gateway:
            await asyncio.to_thread(leave, gateway.smtp_port)
            (dialogue,) = await closed(gateway.journal)

        assert (C, "(content; 7 octets, without its end)") == lines(dialogue)[-1]

    async def test_tls(self, tls: GatewayTls) -> None:
        """Where TLS begins is noted, after STARTTLS and with implicit TLS."""
        context = ssl.create_default_context(cafile=str(tls.ca_file))

        def greet(port: int, implicit_port: int) -> None:
            with smtplib.SMTP("127.0.0.1", port, local_hostname="a.example") as client:
                client.starttls(context=context)
            with smtplib.SMTP_SSL("127.0.0.1", implicit_port, local_hostname="a.example", context=context):
                pass

        async with Gateway(tls=tls) as gateway:
            assert gateway.smtps_port is not None
            await asyncio.to_thread(greet, gateway.smtp_port, gateway.smtps_port)
            first, second = await closed(gateway.journal)

        assert [(G, "220 Ready to start TLS"), (N, "TLSv1.3 from here on")] == lines(first)[-4:-2]
        assert (N, "TLSv1.3 from here on") == lines(second)[0]


def coded(text: str) -> bytes:
    """Encode a part of a login."""
    return base64.b64encode(text.encode())


WAYS = {
    "initial response": [b"AUTH PLAIN " + coded(f"\0{MAILBOX}\0{PASSWORD}") + b"\r\n"],
    "lower case": [b"auth plain " + coded(f"\0{MAILBOX}\0{PASSWORD}") + b"\r\n"],
    "prompted": [b"AUTH PLAIN\r\n", coded(f"\0{MAILBOX}\0{PASSWORD}") + b"\r\n"],
    "two prompts": [b"AUTH LOGIN\r\n", coded(MAILBOX) + b"\r\n", coded(PASSWORD) + b"\r\n"],
    "wrong base64": [b"AUTH LOGIN\r\n", PASSWORD.encode() + b"!\r\n"],
    "no mechanism": [b"AUTH " + PASSWORD.encode() + b"\r\n"],
    "three words": [b"AUTH PLAIN x " + PASSWORD.encode() + b"\r\n"],
    "out of turn": [PASSWORD.encode() + b"\r\n", coded(PASSWORD) + b"\r\n", b" PASS " + PASSWORD.encode() + b"\r\n"],
    "of the other protocol": [b"PASS " + PASSWORD.encode() + b"\r\n"],
    "too long": [b"x" * 20_000 + PASSWORD.encode() + b"\r\n"],
}


class TestSecrets:
    """A password is not kept, whatever way a client sends it."""

    @pytest.mark.parametrize("way", WAYS)
    async def test_smtp(self, way: str) -> None:
        """Not by SMTP: not as it is, not in base64, and not where the gateway repeats it."""
        async with Gateway(declarants=[DECLARANT]) as gateway:
            await asyncio.to_thread(typed, gateway.smtp_port, b"EHLO a\r\n", *WAYS[way])
            (dialogue,) = await closed(gateway.journal)

        text = "\n".join(line.text for line in dialogue.lines).upper()
        assert len(lines(dialogue)) > 8
        assert [] == [
            secret
            for secret in (
                PASSWORD,
                coded(PASSWORD).decode(),
                coded(f"\0{MAILBOX}\0{PASSWORD}").decode(),
                coded(MAILBOX).decode(),
            )
            if secret.upper() in text
        ]

    @pytest.mark.parametrize(
        "line",
        [
            f"PASS {PASSWORD}",
            f"pass {PASSWORD}",
            PASSWORD,
            f" PASS {PASSWORD}",
            f"APOP x {PASSWORD}",
            f"AUTH PLAIN {PASSWORD}",
        ],
    )
    async def test_pop3(self, line: str) -> None:
        """Not by POP3 either."""
        async with Gateway(declarants=[DECLARANT]) as gateway:
            await asyncio.to_thread(
                typed, gateway.pop3_port or 0, f"USER {MAILBOX}\r\n".encode(), f"{line}\r\n".encode()
            )
            (dialogue,) = await closed(gateway.journal)

        assert 5 == len(dialogue.lines)
        assert PASSWORD not in str(dialogue)

    async def test_content(self) -> None:
        """The content of a message is in the message alone."""
        async with Gateway(declarants=[DECLARANT]) as gateway:
            await asyncio.to_thread(submit, gateway.smtp_port)
            await gateway.wait_for_due_replies()
            await asyncio.to_thread(fetch, gateway.pop3_port)
            dialogues = await closed(gateway.journal)

        assert SECRET not in str(dialogues)
        assert SECRET not in repr(gateway.journal.entries)


class TestLimits:
    """The journal keeps what came last, and nobody waits for a reader."""

    async def test_what_is_dropped(self) -> None:
        """Of more entries, sessions or lines than the limits, the first are dropped, and numbers go on."""
        journal = Journal(entries=2, dialogues=1, lines=3)
        async with Gateway(declarants=[DECLARANT], journal=journal) as gateway:
            for reference in ("K1", "K2", "K3"):
                await asyncio.to_thread(submit, gateway.smtp_port, reference)
                await gateway.wait_for_due_replies()
            (dialogue,) = await closed(journal)

        assert [5, 6] == [entry.number for entry in journal.entries]
        assert (None, 6) == (journal.entry(4), (journal.entry(6) or journal.entries[0]).number)
        assert (3, [(G, "250 OK"), (C, "QUIT"), (G, "221 Bye")]) == (dialogue.number, lines(dialogue))
        assert dialogue.left_out > 10
        assert (None, dialogue) == (journal.dialogue(1), journal.dialogue(3))
        assert {"entries": 2, "dialogues": 1, "lines": 3} == journal.limits

    @pytest.mark.parametrize("limits", [{"entries": 0}, {"entries": 0, "dialogues": -1, "lines": 0}])
    def test_no_room(self, limits: dict[str, Any]) -> None:
        """A limit below 1 is refused, each of them."""
        with pytest.raises(InputError) as caught:
            Journal(**limits)

        assert [f"{name} is {limit}; give at least 1." for name, limit in limits.items()] == [
            problem.message for problem in caught.value.problems
        ]

    async def test_news(self) -> None:
        """Whoever waits is woken at each change; for one that was away, all changes are one."""
        journal = Journal()
        seen = journal.version
        waiting = [asyncio.create_task(journal.wait(seen)) for _ in range(2)]
        await asyncio.sleep(0)
        waiting[1].cancel()
        journal.add(FailedLogin(at=SimulatedClock()(), protocol="SMTP", username="x"))
        journal.add(FailedLogin(at=SimulatedClock()(), protocol="SMTP", username="y"))

        assert (2, 2) == (await waiting[0], await journal.wait(seen))


async def test_a_clock_that_runs() -> None:
    """A simulated clock that runs passes by itself, and can be moved; replies come at their moments either way."""
    clock = SimulatedClock(runs=True)
    replies = (ScriptedReply(after=timedelta(milliseconds=50)), ScriptedReply(after=3 * DAY))
    script = Script(scenarios=(Scenario(replies=replies),))
    wait: Callable[[int], Any] = lambda version: asyncio.wait_for(gateway.journal.wait(version), 60)  # noqa: E731
    async with Gateway(declarants=[DECLARANT], script=script, clock=clock) as gateway:
        await asyncio.to_thread(submit, gateway.smtp_port)
        while not gateway.sent:
            await wait(gateway.journal.version)
        first = clock()
        await gateway.play(4 * DAY)

    assert clock.runs
    assert first - SimulatedClock()() < DAY
    assert [0, 3] == [(sent.at - gateway.received[0].at).days for sent in gateway.sent]
    assert clock() - first >= 4 * DAY
    with pytest.raises(InputError, match="before the present"):
        await clock.advance(-DAY)
