"""RoutingEnvelope: what it takes, what it forgives, what it refuses, and where it points."""

from __future__ import annotations

from dataclasses import dataclass

import attrs
import pytest
from strategies import copies

from htpoort import EnvelopeError, InputError, RoutingEnvelope

LONG = "a" * 257


def spans(problems: object) -> list[tuple[str, int, int]]:
    """Give code and place of problems."""
    return [(problem.code, problem.start, problem.stop) for problem in problems]  # type: ignore[attr-defined]


def refusal(text: str, *, strict: bool = False) -> EnvelopeError:
    """Parse what must be refused."""
    with pytest.raises(EnvelopeError) as caught:
        RoutingEnvelope.parse(text, strict=strict)
    return caught.value


REFUSED = [
    ("", [("envelope.absent", 0, 0)]),
    ("Out of office", [("envelope.absent", 0, 13)]),
    ("[V]=a", [("envelope.absent", 0, 5)]),
    ("[X=1]", [("envelope.absent", 0, 5)]),
    ("[\uff36=a]", [("envelope.absent", 0, 5)]),
    ("[V=a][A=b][K=c]", [("envelope.key-missing", 15, 15)]),
    ("[V=a][K=c][S=0] tail", [("envelope.key-missing", 15, 15)]),
    (
        "x [V=a]",
        [("envelope.key-missing", 7, 7), ("envelope.key-missing", 7, 7), ("envelope.key-missing", 7, 7)],
    ),
    ("[V=a][A=b][K=c][K=d][S=0]", [("envelope.key-repeated", 15, 20)]),
    ("[V=a][A=b][K=c][S=0][k=c]", [("envelope.key-repeated", 20, 25)]),
    ("[K=1][V=a][A=b][K=2][S=0][K=3]", [("envelope.key-repeated", 15, 20), ("envelope.key-repeated", 25, 30)]),
    ("[V=a][V=b]", [*[("envelope.key-missing", 10, 10)] * 3, ("envelope.key-repeated", 5, 10)]),
    ("[V=a][A=b][K=c][S=0][V=a][A=b][K=c][S=0]", [("envelope.two", 20, 40)]),
    ("[V=a][A=b][K=c][S=0] / [v=d][a=e][k=f][s=1]!", [("envelope.two", 23, 43)]),
    ("[V=a][A=b][K=c][S=0][S=0][K=c][A=b][V=a]", [("envelope.two", 20, 40)]),
    ("[V=a][V=a][A=b][A=b][K=c][K=c][S=0][S=0]", [("envelope.two", 5, 40)]),
    ("[V=][A=b][K=c][S=0]", [("envelope.value-empty", 3, 3)]),
    ("[V=a][A=b][K=  ][S=0]", [("envelope.value-empty", 15, 15)]),
    (f"[V={LONG}][A=b][K=c][S=0]", [("envelope.value-too-long", 3, 260)]),
    (f"[V=a][A= {LONG} ][K=c][S=0]", [("envelope.value-too-long", 9, 266)]),
    ("[V=a\tb][A=b][K=c][S=0]", [("envelope.value-character", 4, 5)]),
    ("[V=a][A=b][K= c\x00][S=0]", [("envelope.value-character", 15, 16)]),
    ("[V=a][A=b][K=c\r\nd][S=0]", [("envelope.value-character", 14, 15), ("envelope.value-character", 15, 16)]),
    ("[V=\u00e9][A=b][K=\u212a][S=\uff10]", [("envelope.value-character", at, at + 1) for at in (3, 13, 18)]),
    ("[V=a][A=b][K=c\x7f][S=0]", [("envelope.value-character", 14, 15)]),
    ("[V=a[A=b][K=c][S=0]", [("envelope.unclosed", 0, 4)]),
    ("[V=a][A=b][K=c][S=0", [("envelope.unclosed", 15, 19)]),
    ("[V=[x]][A=b][K=c][S=0]", [("envelope.value-empty", 3, 3), ("envelope.unclosed", 0, 3)]),
    (
        f"[V=][A={LONG[:254]}\u00e9\u00e9\u00e9][K=c][K=d",
        [
            ("envelope.key-missing", 274, 274),
            ("envelope.key-repeated", 270, 274),
            ("envelope.value-empty", 3, 3),
            ("envelope.value-too-long", 7, 264),
            ("envelope.value-character", 261, 262),
            ("envelope.value-character", 262, 263),
            ("envelope.value-character", 263, 264),
            ("envelope.unclosed", 270, 274),
        ],
    ),
    # A word of a character set that is not decoded here, without blanks around it, broken, or encoded twice.
    ("=?iso-8859-2?q?a?= [V=a][A=b][K=c][S=0]", [("envelope.unread-word", 0, 18)]),
    ("=?x-unknown?b?W1Y9YV0=?= [V=a][A=b][K=c][S=0]", [("envelope.unread-word", 0, 24)]),
    ("=?utf-7?q?+AFs-V?= [V=a][A=b][K=c][S=0]", [("envelope.unread-word", 0, 18)]),
    ("x=?utf-8?q?a?= [V=a][A=b][K=c][S=0]", [("envelope.unread-word", 1, 14)]),
    ("Re: =?utf-8?q?=5BX=3D1=5D?=[s=0] [K=c] [A=b][V=a]", [("envelope.unread-word", 4, 32)]),
    ("=?utf-8?q?a?==?utf-8?q?b?= [V=a][A=b][K=c][S=0]", [("envelope.unread-word", 0, 26)]),
    ("=?utf-8?q?a b?= [V=a][A=b][K=c][S=0]", [("envelope.unread-word", 0, 11)]),
    ("=?utf-8?q?a [V=a][A=b][K=c][S=0]", [("envelope.unread-word", 0, 11)]),
    ("=\t ?utf-8?q?a?= [V=a][A=b][K=c][S=0]", [("envelope.unread-word", 0, 15)]),
    ("=?utf-8?q?=FF?= [V=a][A=b][K=c][S=0]", [("envelope.unread-word", 0, 15)]),
    ("=?utf-8?q?a=?= [V=a][A=b][K=c][S=0]", [("envelope.unread-word", 0, 14)]),
    ("=?utf-8?q?[X=31]?= [V=a][A=b][K=c][S=0]", [("envelope.unread-word", 0, 18)]),
    ("=?utf-8?b?!W1Y9?= [V=a][A=b][K=c][S=0]", [("envelope.unread-word", 0, 17)]),
    ("=?utf-8?x?a?= [V=a][A=b][K=c][S=0]", [("envelope.unread-word", 0, 13)]),
    ("[V= a][A= b][K==?utf-8?q?=5D=5BA=3Dx=5D=5BK=3D?=][S=0]", [("envelope.unread-word", 15, 54)]),
    ("=?iso-8859-2?q?=5BV=3Da=5D?=", [("envelope.absent", 0, 28), ("envelope.unread-word", 0, 28)]),
    # A control or non-ASCII character in a group that is none of the four for us, and may be for others.
    ("[V\xa0=x][V=a][A=b][K=c][S=0]", [("envelope.group-character", 2, 3)]),
    ("[\x01V=x][V=a][A=b][K=c][S=0]", [("envelope.group-character", 1, 2)]),
    ("[V=a][A=b][K=c][S=0][\uff36=x]", [("envelope.group-character", 21, 22)]),
    ("[V=a][A=b][K=c][S=0][X=\u200b1\u200b]", [("envelope.group-character", 23, 24)]),
    ("[V=a][A=b][K=c][S=0] [A\u200b=x", [("envelope.group-character", 23, 24)]),
    ("[V=a][A=b][K=c][S=0] [A\x7f=x] [\xe9=1]", [("envelope.group-character", at, at + 1) for at in (23, 29)]),
    ("x" * 4_097, [("envelope.too-long", 4_096, 4_097)]),
    ("[V=a][A=b][K=c][S=0]" + " " * 4_980, [("envelope.too-long", 4_096, 5_000)]),
]


