"""
Hide a login in what a server says.

Never does: read a login, or send one.
"""

from __future__ import annotations

from base64 import b64encode
from string import ascii_lowercase, ascii_uppercase
from typing import Final, final
from urllib.parse import quote, quote_plus

_WIDTH: Final = 5
"""Characters in a row that show too much of a secret; a server may repeat a line that it has cut."""
_HIDDEN: Final = "…"
_LOWER: Final = str.maketrans(ascii_uppercase, ascii_lowercase)


@final
class Redaction:
    """
    Replace every part of a login that shows in a text, in each form that this library sends or prints.

    Args:
        username: What is logged in with, or None.
        password: The password for it, or None.
    """

    def __init__(self, username: str | None, password: str | None) -> None:
        self._pieces = [_pieces(form) for form in _forms(username or "", password or "")]

    def add(self, form: str) -> None:
        """
        Hide one more text, such as the answer to a challenge.

        Args:
            form: What must not show.
        """
        self._pieces.append(_pieces(form))

    def __call__(self, text: str) -> str:
        """
        Hide the login.

        Args:
            text: What a server said, of one line or several.

        Returns:
            The text with an ellipsis in the place of each part of the login, in upper or lower case, whole, cut,
            or wrapped over several lines.
        """
        if not self._pieces:
            return text
        places = [place for place, character in enumerate(text) if not character.isspace()]
        dense = _dense(text)
        shown = bytearray(b"\1" * len(text))
        for pieces in self._pieces:
            width = len(next(iter(pieces)))
            for start in range(len(dense) - width + 1):
                if dense[start : start + width] in pieces:
                    first, last = places[start], places[start + width - 1]
                    shown[first : last + 1] = bytes(last + 1 - first)
        parts: list[str] = []
        for place, character in enumerate(text):
            if shown[place]:
                parts.append(character)
            elif not place or shown[place - 1]:
                parts.append(_HIDDEN)
        return "".join(parts)


def _dense(text: str) -> str:
    """Leave out blanks and line ends, which a server may put anywhere, and the difference of case."""
    return "".join(text.split()).translate(_LOWER)


def _pieces(form: str) -> frozenset[str]:
    """Give what must not show of one form: every few characters in a row, or all of a short one."""
    dense = _dense(form)
    width = min(len(dense), _WIDTH)
    return frozenset(dense[start : start + width] for start in range(len(dense) - width + 1))


def _forms(username: str, password: str) -> frozenset[str]:
    """List the password as it is, as SASL PLAIN and LOGIN send it, and as URLs and reprs write it."""
    if not password:
        return frozenset()
    octets = password.encode("utf-8", "surrogatepass")
    sasl = b"\0" + username.encode("utf-8", "surrogatepass") + b"\0" + octets
    encoded = {b64encode(value).decode("ascii").rstrip("=") for value in (octets, sasl)}
    quoted = {quote(octets, safe=""), quote_plus(octets), repr(password)[1:-1]}
    # A password of blanks alone has only its encoded forms.
    return frozenset(form for form in {password, *encoded, *quoted} if form.strip())
