"""What the router makes of each answer of the simulator, as the field's rules have it."""

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
)
from htpoort.simulator.answers import OTHER_PARTY, acceptance, answer, reply
from htpoort.simulator.bodies import lrn_of
from htpoort.simulator.faults import AnswerFault
from htpoort.simulator.scenarios import Answer, Kind

PARTY = "NL123456789.02.05"
MAILBOX = "edi@forwarder.example"
K = "22096222734662"
DATE = datetime(2026, 11, 2, 9, 5, 7, tzinfo=UTC)
XML = b"<MetaData><Declaration><FunctionalReferenceID>LRN1</FunctionalReferenceID></Declaration></MetaData>\n"
EDIFACT = b"UNB+UNOC:3+A+B'UNH+1+CUSDEC:D:96B:UN'BGM+929+LRN1'"
TEST_DMS = DeclarationSystem(
    name="TEST DMS", mailbox="dms@test.example", process_id="DMS5.NL", reply_ids=frozenset({"DVB.NL"})
)


def answered(
    fault: AnswerFault | None = None, *, system: DeclarationSystem = DMS, directory: Directory = HTPOORT, **more: Any
) -> Submission:
    """Answer a declaration to a system."""
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
    return answer(
        Answer(fault=fault),
        system=system,
        mailbox=MAILBOX,
        request=declaration.envelope,
        declaration=declaration.data,
        number=7,
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
    """Route an answer as the declarant does who sent K to the system."""
    record = SentRecord(system=system.name, party=PARTY, reference=K)
    router = Router(directory=directory, parties=parties, sent=lambda reference: record if reference == K else None)
    return router.route_message(message.data, mail_from=message.mail_from)


SYSTEMS = pytest.mark.parametrize("system", [AGS, DMS], ids=lambda system: system.name)


@SYSTEMS
@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (None, Correlation.MATCHED),
        (AnswerFault.DUPLICATE, Correlation.MATCHED),
        (AnswerFault.OUT_OF_ORDER, Correlation.MATCHED),
        (AnswerFault.LOWER_CASE, Correlation.MATCHED),
        (AnswerFault.FOLDED, Correlation.MATCHED),
        (AnswerFault.ENCODED_WORDS, Correlation.MATCHED),
        (AnswerFault.LARGE, Correlation.MATCHED),
        (AnswerFault.OTHER_K, Correlation.UNKNOWN_REFERENCE),
    ],
)
def test_what_is_routed(system: DeclarationSystem, fault: AnswerFault | None, expected: Correlation) -> None:
    """What is only written otherwise belongs to its process; a K that nobody sent is routed, and marked."""
    found = routed(answered(fault, system=system), system)

    assert isinstance(found, Routed)
    assert (system, PARTY, expected) == (found.system, str(found.party), found.correlation)
    assert (found.reference == K) == (expected is Correlation.MATCHED)


@SYSTEMS
@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (AnswerFault.OTHER_SYSTEM, Reason.OTHER_SYSTEM),
        (AnswerFault.WRONG_PROCESS_ID, Reason.MAILBOX_PROCESS_DISAGREE),
        (AnswerFault.OTHER_PARTY, Reason.UNKNOWN_ADDRESSEE),
        (AnswerFault.NO_K, Reason.BAD_ENVELOPE),
        (AnswerFault.FORGED_FROM, Reason.AMBIGUOUS_FROM),
        (AnswerFault.BOUNCE, Reason.NO_ENVELOPE),
    ],
)
def test_what_is_held(system: DeclarationSystem, fault: AnswerFault, expected: Reason) -> None:
    """What could belong to another process, or to none, goes to quarantine with its reason."""
    found = routed(answered(fault, system=system), system)

    assert isinstance(found, Quarantined)
    assert expected is found.reason


def test_every_fault_is_told() -> None:
    """The docstring says of each fault what the router makes of it."""
    assert [] == [fault.name for fault in AnswerFault if f" {fault.name}" not in str(answer.__doc__)]


@SYSTEMS
def test_the_wrong_mailbox(system: DeclarationSystem) -> None:
    """An answer in another declarant's mailbox is addressed to nobody there."""
    message = answered(AnswerFault.WRONG_MAILBOX, system=system, other_mailbox="edi@other.example")
    found = routed(message, system, parties=(OTHER_PARTY,))

    assert "edi@other.example" == message.rcpt_to == email.message_from_bytes(message.data)["To"]
    assert isinstance(found, Quarantined)
    assert Reason.UNKNOWN_ADDRESSEE is found.reason


def test_another_party_of_the_same_router() -> None:
    """A service provider with both parties gives an answer to neither: K was sent by the other one."""
    message = answered(AnswerFault.OTHER_PARTY, other_party="NL123456789.03.05")
    found = routed(message, DMS, parties=(PARTY, "NL123456789.03.05"))

    assert isinstance(found, Quarantined)
    assert Reason.OTHER_PARTY is found.reason


@pytest.mark.parametrize(
    ("directory", "fault", "expected"),
    [
        (HTPOORT.add(TEST_DMS), AnswerFault.WRONG_PROCESS_ID, "DMS.NL"),
        (Directory((TEST_DMS,)), AnswerFault.WRONG_PROCESS_ID, "DMS.NL"),
        (Directory((TEST_DMS,)), None, "DVB.NL"),
    ],
)
def test_a_system_that_replies_under_another_id(directory: Directory, fault: AnswerFault | None, expected: str) -> None:
    """V is the id that the system replies under; the wrong one is of another system, even where there is no other."""
    assert expected == answered(fault, system=TEST_DMS, directory=directory).envelope.sender


