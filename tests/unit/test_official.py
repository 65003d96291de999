"""The four lines of the official page, typed by hand: they parse, route and render back."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from htpoort import AGS, DMS, HTPOORT, Correlation, DeclarationSystem, Mark, Routed, Router, RoutingEnvelope, build

PARTY = "NL123456789.02.05"
K = "22096222734662"

REQUESTS = [
    ("ags@htpoort.nl", "[V=NL123456789.02.05][A=DMS.NL][K=22096222734662][S=0]", "AGS", "DMS.NL"),
    ("dms@htpoort.nl", "[V=NL123456789.02.05][A=DMS4.NL][K=22096222734662][S=0]", "DMS", "DMS4.NL"),
]
REPLIES = [
    ("ags@htpoort.nl", "[V= DMS.NL][A= NL123456789.02.05][K=22096222734662][S=0]", "AGS", "DMS.NL"),
    ("dms@htpoort.nl", "[V= DMS4.NL][A= NL123456789.02.05][K=22096222734662][S=0]", "DMS", "DMS4.NL"),
]
CANONICAL_REPLIES = {
    "AGS": "[V=DMS.NL][A=NL123456789.02.05][K=22096222734662][S=0]",
    "DMS": "[V=DMS4.NL][A=NL123456789.02.05][K=22096222734662][S=0]",
}


@pytest.mark.parametrize(("mailbox", "line", "name", "process_id"), REQUESTS)
def test_request_parses(mailbox: str, line: str, name: str, process_id: str) -> None:
    """A declarant's line gives V, A, K and S, and nothing in it had to be forgiven."""
    envelope = RoutingEnvelope.parse(line)

    assert (PARTY, process_id, K, "0") == (envelope.sender, envelope.addressee, envelope.reference, envelope.s)
    assert () == envelope.notes
    assert line == envelope.raw
    assert name == HTPOORT.by_process_id(envelope.addressee).name
    assert name == HTPOORT.by_mailbox(mailbox).name


@pytest.mark.parametrize(("mailbox", "line", "name", "process_id"), REQUESTS)
def test_request_renders_back(mailbox: str, line: str, name: str, process_id: str) -> None:
    """A declarant's line is canonical: it renders back to itself, and the strict reader takes it."""
    assert line == RoutingEnvelope.parse(line, strict=True).render()
    assert line == str(RoutingEnvelope(sender=PARTY, addressee=process_id, reference=K, s="0"))
    assert (mailbox, name) == (HTPOORT.system(name).mailbox, HTPOORT.system(name).name)


@pytest.mark.parametrize(("mailbox", "line", "name", "process_id"), REQUESTS)
def test_build_writes_the_request(mailbox: str, line: str, name: str, process_id: str) -> None:
    """What `build` sends to a system is the declarant's line of the official page, to its mailbox."""
    built = build(
        system=name,
        party=PARTY,
        mailbox="edi@forwarder.example",
        reference=K,
        payload=b"<MetaData/>",
        date=datetime(2026, 11, 2, 12, 0, 0, tzinfo=UTC),
        message_id="<1@forwarder.example>",
    )

    assert mailbox == built.rcpt_to
    assert process_id == built.envelope.addressee
    assert f"\r\nSubject: {line}\r\n".encode() in built.data


@pytest.mark.parametrize(("mailbox", "line", "name", "process_id"), REPLIES)
def test_reply_parses(mailbox: str, line: str, name: str, process_id: str) -> None:
    """A reply's line gives V and A swapped; its blanks are noted."""
    envelope = RoutingEnvelope.parse(line)

    assert (process_id, PARTY, K, "0") == (envelope.sender, envelope.addressee, envelope.reference, envelope.s)
    assert [("envelope.blank", 0, len(line))] == [(note.code, note.start, note.stop) for note in envelope.notes]
    assert name == HTPOORT.by_process_id(envelope.sender).name
    assert name == HTPOORT.by_mailbox(mailbox).name


@pytest.mark.parametrize(("mailbox", "line", "name", "process_id"), REPLIES)
def test_reply_routes(mailbox: str, line: str, name: str, process_id: str) -> None:
    """A reply goes to the process that its mailbox and process ID name together."""
    found = Router(parties=[PARTY]).route(mailbox=mailbox, subject=line)

    assert isinstance(found, Routed)
    assert name == found.system.name
    assert process_id in found.system.reply_ids
    assert (PARTY, K, Correlation.NOT_CHECKED) == (str(found.party), found.reference, found.correlation)


@pytest.mark.parametrize(("mailbox", "line", "name", "process_id"), REPLIES)
def test_reply_renders_canonically(mailbox: str, line: str, name: str, process_id: str) -> None:
    """The blanks of a reply's line are never written."""
    assert CANONICAL_REPLIES[name] == str(RoutingEnvelope.parse(line))
    assert HTPOORT.by_mailbox(mailbox) is HTPOORT.by_process_id(process_id)


@pytest.mark.parametrize(("request_line", "reply_line"), [(a[1], b[1]) for a, b in zip(REQUESTS, REPLIES, strict=True)])
def test_reply_swaps(request_line: str, reply_line: str) -> None:
    """A reply swaps V and A and keeps K and S, and the swap of a swap is the request."""
    request, reply = RoutingEnvelope.parse(request_line), RoutingEnvelope.parse(reply_line)

    assert request.reply() == reply
    assert reply.reply() == request
    assert ("", ()) == (reply.reply().raw, reply.reply().notes)


@pytest.mark.parametrize(
    ("system", "name", "mailbox", "process_id"),
    [(AGS, "AGS", "ags@htpoort.nl", "DMS.NL"), (DMS, "DMS", "dms@htpoort.nl", "DMS4.NL")],
)
def test_published_systems(system: DeclarationSystem, name: str, mailbox: str, process_id: str) -> None:
    """The published systems are those of the official page; the process ID of AGS has the letters DMS in it."""
    assert (name, mailbox, process_id) == (system.name, system.mailbox, system.process_id)
    assert frozenset({process_id}) == system.reply_ids
    assert Mark.OFFICIAL is system.mark
    assert 'Douane, "Hoe bereid ik me voor op DMS?"' == system.source
    assert system is HTPOORT.system(name)


def test_titles_distinguish_old_and_new() -> None:
    """The titles distinguish the two systems."""
    assert "Declarations, the old system (Aangiftesysteem)" == AGS.title
    assert "Declarations, the new system (DMS 4)" == DMS.title


def test_closed_systems() -> None:
    """AGS takes no new declarations from anyone since 1 December 2024; DMS does."""
    assert {"AGS": date(2024, 12, 1), "DMS": None} == {system.name: system.closed for system in HTPOORT}
