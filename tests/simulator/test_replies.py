"""How the router decides about each reply of the simulator, by the rules of the field."""

from __future__ import annotations

import email
import email.policy
from datetime import UTC, datetime
from typing import Any

import pytest

from htpoort import (
    AGS,
    DMS,
    HTPOORT,
    Correlation,
    DeclarationSystem,
    Directory,
    Quarantined,
    Reason,
    Routed,
    Router,
    RoutingEnvelope,
    SentRecord,
    Submission,
    build,
    read,
)
from htpoort.simulator import Declaration, ReplyFault, ReplyForm, ReplyKind, ScriptedReply
from htpoort.simulator.bodies import lrn_of
from htpoort.simulator.replies import OTHER_PARTY, plain_body, reply, scripted_reply

PARTY = "NL123456789.02.05"
MAILBOX = "edi@forwarder.example"
K = "22096222734662"
DATE = datetime(2026, 11, 2, 9, 5, 7, tzinfo=UTC)
XML = b"<MetaData><Declaration><FunctionalReferenceID>LRN1</FunctionalReferenceID></Declaration></MetaData>\n"
EDIFACT = b"UNB+UNOC:3+A+B'UNH+1+CUSDEC:D:96B:UN'BGM+929+LRN1'"
TEST_DMS = DeclarationSystem(
    name="TEST DMS", mailbox="dms@test.example", process_id="DMS5.NL", reply_ids=frozenset({"DVB.NL"})
)


def accepted(system: DeclarationSystem, envelope: RoutingEnvelope, raw: bytes) -> Declaration:
    """A declaration that the gateway accepted as its seventh."""
    return Declaration(
        number=7,
        at=DATE,
        system=system,
        mailbox=MAILBOX,
        subject=str(envelope),
        envelope=envelope,
        raw=raw,
    )


def answered(
    fault: ReplyFault | None = None, *, system: DeclarationSystem = DMS, directory: Directory = HTPOORT, **more: Any
) -> Submission:
    """Write the reply to a declaration."""
    payload = EDIFACT if system is AGS else XML
    declaration = build(
        system=system,
        party=PARTY,
        mailbox=MAILBOX,
        reference=K,
        payload=payload,
        date=DATE,
        message_id="<1@forwarder.example>",
    )
    return scripted_reply(
        ScriptedReply(fault=fault),
        accepted(system, declaration.envelope, declaration.data),
        date=DATE,
        message_id="<1@gateway.example>",
        directory=directory,
        **more,
    )


def routed(
    message: Submission,
    system: DeclarationSystem,
    *,
    directory: Directory = HTPOORT,
    parties: tuple[str, ...] = (PARTY,),
) -> Routed | Quarantined:
    """Route a reply as the declarant that sent K to the system."""
    record = SentRecord(system=system.name, party=PARTY, reference=K)
    router = Router(directory=directory, parties=parties, sent=lambda reference: record if reference == K else None)
    return router.route_message(message.data, mail_from=message.mail_from)


FORMS = {
    ReplyForm.PLAIN: ("7bit", False),
    ReplyForm.BASE64: ("base64", False),
    ReplyForm.QUOTED_PRINTABLE: ("quoted-printable", False),
    ReplyForm.ATTACHMENT: ("7bit", True),
    ReplyForm.ATTACHMENT_BASE64: ("base64", True),
    ReplyForm.ATTACHMENT_QUOTED: ("quoted-printable", True),
}


@pytest.mark.parametrize("system", [AGS, DMS], ids=lambda system: system.name)
def test_forms(system: DeclarationSystem) -> None:
    """A reply carries the same octets in each form, and only the form differs."""
    plain = answered(system=system)
    for form, (encoding, attached) in FORMS.items():
        message = answered(system=system, form=form)
        parsed = email.message_from_bytes(message.data, policy=email.policy.default)
        part = next(parsed.walk()) if not attached else next(parsed.iter_attachments())
        assert isinstance(routed(message, system), Routed)
        assert (encoding, attached) == (part["Content-Transfer-Encoding"], parsed.is_multipart())
        assert read(plain.data).payload.octets == read(message.data).payload.octets


def test_every_form_in_turn() -> None:
    """EVERY takes one form after the other; a form that a reply names itself is kept."""
    assert [*FORMS, ReplyForm.PLAIN] == [ReplyForm.EVERY.of_reply(number) for number in range(7)]
    assert ReplyForm.BASE64 is ReplyForm.BASE64.of_reply(3)


SYSTEMS = pytest.mark.parametrize("system", [AGS, DMS], ids=lambda system: system.name)


