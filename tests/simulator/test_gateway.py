"""The gateway in a box, driven by foreign clients, its replies taken by a foreign server."""

from __future__ import annotations

import asyncio
import email
import email.policy
import smtplib
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import attrs
import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session

from htpoort import AGS, DMS, HTPOORT, DeclarationSystem, InputError, SendFailure, Submission, build, read
from htpoort.simulator import Behaviour, Gateway, ReplyForm, Scenario, Script, ScriptedReply, SimulatedClock, Window
from htpoort.transport import Security, SmtpServer, send

MAILBOX = "edi@forwarder.example"
PARTY = "NL123456789.02.05"
AGS_REQUEST = "[V=NL123456789.02.05][A=DMS.NL][K=22096222734662][S=0]"
AGS_REPLY = "[V= DMS.NL][A= NL123456789.02.05][K=22096222734662][S=0]"
DMS_REQUEST = "[V=NL123456789.02.05][A=DMS4.NL][K=22096222734662][S=0]"
DMS_REPLY = "[V= DMS4.NL][A= NL123456789.02.05][K=22096222734662][S=0]"


@attrs.define
class Declarant:
    """A declarant's mail server, by stock aiosmtpd."""

    came: list[tuple[str, bytes]] = attrs.field(factory=list[tuple[str, bytes]])
    answer: str = "250 OK"
    port: int = 0

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        """Keep each message."""
        assert isinstance(envelope.content, bytes)
        self.came.append((envelope.mail_from or "", envelope.content))
        return self.answer

    @property
    def server(self) -> SmtpServer:
        """The server's address for the gateway."""
        return SmtpServer(host="127.0.0.1", port=self.port, security=Security.PLAIN)


@pytest.fixture
async def declarant() -> AsyncIterator[Declarant]:
    """Start a declarant's mail server."""
    handler = Declarant()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(handler, hostname="forwarder.example", loop=loop), "127.0.0.1", 0)
    handler.port = server.sockets[0].getsockname()[1]
    yield handler
    server.close()
    await server.wait_closed()


def submit(port: int, mailbox: str, subject: str, *, mail_from: str = MAILBOX, sender: str = MAILBOX) -> None:
    """Send a declaration by smtplib."""
    message = f"From: {sender}\r\nTo: {mailbox}\r\nSubject: {subject}\r\n\r\n<MetaData/>\r\n"
    with smtplib.SMTP("127.0.0.1", port, local_hostname="forwarder.example") as client:
        client.sendmail(mail_from, [mailbox], message)


@pytest.mark.parametrize(
    ("mailbox", "request_line", "reply_line"),
    [("ags@htpoort.nl", AGS_REQUEST, AGS_REPLY), ("dms@htpoort.nl", DMS_REQUEST, DMS_REPLY)],
)
async def test_a_reply_is_the_official_one(
    declarant: Declarant, mailbox: str, request_line: str, reply_line: str
) -> None:
    """Each system replies from its own mailbox, with V and A swapped, and with the blanks of the official example."""
    async with Gateway(declarants={MAILBOX: declarant.server}) as gateway:
        await asyncio.to_thread(submit, gateway.smtp_port, mailbox, request_line)
        await gateway.wait_for_due_replies()
    ((mail_from, raw),) = declarant.came
    reply = email.message_from_bytes(raw, policy=email.policy.default)

    assert (mailbox, mailbox, MAILBOX) == (mail_from, reply["From"], reply["To"])
    assert f"Subject: {reply_line}\r\n".encode() in raw


async def test_keeps_what_it_took(declarant: Declarant) -> None:
    """An accepted declaration can be inspected: system, sender, Subject on the wire, payload."""
    async with Gateway(declarants={MAILBOX: declarant.server}) as gateway:
        await asyncio.to_thread(submit, gateway.smtp_port, "ags@htpoort.nl", AGS_REQUEST)
        await gateway.wait_for_due_replies()
        (taken,) = gateway.received

    assert (AGS, MAILBOX, AGS_REQUEST, b"<MetaData/>\r\n") == (
        taken.system,
        taken.mailbox,
        taken.subject,
        taken.payload.octets,
    )


@pytest.mark.parametrize(
    ("mailbox", "subject", "options"),
    [
        ("ags@htpoort.nl", DMS_REQUEST, {}),
        ("dms@htpoort.nl", "declaration 1", {}),
        ("dms@htpoort.nl", "[V=NL123456789.02.05][A=DMS4.NL][K=1]", {}),
        ("dms@htpoort.nl", DMS_REQUEST, {"sender": "other@forwarder.example"}),
        ("dms@htpoort.nl", DMS_REQUEST, {"sender": "dms@htpoort.nl <edi@forwarder.example>"}),
    ],
)
async def test_refuses_a_bad_declaration(mailbox: str, subject: str, options: dict[str, str]) -> None:
    """A wrong process ID, a missing or broken envelope, or another sender gets 554, and is listed as refused."""
    async with Gateway() as gateway:
        with pytest.raises(smtplib.SMTPDataError) as caught:
            await asyncio.to_thread(submit, gateway.smtp_port, mailbox, subject, **options)

    assert 554 == caught.value.smtp_code
    assert ([], [subject]) == (gateway.received, [refused for refused, _ in gateway.refused])


