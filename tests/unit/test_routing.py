"""Router: every reason, which comes first, and what is correlated with what."""

from __future__ import annotations

from collections.abc import Iterable

import attrs
import pytest
from strategies import copies

from htpoort import (
    AGS,
    DMS,
    HTPOORT,
    Correlation,
    DeclarationSystem,
    Directory,
    InputError,
    PartyId,
    Quarantined,
    Reason,
    Routed,
    Router,
    RoutingEnvelope,
    SentRecord,
    correlate,
)

PARTY = "NL123456789.02.05"
OTHER = "NL987654321.01.05"
STRANGER = "NL111111111.01.05"
PAGE = 'Douane, "Hoe bereid ik me voor op DMS?"'
NCTS = DeclarationSystem(
    name="NCTS", mailbox="ncts@customs.example", process_id="NCTS.NL", reply_ids=frozenset({"DVA.NL"})
)
SENT = {
    "A1": SentRecord(system="AGS", party=PARTY, reference="A1"),
    "D1": SentRecord(system="DMS", party=PARTY, reference="D1"),
    "D2": SentRecord(system="DMS", party=OTHER, reference="D2"),
}
ROUTER = Router(directory=HTPOORT.add(NCTS), parties=[PARTY, OTHER], sent=SENT.get)


def route(
    mailbox: str = "dms@htpoort.nl", process: str = "DMS4.NL", party: str = PARTY, reference: str = "D1"
) -> Routed | Quarantined:
    """Route a reply of four fields."""
    return ROUTER.route(mailbox=mailbox, subject=f"[V= {process}][A= {party}][K={reference}][S=0]")


def quarantined(found: Routed | Quarantined) -> Quarantined:
    """Take what must be in quarantine."""
    assert isinstance(found, Quarantined)
    return found


def routed(found: Routed | Quarantined) -> Routed:
    """Take what must be routed."""
    assert isinstance(found, Routed)
    return found


def test_routed() -> None:
    """A reply that agrees in everything goes to its system and party, matched."""
    found = routed(route())

    assert (DMS, PartyId.parse(PARTY), "D1") == (found.system, found.party, found.reference)
    assert (Correlation.MATCHED, "dms@htpoort.nl") == (found.correlation, found.mailbox)
    assert "[V=DMS4.NL][A=NL123456789.02.05][K=D1][S=0]" == str(found.envelope)
    assert ["envelope.blank"] == [note.code for note in found.envelope.notes]


ROUTED = [
    ("dms@htpoort.nl", "DMS4.NL", PARTY, "D1", "DMS", Correlation.MATCHED),
    ("DMS@HTPOORT.NL", "dms4.nl", PARTY.lower(), "D1", "DMS", Correlation.MATCHED),
    ("ags@htpoort.nl", "DMS.NL", PARTY, "A1", "AGS", Correlation.MATCHED),
    ("dms@htpoort.nl", "DMS4.NL", OTHER, "D2", "DMS", Correlation.MATCHED),
    ("dms@htpoort.nl", "DMS4.NL", PARTY, "X9", "DMS", Correlation.UNKNOWN_REFERENCE),
    ("dms@htpoort.nl", "DMS4.NL", PARTY, "d1", "DMS", Correlation.UNKNOWN_REFERENCE),
    ("ags@htpoort.nl", "DMS.NL", OTHER, "X9", "AGS", Correlation.UNKNOWN_REFERENCE),
    ("ncts@customs.example", "DVA.NL", PARTY, "N1", "NCTS", Correlation.UNKNOWN_REFERENCE),
]


@pytest.mark.parametrize(("mailbox", "process", "party", "reference", "system", "correlation"), ROUTED)
def test_goes_where_it_belongs(  # noqa: PLR0913, PLR0917 - the four fields and two results
    mailbox: str, process: str, party: str, reference: str, system: str, correlation: Correlation
) -> None:
    """Mailbox and process ID decide the system, in any case; K is compared exactly; an unknown K is not lost."""
    found = routed(route(mailbox, process, party, reference))

    assert (system, correlation, reference) == (found.system.name, found.correlation, found.reference)
    assert mailbox.lower() == found.mailbox
    assert PartyId.parse(party) == found.party


def test_what_is_not_text() -> None:
    """An argument that is not text is the caller's mistake, and each one is named."""
    with pytest.raises(InputError) as caught:
        ROUTER.route(**dict.fromkeys(("mailbox", "subject"), 3))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

    assert ["mailbox is int; give a str.", "subject is int; give a str."] == [
        problem.message for problem in caught.value.problems
    ]


