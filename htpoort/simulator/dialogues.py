"""
Keep what was said in each SMTP, POP3 and FTPS session.

Never does: keep a password, a response to AUTH, or the content of a message.
"""

from __future__ import annotations

import enum
import re
from collections import deque
from collections.abc import Callable
from contextvars import ContextVar
from datetime import datetime
from typing import Final, Literal, final

import attrs

from htpoort.core.text import one_line

__all__ = ["CURRENT", "Dialogue", "DialogueLine", "DialogueRecorder", "Speaker"]

_COMMANDS: Final = {
    "SMTP": frozenset((
        *("HELO", "EHLO", "STARTTLS", "AUTH", "MAIL", "RCPT", "DATA", "RSET"),
        *("NOOP", "VRFY", "EXPN", "HELP", "QUIT"),
    )),
    "POP3": frozenset((
        *("CAPA", "STLS", "USER", "PASS", "APOP", "AUTH", "STAT", "LIST", "UIDL"),
        *("RETR", "TOP", "DELE", "RSET", "NOOP", "QUIT"),
    )),
    "FTPS": frozenset((
        *("AUTH", "PBSZ", "PROT", "USER", "PASS", "CWD", "CDUP", "PWD", "TYPE", "MODE", "STRU", "FEAT", "OPTS", "SYST"),
        *(
            "HELP",
            "NOOP",
            "PASV",
            "EPSV",
            "PORT",
            "EPRT",
            "LIST",
            "NLST",
            "MLSD",
            "SIZE",
            "MDTM",
            "STOR",
            "RETR",
            "DELE",
        ),
        *("APPE", "REST", "RNFR", "RNTO", "ABOR", "QUIT"),
    )),
}
"""The words that begin a line which is shown; any other line may be a password that was sent out of turn."""
_MECHANISMS: Final = frozenset((
    *("PLAIN", "LOGIN", "CRAM-MD5", "DIGEST-MD5", "XOAUTH2", "OAUTHBEARER", "SCRAM-SHA-256"),
    *("TLS", "SSL", "TLS-C", "TLS-P"),  # of FTP
))
_HIDDEN: Final = "•••"
_QUOTED: Final = re.compile(r'"[^"]*"')
_LONGEST: Final = 500  # characters of a line; a response of SMTP or POP3 has at most 512 octets
_MOST: Final = 40  # lines of a multi-line response


class Speaker(enum.StrEnum):
    """Who said a line of a dialogue."""

    CLIENT = "client"
    GATEWAY = "gateway"
    NOTE = "note"
    """Neither: what happened, such as the start of TLS."""


@final
@attrs.frozen(kw_only=True)
class DialogueLine:
    """
    One line of a dialogue.

    Args:
        at: When, by the gateway's clock.
        speaker: Who said it.
        text: One printable line, without what is secret.
    """

    at: datetime
    speaker: Speaker
    text: str


@final
@attrs.frozen(kw_only=True)
class Dialogue:
    """
    One session, as far as it has got.

    Args:
        number: Counted from 1, in the order in which the sessions began.
        protocol: The protocol.
        peer: The numeric address of the client.
        began: When it began, by the gateway's clock.
        ended: When the connection was closed; None while it is open.
        lines: The last lines, in order.
        left_out: How many lines before them are no longer kept.
    """

    number: int
    protocol: Literal["SMTP", "POP3", "FTPS"]
    peer: str
    began: datetime
    ended: datetime | None
    lines: tuple[DialogueLine, ...]
    left_out: int


