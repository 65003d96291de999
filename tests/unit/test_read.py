"""`read`: one scan of the header block; every message gives a value that lists what is wrong."""

from __future__ import annotations

import pytest
from strategies import copies

from htpoort import HTPOORT, Quarantined, Reason, Received, Router, RoutingEnvelope, read
from htpoort.core.message import header_texts

LINE = "[V= DMS4.NL][A= NL123456789.02.05][K=22096222734662][S=0]"
FROM = b"From: dms@htpoort.nl\r\n"
SUBJECT = b"Subject: " + LINE.encode() + b"\r\n"
ROUTER = Router(parties=["NL123456789.02.05"])


def spans(received: Received) -> list[tuple[str, int, int]]:
    """Give code and place of what was wrong."""
    return [(problem.code, problem.start, problem.stop) for problem in received.problems]


def reason(raw: bytes) -> Reason:
    """Say why a message is in quarantine."""
    found = ROUTER.route_message(raw)
    assert isinstance(found, Quarantined)
    return found.reason


def test_reply() -> None:
    """A reply gives its mailbox, its Subject, its envelope, and where its body begins."""
    raw = FROM + SUBJECT + b"\r\n<a/>"
    received = read(raw)

    assert "dms@htpoort.nl" == received.mailbox
    assert LINE == received.subject
    assert RoutingEnvelope.parse(LINE) == received.envelope
    assert () == received.problems
    assert (raw, 92, b"<a/>") == (received.raw, received.body_start, received.body)


TAKEN = [
    FROM + SUBJECT + b"\r\n",
    SUBJECT + FROM + b"\r\n",
    (FROM + SUBJECT + b"\r\n").replace(b"\r\n", b"\n"),
    FROM + SUBJECT.replace(b"\r\n", b"\n") + b"\r\n",
    FROM.replace(b"\r\n", b"\n") + SUBJECT + b"\n",
    FROM + SUBJECT.replace(b"\r\n", b"\n") + b"\n\r\n",
    FROM.replace(b"From:", b"FROM:") + SUBJECT.replace(b"Subject:", b"sUBJECT:") + b"\r\n",
    FROM.replace(b": ", b":") + SUBJECT.replace(b": ", b":\t  ").replace(b"\r\n", b" \t\r\n") + b"\r\n",
    FROM.replace(b": ", b":\r\n ") + SUBJECT.replace(b": ", b":\r\n\t") + b"\r\n",
    b"Received: from a\r\n\tby b;\r\n   today\r\n" + FROM + b"To: x\r\n" + SUBJECT + b"Date: now\r\n\r\n",
    b"X-From: a@b\r\nFrom-X: c@d\r\nResent-From: e@f\r\nX-Subject: no\r\nSubject-X: no\r\n" + FROM + SUBJECT + b"\r\n",
    b"X: From: a@b\r\nY: y\r\n From: a@b\r\n Subject: no\r\n" + FROM + SUBJECT + b"\r\n",
    b"~!: x\r\n" + FROM + SUBJECT + b"\r\n",
    b"X: \xff\xfe\xc3\xa9\r\nZ:\r\n" + FROM + SUBJECT + b"\r\n",
    FROM + SUBJECT + b"\r\n" + FROM + SUBJECT,
    FROM + SUBJECT + b"\r\n\0\r\r",
    b"X: " + b"x" * 60_000 + b"\r\n" + FROM + SUBJECT + b"\r\n",
]


@pytest.mark.parametrize("raw", TAKEN, ids=lambda raw: repr(raw[:40]))
def test_taken(raw: bytes) -> None:
    """Line ends of both kinds, folding, any order and case, foreign headers, and any body at all are taken."""
    received = read(raw)

    assert () == received.problems
    assert "dms@htpoort.nl" == received.mailbox
    assert RoutingEnvelope.parse(LINE) == received.envelope


BODIES = [
    (FROM + b"\r\nbody", b"body"),
    (FROM + b"\r\n", b""),
    (b"From: a@b\n\nbody\r\n\r\n", b"body\r\n\r\n"),
    (b"From: a@b\r\n\nbody", b"body"),
    (b"From: a@b\n\r\nbody", b"body"),
    (b"From: a@b\n\n\r\nbody", b"\r\nbody"),
    (b"From: a@b\r\n\r\n\n\nbody", b"\n\nbody"),
    (b"From: a@b\n\n\n\r\n\r\nbody", b"\n\r\n\r\nbody"),
    (b"From: a@b\r\n", b""),
    (b"", b""),
]