def test_a_message_that_is_not_bytes() -> None:
    """A message that was decoded to text is the caller's mistake."""
    with pytest.raises(InputError, match=r"^raw is str; give bytes\.$"):
        ROUTER.route_message("From: dms@htpoort.nl")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def test_party_as_the_router_was_given_it() -> None:
    """The party is the router's own, whatever case the reply wrote."""
    assert PARTY == str(routed(route(party=PARTY.lower())).party)


def test_without_a_record_nothing_is_correlated() -> None:
    """A router without a look-up marks its replies as not compared."""
    found = Router(parties=[PARTY]).route(mailbox="dms@htpoort.nl", subject=f"[V=DMS4.NL][A={PARTY}][K=D2][S=0]")

    assert Correlation.NOT_CHECKED is routed(found).correlation


def test_late_ags_reply_after_the_move() -> None:
    """After the move to DMS a late reply of AGS still goes to AGS, because its K was sent there."""
    sent = [
        SentRecord(system="AGS", party=PARTY, reference="A1"),
        SentRecord(system="DMS", party=PARTY, reference="D1"),
    ]
    router = Router(parties=[PARTY], sent={record.reference: record for record in sent}.get)
    late = router.route(mailbox="ags@htpoort.nl", subject=f"[V= DMS.NL][A= {PARTY}][K=A1][S=0]")
    new = router.route(mailbox="dms@htpoort.nl", subject=f"[V= DMS4.NL][A= {PARTY}][K=D1][S=0]")

    assert ("AGS", Correlation.MATCHED) == (routed(late).system.name, routed(late).correlation)
    assert ("DMS", Correlation.MATCHED) == (routed(new).system.name, routed(new).correlation)


REFUSED = [
    # mailbox, process, party, reference -> reasons, the first counts
    ("ncts@htpoort.nl", "DMS4.NL", PARTY, "D1", ["unknown-mailbox"]),
    ("dms@htpoort.nl ", "DMS4.NL", PARTY, "D1", ["unknown-mailbox"]),
    ("dms@htpoort.n\u212a", "DMS4.NL", PARTY, "D1", ["unknown-mailbox"]),
    ("", "DMS4.NL", PARTY, "D1", ["unknown-mailbox"]),
    ("dms@htpoort.nl", "DMS5.NL", PARTY, "D1", ["unknown-process"]),
    ("ncts@customs.example", "NCTS.NL", PARTY, "D1", ["unknown-process"]),
    ("dms@htpoort.nl", PARTY, "DMS4.NL", "D1", ["unknown-process", "unknown-addressee"]),
    ("dms@htpoort.nl", "DMS.NL", PARTY, "D1", ["mailbox-process-disagree"]),
    ("ags@htpoort.nl", "DMS4.NL", PARTY, "D1", ["mailbox-process-disagree"]),
    ("dms@htpoort.nl", "DVA.NL", PARTY, "D1", ["mailbox-process-disagree"]),
    ("dms@htpoort.nl", "DMS4.NL", STRANGER, "D1", ["unknown-addressee"]),
    ("dms@htpoort.nl", "DMS4.NL", "NL123456789.02", "D1", ["unknown-addressee"]),
    ("dms@htpoort.nl", "DMS4.NL", PARTY + ".01", "D1", ["unknown-addressee"]),
    ("x@y.example", "X.NL", STRANGER, "D1", ["unknown-mailbox", "unknown-process", "unknown-addressee"]),
    ("x@y.example", "X.NL", PARTY, "D1", ["unknown-mailbox", "unknown-process"]),
    ("x@y.example", "DMS4.NL", STRANGER, "D1", ["unknown-mailbox", "unknown-addressee"]),
    ("ags@htpoort.nl", "DMS4.NL", STRANGER, "D1", ["mailbox-process-disagree", "unknown-addressee"]),
    ("ags@htpoort.nl", "DMS.NL", PARTY, "D1", ["other-system"]),
    ("dms@htpoort.nl", "DMS4.NL", PARTY, "A1", ["other-system"]),
    ("dms@htpoort.nl", "DMS4.NL", PARTY, "D2", ["other-party"]),
    ("dms@htpoort.nl", "DMS4.NL", OTHER, "D1", ["other-party"]),
    ("ags@htpoort.nl", "DMS.NL", PARTY, "D2", ["other-party"]),
]


@pytest.mark.parametrize(("mailbox", "process", "party", "reference", "reasons"), REFUSED)
def test_refused(mailbox: str, process: str, party: str, reference: str, reasons: list[str]) -> None:
    """A reply that does not agree is quarantined: the first reason counts, and all are listed with their source."""
    found = quarantined(route(mailbox, process, party, reference))

    assert reasons[0] == found.reason.value
    assert [f"route.{reason}" for reason in reasons] == [problem.code for problem in found.problems]
    assert {PAGE} == {problem.source for problem in found.problems}
    assert {(0, 0)} == {(problem.start, problem.stop) for problem in found.problems}
    assert mailbox == found.mailbox
    assert (process, party, reference) == (
        found.envelope.sender if found.envelope else None,
        found.envelope.addressee if found.envelope else None,
        found.envelope.reference if found.envelope else None,
    )


