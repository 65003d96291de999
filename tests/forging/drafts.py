"""
Write a reply, line by line: what it says first, then its header lines, then its octets.

Never does: choose what to say; the scene does, and what is tolerated or forged changes it in between.
"""

from __future__ import annotations

import itertools
from typing import Final, final

import attrs
from forging.scenes import Scene
from hypothesis import strategies as st

CRLF: Final = (b"\r\n",)

_PADDING: Final = b"X-Padding: "


@final
@attrs.frozen(kw_only=True)
class Facts:
    """
    Hold what a reply says.

    Args:
        scene: Who answers whom; what a forgery turns away from.
        mailbox: From.
        mail_from: MAIL FROM, or None.
        pieces: Keys and values of the envelope, in order.
        text: The Subject, where it is not to be made of *pieces*.
        must_encode: Whether the Subject can only be written in encoded words.
    """

    scene: Scene
    mailbox: str
    mail_from: str | None
    pieces: tuple[tuple[str, str], ...]
    text: str | None = None
    must_encode: bool = False

    def value(self, key: str) -> str:
        """
        Give the value of one key.

        Args:
            key: V, A, K or S.

        Returns:
            The value.
        """
        return dict(self.pieces)[key]

    def with_value(self, key: str, value: str) -> Facts:
        """
        Put another value.

        Args:
            key: V, A, K or S.
            value: What to put.

        Returns:
            Other facts.
        """
        return attrs.evolve(self, pieces=tuple((own, value if own == key else old) for own, old in self.pieces))


def facts_of(scene: Scene) -> Facts:
    """
    Say what a genuine reply says.

    Args:
        scene: Who answers whom.

    Returns:
        V and A swapped, K and S kept.
    """
    return Facts(
        scene=scene,
        mailbox=scene.system.mailbox,
        mail_from=scene.mail_from,
        pieces=(("V", scene.process_id), ("A", str(scene.party)), ("K", scene.reference), ("S", "0")),
    )


@final
@attrs.frozen(kw_only=True)
class Draft:
    r"""
    Hold a message before its lines are put together.

    Args:
        mail_from: MAIL FROM, or None.
        header: The header lines without line ends; a fold is a bare line feed in one.
        body: The body.
        ends: The line ends of the header, in turn.
        empty_line: Whether there is one after the header; without it there is no body either.
        header_size: Octets that the header is padded to; 0 where it is not.
        size: Octets that the message is padded to; 0 where it is not.
    """

    mail_from: str | None
    header: tuple[bytes, ...]
    body: bytes
    ends: tuple[bytes, ...] = CRLF
    empty_line: bool = True
    header_size: int = 0
    size: int = 0

    def instead_of(self, name: str, *lines: bytes) -> Draft:
        """
        Put other lines for one header.

        Args:
            name: Of the header that goes.
            lines: What comes in its place; perhaps nothing.

        Returns:
            Another draft.
        """
        at = self.place(name)
        return attrs.evolve(self, header=(*self.header[:at], *lines, *self.header[at + 1 :]))

    def place(self, name: str) -> int:
        """
        Find a header line.

        Args:
            name: Of the header, in any case.

        Returns:
            Its index.
        """
        start = f"{name}:".lower().encode()
        return next(at for at, line in enumerate(self.header) if line.lower().startswith(start))

    def with_line(self, at: int, line: bytes) -> Draft:
        """
        Put a further line in.

        Args:
            at: Before which line; 0 for the first.
            line: Without a line end.

        Returns:
            Another draft.
        """
        return attrs.evolve(self, header=(*self.header[:at], line, *self.header[at:]))

    def render(self) -> bytes:
        """
        Put the lines together.

        Returns:
            The message.
        """
        ends = itertools.cycle(self.ends)
        head = b"".join(part + next(ends) for line in self.header for part in line.split(b"\n"))
        if self.header_size:
            end = next(ends)
            head += _PADDING.ljust(self.header_size - len(head) - len(end), b"x") + end
        if not self.empty_line:
            return head
        return (head + next(ends) + self.body).ljust(self.size, b"x")


# What the official reply form and our own writer look like; whether the blanks are on the wire is unknown.
_FORMS: Final = st.sampled_from(["[V={}][A={}][K={}][S={}]", "[V= {}][A= {}][K={}][S={}]"])


def subject_line(draw: st.DrawFn, *, facts: Facts) -> str:
    """
    Draw the Subject of a genuine reply.

    Args:
        draw: Of a composite strategy.
        facts: What it says.

    Returns:
        One line.
    """
    if [key for key, _ in facts.pieces] == ["V", "A", "K", "S"]:
        return draw(_FORMS).format(*(value for _, value in facts.pieces))
    return "".join(f"[{key}={value}]" for key, value in facts.pieces)


def drafted(facts: Facts, *, sender: str, subject: str) -> Draft:
    """
    Write the header lines of a reply.

    Args:
        facts: What it says.
        sender: The value of From.
        subject: The value of Subject.

    Returns:
        A draft.
    """
    lines = (
        f"From: {sender}",
        "To: edi@forwarder.example",
        f"Subject: {subject}",
        "Date: Mon, 02 Nov 2026 09:05:07 +0100",
        "Message-ID: <1@gateway.example>",
        "MIME-Version: 1.0",
    )
    return Draft(
        mail_from=facts.mail_from,
        header=tuple(line.encode() for line in lines),
        body=facts.scene.body,
    )
