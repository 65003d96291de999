"""
Write replies in the forms that the reader forgives.

Never does: change what a message says about sender, process ID, addressee or reference.
"""

from __future__ import annotations

import binascii
import string
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

import attrs
from forging.drafts import Draft, Facts, drafted, subject_line
from forging.scenes import LARGEST
from hypothesis import strategies as st

from htpoort.testing.strategies._values import plain_values, texts

T = TypeVar("T")

HEADER_LIMIT: Final = 65_536
"""Octets of the longest header block that the router reads."""

_FACTS: Final[dict[str, Callable[[st.DrawFn, Facts], Facts]]] = {}
_DRAFTS: Final[dict[str, Callable[[st.DrawFn, Draft], Draft]]] = {}

SUBJECT: Final = ("key-order", "unknown-key", "key-case", "blanks", "text-around", "encoded-words", "folded-subject")
"""Forms of the envelope."""

SENDER: Final = ("from-form", "from-case")
"""Forms of From."""

LONG: Final = ("long-header", "long-message")
"""Forms that change the octets of the body, or make the message as long as the limit."""

# ── the Subject ──────────────────────────────────────────────────────────────

_BLANKS: Final = texts(" \t", max_size=2)
_AROUND: Final = st.sampled_from([
    *("Re:", "RE: Fw:", "Antw.:", "[EXTERN]", "*** SPAM ***", "( GEWIJZIGD )", "Ré:", "[Ticket#1]", "K=1", "-"),
])
_UNKNOWN: Final = st.tuples(st.sampled_from("XQxBWZ"), texts(string.digits, max_size=5))
_FOLDS: Final = st.sampled_from(["\n ", "\n\t", "\n  "])
_CHARSETS: Final = ("utf-8", "UTF-8", "utf8", "utf-8*nl", "iso-8859-1", "us-ascii", "windows-1252")


def _reordered(draw: st.DrawFn, things: Sequence[T]) -> list[T]:
    """Draw another order."""
    drawn = draw(st.permutations(things))
    return list(drawn) if list(drawn) != list(things) else [*things[1:], things[0]]


def _other_cases(text: str) -> list[str]:
    """Write a text in other cases; in none if it has no letter."""
    return [case for case in (text.lower(), text.upper(), text.swapcase()) if case != text]


def _ordered(draw: st.DrawFn, facts: Facts, chosen: frozenset[str]) -> list[tuple[str, str]]:
    """Order the pieces, change the case of keys, and add unknown pieces."""
    pieces = list(facts.pieces)
    if "key-order" in chosen:
        pieces = _reordered(draw, pieces)
    if "key-case" in chosen:
        # At least one in lower case.
        at = draw(st.integers(0, len(pieces) - 1))
        pieces = [
            (key.lower() if number == at or not draw(st.booleans()) else key, value)
            for number, (key, value) in enumerate(pieces)
        ]
    if "unknown-key" in chosen:
        pieces.insert(draw(st.integers(0, len(pieces))), draw(_UNKNOWN))
    return pieces


def _piece(draw: st.DrawFn, key: str, value: str, chosen: frozenset[str]) -> str:
    """Write one piece."""
    if "blanks" not in chosen:
        return f"[{key}={value}]"
    blanks = [draw(_BLANKS) for _ in range(4)]
    return f"[{blanks[0]}{key}{blanks[1]}={blanks[2]}{value}{blanks[3]}]"


def _word(draw: st.DrawFn, text: str, charset: str, *, base64: bool) -> str:
    """Write one encoded word."""
    octets = text.encode(charset.partition("*")[0])
    if base64:
        encoded = binascii.b2a_base64(octets, newline=False).decode("ascii")
        # Field software leaves the padding out.
        return f"=?{charset}?b?{encoded.rstrip('=') if draw(st.booleans()) else encoded}?="
    plain = frozenset((string.ascii_letters + string.digits).encode())
    quoted = "".join(chr(octet) if octet in plain else f"={octet:02X}" for octet in octets)
    return f"=?{charset}?Q?{quoted.replace('=20', '_')}?="


def _words(draw: st.DrawFn, text: str) -> list[str]:
    """Write a text in encoded words, cut anywhere."""
    fitting = [charset for charset in _CHARSETS if _fits(text, charset)]
    charset, base64 = draw(st.sampled_from(fitting)), draw(st.booleans())
    # Shorter words would make a Subject too long to be read.
    width = draw(st.integers(10, 60) | st.just(len(text)))
    parts = (text[at : at + width] for at in range(0, len(text), width))
    return [_word(draw, part, charset, base64=base64) for part in parts]