@pytest.mark.parametrize(("text", "expected"), REFUSED)
def test_refused(text: str, expected: list[tuple[str, int, int]]) -> None:
    """What is no envelope is refused with every problem at its place, in a fixed order."""
    error = refusal(text)

    assert expected == spans(error.problems)
    assert text == error.text


DECODED_AND_REFUSED = [
    # Encoded twice; beside one that is decoded; a control character in a word.
    (
        "=?utf-8?q?=3D=3Futf-8=3Fq=3Fa=3F=3D?= [V=a][A=b][K=c][S=0]",
        "=?utf-8?q?a?= [V=a][A=b][K=c][S=0]",
        [("envelope.unread-word", 0, 13)],
    ),
    (
        "=?utf-8?q?a?= =?big5?q?b?= [V=a][A=b][K=c][S=0]",
        "a =?big5?q?b?= [V=a][A=b][K=c][S=0]",
        [("envelope.unread-word", 2, 14)],
    ),
    (
        "[V=a][A=b][K=c][S=0] =?utf-8?q?=5BV=0D=3Dx=5D?=",
        "[V=a][A=b][K=c][S=0] [V\r=x]",
        [("envelope.group-character", 23, 24)],
    ),
]


@pytest.mark.parametrize(("text", "decoded", "expected"), DECODED_AND_REFUSED)
def test_refused_after_decoding(text: str, decoded: str, expected: list[tuple[str, int, int]]) -> None:
    """What only shows when words are decoded is refused too; places count in the decoded text."""
    error = refusal(text)

    assert (decoded, expected) == (error.text, spans(error.problems))