SENTENCES = [
    (
        ("x@y.example", "X.NL", STRANGER, "D1"),
        [
            "No system answers from 'x@y.example'.",
            "No system answers with the process ID 'X.NL'.",
            "The addressee 'NL111111111.01.05' is not one of the parties.",
        ],
    ),
    (
        ("dms@htpoort.nl", "dms.nl", PARTY, "D1"),
        ["The mailbox belongs to DMS, but the process ID dms.nl belongs to AGS."],
    ),
    (
        ("ags@htpoort.nl", "DMS.NL", PARTY, "D1"),
        ["The reference D1 was sent to DMS, but AGS answers."],
    ),
    (
        ("dms@htpoort.nl", "DMS4.NL", PARTY, "D2"),
        ["The reference D2 was sent by another party than NL123456789.02.05."],
    ),
]


@pytest.mark.parametrize(("fields", "expected"), SENTENCES)
def test_sentences(fields: tuple[str, str, str, str], expected: list[str]) -> None:
    """Each reason is one sentence that shows what does not agree; another party's name is in none."""
    found = quarantined(route(*fields))

    assert expected == [problem.message for problem in found.problems]
    assert OTHER not in repr(found)


SUBJECTS = [
    ("Out of office", Reason.NO_ENVELOPE, ["envelope.absent"]),
    ("", Reason.NO_ENVELOPE, ["envelope.absent"]),
    ("[V=DMS4.NL]", Reason.BAD_ENVELOPE, ["envelope.key-missing"] * 3),
    ("[V=DMS4.NL][A=x][K=1][K=2][S=0]", Reason.BAD_ENVELOPE, ["envelope.key-repeated"]),
    ("[V=a][A=b][K=c][S=0]" * 2, Reason.BAD_ENVELOPE, ["envelope.two"]),
    ("[V=a][A=b][K=\u00e9][S=0]", Reason.BAD_ENVELOPE, ["envelope.value-character"]),
    ("x" * 5_000, Reason.BAD_ENVELOPE, ["envelope.too-long"]),
]


@pytest.mark.parametrize(("subject", "reason", "codes"), SUBJECTS)
def test_no_or_bad_envelope(subject: str, reason: Reason, codes: list[str]) -> None:
    """A Subject without an envelope and one with a bad envelope have different reasons."""
    found = quarantined(ROUTER.route(mailbox="dms@htpoort.nl", subject=subject))

    assert (reason, codes) == (found.reason, [problem.code for problem in found.problems])
    assert ("dms@htpoort.nl", None) == (found.mailbox, found.envelope)


UNWRITTEN = [
    # A path, a blank as from a fold, other characters, too long, an encoded word: K was made by no writer.
    ("[V=DMS4.NL][A=NL123456789.02.05][K=../outside][S=0]", [("envelope.reference", 35, 45)]),
    ("[V= DMS4.NL][A= NL123456789.02.05][K=/etc/passwd][S=0]", [("envelope.reference", 37, 48)]),
    ("[V= DMS4.NL][A= NL123456789.02.05][K=..][S=0]", [("envelope.reference", 37, 39)]),
    ("[V= DMS4.NL][A= NL123456789.02.05][K=.][S=0]", [("envelope.reference", 37, 38)]),
    ("[V= DMS4.NL][A= NL123456789.02.05][K=a\\b][S=0]", [("envelope.reference", 37, 40)]),
    ("[V= DMS4.NL][A= NL123456789.02.05][K=2209622 2730006][S=0]", [("envelope.reference", 37, 52)]),
    ("[V= DMS4.NL][A= NL123456789.02.05][K=2209622\r\n 2730006][S=0]", [("envelope.reference", 37, 52)]),
    ("[V= DMS4.NL][A= NL123456789.02.05][K= a-b ][S=0]", [("envelope.reference", 38, 41)]),
    ("[V= DMS4.NL][A= NL123456789.02.05][K=a_b][S=0]", [("envelope.reference", 37, 40)]),
    ("[V= DMS4.NL][A= NL123456789.02.05][K=a.b][S=0]", [("envelope.reference", 37, 40)]),
    ("[V= DMS4.NL][A= NL123456789.02.05][K=$HOME][S=0]", [("envelope.reference", 37, 42)]),
    (f"[V= DMS4.NL][A= NL123456789.02.05][K={'1' * 36}][S=0]", [("envelope.reference", 37, 73)]),
    ("Re: [k=a;b] [V= DMS4.NL][A= NL123456789.02.05][s=0]", [("envelope.reference", 7, 10)]),
    (
        "=?utf-8?q?=5BV=3DDMS4.NL=5D=5BA=3DNL123456789.02.05=5D=5BK=3D../x=5D=5BS=3D0=5D?=",
        [("envelope.reference", 35, 39)],
    ),
    ("[V=DMS4.NL][A=NL123456789.02.05][K==?utf-8?q?=5D?=][S=0]", [("envelope.reference", 35, 50)]),
    ("[V=DMS4.NL][A=NL123456789.02.05][K=?utf-8?q?1?=][S=0]", [("envelope.reference", 35, 47)]),
    # Not in K: the same in S, which is carried and never read.
    ("[V=DMS4.NL][A=NL123456789.02.05][K=1][S==?utf-8?q?=5D?=]", [("envelope.unread-word", 40, 55)]),
    ("[V=DMS4.NL][A=NL123456789.02.05][K=1][S=?utf-8?q?0?=]", [("envelope.unread-word", 40, 52)]),
    ("[V=DMS4.NL][A=NL123456789.02.05][K=1][S=0= ?x]", [("envelope.unread-word", 40, 45)]),
    ("[V=DMS4.NL][A=NL123456789.02.05][K=1][S=0 =?utf-8?q?]", [("envelope.unread-word", 40, 52)]),
]