async def test_refuses_a_mailbox_that_is_no_system(declarant: Declarant) -> None:
    """Only the mailboxes of the systems exist."""
    async with Gateway(declarants={MAILBOX: declarant.server}) as gateway:
        with pytest.raises(smtplib.SMTPRecipientsRefused):
            await asyncio.to_thread(submit, gateway.smtp_port, "ncts@htpoort.nl", DMS_REQUEST)


async def test_a_declarant_without_a_server_gets_no_reply() -> None:
    """A declaration from an unknown mailbox is accepted, and gets no reply."""
    async with Gateway() as gateway:
        await asyncio.to_thread(submit, gateway.smtp_port, "dms@htpoort.nl", DMS_REQUEST)
        await gateway.wait_for_due_replies()

    assert ([DMS_REQUEST], []) == ([taken.subject for taken in gateway.received], gateway.undelivered)


async def test_a_declarant_can_register_later(declarant: Declarant) -> None:
    """A server that is registered while the gateway runs gets the replies from then on; the mailbox is in any case."""
    async with Gateway() as gateway:
        gateway.register("EDI@forwarder.example", declarant.server)
        await asyncio.to_thread(submit, gateway.smtp_port, "dms@htpoort.nl", DMS_REQUEST)
        await gateway.wait_for_due_replies()

    assert ["dms@htpoort.nl"] == [mail_from for mail_from, _ in declarant.came]


async def test_a_refused_reply_is_reported(declarant: Declarant) -> None:
    """If a declarant's server refuses a reply, the error is kept, and the gateway continues."""
    declarant.answer = "550 no"
    async with Gateway(declarants={MAILBOX: declarant.server}) as gateway:
        await asyncio.to_thread(submit, gateway.smtp_port, "dms@htpoort.nl", DMS_REQUEST)
        await gateway.wait_for_due_replies()

    assert [(SendFailure.REFUSED, 550)] == [(error.kind, error.code) for error in gateway.undelivered]


def test_a_system_that_it_does_not_play() -> None:
    """A scenario or a window of an unknown system, which would never apply, is refused with the known names."""
    script = Script(
        scenarios=(Scenario(system="dms"), Scenario(system="AGSS"), Scenario()),
        windows=(
            Window(
                system="DSM",
                behaviour=Behaviour.REJECT,
                begins=datetime(2026, 11, 2, tzinfo=UTC),
                ends=datetime(2026, 11, 3, tzinfo=UTC),
            ),
        ),
    )
    with pytest.raises(InputError) as caught:
        Gateway(script=script, host="192.0.2.1")

    assert [
        ("simulator.beyond-loopback", "host"),
        ("simulator.system", "scenarios[1].system is 'AGSS', which is not in the directory; give one of AGS, DMS."),
        ("simulator.system", "windows[0].system is 'DSM', which is not in the directory; give one of AGS, DMS."),
    ] == [
        (one.code, one.message if one.code == "simulator.system" else one.message.split()[0])
        for one in caught.value.problems
    ]


async def test_several_in_one_process() -> None:
    """Two gateways have different ports, and do not share anything."""
    async with Gateway() as first, Gateway() as second:
        await asyncio.to_thread(submit, second.smtp_port, "dms@htpoort.nl", DMS_REQUEST)

    assert (True, 0, 1) == (first.smtp_port != second.smtp_port, len(first.received), len(second.received))