SENTENCES = [
    (
        "x=?utf-8?q?a?= [V=a][A=b][K=c][S=0]",
        ["An encoded word cannot be decoded reliably; another program may read another envelope in it."],
    ),
    (
        "[V\xa0=x][V=a][A=b][K=c][S=0]",
        ["A bracket group holds U+00A0; another program may read another envelope in it."],
    ),
    ("Out of office", ["There is no [V=…][A=…][K=…][S=…] in this text."]),
    (
        "[X=1] [Y=2][v=3",
        [
            "The key A (the addressee) is missing.",
            "The key K (the reference) is missing.",
            "The key S (always 0 so far) is missing.",
            "The bracket of V is not closed.",
        ],
    ),
    ("[A=b][K=c][S=0]", ["The key V (the sender) is missing."]),
    ("[V=a][A=b][K=c][K=d][K=e][S=0]", ["The key K appears 3 times."] * 2),
    ("[V=a][A=b][K=c][S=0]" * 2, ["There are two envelopes; it is unclear which one counts."]),
    ("[V=a][A=b][K=][S=0]", ["The value of K is empty."]),
    (f"[V=a][A={LONG}][K=c][S=0]", ["The value of A has 257 characters; at most 256 are accepted."]),
    (
        "[V=a][A=b][K=c][S=\n]",
        ["The value of S holds U+000A; only printable ASCII without brackets is accepted."],
    ),
    ("x" * 5_000, ["The text has 5000 characters; at most 4096 are read."]),
]


@pytest.mark.parametrize(("text", "expected"), SENTENCES)
def test_refusal_lists_what_is_wrong(text: str, expected: list[str]) -> None:
    """Each problem is one sentence that names the key, the number or the character."""
    assert expected == [problem.message for problem in refusal(text).problems]


SHOWN = [
    (
        "[V=a][A=b][K=c]",
        "The key S (always 0 so far) is missing.\n  [V=a][A=b][K=c]\n                 ^",
    ),
    (
        "[V=a][A=b][K=c][K=d][S=0]",
        "The key K appears 2 times.\n  [V=a][A=b][K=c][K=d][S=0]\n                 ^^^^^",
    ),
    (
        "[V=\u00e9][A=b][K=][S=0]",
        (
            "The value of V holds U+00E9; only printable ASCII without brackets is accepted.\n"
            "  [V=\N{REPLACEMENT CHARACTER}][A=b][K=][S=0]\n"
            "     ^\n"
            "The value of K is empty.\n"
            "  [V=\N{REPLACEMENT CHARACTER}][A=b][K=][S=0]\n"
            "               ^"
        ),
    ),
    (
        "[V=a\x1b[2J][A=b][K=c][S=0]",
        (
            "The value of V holds U+001B; only printable ASCII without brackets is accepted.\n"
            "  [V=a\N{REPLACEMENT CHARACTER}[2J][A=b][K=c][S=0]\n"
            "      ^\n"
            "The bracket of V is not closed.\n"
            "  [V=a\N{REPLACEMENT CHARACTER}[2J][A=b][K=c][S=0]\n"
            "  ^^^^^"
        ),
    ),
]


