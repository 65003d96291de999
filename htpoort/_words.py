"""
Undo the folding and the encoded words of one header value.

Never does: raise, or look a character set up outside of its own short table.
"""

from __future__ import annotations

import binascii
import re
from typing import Final

from htpoort import _grammar

_CHARSETS: Final = {
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
"""Character sets that are decoded. A peer may name any codec of Python, and some are not for text."""

_HEX: Final = re.compile(r"=([0-9A-Fa-f]{2})")


def _octets(encoding: str, text: str) -> bytes | None:
    """Undo one B or Q encoding; None where it is broken."""
    if encoding in "Bb":
        try:
            # Field software leaves out the padding of the last word. What stands
            # behind the padding is read by some programs and skipped by others.
            return binascii.a2b_base64(text + "=" * (-len(text) % 4), strict_mode=True)
        except binascii.Error:
            return None
    if _grammar.BROKEN_Q.search(text):
        return None
    plain = _HEX.sub(lambda match: chr(int(match[1], 16)), text.replace("_", " "))
    return plain.encode("latin-1")


def _word(match: re.Match[str]) -> str | None:
    """Decode one encoded word; None where it cannot be read for sure."""
    codec = _CHARSETS.get(match[1].lower())
    octets = _octets(match[2], match[3])
    if codec is None or octets is None:
        return None
    try:
        return octets.decode(codec)
    except UnicodeDecodeError:
        return None


def ascii_lower(text: str) -> str:
    r"""
    Lower the case of ASCII text, and of nothing else.

    `str.lower` turns the Kelvin sign into a k, and another mailbox into one of ours.

    >>> ascii_lower("DMS@HTPOORT.NL"), ascii_lower("\N{KELVIN SIGN}")
    ('dms@htpoort.nl', '\u212a')
    """
    return text.lower() if text.isascii() else text


def unfold(text: str) -> str:
    r"""
    Join the lines of a folded header value.

    >>> unfold("[V=a]\r\n [A=b]")
    '[V=a] [A=b]'

    Source:
        RFC 5322, section 2.2.3.
    """
    return _grammar.FOLD.sub("", text) if "\n" in text else text


def decode(text: str) -> str:
    """
    Replace the encoded words of a header value by what they say.

    An encoded word counts where white space or the ends of the text stand
    around it; blanks between two of them are dropped. A word that cannot be
    read for sure stays as it is, and its `=?` shows that.

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
        match = _grammar.ENCODED_WORD.fullmatch(piece)
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