@pytest.mark.parametrize(("subject", "expected"), UNWRITTEN)
def test_what_no_writer_writes(subject: str, expected: list[tuple[str, int, int]]) -> None:
    """A K that no writer can have sent, or an S in which others may decode one, is in quarantine; all is kept."""
    found = quarantined(ROUTER.route(mailbox="dms@htpoort.nl", subject=subject))

    assert Reason.BAD_ENVELOPE is found.reason
    assert expected == [(problem.code, problem.start, problem.stop) for problem in found.problems]
    assert (RoutingEnvelope.parse(subject), "dms@htpoort.nl") == (found.envelope, found.mailbox)


def test_what_no_writer_writes_counts_before_the_check() -> None:
    """A bad envelope counts before any disagreement, and such a K is never looked up."""
    asked: list[str] = []
    router = Router(parties=[PARTY], sent=asked.append)
    found = quarantined(router.route(mailbox="x@y.example", subject="[V=X][A=Y][K=../x][S=?b?]"))

    assert [
        "K is '../x'; a reference that was sent has 1 to 35 letters and digits.",
        "S is '?b?'; another program may decode that and read another envelope in it.",
    ] == [problem.message for problem in found.problems]
    assert [] == asked


def test_s_with_a_question_mark() -> None:
    """S is carried, whatever it is, unless another program may decode it."""
    found = routed(ROUTER.route(mailbox="dms@htpoort.nl", subject=f"[V=DMS4.NL][A={PARTY}][K=1][S=0?]"))

    assert "0?" == found.envelope.s


OTHERWISE = [
    ("[V= DMS4.NL][A= NL123456789.02.05][K=../outside][S=0]", ["envelope.reference"]),
    ("[V= DMS4.NL][A= NL123456789.02.05][K=2209622\r\n 2730006][S=0]", ["envelope.reference"]),
    (
        (
            "=?iso-8859-2?q?=5BV=3D=20DMS4=2ENL=5D=5BA=3D=20NL123456789=2E03=2E05=5D=5BK=3D1=5D=5BS=3D0=5D?= "
            "[V= DMS4.NL][A= NL123456789.02.05][K=22096222734662][S=0]"
        ),
        ["envelope.unread-word"],
    ),
    (
        "x=?utf-8?q?[V=3DDMS4.NL][A=3DNL123456789.03.05][K=3D1][S=3D0]?= [V=DMS4.NL][A=NL123456789.02.05][K=2][S=0]",
        ["envelope.two", "envelope.unread-word"],
    ),
    (
        "[V=DMS4.NL][A=NL123456789.02.05][K==?utf-8?q?=5D=5BA=3DNL123456789.03.05=5D=5BK=3D?=][S=0]",
        ["envelope.reference"],
    ),
    (
        "\xa0] [K =?utf-8?q?=5BV=3DDMS4.NL=5D=5BA=3DNL123456789.02.05=5D=5BK=3D1=5D=5BS=3D0=5D?=",
        ["envelope.unread-word"],
    ),
]