@SYSTEMS
@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (None, Correlation.MATCHED),
        (ReplyFault.DUPLICATE, Correlation.MATCHED),
        (ReplyFault.OUT_OF_ORDER, Correlation.MATCHED),
        (ReplyFault.LOWER_CASE, Correlation.MATCHED),
        (ReplyFault.FOLDED, Correlation.MATCHED),
        (ReplyFault.ENCODED_WORDS, Correlation.MATCHED),
        (ReplyFault.LARGE, Correlation.MATCHED),
        (ReplyFault.OTHER_K, Correlation.UNKNOWN_REFERENCE),
    ],
)
def test_what_is_routed(system: DeclarationSystem, fault: ReplyFault | None, expected: Correlation) -> None:
    """A reply in another notation is routed to its process; one with an unknown K is routed, and marked."""
    found = routed(answered(fault, system=system), system)

    assert isinstance(found, Routed)
    assert (system, PARTY, expected) == (found.system, str(found.party), found.correlation)
    assert (found.reference == K) == (expected is Correlation.MATCHED)


@SYSTEMS
@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (ReplyFault.OTHER_SYSTEM, Reason.OTHER_SYSTEM),
        (ReplyFault.WRONG_PROCESS_ID, Reason.MAILBOX_PROCESS_DISAGREE),
        (ReplyFault.OTHER_PARTY, Reason.UNKNOWN_ADDRESSEE),
        (ReplyFault.NO_K, Reason.BAD_ENVELOPE),
        (ReplyFault.FORGED_FROM, Reason.AMBIGUOUS_FROM),
        (ReplyFault.BOUNCE, Reason.NO_ENVELOPE),
    ],
)
def test_what_is_held(system: DeclarationSystem, fault: ReplyFault, expected: Reason) -> None:
    """A reply that may belong to another process is quarantined with its reason."""
    found = routed(answered(fault, system=system), system)

    assert isinstance(found, Quarantined)
    assert expected is found.reason


def test_every_fault_is_documented() -> None:
    """The reference lists for each fault what the router decides."""
    assert [] == [fault.name for fault in ReplyFault if f" {fault.name}" not in str(ReplyFault.__doc__)]


@SYSTEMS
def test_the_wrong_mailbox(system: DeclarationSystem) -> None:
    """A reply in another declarant's mailbox has an unknown addressee there."""
    message = answered(ReplyFault.WRONG_MAILBOX, system=system, other_mailbox="edi@other.example")
    found = routed(message, system, parties=(OTHER_PARTY,))

    assert "edi@other.example" == message.rcpt_to == email.message_from_bytes(message.data)["To"]
    assert isinstance(found, Quarantined)
    assert Reason.UNKNOWN_ADDRESSEE is found.reason


def test_another_party_of_the_same_router() -> None:
    """A service provider with both parties delivers such a reply to neither, because the other party sent K."""
    message = answered(ReplyFault.OTHER_PARTY, other_party="NL123456789.03.05")
    found = routed(message, DMS, parties=(PARTY, "NL123456789.03.05"))

    assert isinstance(found, Quarantined)
    assert Reason.OTHER_PARTY is found.reason


@pytest.mark.parametrize(
    ("directory", "fault", "expected"),
    [
        (HTPOORT.add(TEST_DMS), ReplyFault.WRONG_PROCESS_ID, "DMS.NL"),
        (Directory((TEST_DMS,)), ReplyFault.WRONG_PROCESS_ID, "DMS.NL"),
        (Directory((TEST_DMS,)), None, "DVB.NL"),
    ],
)
def test_a_system_that_replies_under_another_id(directory: Directory, fault: ReplyFault | None, expected: str) -> None:
    """V is the ID that the system replies under; the wrong one is another system's, even without another one."""
    assert expected == answered(fault, system=TEST_DMS, directory=directory).envelope.sender


def test_there_is_always_another_system() -> None:
    """A fault can be shown even if every other system shares a value with this one."""
    both = DeclarationSystem(
        name="BOTH", mailbox="AGS@htpoort.nl", process_id="DMS4.NL", reply_ids=frozenset({"DMS4.NL"})
    )

    assert "dms@htpoort.nl" == answered(ReplyFault.OTHER_SYSTEM, system=both, directory=Directory((both,))).mail_from


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (None, "[V= DMS4.NL][A= NL123456789.02.05][K=22096222734662][S=0]"),
        (ReplyFault.NO_K, "[V= DMS4.NL][A= NL123456789.02.05][S=0]"),
        (ReplyFault.LOWER_CASE, "[v= DMS4.NL][a= NL123456789.02.05][k=22096222734662][s=0]"),
        (ReplyFault.FOLDED, "[V= DMS4.NL]\r\n [A= NL123456789.02.05][K=22096222734662]\r\n\t[S=0]"),
    ],
)
def test_the_line_on_the_wire(fault: ReplyFault | None, expected: str) -> None:
    """The Subject is on the wire as the fault describes."""
    assert f"\r\nSubject: {expected}\r\nDate: ".encode() in answered(fault).data