@pytest.mark.parametrize(("text", "expected"), SHOWN)
def test_refusal_shows_the_place(text: str, expected: str) -> None:
    """`str` of the error is the sentence, the line without control characters, and a caret under the place."""
    assert expected == str(refusal(text))


@dataclass(frozen=True)
class Forgiven:
    """A text that is accepted, its values, and its notes."""

    text: str
    values: tuple[str, str, str, str]
    notes: list[tuple[str, int, int]]


ABC0 = ("a", "b", "c", "0")
RE_NOTES = [("envelope.encoded-word", 0, 24), ("envelope.text-around", 0, 4)]
EXTERN_NOTES = [("envelope.encoded-word", 0, 33), ("envelope.text-around", 0, 13)]
FORGIVEN = [
    Forgiven("[V=a][A=b][K=c][S=0]", ABC0, []),
    Forgiven("[V= a][A=b][K=c][S=0]", ABC0, [("envelope.blank", 0, 21)]),
    Forgiven("[V=a ][A=b][K=c][S=0]", ABC0, [("envelope.blank", 0, 21)]),
    Forgiven("[ V=a][A=b][K=c][S=0]", ABC0, [("envelope.blank", 0, 21)]),
    Forgiven("[V\t=a][A=b][K=c][S=0]", ABC0, [("envelope.blank", 0, 21)]),
    Forgiven("[V=a] [A=b][K=c][S=0]", ABC0, [("envelope.blank", 0, 21)]),
    Forgiven(" [V=a][A=b][K=c][S=0]", ABC0, [("envelope.blank", 0, 21)]),
    Forgiven("[V=a][A=b][K=c][S=0]\t", ABC0, [("envelope.blank", 0, 21)]),
    Forgiven(" [ V = a ] [ A = b ][\tK\t=\tc\t][S=0] ", ABC0, [("envelope.blank", 0, 35)]),
    Forgiven(
        "[v=a][a=b][k=c][s=0]",
        ABC0,
        [("envelope.key-case", at, at + 1) for at in (1, 6, 11, 16)],
    ),
    Forgiven("[V=a][A=b][ k=c][S=0]", ABC0, [("envelope.key-case", 12, 13), ("envelope.blank", 0, 21)]),
    Forgiven("[S=0][K=c][A=b][V=a]", ABC0, [("envelope.key-order", 0, 20)]),
    Forgiven("[V=a][K=c][A=b][S=0]", ABC0, [("envelope.key-order", 0, 20)]),
    Forgiven("Re: [V=a][A=b][K=c][S=0]", ABC0, [("envelope.text-around", 0, 4)]),
    Forgiven("[V=a][A=b][K=c][S=0] [EXTERN]", ABC0, [("envelope.text-around", 20, 29)]),
    Forgiven("[V=a]-[A=b][K=c][S=0]", ABC0, [("envelope.text-around", 5, 6)]),
    Forgiven("[V=a]~[A=b][K=c][S=0]", ABC0, [("envelope.text-around", 5, 6)]),
    Forgiven("[V=~a~] [A=b][K=~][S=0]", ("~a~", "b", "~", "0"), [("envelope.blank", 0, 23)]),
    Forgiven("[V=a][A=b][K=c][S=0]\n", ABC0, [("envelope.text-around", 20, 21)]),
    Forgiven("[V=a]][A=b][K=c][S=0]", ABC0, [("envelope.text-around", 5, 6)]),
    Forgiven("[X=1][V=a][A=b][K=c][S=0]", ABC0, [("envelope.key-unknown", 0, 5)]),
    Forgiven("[V=a][A=b][K=c][Kenmerk=d][S=0]", ABC0, [("envelope.key-unknown", 15, 26)]),
    Forgiven("[V=a][A=b][K=c][x=][S=0]", ABC0, [("envelope.key-unknown", 15, 19)]),
    Forgiven(
        "[V=a]\r\n [A=b][K=c][S=0]",
        ABC0,
        [("envelope.folded", 0, 21), ("envelope.blank", 0, 21)],
    ),
    Forgiven("[V=a\n b][A=b][K=c][S=0]", ("a b", "b", "c", "0"), [("envelope.folded", 0, 22)]),
    Forgiven("=?utf-8?q?=5BV=3Da=5D=5BA=3Db=5D=5BK=3Dc=5D=5BS=3D0=5D?=", ABC0, [("envelope.encoded-word", 0, 20)]),
    Forgiven(
        "=?us-ascii?B?W1Y9YV1bQT1iXQ==?=\r\n\t=?ISO-8859-1*nl?b?W0s9Y11bUz0wXQ?=",
        ABC0,
        [("envelope.folded", 0, 20), ("envelope.encoded-word", 0, 20)],
    ),
    Forgiven(
        "Re: =?utf-8?q?=5BX=3D1=5D?= [s=0] [K=c] [A=b][V=a]",
        ABC0,
        [
            ("envelope.encoded-word", 0, 32),
            ("envelope.key-unknown", 4, 9),
            ("envelope.key-case", 11, 12),
            ("envelope.key-order", 4, 32),
            ("envelope.text-around", 0, 4),
            ("envelope.blank", 0, 32),
        ],
    ),
    Forgiven("[EXT\xc9RIEUR] [V=a][A=b][K=c][S=0]", ABC0, [("envelope.text-around", 0, 12)]),
    Forgiven("=?utf-8?q?R=C3=A9:?= [V=a][A=b][K=c][S=0]", ABC0, RE_NOTES),
    Forgiven("=?utf-8?q?[EXTERN]_R=C3=A9:?= [V=a][A=b][K=c][S=0]", ABC0, EXTERN_NOTES),
    Forgiven("=?utf-8?q?[V=3Da][A=3Db][K=3Dc][S=3D0]?=", ABC0, [("envelope.encoded-word", 0, 20)]),
    Forgiven("[V=a][A=b][X=\t1][K=c][S=0]", ABC0, [("envelope.key-unknown", 10, 16)]),
    Forgiven('[V=a b  c][A=!\\"][K=~^][S=0]', ("a b  c", '!\\"', "~^", "0"), []),
    Forgiven("[V=a=b][A==][K=c][S=0]", ("a=b", "=", "c", "0"), []),
    Forgiven("[V=a][A=b][K=c][S=zero]", ("a", "b", "c", "zero"), []),
    Forgiven(f"[V={LONG[:256]}][A=b][K=c][S=0]", (LONG[:256], "b", "c", "0"), []),
    Forgiven(f"[V= {LONG[:256]}][A=b][K=c][S=0]", (LONG[:256], "b", "c", "0"), [("envelope.blank", 0, 276)]),
    Forgiven(
        "[V=a =?utf-8?q?x?= y][A=b][K=c][S=0]",
        ("a =?utf-8?q?x?= y", "b", "c", "0"),
        [],
    ),
    Forgiven("x" * 4_076 + "[V=a][A=b][K=c][S=0]", ABC0, [("envelope.text-around", 0, 4_076)]),
]