@pytest.mark.parametrize(("subject", "codes"), OTHERWISE)
def test_what_others_read_otherwise(subject: str, codes: list[str]) -> None:
    """A whole reply whose Subject other programs read otherwise, or whose K was never sent, is in quarantine."""
    found = quarantined(ROUTER.route_message(message(subject=subject)))

    assert (Reason.BAD_ENVELOPE, codes) == (found.reason, [problem.code for problem in found.problems])


def message(head: str = "", *, sender: str = "dms@htpoort.nl", subject: str | None = None) -> bytes:
    """Write a whole reply."""
    subject = f"[V= DMS4.NL][A= {PARTY}][K=D1][S=0]" if subject is None else subject
    return f"{head}From: {sender}\r\nSubject: {subject}\r\n\r\n<a/>".encode()


def test_message_routed() -> None:
    """A whole reply is routed by its From and its Subject."""
    found = routed(ROUTER.route_message(message()))

    assert routed(route()) == found


@pytest.mark.parametrize("mail_from", [None, "", "dms@htpoort.nl", "DMS@HTPoort.nl"])
def test_mail_from_agrees(mail_from: str | None) -> None:
    """MAIL FROM must be the mailbox of From, in any case; a null sender and none at all are not compared."""
    assert routed(route()) == ROUTER.route_message(message(), mail_from=mail_from)


@pytest.mark.parametrize(
    "mail_from", ["ags@htpoort.nl", "bounce@htpoort.nl", "d\u043cs@htpoort.nl", "<dms@htpoort.nl>", " "]
)
def test_mail_from_disagrees(mail_from: str) -> None:
    """Another MAIL FROM than From is in quarantine, with both named."""
    found = quarantined(ROUTER.route_message(message(), mail_from=mail_from))

    assert (Reason.SENDER_DISAGREES, "dms@htpoort.nl") == (found.reason, found.mailbox)
    assert [("from.disagrees", f"MAIL FROM is {mail_from!r}, but From is dms@htpoort.nl.")] == [
        (problem.code, problem.message) for problem in found.problems
    ]
    assert "D1" == (found.envelope and found.envelope.reference)


def test_mail_from_disagrees_without_an_envelope() -> None:
    """The sender counts before the Subject."""
    found = quarantined(ROUTER.route_message(message(subject="[V=a]"), mail_from="x@y.example"))

    assert (Reason.SENDER_DISAGREES, None) == (found.reason, found.envelope)


MESSAGES = [
    (message(sender="ags@htpoort.nl <evil@x>"), Reason.AMBIGUOUS_FROM, ["from.ambiguous"], None),
    (message("From: a@b.example\r\n"), Reason.AMBIGUOUS_FROM, ["from.repeated"], None),
    (message("Subject: x\r\n"), Reason.BAD_SUBJECT, ["subject.repeated"], "dms@htpoort.nl"),
    (message("X: \0\r\n"), Reason.BAD_HEADER, ["header.nul"], "dms@htpoort.nl"),
    (message("X: \r \r\n"), Reason.BAD_HEADER, ["header.bare-cr"], "dms@htpoort.nl"),
    (message("X\r\n"), Reason.BAD_HEADER, ["header.bad-line"], "dms@htpoort.nl"),
    (message(" X\r\n"), Reason.BAD_HEADER, ["header.bad-line"], "dms@htpoort.nl"),
    (message()[:-8], Reason.BAD_HEADER, ["header.no-end"], None),
    (message("X: " + "x" * 200_000 + "\r\n"), Reason.TOO_LARGE, ["header.too-large"], None),
    (b"Subject: x\r\n\r\n", Reason.AMBIGUOUS_FROM, ["from.missing"], None),
    (b"From: dms@htpoort.nl\r\n\r\n", Reason.BAD_SUBJECT, ["subject.missing"], "dms@htpoort.nl"),
    (message(subject="hello"), Reason.NO_ENVELOPE, ["envelope.absent"], "dms@htpoort.nl"),
    (message(subject="[K=1]"), Reason.BAD_ENVELOPE, ["envelope.key-missing"] * 3, "dms@htpoort.nl"),
    (message(sender="x@y.example"), Reason.UNKNOWN_MAILBOX, ["route.unknown-mailbox"], "x@y.example"),
    (
        message(sender="ags@htpoort.nl"),
        Reason.MAILBOX_PROCESS_DISAGREE,
        ["route.mailbox-process-disagree"],
        "ags@htpoort.nl",
    ),
    (
        message("X: \0\r \r\nX\r\nFrom: a@b\r\nSubject: x\r\n"),
        Reason.BAD_HEADER,
        ["header.nul", "header.bare-cr", "header.bad-line", "from.repeated", "subject.repeated"],
        None,
    ),
    (message("Subject: x\r\n", sender="<"), Reason.AMBIGUOUS_FROM, ["from.ambiguous", "subject.repeated"], None),
]