@pytest.mark.parametrize(("raw", "body"), BODIES)
def test_body(raw: bytes, body: bytes) -> None:
    """The body begins after the first empty line, with any line ends around it."""
    assert body == read(raw).body


BAD = [
    # what, code, start, stop, the reason
    (b"", "header.no-end", 0, 0, Reason.BAD_HEADER),
    (FROM + SUBJECT, "header.no-end", 90, 90, Reason.BAD_HEADER),
    (FROM + SUBJECT + b"\r", "header.no-end", 91, 91, Reason.BAD_HEADER),
    (b"x" * 65_536, "header.no-end", 65_536, 65_536, Reason.BAD_HEADER),
    (b"x" * 65_537, "header.too-large", 65_536, 65_537, Reason.TOO_LARGE),
    (FROM + SUBJECT + b"X: " + b"x" * 200_000 + b"\r\n\r\n", "header.too-large", 65_536, 200_097, Reason.TOO_LARGE),
    (FROM + SUBJECT + b"X: x\r\n" * 40_000 + b"\r\n", "header.too-large", 65_536, 240_092, Reason.TOO_LARGE),
]


@pytest.mark.parametrize(("raw", "code", "start", "stop", "expected"), BAD, ids=lambda value: repr(value)[:30])
def test_no_header_block(raw: bytes, code: str, start: int, stop: int, expected: Reason) -> None:
    """If the header block does not end within 64 KiB, no header is read."""
    received = read(raw)

    assert [(code, start, stop)] == spans(received)
    assert (None, None, None, len(raw)) == (
        received.mailbox,
        received.subject,
        received.envelope,
        received.body_start,
    )
    assert expected is reason(raw)


@pytest.mark.parametrize(("size", "taken"), [(65_535, True), (65_536, True), (65_537, False), (65_538, False)])
@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
def test_header_limit(end: bytes, size: int, *, taken: bool) -> None:
    """A header block of 65,536 octets is the longest that is read."""
    head = FROM + SUBJECT + b"X: "
    raw = head + b"x" * (size - len(head) - len(end)) + end + end + b"body"

    assert taken is (read(raw).problems == ())
    assert taken is (read(raw).body == b"body")


WRONG = [
    # a whole header block, and everything that is wrong with it
    (b"X: a\0b\r\n", [("header.nul", 4, 5)]),
    (b"X: a\rb\r\n", [("header.bare-cr", 4, 5)]),
    (b"X: a\r\r\n", [("header.bare-cr", 4, 5)]),
    (b"X: a\r\n\rb: c\r\n", [("header.bare-cr", 6, 7), ("header.bad-line", 6, 12)]),
    (b" X: a\r\n", [("header.bad-line", 0, 1)]),
    (b"\tX: a\r\n", [("header.bad-line", 0, 1)]),
    (b"X: a\r\nno header\r\nY: b\r\nno other\r\n", [("header.bad-line", 6, 16)]),
    (b"X: a\nno header\n", [("header.bad-line", 5, 14)]),
    (b"X : a\r\n", [("header.bad-line", 0, 6)]),
    (b": a\r\n", [("header.bad-line", 0, 4)]),
    (b"X\r\n", [("header.bad-line", 0, 2)]),
    (b"X\xc3\xa9: a\r\n", [("header.bad-line", 0, 7)]),
    (b"From dms@htpoort.nl Mon Nov  2 09:05:07 2026\r\n", [("header.bad-line", 0, 45)]),
    (b"X: \0\r\r\nbad\r\n", [("header.nul", 3, 4), ("header.bare-cr", 4, 5), ("header.bad-line", 7, 11)]),
]


@pytest.mark.parametrize(("before", "expected"), WRONG)
def test_bad_header(before: bytes, expected: list[tuple[str, int, int]]) -> None:
    """What two programs may read differently is reported with its place, beside everything else that was read."""
    raw = before + FROM + SUBJECT + b"\r\n"
    received = read(raw)

    assert expected == spans(received)
    assert ("dms@htpoort.nl", LINE) == (received.mailbox, received.subject)
    assert {"RFC 5322"} == {problem.source for problem in received.problems}
    assert Reason.BAD_HEADER is reason(raw)


