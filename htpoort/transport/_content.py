"""
Know what may stand between DATA and the final dot, and how dots are doubled there.

Never does: read or write a connection.
"""

from __future__ import annotations

from typing import Final

END: Final = b"\r\n.\r\n"
"""The one end of a message (RFC 5321, section 4.1.1.4); nothing that only resembles it ends one."""

DOT_LINE: Final = b".\r\n"
"""What can be waited for: the end without the line end before it, which may have come earlier."""


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
    # Each of the three ends a line here; only CRLF has two octets. Quicker than to count them.
    lines = content.splitlines()
    ends = len(lines) if content.endswith((b"\r", b"\n")) else len(lines) - bool(lines)
    return len(content) - len(b"".join(lines)) == 2 * ends and b"\0" not in content


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


def unstuffed(content: bytes) -> bytes:
    r"""
    Take the doubled dots away again.

    >>> unstuffed(b"..a\r\nb.\r\n..\r\n")
    b'.a\r\nb.\r\n.\r\n'

    Args:
        content: The octets from the wire, without the final dot.

    Returns:
        The content as it was before `stuffed`.

    Source:
        RFC 5321, section 4.5.2.
    """
    return (b"\r\n" + content).replace(b"\r\n.", b"\r\n")[2:]