def _fits(text: str, charset: str) -> bool:
    try:
        text.encode(charset.partition("*")[0])
    except UnicodeEncodeError:
        return False
    return True


def _genuine(facts: Facts) -> set[str]:
    """Write the Subject in the forms of a genuine reply."""
    return {
        "".join(f"[{key}={blank if key in 'VA' else ''}{value}]" for key, value in facts.pieces) for blank in ("", " ")
    }


def _subject(draw: st.DrawFn, facts: Facts, chosen: frozenset[str]) -> str:
    """Write the Subject; a fold is a bare line feed."""
    if facts.text is not None:
        return facts.text
    if not facts.must_encode and not chosen.intersection(SUBJECT):
        return subject_line(draw, facts=facts)
    parts = [_piece(draw, key, value, chosen) for key, value in _ordered(draw, facts, chosen)]
    gap = draw(_BLANKS) if "blanks" in chosen else ""
    if "blanks" in chosen and gap.join(parts) in _genuine(facts):
        gap = " "
    if "text-around" in chosen:
        before, after = draw(st.tuples(_AROUND, st.just("") | _AROUND))
        parts = [f"{before} ", *parts, *([f" {after}"] if after else [])]
    if facts.must_encode or "encoded-words" in chosen:
        parts, gap = _words(draw, gap.join(parts)), " "
    if "folded-subject" not in chosen:
        return gap.join(parts)
    # At least one fold, before the first part perhaps.
    at = draw(st.integers(0, len(parts) - 1))
    return "".join(
        (draw(_FOLDS) if number == at or (number > 0 and draw(st.booleans())) else gap if number else "") + part
        for number, part in enumerate(parts)
    )


# ── From ─────────────────────────────────────────────────────────────────────

_SENDERS: Final = st.sampled_from([
    *("<{}>", "Douane <{}>", '"Douane, AGS" <{}>', '"x@y.example" <{}>', "Douane DMS 4 <{}>", '"a \\" b"  <{}>'),
    *("=?utf-8?q?Douane?= <{}>", "\n {}", "Douane\n <{}>", "\t{}"),
])


def _sender(draw: st.DrawFn, facts: Facts, chosen: frozenset[str]) -> str:
    """Write From."""
    mailbox = facts.mailbox
    if "from-case" in chosen:
        mailbox = draw(st.sampled_from(_other_cases(mailbox) or [mailbox]))
    return draw(_SENDERS).format(mailbox) if "from-form" in chosen else mailbox


# ── what else the facts may be ───────────────────────────────────────────────


def _facts(name: str) -> Callable[[Callable[[st.DrawFn, Facts], Facts]], Callable[[st.DrawFn, Facts], Facts]]:
    def kept(change: Callable[[st.DrawFn, Facts], Facts]) -> Callable[[st.DrawFn, Facts], Facts]:
        _FACTS[name] = change
        return change

    return kept


@_facts("value-case")
def _value_case(draw: st.DrawFn, facts: Facts) -> Facts:
    """Process IDs and party IDs compare without regard to case."""
    # A party ID begins with letters; a process ID may have none.
    key = draw(st.sampled_from([key for key in "VA" if _other_cases(facts.value(key))]))
    return facts.with_value(key, draw(st.sampled_from(_other_cases(facts.value(key)))))


@_facts("other-s")
def _other_s(draw: st.DrawFn, facts: Facts) -> Facts:
    """S is carried and never interpreted."""
    return facts.with_value("S", draw(plain_values(max_length=20).filter(lambda text: text != facts.value("S"))))


@_facts("mail-from-form")
def _mail_from_form(draw: st.DrawFn, facts: Facts) -> Facts:
    """A null sender is allowed, and mailboxes compare without regard to case."""
    others = ["", *_other_cases(facts.scene.system.mailbox)]
    return attrs.evolve(facts, mail_from=draw(st.sampled_from(others)))


# ── header lines ─────────────────────────────────────────────────────────────


def _draft(name: str) -> Callable[[Callable[[st.DrawFn, Draft], Draft]], Callable[[st.DrawFn, Draft], Draft]]:
    def kept(change: Callable[[st.DrawFn, Draft], Draft]) -> Callable[[st.DrawFn, Draft], Draft]:
        _DRAFTS[name] = change
        return change

    return kept


