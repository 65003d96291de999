"""
Find From and Subject in a raw message by one scan of its header block, and undo folding and encoded words.

This module never raises on what a peer sent, reads the body, or uses the `email` package, which raises `IndexError` on
some From lines.
"""

from __future__ import annotations

import binascii
import re
from typing import Final, final

import attrs

from htpoort.core import grammar
from htpoort.core.errors import Problem

_STANDARD: Final = "RFC 5322"
_FROM: Final = b"\nfrom:"
_SUBJECT: Final = b"\nsubject:"
_BLANKS: Final = " \t\r\n"
_SHOWN: Final = 200  # characters of a header: more than a Subject of a reply has, and few enough for a table
_SHOWN_VALUES: Final = 3  # of a header that is repeated

CHARSETS: Final = {
    name: codec
    for codec, names in {
        "utf-8": ("utf-8", "utf8"),
        "ascii": ("us-ascii", "ascii"),
        "latin-1": ("iso-8859-1", "latin-1", "latin1"),
        "iso8859-15": ("iso-8859-15",),
        "cp1252": ("windows-1252", "cp1252"),
    }.items()
    for name in names
}
"""The character sets that are decoded. A peer may name any codec of Python, and some are not for text."""

_HEX: Final = re.compile(r"=([0-9A-Fa-f]{2})")


def _octets(encoding: str, text: str) -> bytes | None:
    """Undo one B or Q encoding; None if it is broken."""
    if encoding in "Bb":
        try:
            # Field software leaves out the padding of the last word. Some programs read what follows the
            # padding, others skip it.
            return binascii.a2b_base64(text + "=" * (-len(text) % 4), strict_mode=True)
        except binascii.Error:
            return None
    if grammar.BROKEN_Q.search(text):
        return None
    plain = _HEX.sub(lambda match: chr(int(match[1], 16)), text.replace("_", " "))
    return plain.encode("latin-1")


def _word(match: re.Match[str]) -> str | None:
    """Decode one encoded word; None if programs may disagree on it."""
    codec = CHARSETS.get(match[1].lower())
    octets = _octets(match[2], match[3])
    if codec is None or octets is None:
        return None
    try:
        return octets.decode(codec)
    except UnicodeDecodeError:
        return None


def unfold(text: str) -> str:
    r"""
    Join the lines of a folded header value.

    >>> unfold("[V=a]\r\n [A=b]")
    '[V=a] [A=b]'

    Source:
        RFC 5322, section 2.2.3.
    """
    return grammar.FOLD.sub("", text) if "\n" in text else text


def decode(text: str) -> str:
    """
    Decode the encoded words of a header value.

    An encoded word counts if white space or an end of the text is on each side; blanks between two words are dropped. A
    word that cannot be decoded reliably stays as it is, and its `=?` shows that.

    >>> decode("=?utf-8?q?=5BV=3Da=5D?= =?utf-8?b?W0E9Yl0=?=")
    '[V=a][A=b]'

    Source:
        RFC 2047, sections 5 and 6.2.
    """
    if "=?" not in text:
        return text
    parts: list[str] = []
    after_word = False
    for piece in re.split(r"([ \t]+)", text):
        match = grammar.ENCODED_WORD.fullmatch(piece)
        word = None if match is None else _word(match)
        if word is not None:
            if after_word:
                parts.pop()
            parts.append(word)
            after_word = True
        else:
            parts.append(piece)
            after_word = after_word and not piece.strip()
    return "".join(parts)


@final
@attrs.frozen
class Headers:
    """
    The result of one scan.

    Args:
        mailbox: The one mailbox of the one From, in lower case; None if it is not clear.
        subject: The value of the one Subject, not unfolded; None if it is missing or repeated.
        body: Offset of the first octet of the body; the length of the message if its header block has no end.
        problems: Why the message cannot be routed by its headers.
    """

    mailbox: str | None
    subject: str | None
    body: int
    problems: tuple[Problem, ...]


def line_problems(block: bytes) -> list[Problem]:
    """Find what two programs could read differently in a header block."""
    problems: list[Problem] = []
    if (index := block.find(b"\0")) >= 0:
        problems.append(Problem("header.nul", "There is a NUL in the header block.", index - 1, index, _STANDARD))
    if bare := grammar.BARE_CR.search(block):
        index = bare.start()
        message = "There is a carriage return without a line feed in the header block."
        problems.append(Problem("header.bare-cr", message, index - 1, index, _STANDARD))
    if block[1:2] in b" \t":
        problems.append(
            Problem("header.bad-line", "The header block begins with a continuation line.", 0, 1, _STANDARD)
        )
    if bad := grammar.BAD_LINE.search(block):
        stop = block.find(b"\n", bad.end())
        message = "A header line has no name and colon."
        problems.append(Problem("header.bad-line", message, bad.start(), stop - 1, _STANDARD))
    return problems


def _octets_of(block: bytes, start: int) -> bytes:
    """Cut out the value of a header with its continuation lines."""
    stop = block.find(b"\n", start)
    while block[stop + 1 : stop + 2] in {b" ", b"\t"}:
        stop = block.find(b"\n", stop + 1)
    return block[start:stop]