@pytest.mark.parametrize(("raw", "reason", "codes", "mailbox"), MESSAGES, ids=lambda value: repr(value)[:30])
def test_message_refused(raw: bytes, reason: Reason, codes: list[str], mailbox: str | None) -> None:
    """The header block counts before From, From before Subject, both before their values; all is reported."""
    found = quarantined(ROUTER.route_message(raw))

    assert (reason, codes) == (found.reason, [problem.code for problem in found.problems])
    assert mailbox == found.mailbox


@pytest.mark.parametrize(
    ("head", "reference"), [("X: \0\r\n", "D1"), ("From: a@b\r\n", "D1"), ("Subject: x\r\n", None)]
)
def test_quarantine_shows_what_could_be_read(head: str, reference: str | None) -> None:
    """A bad header does not hide the envelope, unless the Subject itself is in doubt."""
    found = quarantined(ROUTER.route_message(message(head)))

    assert reference == (found.envelope and found.envelope.reference)


def test_size_limit() -> None:
    """A message is routed up to the limit and not an octet further."""
    raw = message()
    fits, small = (Router(parties=[PARTY], size_limit=size) for size in (len(raw), len(raw) - 1))
    found = quarantined(small.route_message(raw))

    assert isinstance(fits.route_message(raw), Routed)
    assert Reason.TOO_LARGE is found.reason
    assert [
        (
            "message.too-large",
            f"The message has {len(raw)} octets; at most {len(raw) - 1} are accepted.",
            len(raw) - 1,
            len(raw),
        )
    ] == [(p.code, p.message, p.start, p.stop) for p in found.problems]
    assert (None, None) == (found.mailbox, found.envelope)


def test_size_limit_unless_given() -> None:
    """50 MiB are the most."""
    assert 52_428_800 == Router(parties=[PARTY]).size_limit


def test_every_reason_is_reached() -> None:
    """No reason is there for show: the tables of this module reach each, and its value is stable."""
    reached = {reason for *_, reasons in REFUSED for reason in reasons}
    reached |= {reason.value for _, reason, _ in SUBJECTS} | {reason.value for _, reason, _, _ in MESSAGES}
    reached |= {"sender-disagrees"}
    # Only a file has this one; the tests of files reach it.
    reached |= {"foreign-file"}

    assert reached == {reason.value for reason in Reason}
    assert {
        *(
            "too-large",
            "bad-header",
            "ambiguous-from",
            "sender-disagrees",
            "bad-subject",
            "no-envelope",
            "bad-envelope",
        ),
        *("unknown-mailbox", "unknown-process", "mailbox-process-disagree", "unknown-addressee"),
        *("other-system", "other-party", "foreign-file"),
    } == reached
    # Only the ledger, which knows what was sent, can say the last.
    assert {"matched", "unknown-reference", "not-checked", "not-sent"} == {one.value for one in Correlation}


def record(system: str = "DMS", party: str = PARTY, reference: str = "K1") -> SentRecord:
    """Make a record."""
    return SentRecord(system=system, party=party, reference=reference)


ANSWERS = [
    (None, "unknown-reference"),
    ([], "unknown-reference"),
    ((), "unknown-reference"),
    (iter(()), "unknown-reference"),
    (record(), "matched"),
    ([record()], "matched"),
    ((record(party=OTHER), record()), "matched"),
    ((record(), record(party=OTHER)), "matched"),
    ([record(system="AGS"), record()], "matched"),
    ((found for found in [record(party=OTHER, system="AGS"), record()]), "matched"),
    (record(system="dms"), "matched"),
    (record(party=PARTY.lower()), "matched"),
    (record(reference="k1"), "unknown-reference"),
    ([record(reference="k1"), record(reference="K11")], "unknown-reference"),
    ([record(reference="k1", party=OTHER), record()], "matched"),
    (record(system="AGS"), "other-system"),
    ([record(system="AGS"), record(party=OTHER)], "other-system"),
    ([record(system="AGS"), record(system="NCTS")], "other-system"),
    (record(system="DM\u017f"), "other-system"),
    (record(party=OTHER), "other-party"),
    ([record(party=OTHER), record(party=STRANGER)], "other-party"),
    (record(party="NL123456789.02"), "other-party"),
    (record(party="N\u212a"), "other-party"),
]


