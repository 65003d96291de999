"""
Find From and Subject in a raw message by one scan of its header block.

Never does: raise on what a peer sent, look at the body, or use the `email` package, which does raise.
"""

from __future__ import annotations

from typing import Final, final

import attrs

from htpoort import _grammar, _words
from htpoort.errors import Problem

_STANDARD: Final = "RFC 5322"
_FROM: Final = b"\nfrom:"
_SUBJECT: Final = b"\nsubject:"
_BLANKS: Final = " \t\r\n"


@final
@attrs.frozen
class Headers:
    """
    Hold what one scan found.

    Args:
        mailbox: The one mailbox of the one From, in lower case; None where there is none for sure.
        subject: The value of the one Subject, unfolded only by its reader; None where there is none for sure.
        body: Offset of the first octet of the body; the length of the message where no header block ends.
        problems: Why the message cannot be routed by its headers.
    """

    mailbox: str | None
    subject: str | None
    body: int
    problems: tuple[Problem, ...]


def _block_end(raw: bytes) -> tuple[int, int]:
    """Find the empty line: offsets of the end of the last header line, and of the body."""
    # One search for both line ends; two of `bytes.find` take 2.5 times as long,
    # because each stops at every line of the block.
    empty = _grammar.HEADER_END.search(raw, 0, _grammar.HEADER_LIMIT + 4)
    return (empty.start() + 1, empty.end()) if empty else (-1, len(raw))


def body(raw: bytes) -> int:
    """
    Find the body of a message.

    Args:
        raw: As `scan` takes it.

    Returns:
        The offset that `scan` gives, without the work on the headers.
    """
    end, start = _block_end(raw)
    return start if 0 <= end <= _grammar.HEADER_LIMIT else len(raw)


def _line_problems(block: bytes) -> list[Problem]:
    """Find what makes a header block one that two programs could read differently."""
    found: list[Problem] = []
    if (at := block.find(b"\0")) >= 0:
        found.append(Problem("header.nul", "There is a NUL in the header block.", at - 1, at, _STANDARD))
    if bare := _grammar.BARE_CR.search(block):
        at = bare.start()
        message = "There is a carriage return without a line feed in the header block."
        found.append(Problem("header.bare-cr", message, at - 1, at, _STANDARD))
    if block[1:2] in b" \t":
        found.append(Problem("header.bad-line", "The header block begins with a continuation line.", 0, 1, _STANDARD))
    if bad := _grammar.BAD_LINE.search(block):
        stop = block.find(b"\n", bad.end())
        message = "A header line has no name and colon."
        found.append(Problem("header.bad-line", message, bad.start(), stop - 1, _STANDARD))
    return found


def _value(block: bytes, start: int) -> str:
    """Cut the value of a header with its continuation lines."""
    stop = block.find(b"\n", start)
    while block[stop + 1 : stop + 2] in {b" ", b"\t"}:
        stop = block.find(b"\n", stop + 1)
    # Octets outside of ASCII are no part of an envelope or a mailbox; they are
    # replaced here, and stay as they are in the raw message.
    return block[start:stop].decode("utf-8", "replace").strip(_BLANKS)


def _only(block: bytes, folded: bytes, prefix: bytes, name: str) -> tuple[str | None, list[Problem]]:
    """Take the value of a header that must stand there once."""
    first = folded.find(prefix)
    if first < 0:
        message = f"There is no {name} header."
        return None, [Problem(f"{name.lower()}.missing", message, 0, 0, _STANDARD)]
    second = folded.find(prefix, first + 1)
    if second >= 0:
        message = f"There is a second {name} header; which one counts cannot be told."
        return None, [Problem(f"{name.lower()}.repeated", message, second, second + len(prefix) - 1, _STANDARD)]
    return _value(block, first + len(prefix)), []


def mailbox_of(value: str) -> str | None:
    """
    Read the one mailbox of a From value.

    Taken: ``name@domain``, and ``<name@domain>`` with or without a plain or quoted name before it.
    Everything else is refused, because mail software differs in what it makes of it.

    >>> mailbox_of('"Douane, AGS" <AGS@htpoort.nl>')
    'ags@htpoort.nl'
    >>> mailbox_of("ags@htpoort.nl <other@trader.example>") is None
    True

    Args:
        value: The value of a From header.

    Returns:
        The mailbox in lower case, or None.
    """
    text = _words.unfold(value)
    found = _grammar.ADDRESS.fullmatch(text) or _grammar.NAMED_ADDRESS.fullmatch(text)
    return found[1].lower() if found else None


def scan(raw: bytes) -> Headers:
    """
    Scan the header block of a message.

    Args:
        raw: The whole message, lines ended by CRLF or LF; only the first 64 KiB are looked at.

    Returns:
        What was found, in time that does not grow with the body.
    """
    end, body = _block_end(raw)
    if end < 0 or end > _grammar.HEADER_LIMIT:
        if len(raw) > _grammar.HEADER_LIMIT:
            message = f"The header block is longer than {_grammar.HEADER_LIMIT} octets."
            problem = Problem("header.too-large", message, _grammar.HEADER_LIMIT, len(raw))
        else:
            problem = Problem(
                "header.no-end", "There is no empty line after the headers.", len(raw), len(raw), _STANDARD
            )
        return Headers(None, None, len(raw), (problem,))
    block = b"\n" + raw[:end]
    folded = block.lower()
    problems = _line_problems(block)
    sender, from_problems = _only(block, folded, _FROM, "From")
    subject, subject_problems = _only(block, folded, _SUBJECT, "Subject")
    mailbox = None if sender is None else mailbox_of(sender)
    if sender is not None and mailbox is None:
        message = "The From header does not hold exactly one plain mailbox."
        start = folded.find(_FROM)
        from_problems.append(Problem("from.ambiguous", message, start, start + len(_FROM) - 1, _STANDARD))
    return Headers(mailbox, subject, body, (*problems, *from_problems, *subject_problems))