def _value(block: bytes, start: int) -> str:
    """Read the value of a header."""
    # Octets outside of ASCII are never part of an envelope or a mailbox. They are replaced here only; the raw message
    # keeps them.
    return _octets_of(block, start).decode("utf-8", "replace").strip(_BLANKS)


def _only(block: bytes, folded: bytes, prefix: bytes, name: str) -> tuple[str | None, list[Problem]]:
    """Return the value of a header that must be there exactly once."""
    first = folded.find(prefix)
    if first < 0:
        message = f"There is no {name} header."
        return None, [Problem(f"{name.lower()}.missing", message, 0, 0, _STANDARD)]
    second = folded.find(prefix, first + 1)
    if second >= 0:
        message = f"There is a second {name} header; it is unclear which one counts."
        return None, [Problem(f"{name.lower()}.repeated", message, second, second + len(prefix) - 1, _STANDARD)]
    return _value(block, first + len(prefix)), []


def value_of(block: bytes, folded: bytes, name: str) -> tuple[str | None, bool]:
    """
    Return the first value of a header, and whether there is a second.

    Args:
        block: The header lines, with a line end before the first.
        folded: The same in lower case.
        name: The name of the header.

    Returns:
        The value, unfolded, with one character for each octet; None if there is none.
    """
    prefix = f"\n{name.lower()}:".encode()
    first = folded.find(prefix)
    if first < 0:
        return None, False
    start = first + len(prefix)
    return unfold(_octets_of(block, start).decode("latin-1")).strip(_BLANKS), folded.find(prefix, start) >= 0


def shown(raw: bytes, *names: str) -> tuple[str, ...]:
    """
    Write headers for a person, also of a message that cannot be routed.

    Args:
        raw: The message, or its beginning; only the first 64 KiB are read, and once for all headers.
        names: The names of the headers.

    Returns:
        For each its value, unfolded, decoded and cut; the first three if it is repeated, with ``|`` between them.
    """
    empty = grammar.HEADER_END.search(raw, 0, grammar.HEADER_LIMIT + 4)
    block = b"\n" + raw[: grammar.HEADER_LIMIT if empty is None else empty.start() + 1] + b"\n"
    folded = block.lower()
    return tuple(_shown(block, folded, f"\n{name.lower()}:".encode()) for name in names)


def _shown(block: bytes, folded: bytes, prefix: bytes) -> str:
    values: list[str] = []
    start = folded.find(prefix)
    while start >= 0 and len(values) < _SHOWN_VALUES:
        values.append(decode(unfold(_value(block, start + len(prefix)))))
        start = folded.find(prefix, start + 1)
    text = " | ".join(values)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def mailbox_of(value: str) -> str | None:
    """
    Read the one mailbox of a From value.

    Accepted are ``name@domain``, and ``<name@domain>`` with or without a plain or quoted name before it. Everything
    else is refused, because mail programs read it differently.

    >>> mailbox_of('"Douane, AGS" <AGS@htpoort.nl>')
    'ags@htpoort.nl'
    >>> mailbox_of("ags@htpoort.nl <other@trader.example>") is None
    True

    Args:
        value: The value of a From header.

    Returns:
        The mailbox in lower case, or None.
    """
    text = unfold(value)
    matched = grammar.ADDRESS.fullmatch(text) or grammar.NAMED_ADDRESS.fullmatch(text)
    return matched[1].lower() if matched else None


def scan(raw: bytes) -> Headers:
    """
    Scan the header block of a message.

    Args:
        raw: The whole message, with lines ended by CRLF or LF; only the first 64 KiB are read.

    Returns:
        The headers, in time that does not grow with the body.
    """
    # One search for both line ends; two of `bytes.find` take 2.5 times as long,
    # because each stops at every line of the block.
    empty = grammar.HEADER_END.search(raw, 0, grammar.HEADER_LIMIT + 4)
    if empty is None or (end := empty.start() + 1) > grammar.HEADER_LIMIT:
        if len(raw) > grammar.HEADER_LIMIT:
            message = f"The header block is longer than {grammar.HEADER_LIMIT} octets."
            problem = Problem("header.too-large", message, grammar.HEADER_LIMIT, len(raw))
        else:
            problem = Problem(
                "header.no-end", "There is no empty line after the headers.", len(raw), len(raw), _STANDARD
            )
        return Headers(None, None, len(raw), (problem,))
    block = b"\n" + raw[:end]
    folded = block.lower()
    problems = line_problems(block)
    sender, from_problems = _only(block, folded, _FROM, "From")
    subject, subject_problems = _only(block, folded, _SUBJECT, "Subject")
    mailbox = None if sender is None else mailbox_of(sender)
    if sender is not None and mailbox is None:
        message = "The From header does not hold exactly one plain mailbox."
        start = folded.find(_FROM)
        from_problems.append(Problem("from.ambiguous", message, start, start + len(_FROM) - 1, _STANDARD))
    return Headers(mailbox, subject, empty.end(), (*problems, *from_problems, *subject_problems))