@pytest.mark.parametrize(("answer", "expected"), ANSWERS)
def test_records(answer: SentRecord | Iterable[SentRecord] | None, expected: str) -> None:
    """One record of this party, system and K is enough; where K has records, but none of the party, it is another's."""
    # An iterator is asked once only.
    asked: list[str] = []

    def sent(reference: str) -> SentRecord | Iterable[SentRecord] | None:
        asked.append(reference)
        return answer

    router = Router(parties=[PARTY, OTHER], sent=sent)
    found = router.route(mailbox="dms@htpoort.nl", subject=f"[V=DMS4.NL][A={PARTY}][K=K1][S=0]")

    assert expected == (found.correlation if isinstance(found, Routed) else found.reason).value
    assert ["K1"] == asked


def test_other_system_is_the_first_that_was_sent_to() -> None:
    """Where K went to several other systems, the sentence names the first record's."""
    records = [record(system="NCTS"), record(system="AGS")]
    router = Router(parties=[PARTY], sent=lambda _: records)
    found = quarantined(router.route(mailbox="dms@htpoort.nl", subject=f"[V=DMS4.NL][A={PARTY}][K=K1][S=0]"))

    assert ["The reference K1 was sent to NCTS, but DMS answers."] == [problem.message for problem in found.problems]


def test_kelvin_party_is_another() -> None:
    """A record of a party whose K is a Kelvin sign is a record of another party."""
    router = Router(parties=["KZ1"], sent=lambda _: SentRecord(system="DMS", party="\u212aZ1", reference="1"))
    found = router.route(mailbox="dms@htpoort.nl", subject="[V=DMS4.NL][A=KZ1][K=1][S=0]")

    assert Reason.OTHER_PARTY is quarantined(found).reason


def test_kelvin_system_is_another() -> None:
    """A record of a system whose K is a Kelvin sign is a record of another system."""
    directory = Directory((DeclarationSystem(name="K", mailbox="k@customs.example", process_id="K"),))
    router = Router(
        directory=directory, parties=["KZ1"], sent=lambda _: SentRecord(system="\u212a", party="KZ1", reference="1")
    )
    found = router.route(mailbox="k@customs.example", subject="[V=K][A=KZ1][K=1][S=0]")

    assert Reason.OTHER_SYSTEM is quarantined(found).reason


def test_lookup_is_asked_last() -> None:
    """A reply that is quarantined anyway costs no look-up, and K is looked up exactly as in the reply."""
    asked: list[str] = []
    router = Router(parties=[PARTY], sent=asked.append)  # type: ignore[arg-type]
    router.route(mailbox="ags@htpoort.nl", subject=f"[V=DMS4.NL][A={PARTY}][K=K1][S=0]")
    router.route(mailbox="dms@htpoort.nl", subject="[V=DMS4.NL][A=X][K=K1][S=0]")
    assert [] == asked

    router.route(mailbox="dms@htpoort.nl", subject=f"[V=DMS4.NL][A={PARTY}][K= aB1 ][S=0]")
    assert ["aB1"] == asked


def test_lookup_that_fails() -> None:
    """What the look-up raises passes through: a ledger that is away must not lose a reply to quarantine."""

    def sent(_: str) -> None:
        message = "the disk"
        raise OSError(message)

    router = Router(parties=[PARTY], sent=sent)
    with pytest.raises(OSError, match="the disk"):
        router.route_message(message())


PARTIES = [
    ([PARTY], [PARTY]),
    ([PartyId.parse(PARTY)], [PARTY]),
    ((PARTY, OTHER), [PARTY, OTHER]),
    ({PARTY: 1}, [PARTY]),
    ((text for text in [PARTY]), [PARTY]),
    ([PARTY, PARTY], [PARTY]),
    ([PARTY, OTHER, PARTY.lower()], [PARTY, OTHER]),
]


@pytest.mark.parametrize(("parties", "expected"), PARTIES)
def test_parties(parties: Iterable[PartyId | str], expected: list[str]) -> None:
    """Parties are texts or values, in any collection, each once."""
    assert tuple(map(PartyId.parse, expected)) == Router(parties=parties).parties


BAD_PARTIES = [
    ([], [("input.parties", "parties is empty; give at least one party ID, or every reply is quarantined.")]),
    (
        PARTY,
        [("input.type", f"parties is the str '{PARTY}'; give a list of party IDs.")],
    ),
    (
        "x",
        [
            (
                "party.form",
                (
                    "parties: 'x' is not a party ID; "
                    "write two letters, digits and groups after dots, as in NL123456789.02.05."
                ),
            ),
            ("input.type", "parties is the str 'x'; give a list of party IDs."),
        ],
    ),
    (
        ["x", PARTY, 5],
        [
            (
                "party.form",
                (
                    f"parties: {shown} is not a party ID; "
                    "write two letters, digits and groups after dots, as in NL123456789.02.05."
                ),
            )
            for shown in ("'x'", "5")
        ],
    ),
]