async def test_leaving_ends_what_is_under_way() -> None:
    """The gateway closes although a reply hangs on a silent server."""
    held = asyncio.Event()
    gone = asyncio.Event()

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held.set()
        await reader.read()
        writer.close()
        gone.set()

    silent = await asyncio.start_server(hold, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    target = SmtpServer(host="127.0.0.1", port=port, security=Security.PLAIN)
    async with asyncio.timeout(30), Gateway(declarants={MAILBOX: target}) as gateway:
        await asyncio.to_thread(submit, gateway.smtp_port, "dms@htpoort.nl", DMS_REQUEST)
        await held.wait()
    await gone.wait()
    silent.close()

    assert [] == gateway.undelivered


async def test_answers_under_another_process_id(declarant: Declarant) -> None:
    """A system that replies under another ID than it is addressed by does so in the simulator too."""
    transit = DeclarationSystem(
        name="NCTS", mailbox="ncts@customs.example", process_id="NCTS.NL", reply_ids=frozenset({"DVA.NL"})
    )
    request = "[V=NL123456789.02.04][A=NCTS.NL][K=1][S=0]"
    async with Gateway(directory=HTPOORT.add(transit), declarants={MAILBOX: declarant.server}) as gateway:
        await asyncio.to_thread(submit, gateway.smtp_port, "ncts@customs.example", request)
        await gateway.wait_for_due_replies()

    assert b"Subject: [V= DVA.NL][A= NL123456789.02.04][K=1][S=0]\r\n" in declarant.came[0][1]


@pytest.mark.parametrize("payload", [b"<MetaData/>", b"UNB+UNOC:3'"])
@pytest.mark.parametrize(("system", "content_type"), [(DMS, "application/xml"), (AGS, "application/edifact")])
async def test_answers_in_the_syntax_of_the_system(
    declarant: Declarant, payload: bytes, system: DeclarationSystem, content_type: str
) -> None:
    """DMS replies in XML and AGS in EDIFACT, whatever the declaration, and both say that they are synthetic."""
    declaration = build(
        system=system,
        party=PARTY,
        mailbox=MAILBOX,
        reference="1",
        payload=payload,
        date=datetime(2026, 11, 2, 9, 5, 7, tzinfo=UTC),
        message_id="<1@forwarder.example>",
    )
    async with Gateway(declarants={MAILBOX: declarant.server}) as gateway:
        target = SmtpServer(host="127.0.0.1", port=gateway.smtp_port, security=Security.PLAIN)
        await send(declaration, target)
        await gateway.wait_for_due_replies()
    reply = email.message_from_bytes(declarant.came[0][1])
    body = reply.get_payload(decode=True)

    assert content_type == reply.get_content_type()
    assert isinstance(body, bytes)
    assert b"synthetic" in body.lower()


async def test_every_form(declarant: Declarant) -> None:
    """Each reply comes in another form, and a reply can name its own."""
    replies = (*[ScriptedReply()] * 6, ScriptedReply(form=ReplyForm.BASE64))
    script = Script(scenarios=(Scenario(replies=replies),))
    async with Gateway(declarants={MAILBOX: declarant.server}, script=script) as gateway:
        await asyncio.to_thread(submit, gateway.smtp_port, "dms@htpoort.nl", DMS_REQUEST)
        await gateway.wait_for_due_replies()
    arrived = [email.message_from_bytes(raw) for _, raw in declarant.came]

    parts = [next(part for part in message.walk() if not part.is_multipart()) for message in arrived]
    plain = ["7bit", "base64", "quoted-printable"]
    assert [*plain, *plain, "base64"] == [part["Content-Transfer-Encoding"] for part in parts]
    assert [False] * 3 + [True] * 3 + [False] == [message.is_multipart() for message in arrived]
    assert all(b"<Response" in (read(raw).payload.octets or b"") for _, raw in declarant.came)


async def test_one_form(declarant: Declarant) -> None:
    """A script can have every reply in one form."""
    script = Script(scenarios=(Scenario(replies=[ScriptedReply()] * 2),), form=ReplyForm.BASE64)
    async with Gateway(declarants={MAILBOX: declarant.server}, script=script) as gateway:
        await asyncio.to_thread(submit, gateway.smtp_port, "dms@htpoort.nl", DMS_REQUEST)
        await gateway.wait_for_due_replies()

    assert ["base64", "base64"] == [
        email.message_from_bytes(raw)["Content-Transfer-Encoding"] for _, raw in declarant.came
    ]


async def test_the_clock_is_the_callers(declarant: Declarant) -> None:
    """The Date of a reply is the time of the caller's clock."""
    noon = datetime(2026, 12, 1, 12, 0, 0, tzinfo=UTC)
    async with Gateway(declarants={MAILBOX: declarant.server}, clock=SimulatedClock(noon)) as gateway:
        await asyncio.to_thread(submit, gateway.smtp_port, "dms@htpoort.nl", DMS_REQUEST)
        await gateway.wait_for_due_replies()

    assert b"Date: Tue, 01 Dec 2026 12:00:00 +0000\r\n" in declarant.came[0][1]


async def test_push_sends_anything_to_a_declarant(declarant: Declarant) -> None:
    """A test can push any message unchanged, also a forged one."""
    async with Gateway(declarants={MAILBOX: declarant.server}) as gateway:
        forged = attrs.evolve(_genuine(), data=b"From: ags@htpoort.nl <evil@trader.example>\r\nSubject: x\r\n\r\nx\r\n")
        await gateway.push(forged)
        with pytest.raises(KeyError):
            await gateway.push(attrs.evolve(forged, rcpt_to="other@forwarder.example"))

    assert [("ags@htpoort.nl", forged.data)] == declarant.came


def _genuine() -> Submission:
    """Make a message from AGS to the declarant."""
    declaration = build(
        system=AGS,
        party=PARTY,
        mailbox=MAILBOX,
        reference="1",
        payload=b"<MetaData/>",
        date=datetime(2026, 11, 2, 9, 5, 7, tzinfo=UTC),
        message_id="<1@forwarder.example>",
    )
    return attrs.evolve(declaration, mail_from="ags@htpoort.nl", rcpt_to=MAILBOX)