@pytest.mark.parametrize("case", FORGIVEN, ids=lambda case: repr(case.text[:60]))
def test_forgiven(case: Forgiven) -> None:
    """A text with a certain meaning is accepted, and each thing that was forgiven is noted at its place."""
    envelope = RoutingEnvelope.parse(case.text)

    assert case.values == (envelope.sender, envelope.addressee, envelope.reference, envelope.s)
    assert case.notes == spans(envelope.notes)
    assert case.text == envelope.raw


@pytest.mark.parametrize("case", [case for case in FORGIVEN if case.notes], ids=lambda case: repr(case.text[:60]))
def test_strict_refuses_what_is_noted(case: Forgiven) -> None:
    """The strict reader refuses with the very notes of the tolerant one."""
    assert case.notes == spans(refusal(case.text, strict=True).problems)


@pytest.mark.parametrize("case", [case for case in FORGIVEN if not case.notes], ids=lambda case: repr(case.text[:60]))
def test_strict_takes_what_is_canonical(case: Forgiven) -> None:
    """The strict reader takes what the writer emits, and only that."""
    assert case.text == RoutingEnvelope.parse(case.text, strict=True).render()


def test_strict_reports_problems_and_notes() -> None:
    """An error holds all problems; the strict reader also reports what the lenient one would forgive."""
    assert [("envelope.key-missing", 15, 15), ("envelope.key-case", 1, 2)] == spans(
        refusal("[v=a][A=b][K=c]", strict=True).problems
    )
    assert [("envelope.key-missing", 15, 15)] == spans(refusal("[v=a][A=b][K=c]").problems)


