"""
Know what may stand between DATA and the final dot, and how dots are doubled there.

Never does: read or write a connection.
"""

from __future__ import annotations

from typing import Final

END: Final = b"\r\n.\r\n"
"""The one end of a message (RFC 5321, section 4.1.1.4); nothing that only resembles it ends one."""


def is_clean(content: bytes) -> bool:
    r"""
    Tell whether every CR and LF of a content is half of a CRLF, and no NUL is in it.

    A program that takes a bare LF or CR for a line end sees another message in it, or two
    (*SMTP smuggling*).

    >>> is_clean(b"a\r\nb\r\n"), is_clean(b"a\n.\r\nMAIL FROM:<x@y>\r\n")
    (True, False)

    Args:
        content: A message, dots not doubled.

    Returns:
        True where all software sees the same lines.

    Source:
        RFC 5321, sections 2.3.8 and 4.1.1.4.
    """
    # In constant time for each octet and one copy, however many line ends there are.
    return len(content) - len(content.translate(None, b"\r\n\0")) == 2 * content.count(b"\r\n")


def fits(content: bytes, limit: int) -> bool:
    r"""
    Tell whether no line is longer than a limit.

    >>> fits(b"abc\r\nab\r\n", 3), fits(b"abc\r\nabcd\r\n", 3)
    (True, False)

    Args:
        content: Lines ended by CRLF.
        limit: Octets of a line, without its end.

    Returns:
        True where every line fits.
    """
    start = 0
    while 0 < len(content) - start > limit:
        # The last line end that is near enough; the ones before it need no look.
        end = content.rfind(b"\r\n", start, start + limit + 2)
        if end < 0:
            return False
        start = end + 2
    return True


def stuffed(content: bytes) -> bytes:
    r"""
    Double the dot at the start of each line.

    >>> stuffed(b".a\r\nb.\r\n.\r\n")
    b'..a\r\nb.\r\n..\r\n'

    Args:
        content: A clean content.

    Returns:
        The octets for the wire, without the final dot.

    Source:
        RFC 5321, section 4.5.2.
    """
    return (b"\r\n" + content).replace(b"\r\n.", b"\r\n..")[2:]