_RECEIVED: Final = (
    b"Received: from mx.gateway.example (mx.gateway.example [192.0.2.1])\n\tby mx.forwarder.example with ESMTP;\n"
    b" Mon, 02 Nov 2026 09:05:08 +0100"
)
_MORE: Final = st.sampled_from([
    *(b"X-From: evil@trader.example", b"Reply-To: evil@trader.example", b"Sender: evil@trader.example"),
    *(b"Resent-From: evil@trader.example", b"X-Subject: [V=x]", b"X-Note: a\n From: evil@trader.example", b"Empty:"),
    *(b"DKIM-Signature: v=1; d=gateway.example;\n b=AA==", b"X-Octets: \xff\xe9", b"X-Blank: \t ", b"x!#$%:y"),
])


@_draft("received-lines")
def _received(draw: st.DrawFn, draft: Draft) -> Draft:
    """Every mail server on the way adds one."""
    return attrs.evolve(draft, header=(*(_RECEIVED,) * draw(st.integers(1, 5)), *draft.header))


@_draft("more-headers")
def _more_headers(draw: st.DrawFn, draft: Draft) -> Draft:
    """Headers that the router does not read may be anywhere."""
    for line in draw(st.lists(_MORE, min_size=1, max_size=3)):
        draft = draft.with_line(draw(st.integers(0, len(draft.header))), line)
    return draft


@_draft("header-order")
def _header_order(draw: st.DrawFn, draft: Draft) -> Draft:
    """Header lines have no order."""
    return attrs.evolve(draft, header=tuple(_reordered(draw, draft.header)))


@_draft("header-case")
def _header_case(draw: st.DrawFn, draft: Draft) -> Draft:
    """Header names have no case."""
    case = draw(st.sampled_from([bytes.upper, bytes.lower, bytes.swapcase]))
    parts = (line.partition(b":") for line in draft.header)
    return attrs.evolve(draft, header=tuple(case(name) + colon + value for name, colon, value in parts))


@_draft("line-ends")
def _line_ends(draw: st.DrawFn, draft: Draft) -> Draft:
    """Lines end in LF too, some or all."""
    return attrs.evolve(draft, ends=draw(st.sampled_from([(b"\n",), (b"\n", b"\r\n"), (b"\r\n", b"\r\n", b"\n")])))


@_draft("long-header")
def _long_header(draw: st.DrawFn, draft: Draft) -> Draft:
    """A header block may have 65,536 octets."""
    return attrs.evolve(draft, header_size=HEADER_LIMIT - draw(st.integers(0, 20)))


def spoken(draw: st.DrawFn, *, facts: Facts, names: tuple[str, ...]) -> Facts:
    """
    Draw what a message says, with what the reader forgives in it.

    Args:
        draw: Of a composite strategy.
        facts: What it would say.
        names: Of what is to be forgiven.

    Returns:
        Facts.
    """
    for name in names:
        if name in _FACTS:
            facts = _FACTS[name](draw, facts)
    return facts


def written(draw: st.DrawFn, *, facts: Facts, names: tuple[str, ...]) -> Draft:
    """
    Draw the lines of a message, in forms that the reader forgives.

    Args:
        draw: Of a composite strategy.
        facts: What it says.
        names: Of what is to be forgiven.

    Returns:
        A draft.
    """
    chosen = frozenset(names)
    draft = drafted(facts, sender=_sender(draw, facts, chosen), subject=_subject(draw, facts, chosen))
    for name in names:
        if name in _DRAFTS:
            draft = _DRAFTS[name](draw, draft)
    if "long-message" in chosen:
        draft = attrs.evolve(draft, size=facts.scene.setup.size_limit - draw(st.integers(0, 20)))
    return draft


TOLERATED: Final = (*SUBJECT, *SENDER, *_FACTS, *_DRAFTS, "long-message")
"""The names of all forms that the reader forgives."""


@st.composite
def tolerations(draw: st.DrawFn, *, least: int, size_limit: int, short: bool = False) -> tuple[str, ...]:
    """
    Draw the names of what is to be forgiven in one message.

    Args:
        least: How many at least.
        size_limit: Octets of a message that is routed.
        short: Whether the body must stay as it is.

    Returns:
        Up to four names.
    """
    left_out = {*LONG} if short else {"long-message"} if size_limit > LARGEST else set[str]()
    names = [name for name in TOLERATED if name not in left_out]
    return tuple(draw(st.lists(st.sampled_from(names), min_size=least, max_size=4, unique=True)))