def test_strict_reports_nothing_about_what_is_absent() -> None:
    """Where there is no whole envelope, order and text around it are no matter."""
    assert [("envelope.key-missing", 19, 19)] == spans(refusal("Re: [A=b][V=a][S=0] ", strict=True).problems)


NOTE_SENTENCES = [
    ("[V= a][A=b][K=c][S=0]", ["There are blanks around keys, values or brackets."]),
    ("[v=a][A=b][K=c][S=0]", ["The key v is in lower case."]),
    ("[A=b][V=a][S=0][K=c]", ["The keys are in the order A V S K."]),
    (
        "[V=a][k=c][X=1][A=b][S=0]",
        [
            "The key k is in lower case.",
            "The key X is not known.",
            "The keys are in the order V K A S.",
        ],
    ),
    ("Re: [V=a][A=b][K=c][S=0]", ["There is text beside the envelope."]),
    ("[Xy=1][V=a][A=b][K=c][S=0]", ["The key Xy is not known."]),
    ("[V=a]\n [A=b][K=c][S=0]", ["The Subject was folded.", "There are blanks around keys, values or brackets."]),
    ("=?utf-8?b?W1Y9YV1bQT1iXVtLPWNdW1M9MF0=?=", ["The Subject was in encoded words."]),
]


@pytest.mark.parametrize(("text", "expected"), NOTE_SENTENCES)
def test_note_describes_what_was_forgiven(text: str, expected: list[str]) -> None:
    """Each note is one sentence."""
    assert expected == [note.message for note in RoutingEnvelope.parse(text).notes]


def test_notes_and_raw_do_not_count() -> None:
    """Two envelopes with the same values are equal and hash alike, however they were written."""
    written = RoutingEnvelope(sender="a", addressee="b", reference="c")
    read = RoutingEnvelope.parse("Re: [v= a][A=b][K=c][S=0]")

    assert written == read
    assert hash(written) == hash(read)
    assert read.notes != written.notes
    assert read.raw != written.raw


@pytest.mark.parametrize("field", ["sender", "addressee", "reference", "s"])
def test_every_value_counts(field: str) -> None:
    """Two envelopes that differ in one value are not equal; K and the others compare exactly."""
    envelope = RoutingEnvelope(sender="a", addressee="b", reference="c", s="d")

    assert envelope != attrs.evolve(envelope, **{field: getattr(envelope, field).upper()})


def test_s_is_zero_unless_given() -> None:
    """S is 0 where nothing is given, the only value ever seen."""
    assert "0" == RoutingEnvelope(sender="a", addressee="b", reference="c").s


def test_is_frozen() -> None:
    """An envelope never changes."""
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        RoutingEnvelope(sender="a", addressee="b", reference="c").sender = "x"  # type: ignore[misc]


def test_repr_shows_the_four_values() -> None:
    """`repr` shows V, A, K and S, and can be typed back."""
    assert "RoutingEnvelope(sender='a', addressee='b', reference='c', s='0')" == repr(
        RoutingEnvelope.parse("Re: [v=a][A=b][K=c][S=0]")
    )


@pytest.mark.parametrize("text", ["[V=a][A=b][K=c][S=0]", "[V= a][A=b][K=c][S=0]", "Re: [V=a][A=b][K=c][S=0]"])
def test_pickle_and_copy(text: str) -> None:
    """An envelope survives pickle and copy with what was read and noted."""
    envelope = RoutingEnvelope.parse(text)

    for other in copies(envelope):
        assert (envelope, envelope.raw, envelope.notes) == (other, other.raw, other.notes)


