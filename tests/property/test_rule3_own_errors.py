"""Rule 3: any text or bytes give a value or an error of htpoort, in linear time."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from hypothesis import example, given, strategies as st
from strategies import NOON, PRINTABLE, hostile_texts, reply
from work import work

from htpoort import (
    DMS,
    HTPOORT,
    DeclarationSystem,
    Directory,
    EnvelopeError,
    HtpoortError,
    InputError,
    PartyId,
    Quarantined,
    Received,
    Routed,
    Router,
    RoutingEnvelope,
    Submission,
    UnknownError,
    build,
    read,
)
from htpoort.core import _headers, grammar
from htpoort.testing.strategies import references, routing_envelopes

ROUTER = Router(parties=["NL123456789.02.05"], sent=lambda _: None)

texts = hostile_texts | st.text() | st.text(st.characters(max_codepoint=0x7F))
octets = st.binary() | texts.map(lambda text: text.encode("utf-8", "surrogatepass"))
anything = (
    st.none() | st.booleans() | st.integers() | st.binary(max_size=9) | texts | st.lists(st.integers(), max_size=2)
)


@st.composite
def mutants(draw: st.DrawFn) -> bytes:
    """Draw a genuine reply with a few of its octets changed, cut out or put in."""
    raw = bytearray(reply())
    for _ in range(draw(st.integers(1, 6))):
        start = draw(st.integers(0, len(raw)))
        stop = start + draw(st.integers(0, 3))
        raw[start:stop] = draw(octets)[:12]
    return bytes(raw)


def result(call: Callable[[], object]) -> object:
    """Give what a call gives, or the error of ours that it raises; every other error passes."""
    try:
        return call()
    except HtpoortError as error:
        return error


def outcome(call: Callable[[], object]) -> type:
    """Say what a call gives, or which error of ours it raises."""
    found = result(call)
    assert str(found)
    assert repr(found)
    return type(found)


class TestRule3OwnErrors:
    """Any text or bytes give a value or an HtpoortError; reader functions that promise a value: always the value."""

    @given(text=texts, strict=st.booleans())
    def test_parse(self, text: str, *, strict: bool) -> None:
        """`parse` gives an envelope or an EnvelopeError whose places lie inside its text."""
        found = result(lambda: RoutingEnvelope.parse(text, strict=strict))

        if isinstance(found, EnvelopeError):
            assert found.problems
            assert all(0 <= problem.start <= problem.stop <= len(found.text) for problem in found.problems)
            assert len(str(found)) <= 300 * len(found.problems)
        else:
            assert isinstance(found, RoutingEnvelope)
            assert text == found.raw
            assert not (strict and found.notes)

    @given(texts)
    def test_find(self, text: str) -> None:
        """`find` gives None exactly where `parse` raises."""
        parsed = outcome(lambda: RoutingEnvelope.parse(text))

        assert (parsed is RoutingEnvelope) is (RoutingEnvelope.find(text) is not None)
        assert parsed in {RoutingEnvelope, EnvelopeError}

    @given(routing_envelopes(), st.sampled_from(["sender", "addressee", "reference", "s"]), anything)
    def test_envelope(self, envelope: RoutingEnvelope, field: str, value: object) -> None:
        """The constructor takes what round-trips and refuses the rest, of whatever type."""
        values = {"sender": envelope.sender, "addressee": envelope.addressee, "reference": envelope.reference}
        found = outcome(lambda: RoutingEnvelope(**{**values, field: value}))  # type: ignore[arg-type]

        assert found in {RoutingEnvelope, InputError}

    @given(octets | mutants())
    @example(b"")
    @example(reply())
    def test_read(self, raw: bytes) -> None:
        """`read` gives a value for any bytes, with every problem in place."""
        received = read(raw)

        assert isinstance(received, Received)
        assert raw == received.raw
        assert raw.endswith(received.body)
        spans = [len(raw)] * len(received.problems)
        if received.subject is not None:
            spans = [
                len(_headers.decode(_headers.unfold(received.subject)))
                if found.code.startswith("envelope.")
                else len(raw)
                for found in received.problems
            ]
        for found, size in zip(received.problems, spans, strict=True):
            assert 0 <= found.start <= found.stop <= max(size, len(received.subject or ""))

    @given(octets | mutants(), st.none() | texts)
    @example(reply(), None)
    @example(reply(), "dms@htpoort.nl")
    def test_route_message(self, raw: bytes, mail_from: str | None) -> None:
        """`route_message` gives a decision for any bytes and any MAIL FROM."""
        found = ROUTER.route_message(raw, mail_from=mail_from)

        assert isinstance(found, (Routed, Quarantined))
        assert isinstance(found, Routed) or (found.problems and found.reason)

    @given(texts, texts)
    def test_route(self, mailbox: str, subject: str) -> None:
        """`route` gives a decision for any two texts."""
        assert isinstance(ROUTER.route(mailbox=mailbox, subject=subject), (Routed, Quarantined))

    @given(texts)
    def test_party(self, text: str) -> None:
        """A text is a party ID or an InputError, and `covers` always answers."""
        found = outcome(lambda: PartyId.parse(text))

        assert found in {PartyId, InputError}
        assert found is PartyId or PartyId.parse("NL1").covers(text) is False

    @given(anything, anything, st.lists(anything, max_size=3).map(tuple) | anything)
    def test_party_of_parts(self, country: object, number: object, groups: object) -> None:
        """Parts of any type are a party ID or an InputError."""
        found = outcome(lambda: PartyId(country=country, number=number, groups=groups))  # type: ignore[arg-type]

        assert found in {PartyId, InputError}

    @given(texts, st.sampled_from(["system", "by_mailbox", "by_process_id"]))
    def test_look_ups(self, text: str, name: str) -> None:
        """A look-up gives a system or lists the known ones; a look-up of a peer's text never raises."""
        assert UnknownError is outcome(lambda: getattr(HTPOORT, name)(text + "\n"))
        assert HTPOORT.answering_as(text + "\n") is None
        assert HTPOORT.answering_from(text + "\n") is None

    @given(anything, anything, anything, anything)
    def test_system(self, name: object, mailbox: object, process_id: object, reply_ids: object) -> None:
        """A system of values of any type is a system or an InputError."""
        made = outcome(
            lambda: DeclarationSystem(
                name=name,  # type: ignore[arg-type]
                mailbox=mailbox,  # type: ignore[arg-type]
                process_id=process_id,  # type: ignore[arg-type]
                reply_ids=reply_ids,  # type: ignore[arg-type]
            )
        )
        default = outcome(
            lambda: DeclarationSystem(
                name="X",
                mailbox="dms@htpoort.nl",
                process_id=process_id,  # type: ignore[arg-type]
            )
        )

        assert InputError is made
        assert default in {DeclarationSystem, InputError}

    @given(st.text(PRINTABLE).map("{}@b.example".format) | texts)
    @example("a@xn--a.example")
    @example("a@" + "b." * 200)
    def test_mailbox(self, mailbox: str) -> None:
        """A text is a mailbox or an InputError, whatever email-validator makes of it."""
        found = outcome(lambda: DeclarationSystem(name="X", mailbox=mailbox, process_id="X"))

        assert found in {DeclarationSystem, InputError}

    @given(
        st.sampled_from([
            *("system", "party", "mailbox", "reference", "payload", "date", "message_id", "layout", "s"),
            *("content_type", "file_name"),
        ]),
        anything,
    )
    def test_build(self, field: str, value: object) -> None:
        """`build` gives a message, or an error that names the field."""
        values = {
            "system": DMS,
            "party": "NL123456789.02.05",
            "mailbox": "a@b.example",
            "reference": "1",
            "payload": b"<a/>",
            "date": NOON,
            "message_id": "<1@b.example>",
            field: value,
        }
        found = result(lambda: build(**values))  # type: ignore[arg-type]

        if isinstance(found, InputError):
            assert {field} == {problem.message.split()[0] for problem in found.problems}
        elif isinstance(found, UnknownError):
            assert "system" == field
        else:
            assert isinstance(found, Submission)
            assert found.data.isascii()

    @given(texts | hostile_texts.map('[systems."X"]\nmailbox = "{}"'.format))
    def test_toml(self, text: str) -> None:
        """A text is a directory or an InputError."""
        assert outcome(lambda: Directory.from_toml(text)) in {Directory, InputError}

    @given(
        value=st.recursive(anything, lambda inner: st.dictionaries(texts, inner, max_size=3), max_leaves=9),
        nested=st.booleans(),
    )
    def test_table(self, value: object, *, nested: bool) -> None:
        """A table of whatever is in it is a directory or an InputError."""
        keys = ["mailbox", "process_id", "reply_ids", "title", "source", "mark"]
        table = {"systems": {"X": dict.fromkeys(keys, value) if nested else value}}

        assert outcome(lambda: Directory.from_table(table)) in {Directory, InputError}

    @given(texts)
    def test_words(self, text: str) -> None:
        """Unfolding and decoding give a text for any text."""
        assert isinstance(_headers.decode(_headers.unfold(text)), str)


