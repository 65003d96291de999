"""
Hide secrets in what a server or a program says.

Never does: decide what is secret.
"""

from __future__ import annotations

import shlex
from base64 import b64encode
from string import ascii_lowercase, ascii_uppercase
from typing import Final, Self, final
from urllib.parse import quote, quote_plus

_WIDTH: Final = 5
"""Characters in a row that show too much of a secret; a server may repeat a line that it has cut."""
_HIDDEN: Final = "…"
_LOWER: Final = str.maketrans(ascii_uppercase, ascii_lowercase)


@final
class Redaction:
    """
    Replace secrets in a text, in each form in which this library sends or prints them.

    Args:
        secrets: What must not show; empty ones count for nothing.
        width: How many of its characters in a row show too much; a shorter secret counts as a whole.
    """

    def __init__(self, *secrets: str, width: int = _WIDTH) -> None:
        self._width = width
        self._pieces: list[frozenset[str]] = []
        self.add(*secrets)

    @classmethod
    def of_login(cls, username: str | None, password: str | None) -> Self:
        """
        Hide a password and what is made of it to log in.

        Args:
            username: What is logged in with, or None.
            password: The password for it, or None.

        Returns:
            What hides it.
        """
        if not password:
            return cls()
        # As SASL PLAIN sends it (RFC 4616); LOGIN sends the password alone.
        return cls(password, f"\0{username or ''}\0{password}")

    def add(self, *secrets: str) -> None:
        """
        Hide more.

        Args:
            secrets: What must not show either, such as the answer to a challenge.
        """
        forms = {form for secret in secrets for form in _forms(secret) if form.strip()}
        self._pieces += [_pieces(form, self._width) for form in forms]

    def __call__(self, text: str) -> str:
        """
        Hide the secrets.

        Args:
            text: What was said, of one line or several.

        Returns:
            The text with an ellipsis in the place of each part of a secret, in upper or lower case, whole, cut, or
            wrapped over several lines.
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


def _pieces(form: str, width: int) -> frozenset[str]:
    """Give what must not show of one form: every few characters in a row, or all of a short one."""
    dense = _dense(form)
    size = min(len(dense), width)
    return frozenset(dense[start : start + size] for start in range(len(dense) - size + 1))


def _forms(secret: str) -> tuple[str, ...]:
    """Give a secret as it is, in base64, and as URLs, reprs and shells write it."""
    octets = secret.encode("utf-8", "surrogatepass")
    encoded = b64encode(octets).decode("ascii").rstrip("=")
    return (
        secret,
        encoded,
        quote(octets, safe=""),
        quote_plus(octets),
        repr(secret)[1:-1],
        shlex.quote(secret).strip("'"),
    )