@pytest.mark.parametrize("text", [text for text, _ in REFUSED])
def test_find_gives_none(text: str) -> None:
    """`find` gives None where `parse` raises."""
    assert RoutingEnvelope.find(text) is None


@pytest.mark.parametrize("text", [case.text for case in FORGIVEN])
def test_find_gives_the_envelope(text: str) -> None:
    """`find` gives what `parse` gives, notes and all."""
    found = RoutingEnvelope.find(text)

    assert found is not None
    assert (RoutingEnvelope.parse(text), RoutingEnvelope.parse(text).notes) == (found, found.notes)


BAD_VALUES = [
    ("", [("envelope.value-empty", 0, 0)], "The value of {} is empty."),
    (
        LONG,
        [("envelope.value-too-long", 0, 257)],
        "The value of {} has 257 characters; at most 256 are accepted.",
    ),
    (" a", [("envelope.value-blank", 0, 2)], "The value of {} has a blank at an end."),
    ("a ", [("envelope.value-blank", 0, 2)], "The value of {} has a blank at an end."),
    (
        "ab]c",
        [("envelope.value-character", 2, 3)],
        "The value of {} holds U+005D; only printable ASCII without brackets is accepted.",
    ),
    (
        "a]~",
        [("envelope.value-character", 1, 2)],
        "The value of {} holds U+005D; only printable ASCII without brackets is accepted.",
    ),
    (
        "[",
        [("envelope.value-character", 0, 1)],
        "The value of {} holds U+005B; only printable ASCII without brackets is accepted.",
    ),
    (
        "a\n",
        [("envelope.value-character", 1, 2)],
        "The value of {} holds U+000A; only printable ASCII without brackets is accepted.",
    ),
    (
        "\u212a",
        [("envelope.value-character", 0, 1)],
        "The value of {} holds U+212A; only printable ASCII without brackets is accepted.",
    ),
]
FIELDS = [("sender", "V"), ("addressee", "A"), ("reference", "K"), ("s", "S")]


@pytest.mark.parametrize(("field", "key"), FIELDS)
@pytest.mark.parametrize(("value", "expected", "sentence"), BAD_VALUES)
def test_constructor_refuses(
    field: str, key: str, value: str, expected: list[tuple[str, int, int]], sentence: str
) -> None:
    """The constructor refuses what the reader would not give back, and names the key."""
    with pytest.raises(InputError) as caught:
        RoutingEnvelope(**{"sender": "a", "addressee": "b", "reference": "c", "s": "0", field: value})

    assert expected == spans(caught.value.problems)
    assert [sentence.format(key)] == [problem.message for problem in caught.value.problems]
    assert value == caught.value.text


@pytest.mark.parametrize(("field", "key"), FIELDS)
def test_constructor_refuses_other_types(field: str, key: str) -> None:
    """A value that is no text is refused by the field's name and its key."""
    with pytest.raises(InputError) as caught:
        RoutingEnvelope(**{"sender": "a", "addressee": "b", "reference": "c", "s": "0", field: 5})  # type: ignore[arg-type]

    assert [("input.type", 0, 0)] == spans(caught.value.problems)
    assert f"{field} ({key}) is int; give a str." == str(caught.value)


def test_constructor_reports_everything() -> None:
    """All values are judged at once; with two of them at fault no caret is drawn, because it could be of either."""
    with pytest.raises(InputError) as caught:
        RoutingEnvelope(sender="", addressee=None, reference="a]\u00e9 ", s=" 0")  # type: ignore[arg-type]

    assert [
        ("envelope.value-empty", 0, 0),
        ("input.type", 0, 0),
        ("envelope.value-character", 1, 2),
        ("envelope.value-character", 2, 3),
        ("envelope.value-blank", 0, 4),
        ("envelope.value-blank", 0, 2),
    ] == spans(caught.value.problems)
    assert not caught.value.text
    assert "^" not in str(caught.value)


def test_constructor_points_into_the_one_value() -> None:
    """With one wrong value, the caret is under its character."""
    with pytest.raises(InputError) as caught:
        RoutingEnvelope(sender="a", addressee="b", reference="ab]c")

    assert "The value of K holds U+005D; only printable ASCII without brackets is accepted.\n  ab]c\n    ^" == str(
        caught.value
    )