@final
class DialogueRecorder:
    """
    Record one session while it goes on.

    Args:
        number: Of the session.
        protocol: The protocol.
        peer: The numeric address of the client.
        now: Returns the time.
        limit: How many lines are kept.
        changed: Called at each change.
    """

    def __init__(  # noqa: PLR0913 - what a session is known by, and what the journal lends it
        self,
        *,
        number: int,
        protocol: Literal["SMTP", "POP3", "FTPS"],
        peer: str,
        now: Callable[[], datetime],
        limit: int,
        changed: Callable[[], object],
    ) -> None:
        self.number = number
        self._protocol: Literal["SMTP", "POP3", "FTPS"] = protocol
        self._peer = peer
        self._now = now
        self._changed = changed
        self._began = now()
        self._ended: datetime | None = None
        self._lines: deque[DialogueLine] = deque(maxlen=limit)
        self._count = 0
        self._challenged = False
        self._hidden = False

    @property
    def dialogue(self) -> Dialogue:
        """The session so far."""
        return Dialogue(
            number=self.number,
            protocol=self._protocol,
            peer=self._peer,
            began=self._began,
            ended=self._ended,
            lines=tuple(self._lines),
            left_out=self._count - len(self._lines),
        )

    def heard(self, line: bytes) -> None:
        """
        Record a line of the client, without what is secret.

        Args:
            line: As it came, with its line end.
        """
        size, text = len(line.rstrip(b"\r\n")), line.decode("utf-8", "replace").rstrip("\r\n")
        self._hidden = False
        if self._challenged:
            self._challenged = False
            shown = f"{_HIDDEN} (response to AUTH)"
        elif text.partition(" ")[0].upper() not in _COMMANDS[self._protocol]:
            self._hidden = True
            shown = f"(not a command; {size} octets)"
        else:
            shown = _without_secrets(text)
        self._add(Speaker.CLIENT, shown)

    def heard_content(self, size: int, *, is_whole: bool) -> None:
        """Record that the client sent the content of a message, of so many octets."""
        self._add(Speaker.CLIENT, f"(content; {size:,} octets{'' if is_whole else ', without its end'})")

    def said(self, response: str | bytes) -> None:
        """
        Record a response of the gateway.

        Args:
            response: One line or several, with or without the last line end.
        """
        text = response.decode("utf-8", "replace") if isinstance(response, bytes) else response
        lines = text.rstrip("\r\n").split("\r\n")
        self._challenged = self._protocol == "SMTP" and text.startswith("334")
        for line in lines[:_MOST]:
            # An unknown command is repeated in quotes.
            self._add(Speaker.GATEWAY, _QUOTED.sub(f'"{_HIDDEN}"', line) if self._hidden else line)
        if len(lines) > _MOST:
            self._add(Speaker.GATEWAY, f"(and {len(lines) - _MOST:,} lines more)")

    def said_message(self, response: bytes) -> None:
        """Record a response that holds a message: its first line, and its size."""
        first, _, message = response.partition(b"\r\n")
        self.said(first)
        if message:
            self._add(Speaker.GATEWAY, f"(message; {len(message):,} octets)")

    def note(self, text: str) -> None:
        """Record what happened."""
        self._add(Speaker.NOTE, text)

    def end(self) -> None:
        """Record that the connection is closed; only the first call counts."""
        if self._ended is None:
            self._ended = self._now()
            self._changed()

    def _add(self, speaker: Speaker, text: str) -> None:
        shown = one_line(text[:_LONGEST])
        self._lines.append(DialogueLine(at=self._now(), speaker=speaker, text=shown + "…" * (len(text) > _LONGEST)))
        self._count += 1
        self._changed()


CURRENT: Final[ContextVar[DialogueRecorder | None]] = ContextVar("htpoort_dialogue", default=None)
"""The session that the running task serves."""


def _without_secrets(line: str) -> str:
    """Hide what follows PASS, the digest of APOP, and the response that AUTH may bring at once."""
    verb, *words = line.split()
    if verb.upper() == "AUTH" and words:
        mechanism = words[0] if words[0].upper() in _MECHANISMS else _HIDDEN
        return " ".join((verb, mechanism, *([_HIDDEN] if words[1:] else [])))
    if verb.upper() in {"PASS", "APOP"} and words:
        name = words[:1] if verb.upper() == "APOP" else []
        return " ".join((verb, *name, _HIDDEN))
    return line
