"""
Handle text from outside: compare it by ASCII alone, put it on one printable line, hide secrets in it.

This module never decides what is secret.
"""

from __future__ import annotations

from collections.abc import Collection
from string import Formatter, ascii_lowercase, ascii_uppercase
from typing import Final, Self, final

_WIDTH: Final = 5
"""Characters in a row that show too much of a secret; a server may repeat a line that it has cut."""
_HIDDEN: Final = "…"
_LOWER: Final = str.maketrans(ascii_uppercase, ascii_lowercase)


def ascii_lower(text: str) -> str:
    r"""
    Turn ASCII text into lower case, and leave any other text as it is.

    `str.lower` turns the Kelvin sign into a k, and so a different mailbox into one of ours.

    >>> ascii_lower("DMS@HTPOORT.NL"), ascii_lower("\N{KELVIN SIGN}")
    ('dms@htpoort.nl', '\u212a')
    """
    return text.lower() if text.isascii() else text


def one_line(text: str) -> str:
    r"""
    Put a text on one line of printable characters, for a log, a report or a database.

    Each character that is not printable becomes a blank, and blanks in a row become one: no line end, escape
    sequence, NUL or half of a surrogate pair is left. Cut a long text before and after; hide secrets in the result.

    >>> one_line("550 no\r\n\tsuch \x1b[31muser ")
    '550 no such [31muser'

    Args:
        text: One line or several, from a peer, a program or an error.

    Returns:
        The line, without blanks at either end.
    """
    return " ".join("".join(character if character.isprintable() else " " for character in text).split())


def folded(name: str) -> str:
    """
    Turn a name that people print into the form in which such names are compared: without case and repeated blanks.

    >>> folded(" DMS  Invoer ")
    'dms invoer'
    """
    return " ".join(name.casefold().split())


def decoded_text(octets: bytes) -> str:
    r"""
    Decode the text of a file that people saved: UTF-8, or what editors of Windows write, UTF-16 or Windows-1252.

    >>> decoded_text(b"st\xc3\xb8j"), decoded_text(b"st\xf8j"), decoded_text(b"\xff\xfes\x00t\x00")
    ('støj', 'støj', 'st')

    Args:
        octets: What is in the file. UTF-16 is recognised by its first two octets.

    Returns:
        The text. What no encoding explains is in it as U+FFFD.
    """
    if octets.startswith((b"\xff\xfe", b"\xfe\xff")):
        return octets.decode("utf-16", "replace")
    try:
        return octets.decode("utf-8-sig")
    except UnicodeDecodeError:
        return octets.decode("cp1252", "replace")


def unreadable(name: object, error: OSError | ValueError) -> str:
    """
    Write why a file cannot be read, and what to do where the reason alone does not show it.

    >>> unreadable("moves.csv", PermissionError(13, "Permission denied"))
    'moves.csv cannot be read: Permission denied; let the user who runs this read it (chown, chmod).'

    Args:
        name: The file, as the user knows it.
        error: What reading it raised; a name with a NUL is a ValueError.

    Returns:
        One sentence.
    """
    advice = "; let the user who runs this read it (chown, chmod)" if isinstance(error, PermissionError) else ""
    reason = error.strerror if isinstance(error, OSError) else error
    return f"{name} cannot be read: {reason}{advice}."


def placeholders(form: str) -> list[str]:
    """
    List the placeholders of a text that `str.format` fills in.

    >>> placeholders("{party}/{reference}.xml")
    ['party', 'reference']

    Raises:
        ValueError: It has a brace alone.
    """
    return [name for _, name, _, _ in Formatter().parse(form) if name is not None]


def unknown_placeholders(form: str, known: Collection[str]) -> list[str]:
    """
    List the placeholders that cannot be filled in as they are: others than the known, or with a format or conversion.

    >>> unknown_placeholders("{K}/{party!r}", ("party",))
    ['K', 'party']

    Raises:
        ValueError: The text has a brace alone.
    """
    return [
        name
        for _, name, spec, conversion in Formatter().parse(form)
        if name is not None and (name not in known or spec or conversion)
    ]


@final
class Redaction:
    """
    Hide secrets in a text, in each form in which this library sends or prints them.

    Args:
        secrets: What must not be shown; empty ones are ignored.
        width: How many characters of a secret in a row show too much; a shorter secret is hidden as a whole.
    """

    def __init__(self, *secrets: str, width: int = _WIDTH) -> None:
        self._width = width
        self._pieces: list[frozenset[str]] = []
        self.add(*secrets)

    @classmethod
    def of_login(cls, username: str | None, password: str | None) -> Self:
        """
        Hide a password, and the SASL response that contains it.

        Args:
            username: The user name of the login, or None.
            password: The password of the login, or None.

        Returns:
            A redaction of that login.
        """
        if not password:
            return cls()
        # As SASL PLAIN sends it (RFC 4616); LOGIN sends the password alone.
        return cls(password, f"\0{username or ''}\0{password}")

    def add(self, *secrets: str) -> None:
        """
        Hide more secrets.

        Args:
            secrets: What must not be shown either, such as the response to a challenge.
        """
        forms = {form for secret in secrets for form in _forms(secret) if form.strip()}
        self._pieces += [_pieces(form, self._width) for form in forms]

    def __call__(self, text: str) -> str:
        """
        Hide the secrets in a text.

        Args:
            text: One line or several, from a server or a program.

        Returns:
            The text with an ellipsis in place of each part of a secret, in upper or lower case, whole, cut, or wrapped
            over several lines.
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
    """Drop blanks and line ends, which a server may add anywhere, and the difference of case."""
    return "".join(text.split()).translate(_LOWER)


def _pieces(form: str, width: int) -> frozenset[str]:
    """Split one form into what must not be shown: every few characters in a row, or all of a short one."""
    dense = _dense(form)
    size = min(len(dense), width)
    return frozenset(dense[start : start + size] for start in range(len(dense) - size + 1))


def _forms(secret: str) -> tuple[str, ...]:
    """List a secret as it is, in base64, and as URLs, reprs and shells write it."""
    # Imported here, so that `import htpoort` stays cheap: most programs hide nothing.
    import shlex  # noqa: PLC0415
    from base64 import b64encode  # noqa: PLC0415
    from urllib.parse import quote, quote_plus  # noqa: PLC0415

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
