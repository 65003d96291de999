"""What a file gateway reports: uploads, lists of files, and how a command or a transfer can fail."""

from __future__ import annotations

import enum
from typing import Final, final

import attrs

from htpoort.core.errors import HtpoortError, Problem

__all__ = ["FtpsError", "FtpsFailure", "Presence", "RemoteFile", "RemoteListing", "Uploaded"]


class FtpsFailure(enum.Enum):
    """The ways in which a command or a transfer can fail."""

    CONNECT = "connect"
    """No connection, or none for the data of a transfer: refused, host not found, no greeting, timed out."""
    TLS = "tls"
    """No TLS: not offered, handshake failed, certificate not trusted, or our own files are unusable."""
    LOGIN = "login"
    """The server refused user name and password, or the certificate, or requires them."""
    REFUSED = "refused"
    """The server refused the command or the file permanently (5xx)."""
    DEFERRED = "deferred"
    """The server refused the command or the file for now (4xx)."""
    NAME_USED = "name-used"
    """The server refused an upload because a file of this name was uploaded before."""
    LOST = "lost"
    """The connection was lost, or the server answered out of step."""
    INCOMPLETE = "incomplete"
    """The server has or sent another number of octets than the file has."""
    PROTOCOL = "protocol"
    """The server does not speak FTP, or not enough of it."""
    LIMIT = "limit"
    """The server sent more, or took longer, than the settings allow."""


class Presence(enum.Enum):
    """Whether the file of a failed upload is on the server."""

    ABSENT = "absent"
    """It is not there: no octet of it was sent, or the server refused it."""
    PRESENT = "present"
    """It is there with all of its octets, as the server listed afterwards."""
    UNKNOWN = "unknown"
    """Octets were sent, and the server may have taken the file or not."""


_ADVICE: Final = {
    FtpsFailure.CONNECT: "Check server name and ports, also the passive ones; try again later.",
    FtpsFailure.TLS: "Check CA file, certificate and key; a retry without a change fails again.",
    FtpsFailure.LOGIN: "Check user name, password and certificate.",
    FtpsFailure.REFUSED: "Read the server's reply, and do not repeat the command unchanged.",
    FtpsFailure.DEFERRED: "Try it again later with the same name.",
    FtpsFailure.NAME_USED: "A name is used once; if no earlier upload of this file had begun, give it another name.",
    FtpsFailure.LOST: "Try it again with the same name.",
    FtpsFailure.INCOMPLETE: "Try it again later.",
    FtpsFailure.PROTOCOL: "Check server name and port; the server must speak FTP.",
    FtpsFailure.LIMIT: "Check the server; if it is in order, raise the limit.",
}
_UNCERTAIN: Final = {
    Presence.PRESENT: "The server lists the whole file; do not upload it again under another name.",
    Presence.UNKNOWN: "The server may have taken the file; upload it again under the same name only.",
}
_PASSING: Final = frozenset({
    FtpsFailure.CONNECT,
    FtpsFailure.DEFERRED,
    FtpsFailure.LOST,
    FtpsFailure.INCOMPLETE,
    FtpsFailure.LIMIT,
})
_TRANSIENT_REPLIES: Final = range(400, 500)


@final
@attrs.define(eq=False, str=False, slots=False)
class FtpsError(HtpoortError):
    """
    Report that a command or a transfer failed.

    Args:
        account: ``user@host:port``.
        kind: The way in which it failed.
        code: The reply code, 400 to 599; None if the server gave none.
        reply: The text of the server's reply on one line, or of the network error.
        is_server_trouble: Whether the trouble is with the server and not with this file, so that any other file
            would have failed too: all that goes wrong before a folder is entered, a 421, a required login, and a
            connection for data that cannot be made.
        presence: For an upload, whether the file is on the server.

    Attributes:
        retryable: Whether the same call may succeed later without a change. An upload that may have arrived is not.
    """

    account: str
    kind: FtpsFailure
    code: int | None
    reply: str
    is_server_trouble: bool = False
    presence: Presence = Presence.ABSENT
    retryable: bool = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        passing = self.kind in _PASSING or (self.kind is FtpsFailure.LOGIN and self.code in _TRANSIENT_REPLIES)
        self.retryable = passing and self.presence is Presence.ABSENT

    @property
    def summary(self) -> str:
        """What went wrong, without advice: for the log of a program that retries by itself."""
        # A user name may contain an @, so the two are not shown with one between them.
        user, _, place = self.account.rpartition("@")
        reply = " ".join(part for part in (str(self.code or ""), self.reply) if part).rstrip(".")
        return f"{place} as {user} ({self.kind.value}): {reply or 'no reply'}."

    def __str__(self) -> str:
        return f"{self.summary} {_UNCERTAIN.get(self.presence, _ADVICE[self.kind])}"


@final
@attrs.frozen(kw_only=True)
class Uploaded:
    """
    The server's answer that it took a file: transport, never acceptance by Customs.

    Args:
        code: The reply code, 200 to 299.
        reply: The text of the answer, on one line.
        size: The octets that the server lists for the file afterwards; None if it lists none, as a gateway that takes
            files away at once.
    """

    code: int
    reply: str
    size: int | None


@final
@attrs.frozen
class RemoteFile:
    """
    A file on the server.

    Args:
        name: Its name, without a folder.
        size: Its octets; None if the server does not list them.
    """

    name: str
    size: int | None


@final
@attrs.frozen(kw_only=True)
class RemoteListing:
    """
    The files in a folder.

    Args:
        files: Those that can be fetched, in the order of the server, at most 100,000.
        problems: ``ftps.listing``: names that no file can have here, such as one with a slash or a control character.
            Such a file stays on the server.
        whole: Whether every file that the server listed is in *files*.
    """

    files: tuple[RemoteFile, ...]
    problems: tuple[Problem, ...] = ()
    whole: bool = True