SUBJECTS = [
    *(
        "[",
        "]",
        "[V",
        "[V=",
        "[V=a",
        "[V=a]",
        "[ ",
        "[V= ",
        "[[V=a]",
        "[V=\u00e9]",
        "[X=1]",
        "x",
        " ",
        "\t",
        "\r\n ",
        "\n ",
    ),
    *(
        "=?",
        "=?utf-8?q?",
        "=?utf-8?q?a?= ",
        "=?utf-8?b?!?= ",
        "=?utf-8?q?=?= ",
        "?=",
        "a b",
        "\u00e9",
        "\0",
        "[V=a][A=b]",
    ),
]
HEADERS = [
    *(
        b"X: x\r\n",
        b"x",
        b" x\r\n",
        b"\r\n ",
        b"From: a@b\r\n",
        b"Subject: [\r\n",
        b"\r",
        b"\0",
        b":",
        b"\xff",
        b"no\r\n",
    ),
    *(b'"', b"\\", b'\\"', b"(", b"<", b"a.", b"a@b.", b"=?a?q?", b" ", b"\t", b"-"),
]


class TestRule3LinearTime:
    """Linear time: work is counted, not timed, and what counting cannot see is in the form of the patterns."""

    @pytest.mark.parametrize("piece", SUBJECTS)
    def test_subject(self, piece: str) -> None:
        """Eight times the text is at most nine times the work, up to the 4,096 characters that are read."""
        small, large = (
            work(lambda size=size: RoutingEnvelope.find("[V=a][A=b]" + piece * (size // len(piece))))  # type: ignore[misc]
            for size in (480, 3_840)
        )

        assert large <= 9 * small + 200

    @pytest.mark.parametrize("piece", SUBJECTS)
    def test_over_the_limit(self, piece: str) -> None:
        """Beyond 4,096 characters the work no longer grows: nothing but the length is looked at."""
        refused = []
        for size in (4_200, 1_000_000):
            text = piece * (size // len(piece))
            refused.append(work(lambda text=text: outcome(lambda: RoutingEnvelope.parse(text))))  # type: ignore[misc]

        assert refused[0] == refused[1]

    @pytest.mark.parametrize("piece", HEADERS)
    @pytest.mark.parametrize("before", [b"", b"From: ", b'From: "', b"Subject: ", b"X: y\r\n"])
    def test_header(self, before: bytes, piece: bytes) -> None:
        """Eight times the header block is at most nine times the work."""
        small, large = (
            work(lambda size=size: read(before + piece * (size // len(piece)) + b"\r\n\r\n"))  # type: ignore[misc]
            for size in (480, 3_840)
        )

        assert large <= 9 * small + 200

    def test_body(self) -> None:
        """The work does not grow with the body."""
        bodies = [reply(body=b"x\r\n\r\n" * size) for size in (1, 200_000)]
        small, large = (work(lambda raw=raw: ROUTER.route_message(raw)) for raw in bodies)  # type: ignore[misc]

        assert small == large

    @pytest.mark.parametrize(
        "name",
        [
            *("CANONICAL", "COMMON", "GROUP", "FOLD", "HEADER_END", "BAD_LINE", "BARE_CR", "ADDRESS", "NAMED_ADDRESS"),
            "ENCODED_WORD",
        ],
    )
    def test_patterns_never_go_back(self, name: str) -> None:
        """No pattern that reads what a peer sent has an unbounded repeat that gives back what it took."""
        pattern: re.Pattern[str] | re.Pattern[bytes] = getattr(grammar, name)
        text = pattern.pattern if isinstance(pattern.pattern, str) else pattern.pattern.decode()
        outside = re.sub(r"\\.|\[(?:\\.|[^\]\\])+\]", "C", text)

        giving_back = re.sub(r"[*+?}]\+", "", outside)

        assert [] == re.findall(r"[*+]|\{[0-9]*,\}", giving_back)

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("CANONICAL", "[V=" + "a b" * 20_000),
            ("CANONICAL", "[V=" + "a" * 60_000),
            ("COMMON", "[V= " + "a" * 60_000),
            ("GROUP", "[" + "\t " * 30_000),
            ("GROUP", "[V" * 30_000),
            ("GROUP", "[V" + " " * 60_000),
            ("ADDRESS", "a." * 30_000),
            ("ADDRESS", "a@" + "b." * 30_000),
            ("NAMED_ADDRESS", '"' + '\\"' * 30_000),
            ("NAMED_ADDRESS", '"' * 60_000),
            ("NAMED_ADDRESS", "a " * 30_000),
            ("NAMED_ADDRESS", "<" + "a." * 30_000 + "@"),
            ("ENCODED_WORD", "=?utf-8?q?" + "a" * 60_000),
            ("ENCODED_WORD", "=?utf-8*" + "a" * 60_000),
        ],
        ids=lambda value: f"{value:.14}",
    )
    def test_patterns_end(self, name: str, text: str) -> None:
        """A text that almost matches is refused: a pattern that tried every way to split it would not come back."""
        assert getattr(grammar, name).fullmatch(text) is None

    @given(references())
    def test_long_writer_values(self, reference: str) -> None:
        """The writer refuses a long value by its length, without showing all of it."""
        with pytest.raises(InputError) as caught:
            build(
                system=DMS,
                party="NL1",
                mailbox="a@b.example",
                reference=reference * 40_000,
                payload=b"<a/>",
                date=NOON,
                message_id="<1@b.example>",
            )
        assert len(str(caught.value)) < 150