@pytest.mark.parametrize("raw", [b"\r\n" + FROM + SUBJECT + b"\r\n", b"\n" + FROM + SUBJECT + b"\n"])
def test_empty_header_block(raw: bytes) -> None:
    """If the first line is empty, From and Subject are in the body and do not count."""
    assert ["header.bad-line"] == [code for code, _, _ in spans(read(raw))]
    assert Reason.BAD_HEADER is reason(raw)


MISSING = [
    (SUBJECT, [("from.missing", 0, 0)], Reason.AMBIGUOUS_FROM),
    (FROM, [("subject.missing", 0, 0)], Reason.BAD_SUBJECT),
    (b"X: y\r\n", [("from.missing", 0, 0), ("subject.missing", 0, 0)], Reason.AMBIGUOUS_FROM),
    (FROM + SUBJECT + b"from: a@b\r\n", [("from.repeated", 90, 95)], Reason.AMBIGUOUS_FROM),
    (FROM + FROM + FROM + SUBJECT, [("from.repeated", 22, 27)], Reason.AMBIGUOUS_FROM),
    (FROM + SUBJECT + SUBJECT, [("subject.repeated", 90, 98)], Reason.BAD_SUBJECT),
    (SUBJECT + FROM + b"SUBJECT:\r\n", [("subject.repeated", 90, 98)], Reason.BAD_SUBJECT),
    (
        FROM + SUBJECT + FROM + SUBJECT,
        [("from.repeated", 90, 95), ("subject.repeated", 112, 120)],
        Reason.AMBIGUOUS_FROM,
    ),
    (b"From: x\r\n" + SUBJECT, [("from.ambiguous", 0, 5)], Reason.AMBIGUOUS_FROM),
    (SUBJECT + b"From:\r\n", [("from.ambiguous", 68, 73)], Reason.AMBIGUOUS_FROM),
    (b"X: \0\r\n" + FROM, [("header.nul", 3, 4), ("subject.missing", 0, 0)], Reason.BAD_HEADER),
]


@pytest.mark.parametrize(("head", "expected", "why"), MISSING)
def test_from_and_subject_once(head: bytes, expected: list[tuple[str, int, int]], why: Reason) -> None:
    """From and Subject must occur once; of two, neither counts."""
    raw = head + b"\r\n"

    assert expected == spans(read(raw))
    assert why is reason(raw)


def test_repeated_headers_give_nothing() -> None:
    """Of two From headers none is the mailbox, of two Subjects none has the envelope, even if they are the same."""
    received = read(FROM + FROM + SUBJECT + SUBJECT + b"\r\n")

    assert (None, None, None) == (received.mailbox, received.subject, received.envelope)


SENTENCES = [
    (FROM, "header.no-end", "There is no empty line after the headers."),
    (b"x" * 70_000, "header.too-large", "The header block is longer than 65536 octets."),
    (b"X: \0\r\n\r\n", "header.nul", "There is a NUL in the header block."),
    (b"X: \r \r\n\r\n", "header.bare-cr", "There is a carriage return without a line feed in the header block."),
    (b" X:\r\n\r\n", "header.bad-line", "The header block begins with a continuation line."),
    (b"X:\r\nY\r\n\r\n", "header.bad-line", "A header line has no name and colon."),
    (b"X:\r\n\r\n", "from.missing", "There is no From header."),
    (FROM + FROM + b"\r\n", "from.repeated", "There is a second From header; it is unclear which one counts."),
    (b"From: x\r\n\r\n", "from.ambiguous", "The From header does not hold exactly one plain mailbox."),
    (FROM + b"\r\n", "subject.missing", "There is no Subject header."),
    (
        FROM + SUBJECT + SUBJECT + b"\r\n",
        "subject.repeated",
        "There is a second Subject header; it is unclear which one counts.",
    ),
]


@pytest.mark.parametrize(("raw", "code", "message"), SENTENCES, ids=[code for _, code, _ in SENTENCES])
def test_sentences(raw: bytes, code: str, message: str) -> None:
    """Each problem is one sentence, and cites the standard where the limit is not ours."""
    problem = read(raw).problems[0]

    assert (code, message) == (problem.code, problem.message)
    assert ("" if code == "header.too-large" else "RFC 5322") == problem.source


