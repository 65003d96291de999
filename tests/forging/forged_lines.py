"""
Forge the lines of a reply: From, Subject, the header block, the size.

Never does: change what the message says but for the one line that it forges.
"""

from __future__ import annotations

from typing import Final

import attrs
from forging.drafts import Draft, Facts
from forging.forgeries import by_draft
from forging.forms import HEADER_LIMIT
from forging.scenes import LARGEST
from hypothesis import strategies as st

from htpoort import Reason
from htpoort.testing.strategies import RouterSetup

_EVIL: Final = "evil@trader.example"

# ── From ─────────────────────────────────────────────────────────────────────

# Each of these is read as the system's mailbox, or as two different ones, by some mail software.
_FORGED: Final = {
    "from.address-as-name": "{m} <{e}>",
    "from.parenthesis": "{m}){e}",
    "from.bracket": "{m}]{e}",
    "from.behind-brackets": "<{m}>{e}",
    "from.two-mailboxes": "{m}, {e}",
    "from.two-in-brackets": "<{e}>, <{m}>",
    "from.two-brackets": "<{m}> <{e}>",
    "from.group": "Douane: {m};",
    "from.comment-behind": "{m} ({e})",
    "from.comment-before": "({e}) {m}",
    "from.quoted-local-part": '"{l}"@{d}',
    "from.route": "<@trader.example:{m}>",
    "from.unclosed": "<{m}",
    "from.unopened": "{m}>",
    "from.nested": "<<{m}>>",
    "from.plain-comma": "Douane, AGS <{m}>",
    "from.name-is-mailbox": "{m} <{m}>",
    "from.no-domain": "{l}@",
    "from.no-local-part": "@{d}",
    "from.domain-literal": "{l}@[192.0.2.1]",
    "from.open-literal": "{l}@[",
    "from.only-bracket": "<",
    "from.empty": "",
    "from.no-at": "{l}",
    "from.url": "mailto:{m}",
    "from.dot-behind": "{m}.",
    "from.two-dots": "{l}..x@{d}",
    "from.folded-inside": "{l}\n @{d}",
    "from.encoded": "=?utf-8?q?{l}=40{d}?=",
    "from.quoted-mailbox": '"{m}" {e}',
    "from.look-alike": "\N{CYRILLIC SMALL LETTER A}{m}",
    "from.kelvin-sign": "{l}@\N{KELVIN SIGN}{d}",
    "from.blank-that-is-none": "{m}\N{ZERO WIDTH SPACE}",
    "from.no-break-space": "\N{NO-BREAK SPACE}{m}",
}


def _forged_from(name: str, form: str) -> None:
    """Register one way to write a From that is not exactly one plain mailbox."""

    @by_draft(name, Reason.AMBIGUOUS_FROM)
    def _form(_draw: st.DrawFn, facts: Facts, draft: Draft) -> Draft:
        local, _, domain = facts.mailbox.partition("@")
        value = form.format(m=facts.mailbox, e=_EVIL, l=local, d=domain)
        return draft.instead_of("from", f"From: {value}".encode())


for _name, _value in _FORGED.items():
    _forged_from(_name, _value)


@by_draft("from.missing", Reason.AMBIGUOUS_FROM)
def _from_missing(draw: st.DrawFn, facts: Facts, draft: Draft) -> Draft:
    """There is no From, or it is in the body or in a header of another name."""
    line = f"From: {facts.mailbox}".encode()
    draft = draft.instead_of("from", *draw(st.sampled_from([(), (b"X-" + line,), (b"X: 1\n " + line,)])))
    return attrs.evolve(draft, body=line + b"\r\n\r\n" + draft.body)


def _twice(draw: st.DrawFn, draft: Draft, name: str, other: bytes) -> Draft:
    """Add a second line of the same name anywhere, equal or different."""
    line = draw(st.sampled_from([draft.header[draft.place(name)], other, other.upper()]))
    return draft.with_line(draw(st.integers(0, len(draft.header))), line)


@by_draft("from.repeated", Reason.AMBIGUOUS_FROM)
def _from_repeated(draw: st.DrawFn, _facts: Facts, draft: Draft) -> Draft:
    """There are two From."""
    return _twice(draw, draft, "from", f"From: {_EVIL}".encode())


