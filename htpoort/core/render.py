"""
Render a message from values that were checked: headers by hand, one physical line each.

This module never checks a value, folds a line, or chooses a time, a Message-ID or a random boundary.
"""

from __future__ import annotations

import binascii
from datetime import datetime
from typing import Final, Literal

from htpoort.core import grammar

Layout = Literal["body", "attachment"]

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


def _encoded(payload: bytes, *, attached: bool) -> tuple[str, bytes]:
    """Choose the transfer encoding of a payload and encode it; the octets always end in CRLF."""
    if _fits(payload) and not (attached and _DELIMITER in payload):
        # The line end before a boundary belongs to the boundary (RFC 2046, section 5.1.1).
        return "7bit", payload if payload.endswith(b"\r\n") and not attached else payload + b"\r\n"
    lines = (
        binascii.b2a_base64(payload[start : start + _OCTETS_PER_LINE], newline=False)
        for start in range(0, len(payload), _OCTETS_PER_LINE)
    )
    return "base64", b"".join(line + b"\r\n" for line in lines)


def render(
    headers: list[tuple[str, str]], payload: bytes, *, content_type: str, layout: Layout, file_name: str
) -> bytes:
    """
    Render a message.

    Args:
        headers: Name and value of each header, checked: ASCII without line ends.
        payload: The octets to carry.
        content_type: The content type of the payload.
        layout: The payload as the body, or as the only part of a multipart message.
        file_name: The name of the attachment.

    Returns:
        The message: 7-bit, CRLF, no line over 998 octets without its line end.
    """
    attached = layout == "attachment"
    encoding, octets = _encoded(payload, attached=attached)
    carried = [("Content-Type", content_type), ("Content-Transfer-Encoding", encoding)]
    headers = [*headers, ("MIME-Version", "1.0")]
    if not attached:
        return _lines([*headers, *carried]) + octets
    carried.append(("Content-Disposition", f'attachment; filename="{file_name}"'))
    outer = [
        ("Content-Type", _MIXED),
        ("Content-Transfer-Encoding", "7bit"),
    ]
    opening, closing = _DELIMITER + b"\r\n", _DELIMITER + b"--\r\n"
    return _lines([*headers, *outer]) + opening + _lines(carried) + octets + closing


def payload_of(raw: bytes) -> bytes | None:
    """
    Extract the payload of a message that `render` wrote, in any layout and transfer encoding.

    Args:
        raw: The message, as this version or an earlier one rendered it.

    Returns:
        The payload, without the line end at its end, which `render` may have added; None if `render` cannot have
        written the message.
    """
    block, _, octets = raw.partition(b"\r\n\r\n")
    attached = f"Content-Type: {_MIXED}".encode() in block.split(b"\r\n")
    if attached:
        opening, closing = _DELIMITER + b"\r\n", _DELIMITER + b"--\r\n"
        if not (octets.startswith(opening) and octets.endswith(closing)):
            return None
        block, _, octets = octets.removeprefix(opening).removesuffix(closing).partition(b"\r\n\r\n")
    lines = block.split(b"\r\n")
    if b"Content-Transfer-Encoding: 7bit" in lines:
        payload = octets.removesuffix(b"\r\n") if attached else octets
    elif b"Content-Transfer-Encoding: base64" in lines:
        try:
            payload = binascii.a2b_base64(octets.replace(b"\r\n", b""), strict_mode=True)
        except binascii.Error:
            return None
    else:
        return None
    return payload.removesuffix(b"\r\n")


def _lines(headers: list[tuple[str, str]]) -> bytes:
    """Write header lines and the empty line after them."""
    return "".join(f"{name}: {value}\r\n" for name, value in headers).encode("ascii") + b"\r\n"