SUBJECTS = [
    (b"", "", ["envelope.absent"]),
    (b" ~a~ ", "~a~", ["envelope.absent"]),
    (b" Out of office\r\n today ", "Out of office\r\n today", ["envelope.absent"]),
    (b" [V=a\xff][A=b][K=c][S=0]", "[V=a\ufffd][A=b][K=c][S=0]", ["envelope.value-character"]),
    ("[V=\u00e9][A=b][K=c][S=0]".encode(), "[V=\u00e9][A=b][K=c][S=0]", ["envelope.value-character"]),
    (b" [V=a][A=b][K=c]", "[V=a][A=b][K=c]", ["envelope.key-missing"]),
    (b" " + b"x" * 5_000, "x" * 5_000, ["envelope.too-long"]),
]


@pytest.mark.parametrize(("value", "subject", "codes"), SUBJECTS)
def test_subject_without_envelope(value: bytes, subject: str, codes: list[str]) -> None:
    """A Subject without a valid envelope is returned unchanged, with the reader's problems and no envelope."""
    received = read(FROM + b"Subject:" + value + b"\r\n\r\n")

    assert subject == received.subject
    assert codes == [problem.code for problem in received.problems]
    assert received.envelope is None
    assert "dms@htpoort.nl" == received.mailbox


FOLDED = [
    b"Subject:\r\n [V= DMS4.NL][A= NL123456789.02.05][K=22096222734662][S=0]\r\n",
    b"Subject: [V= DMS4.NL]\r\n [A= NL123456789.02.05]\r\n\t[K=22096222734662][S=0]\r\n",
    b"Subject: [V=\n DMS4.NL][A=\n NL123456789.02.05][K=22096222734662][S=0]\n",
    (
        b"Subject: Re: =?utf-8?q?=5BV=3DDMS4=2ENL=5D?=\r\n =?us-ascii?b?W0E9TkwxMjM0NTY3ODkuMDIuMDVd?=\r\n"
        b" =?iso-8859-1?Q?=5BK=3D22096222734662=5D=5BS=3D0=5D?=\r\n"
    ),
]


@pytest.mark.parametrize("header", FOLDED)
def test_folded_and_encoded(header: bytes) -> None:
    """A folded or encoded Subject routes as the plain one does."""
    raw = FROM + header + b"\r\n"

    assert RoutingEnvelope.parse(LINE) == read(raw).envelope
    assert HTPOORT.system("DMS") is ROUTER.route_message(raw).system  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("raw", "name", "expected"),
    [
        (b"Subject: hello\r\n\r\nSubject: no\r\n", "Subject", "hello"),
        (b"Subject: hello\r\n\r\n", "From", ""),
        (b"subject:a\n\tb\nFROM: c\n\n", "Subject", "a\tb"),
        (b"Subject: =?utf-8?b?Q2Fmw6k=?= \xff\r\n\r\n", "Subject", "Caf\u00e9 \ufffd"),
        (b"Subject: 1\r\nSubject: 2\r\nX: y\r\nSubject: 3\r\nSubject: 4\r\n\r\n", "Subject", "1 | 2 | 3"),
        (b"Subject: without an end", "Subject", "without an end"),
        (b"", "Subject", ""),
        (b"Subject: " + b"a" * 200 + b"\r\n\r\n", "Subject", "a" * 200),
        (b"Subject: " + b"a" * 201 + b"\r\n\r\n", "Subject", "a" * 199 + "\u2026"),
        (b"Subject: a" + b"\r\n b" * 200_000, "Subject", ("a" + " b" * 100)[:199] + "\u2026"),
        (b"X: y\r\n" * 20_000 + b"Subject: late\r\n\r\n", "Subject", ""),
    ],
    ids=range(11),
)
def test_a_header_for_a_person(raw: bytes, name: str, expected: str) -> None:
    """Any message has one readable line for a header: of a bounded length, and from its header block alone."""
    assert (expected, "") == header_texts(raw, name, "X-None")


def test_pickle_copy_and_repr() -> None:
    """What was received survives pickle and copy; `repr` leaves the message out."""
    received = read(FROM + SUBJECT + b"\r\nsecret")

    for other in copies(received):
        assert (received, b"secret") == (other, other.body)
    assert "secret" not in repr(received)