# Not ambiguous: exactly one mailbox, and it is a stranger's.
@by_draft("from.quoted-name", Reason.UNKNOWN_MAILBOX)
def _quoted_name(_draw: st.DrawFn, facts: Facts, draft: Draft) -> Draft:
    """The system's mailbox is only the display name of another one."""
    draft = draft.instead_of("from", f'From: "{facts.mailbox}" <{_EVIL}>'.encode())
    return attrs.evolve(draft, mail_from=None)


# ── Subject ──────────────────────────────────────────────────────────────────


@by_draft("subject.missing", Reason.BAD_SUBJECT)
def _subject_missing(_draw: st.DrawFn, _facts: Facts, draft: Draft) -> Draft:
    """There is no Subject; one is in the body."""
    line = draft.header[draft.place("subject")]
    return attrs.evolve(draft.instead_of("subject"), body=line + b"\r\n\r\n" + draft.body)


@by_draft("subject.repeated", Reason.BAD_SUBJECT)
def _subject_repeated(draw: st.DrawFn, _facts: Facts, draft: Draft) -> Draft:
    """There are two Subjects."""
    return _twice(draw, draft, "subject", b"Subject: [V=x][A=y][K=1][S=0]")


# ── the header block ─────────────────────────────────────────────────────────


def _with_octet(draw: st.DrawFn, draft: Draft, octet: bytes) -> Draft:
    """Put an octet into a header line, after its name and before another octet."""
    at = draw(st.integers(0, len(draft.header) - 1))
    line = draft.header[at].replace(b":", b": x" + octet + b"y", 1)
    return attrs.evolve(draft, header=(*draft.header[:at], line, *draft.header[at + 1 :]))


@by_draft("header.nul", Reason.BAD_HEADER)
def _nul(draw: st.DrawFn, _facts: Facts, draft: Draft) -> Draft:
    """There is a NUL in a header line."""
    return _with_octet(draw, draft, b"\0")


@by_draft("header.bare-cr", Reason.BAD_HEADER)
def _bare_cr(draw: st.DrawFn, _facts: Facts, draft: Draft) -> Draft:
    """There is a carriage return without a line feed in a header line; some programs treat it as a line end."""
    return _with_octet(draw, draft, b"\r")


_BAD_LINES: Final = {
    "header.no-colon": b"this is no header",
    "header.mbox-line": b"From dms@htpoort.nl Mon Nov  2 09:05:07 2026",
    "header.blank-before-colon": b"X-Note : 1",
    "header.no-name": b": 1",
    "header.eight-bit-name": b"X-\xe9: 1",
}


def _bad_line(name: str, line: bytes) -> None:
    """Register one line that is not a header line."""

    @by_draft(name, Reason.BAD_HEADER)
    def _line(draw: st.DrawFn, _facts: Facts, draft: Draft) -> Draft:
        return draft.with_line(draw(st.integers(0, len(draft.header))), line)


for _name, _octets in _BAD_LINES.items():
    _bad_line(_name, _octets)


@by_draft("header.begins-folded", Reason.BAD_HEADER)
def _begins_folded(_draw: st.DrawFn, _facts: Facts, draft: Draft) -> Draft:
    """The first line is a continuation line."""
    return draft.with_line(0, b" X-Note: 1")


@by_draft("header.begins-empty", Reason.BAD_HEADER)
def _begins_empty(_draw: st.DrawFn, _facts: Facts, draft: Draft) -> Draft:
    """The first line is empty."""
    return draft.with_line(0, b"")


@by_draft("header.no-end", Reason.BAD_HEADER)
def _no_end(_draw: st.DrawFn, _facts: Facts, draft: Draft) -> Draft:
    """The message ends before the empty line."""
    return attrs.evolve(draft, empty_line=False)


# ── the size ─────────────────────────────────────────────────────────────────


@by_draft("size.header", Reason.TOO_LARGE)
def _large_header(draw: st.DrawFn, _facts: Facts, draft: Draft) -> Draft:
    """The header block is longer than the limit."""
    return attrs.evolve(draft, header_size=HEADER_LIMIT + 1 + draw(st.integers(0, 20)))


def _reachable(setup: RouterSetup) -> bool:
    return setup.size_limit <= LARGEST


@by_draft("size.message", Reason.TOO_LARGE, possible=_reachable)
def _large_message(draw: st.DrawFn, facts: Facts, draft: Draft) -> Draft:
    """The message is longer than the router's limit."""
    return attrs.evolve(draft, size=facts.scene.setup.size_limit + 1 + draw(st.integers(0, 20)))