@pytest.mark.parametrize(("parties", "expected"), BAD_PARTIES, ids=repr)
def test_bad_parties(parties: Iterable[PartyId | str], expected: list[tuple[str, str]]) -> None:
    """A router needs a party; all values that are not party IDs are reported at once."""
    with pytest.raises(InputError) as caught:
        Router(parties=parties)

    assert expected == [(problem.code, problem.message) for problem in caught.value.problems]


def test_other_directory() -> None:
    """Only the systems of the router's directory answer."""
    router = Router(directory=Directory((AGS,)), parties=[PARTY])
    found = quarantined(router.route(mailbox="dms@htpoort.nl", subject=f"[V=DMS4.NL][A={PARTY}][K=1][S=0]"))

    assert Reason.UNKNOWN_MAILBOX is found.reason


def test_values_are_values() -> None:
    """Router, records and results are compared by value, and survive pickle and copy."""
    router = Router(parties=[PARTY])
    for value in (router, record(), routed(route()), quarantined(route(party=STRANGER))):
        for other in copies(value):
            assert value == other

    assert router == Router(directory=HTPOORT, parties=[PARTY])
    assert router != Router(parties=[OTHER])
    assert record() != record(reference="K2")
    assert router.route_message(message()) == copies(router)[0].route_message(message())
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        router.parties = ()  # type: ignore[misc]


def test_repr_of_a_router_leaves_the_lookup_out() -> None:
    """`repr` shows systems and parties, nothing of the record."""
    assert "get" not in repr(ROUTER)
    assert "_by_text" not in repr(ROUTER)
    assert f"parties=({PartyId.parse(PARTY)!r}, {PartyId.parse(OTHER)!r})" in repr(ROUTER)


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ([], Correlation.UNKNOWN_REFERENCE),
        ([SentRecord(system="dms", party="nl123456789.02.05", reference="22096222734662")], Correlation.MATCHED),
        ([SentRecord(system="DMS", party="NL123456789.03.05", reference="22096222734662")], Reason.OTHER_PARTY),
        ([SentRecord(system="AGS", party="NL123456789.02.05", reference="22096222734662")], Reason.OTHER_SYSTEM),
    ],
)
def test_correlated_afterwards(records: list[SentRecord], expected: Correlation | Reason) -> None:
    """A reply that was routed without a look-up is compared afterwards, with the same result."""
    subject = "[V= DMS4.NL][A= NL123456789.02.05][K=22096222734662][S=0]"
    found = Router(parties=["NL123456789.02.05"]).route(mailbox="dms@htpoort.nl", subject=subject)
    assert isinstance(found, Routed)
    compared = correlate(found, records)

    assert expected == (compared.correlation if isinstance(compared, Routed) else compared.reason)
    assert (found.mailbox, found.envelope) == (compared.mailbox, compared.envelope)
    assert found.body_start == compared.body_start


HEADERS = b"From: %s\r\nSubject: %s\r\n\r\n"


@pytest.mark.parametrize(
    ("sender", "subject", "expected"),
    [
        (b"dms@htpoort.nl", b"[V= DMS4.NL][A= NL123456789.02.05][K=D1][S=0]", 80),
        (b"dms@htpoort.nl", b"[V= DMS4.NL][A= NL123456789.02.05][K=A1][S=0]", 80),
        (b"ags@htpoort.nl", b"[V= DMS4.NL][A= NL123456789.02.05][K=D1][S=0]", 80),
        (b"dms@htpoort.nl", b"[V= DMS4.NL][A= NL123456789.02.05][K=/][S=0]", 79),
        (b"dms@htpoort.nl", b"hello", 40),
        (b"a@b, c@d", b"hello", 34),
    ],
    ids=["routed", "other system", "disagree", "reference", "no envelope", "no mailbox"],
)
def test_the_body_begins_after_the_headers(sender: bytes, subject: bytes, expected: int) -> None:
    """Every result has the offset of the body, so that the headers are not scanned again."""
    raw = HEADERS % (sender, subject) + b"the body\r\n"
    found = ROUTER.route_message(raw)

    assert expected == found.body_start
    assert b"the body\r\n" == raw[found.body_start :]


def test_the_body_of_what_came_from_another_mailbox() -> None:
    """A message whose MAIL FROM disagrees has it too; one that is too large is not read, and a Subject has no body."""
    raw = HEADERS % (b"dms@htpoort.nl", b"[V= DMS4.NL][A= NL123456789.02.05][K=D1][S=0]")
    small = Router(parties=[PARTY], size_limit=10)

    assert 80 == ROUTER.route_message(raw, "ags@htpoort.nl").body_start
    assert 0 == small.route_message(raw).body_start
    assert 0 == ROUTER.route(mailbox="dms@htpoort.nl", subject="hello").body_start