def test_encoded_words() -> None:
    """Other software decodes a Subject in encoded words to the envelope, and no word has over 75 characters."""
    data = answered(ReplyFault.ENCODED_WORDS).data
    subject = email.message_from_bytes(data, policy=email.policy.default)["Subject"]
    written = data.partition(b"\r\nSubject: ")[2].partition(b"\r\nDate: ")[0]

    assert "[V= DMS4.NL][A= NL123456789.02.05][K=22096222734662][S=0]" == subject
    assert max(map(len, written.split(b"\r\n "))) <= 75


def test_forged_from() -> None:
    """A forged From shows the system, but has the mailbox of MAIL FROM."""
    message = answered(ReplyFault.FORGED_FROM)

    assert "edi@forger.example" == message.mail_from
    assert b"From: dms@htpoort.nl <edi@forger.example>\r\n" in message.data


def test_a_bounce() -> None:
    """A bounce is a report of three parts by the gateway's mailer-daemon, without a sender, about the declaration."""
    message = answered(ReplyFault.BOUNCE)
    report = email.message_from_bytes(message.data, policy=email.policy.default)
    told, status, headers = report.iter_parts()

    assert ("", MAILBOX, "MAILER-DAEMON@htpoort.nl") == (
        message.mail_from,
        message.rcpt_to,
        report["From"].addresses[0].addr_spec,
    )
    assert ("multipart/report", "delivery-status") == (
        report.get_content_type(),
        report["Content-Type"].params["report-type"],
    )
    assert ["text/plain", "message/delivery-status", "text/rfc822-headers"] == [
        part.get_content_type() for part in (told, status, headers)
    ]
    of_the_mta, of_the_recipient = status.get_payload()
    assert ("dns; htpoort.nl", "rfc822; dms@htpoort.nl", "failed") == (
        of_the_mta["Reporting-MTA"],
        of_the_recipient["Final-Recipient"],
        of_the_recipient["Action"],
    )
    assert f"Subject: [V=NL123456789.02.05][A=DMS4.NL][K={K}][S=0]" in headers.get_content()


@SYSTEMS
def test_a_large_answer(system: DeclarationSystem) -> None:
    """A large reply has a body of 20 MB, and its LRN."""
    data = answered(ReplyFault.LARGE, system=system).data

    assert 20_000_000 <= len(data) <= 20_010_000
    assert b"LRN1" in data


@pytest.mark.parametrize("fault", [None, *ReplyFault])
@SYSTEMS
def test_every_answer_can_be_sent(system: DeclarationSystem, fault: ReplyFault | None) -> None:
    """Every reply has 7-bit lines of at most 998 octets with CRLF, so that any mail server accepts it."""
    data = answered(fault, system=system).data

    assert data.isascii()
    assert data.count(b"\r\n") == data.count(b"\r") == data.count(b"\n")
    assert data.endswith(b"\r\n")
    assert max(map(len, data.split(b"\r\n"))) <= 998


def test_a_body_of_ones_own() -> None:
    """A given body is sent unchanged, whatever the declaration."""
    declaration = b"Subject: 1\r\n\r\n<MetaData/>\r\n"
    message = scripted_reply(
        ScriptedReply(kind=ReplyKind.REJECTION, body=b"<Own/>\r\n"),
        accepted(DMS, RoutingEnvelope(sender=PARTY, addressee="DMS4.NL", reference=K), declaration),
        date=DATE,
        message_id="<1@gateway.example>",
    )

    assert message.data.endswith(b"\r\n\r\n<Own/>\r\n")


@SYSTEMS
def test_the_lrn_comes_back(system: DeclarationSystem) -> None:
    """The LRN of the declaration is in the reply, whatever the encoding of the declaration."""
    body = email.message_from_bytes(answered(system=system).data).get_payload(decode=True)

    assert isinstance(body, bytes)
    assert "LRN1" == lrn_of(body)


@pytest.mark.parametrize("payload", [EDIFACT, XML])
@pytest.mark.parametrize(
    ("addressee", "expected"),
    [("DMS.NL", b"UNA:+.? '\r\nUNB+"), ("DMS4.NL", b'<?xml version="1.0" encoding="UTF-8"?>\r\n')],
)
def test_an_acceptance_without_a_scenario(addressee: str, payload: bytes, expected: bytes) -> None:
    """The plain body is in the syntax of the system, always the same, and says that it is synthetic."""
    request = RoutingEnvelope(sender=PARTY, addressee=addressee, reference=K)
    body = plain_body(request, payload)

    assert body.startswith(expected)
    assert b"synthetic" in body.lower()


@SYSTEMS
def test_a_reply_without_a_scenario(system: DeclarationSystem) -> None:
    """A reply with any body goes to the mailbox of its declaration."""
    request = RoutingEnvelope(sender=PARTY, addressee=system.process_id, reference=K)
    message = reply(
        system=system, mailbox=MAILBOX, request=request, payload=XML, date=DATE, message_id="<1@gateway.example>"
    )
    found = routed(message, system)

    assert (system.mailbox, MAILBOX, request.reply()) == (message.mail_from, message.rcpt_to, message.envelope)
    assert isinstance(found, Routed)
    assert Correlation.MATCHED is found.correlation
