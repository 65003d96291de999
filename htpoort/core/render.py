"""
Render a message from values that were checked: headers by hand, one physical line each.

This module never checks a value, folds a line, or chooses a time, a Message-ID or a random boundary.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Final, Literal

from htpoort.core import grammar

Layout = Literal["body", "attachment"]
TransferEncoding = Literal["7bit", "quoted-printable", "base64"]

_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

# No line of base64 contains an underscore or begins with two hyphens, so this can only occur in a 7-bit payload,
# which is then encoded in base64.
_BOUNDARY: Final = "=_htpoort"
_DELIMITER: Final = f"--{_BOUNDARY}".encode()
_MIXED: Final = f'multipart/mixed; boundary="{_BOUNDARY}"'

_FIT: Final = bytes([*b"\t\r\n", *range(0x20, 0x7F)])
"""Octets that no mail server changes by themselves; at the edges of a line it may."""

_OCTETS_PER_LINE: Final = grammar.BASE64_LINE // 4 * 3


def rfc5322_date(moment: datetime) -> str:
    """
    Write an aware datetime as a Date header: in English, whatever the locale.

    >>> from datetime import UTC
    >>> rfc5322_date(datetime(2026, 11, 2, 9, 5, 7, tzinfo=UTC))
    'Mon, 02 Nov 2026 09:05:07 +0000'

    Source:
        RFC 5322, section 3.3.
    """
    day = f"{_DAYS[moment.weekday()]}, {moment.day:02} {_MONTHS[moment.month - 1]} {moment.year:04}"
    return f"{day} {moment:%H:%M:%S %z}"[: len(day) + 15]


def content_type_of(payload: bytes) -> tuple[str, str]:
    """
    Guess content type and file ending of a payload from its first octets.

    >>> content_type_of(b"<MetaData/>"), content_type_of(b"UNB+UNOC:3")
    (('application/xml', 'xml'), ('application/EDIFACT', 'edi'))

    Source:
        RFC 7303 for XML, RFC 1767 for EDIFACT. What the gateway expects is unknown.
    """
    start = payload[:64].removeprefix(b"\xef\xbb\xbf").lstrip()
    if start.startswith(b"<") or payload.startswith((b"\xff\xfe<\0", b"\xfe\xff\0<")):
        return "application/xml", "xml"
    if start.startswith((b"UNA", b"UNB")):
        return "application/EDIFACT", "edi"
    return "application/octet-stream", "bin"


def _fits(payload: bytes) -> bool:
    """Check whether a payload can be sent as it is: no octet, line end or line that a mail server may change."""
    # Operations in C on the whole payload: a pattern that searches for a long line from every octet anew takes
    # seconds for a declaration of 2 MB.
    ends = payload.count(b"\r\n")
    if not payload.count(b"\r") == payload.count(b"\n") == ends or payload.translate(None, _FIT):
        return False
    lines = payload.split(b"\r\n")
    # Empty lines at the end get lost on the way; RFC 6376, section 3.4.3, is made for that.
    return lines[-2:] != [b"", b""] and not any(map(_may_change, lines))


def _may_change(line: bytes) -> bool:
    """Check whether a mail server on the way may change a line, whatever the standards say."""
    return (
        len(line) > grammar.PLAIN_LINE_LIMIT
        or line.endswith(grammar.CHANGED_ENDS)
        or grammar.CHANGED_START.match(line) is not None
    )


def is_plain(payload: bytes, layout: Layout) -> bool:
    """
    Check whether a payload can be sent as it is.

    Args:
        payload: The octets to carry.
        layout: How they are carried.

    Returns:
        Whether no mail server on the way may change an octet, and the boundary of an attachment does not occur.
    """
    return _fits(payload) and not (layout == "attachment" and _DELIMITER in payload)


def _encoded(payload: bytes, encoding: TransferEncoding, *, attached: bool) -> bytes:
    """Encode a payload; the result always ends in CRLF."""
    if encoding == "7bit":
        # The line end before a boundary belongs to the boundary (RFC 2046, section 5.1.1).
        return payload if payload.endswith(b"\r\n") and not attached else payload + b"\r\n"
    if encoding == "quoted-printable":
        quoted = _quoted(payload)
        if attached:
            return quoted + b"\r\n"
        return quoted if quoted.endswith(b"\r\n") else quoted + b"=\r\n"
    lines = (
        binascii.b2a_base64(payload[start : start + _OCTETS_PER_LINE], newline=False)
        for start in range(0, len(payload), _OCTETS_PER_LINE)
    )
    return b"".join(line + b"\r\n" for line in lines)


_TO_QUOTE: Final = re.compile(rb"[^\t -<>-~]")
_AT_START: Final = (b".", b">", b"F")  # of a line that a server may change; see grammar.CHANGED_START


def _quoted(payload: bytes) -> bytes:
    """
    Encode a payload in quoted-printable; only the line ends CRLF stay as they are.

    Source:
        RFC 2045, section 6.7.
    """
    # Empty lines at the end get lost on the way; their line ends are encoded.
    text = payload.rstrip(b"\r\n")
    end = payload[len(text) :]
    lines = text.split(b"\r\n")
    if text and end == b"\r\n":
        lines.append(b"")
    else:
        lines[-1] += end
    return b"\r\n".join(b"=\r\n".join(_quoted_line(line)) for line in lines)


def _quoted_line(line: bytes) -> Iterator[bytes]:
    """Encode one line, and break it where it is too long."""
    text = _TO_QUOTE.sub(_quote, line)
    if text.endswith(grammar.CHANGED_ENDS):
        text = text[:-1] + b"=%02X" % text[-1]
    at = 0
    while True:
        first = b""
        if text.startswith(_AT_START, at):
            first, at = b"=%02X" % text[at], at + 1
        stop = at + grammar.BASE64_LINE - 1 - len(first)  # room for the sign of a soft line break
        if stop >= len(text):
            yield first + text[at:]
            return
        # An octet is encoded in three characters, which stay together.
        equals = text.rfind(b"=", stop - 2, stop)
        stop = stop if equals < 0 else equals
        yield first + text[at:stop]
        at = stop


def _quote(match: re.Match[bytes]) -> bytes:
    return b"=%02X" % ord(match[0])


def render(  # noqa: PLR0913 - one argument for each thing that a message has
    headers: list[tuple[str, str]],
    payload: bytes,
    *,
    content_type: str,
    layout: Layout,
    file_name: str,
    transfer_encoding: TransferEncoding | None = None,
) -> bytes:
    """
    Render a message.

    Args:
        headers: Name and value of each header, checked: ASCII without line ends.
        payload: The octets to carry.
        content_type: The content type of the payload.
        layout: The payload as the body, or as the only part of a multipart message.
        file_name: The name of the attachment.
        transfer_encoding: How the payload is encoded; by default 7bit if `is_plain`, and base64 otherwise. 7bit only
            for what is plain.

    Returns:
        The message: 7-bit, CRLF, no line over 998 octets without its line end.
    """
    attached = layout == "attachment"
    encoding = transfer_encoding or ("7bit" if is_plain(payload, layout) else "base64")
    octets = _encoded(payload, encoding, attached=attached)
    carried = [("Content-Type", content_type), ("Content-Transfer-Encoding", encoding)]
    headers = [*headers, ("MIME-Version", "1.0")]
    if not attached:
        if encoding == "7bit" and len(octets) > len(payload):
            # It shows a reader that the line end at the end is not part of the payload (RFC 2183, section 2.7).
            headers.append(("Content-Disposition", f"inline; size={len(payload)}"))
        return _lines([*headers, *carried]) + octets
    carried.append(("Content-Disposition", f'attachment; filename="{file_name}"'))
    outer = [
        ("Content-Type", _MIXED),
        ("Content-Transfer-Encoding", "7bit"),
    ]
    opening, closing = _DELIMITER + b"\r\n", _DELIMITER + b"--\r\n"
    return _lines([*headers, *outer]) + opening + _lines(carried) + octets + closing


def _lines(headers: list[tuple[str, str]]) -> bytes:
    """Write header lines and the empty line after them."""
    return "".join(f"{name}: {value}\r\n" for name, value in headers).encode("ascii") + b"\r\n"