def test_there_is_always_another_system() -> None:
    """Where every system has something of this one, a fault still has something to be made of."""
    both = DeclarationSystem(
        name="BOTH", mailbox="AGS@htpoort.nl", process_id="DMS4.NL", reply_ids=frozenset({"DMS4.NL"})
    )

    assert "dms@htpoort.nl" == answered(AnswerFault.OTHER_SYSTEM, system=both, directory=Directory((both,))).mail_from


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (None, "[V= DMS4.NL][A= NL123456789.02.05][K=22096222734662][S=0]"),
        (AnswerFault.NO_K, "[V= DMS4.NL][A= NL123456789.02.05][S=0]"),
        (AnswerFault.LOWER_CASE, "[v= DMS4.NL][a= NL123456789.02.05][k=22096222734662][s=0]"),
        (AnswerFault.FOLDED, "[V= DMS4.NL]\r\n [A= NL123456789.02.05][K=22096222734662]\r\n\t[S=0]"),
    ],
)
def test_the_line_on_the_wire(fault: AnswerFault | None, expected: str) -> None:
    """The Subject stands on the wire as the fault has it."""
    assert f"\r\nSubject: {expected}\r\nDate: ".encode() in answered(fault).data


def test_encoded_words() -> None:
    """A Subject in encoded words is decoded by other software to the envelope, and no word is over 75 characters."""
    data = answered(AnswerFault.ENCODED_WORDS).data
    subject = email.message_from_bytes(data, policy=email.policy.default)["Subject"]
    written = data.partition(b"\r\nSubject: ")[2].partition(b"\r\nDate: ")[0]

    assert "[V= DMS4.NL][A= NL123456789.02.05][K=22096222734662][S=0]" == subject
    assert max(map(len, written.split(b"\r\n "))) <= 75


def test_forged_from() -> None:
    """A forged From shows the system, and is of the one whom MAIL FROM names."""
    message = answered(AnswerFault.FORGED_FROM)

    assert "edi@forger.example" == message.mail_from
    assert b"From: dms@htpoort.nl <edi@forger.example>\r\n" in message.data


def test_a_bounce() -> None:
    """A bounce is a report of three parts by the gateway's mailer-daemon, without a sender, about the declaration."""
    message = answered(AnswerFault.BOUNCE)
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
    """A large answer has a body of 20 MB, and its LRN."""
    data = answered(AnswerFault.LARGE, system=system).data

    assert 20_000_000 <= len(data) <= 20_010_000
    assert b"LRN1" in data


@pytest.mark.parametrize("fault", [None, *AnswerFault])
@SYSTEMS
def test_every_answer_can_be_sent(system: DeclarationSystem, fault: AnswerFault | None) -> None:
    """Every answer is 7-bit lines of at most 998 octets with CRLF, so that any mail server takes it."""
    data = answered(fault, system=system).data

    assert data.isascii()
    assert data.count(b"\r\n") == data.count(b"\r") == data.count(b"\n")
    assert data.endswith(b"\r\n")
    assert max(map(len, data.split(b"\r\n"))) <= 998


def test_a_body_of_ones_own() -> None:
    """A body that was given is sent as it is, whatever was declared."""
    declaration = b"Subject: 1\r\n\r\n<MetaData/>\r\n"
    message = answer(
        Answer(kind=Kind.REJECTION, body=b"<Own/>\r\n"),
        system=DMS,
        mailbox=MAILBOX,
        request=RoutingEnvelope(sender=PARTY, addressee="DMS4.NL", reference=K),
        declaration=declaration,
        number=7,
        date=DATE,
        message_id="<1@gateway.example>",
    )

    assert message.data.endswith(b"\r\n\r\n<Own/>\r\n")


@SYSTEMS
def test_the_lrn_comes_back(system: DeclarationSystem) -> None:
    """The declaration's LRN is found in its message, however that carries it, and comes back."""
    body = email.message_from_bytes(answered(system=system).data).get_payload(decode=True)

    assert isinstance(body, bytes)
    assert "LRN1" == lrn_of(body)


@pytest.mark.parametrize("payload", [EDIFACT, XML])
@pytest.mark.parametrize(
    ("addressee", "expected"),
    [("DMS.NL", b"UNA:+.? '\r\nUNB+"), ("DMS4.NL", b'<?xml version="1.0" encoding="UTF-8"?>\r\n')],
)
def test_an_acceptance_without_a_scenario(addressee: str, payload: bytes, expected: bytes) -> None:
    """The simple acceptance is in the syntax of the system, always the same, and says that it is synthetic."""
    request = RoutingEnvelope(sender=PARTY, addressee=addressee, reference=K)
    body = acceptance(request, payload)

    assert body.startswith(expected)
    assert b"synthetic" in body.lower()


@SYSTEMS
def test_a_reply_without_a_scenario(system: DeclarationSystem) -> None:
    """A reply around any body goes back to where its declaration came from."""
    request = RoutingEnvelope(sender=PARTY, addressee=system.process_id, reference=K)
    message = reply(
        system=system, mailbox=MAILBOX, request=request, payload=XML, date=DATE, message_id="<1@gateway.example>"
    )
    found = routed(message, system)

    assert (system.mailbox, MAILBOX, request.reply()) == (message.mail_from, message.rcpt_to, message.envelope)
    assert isinstance(found, Routed)
    assert Correlation.MATCHED is found.correlation
