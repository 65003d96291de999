"""The control connection and the data connection of a simulated file gateway, with the faults that are due."""

# pyright: basic, reportAttributeAccessIssue=false, reportOptionalMemberAccess=false, reportArgumentType=false
# pyftpdlib has no types, so that what is derived from it has none either.

from __future__ import annotations

import contextlib
import socket
import struct
import time
from typing import Any, Final, Protocol, cast

from htpoort.simulator._file_store import Visitor
from htpoort.simulator._ftps_folders import FileBuffer, Folders, Logins
from htpoort.simulator._ftps_library import SSL, TLS_DTPHandler, TLS_FTPHandler
from htpoort.simulator.faults import FaultAction
from htpoort.simulator.file_faults import FtpsFault, FtpsStep, Kept
from htpoort.simulator.files import OutFile

_PACE: Final = 0.005  # seconds between two pieces of what trickles
_PIECE: Final = 512  # octets of such a piece, of a content
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)  # of SO_LINGER: closing the connection resets it
_CLOSING: Final = 421
_SIZE_LIMIT: Final = 200 * 1024 * 1024  # octets of an upload, because they stay in memory
_COMMANDS: Final = (
    *("AUTH", "PBSZ", "PROT", "USER", "PASS", "QUIT", "NOOP", "SYST", "FEAT", "OPTS", "HELP", "TYPE", "MODE", "STRU"),
    *("PWD", "CWD", "CDUP", "PASV", "EPSV", "LIST", "NLST", "MLSD", "SIZE", "MDTM", "STOR", "RETR", "DELE", "ABOR"),
)
"""What the gateway understands: nothing that renames, appends, or begins in the middle, and no active mode."""
_STEPS: Final = {
    "AUTH": FtpsStep.AUTH,
    "USER": FtpsStep.USER,
    "PASS": FtpsStep.PASS,
    "CWD": FtpsStep.CWD,
    "PASV": FtpsStep.PASV,
    "EPSV": FtpsStep.PASV,
    "LIST": FtpsStep.LIST,
    "NLST": FtpsStep.LIST,
    "MLSD": FtpsStep.LIST,
    "SIZE": FtpsStep.SIZE,
    "STOR": FtpsStep.STOR,
    "RETR": FtpsStep.RETR,
    "DELE": FtpsStep.DELE,
    "QUIT": FtpsStep.QUIT,
}


class SessionRecord(Protocol):
    """Where one session is recorded; called in the thread of the server."""

    def heard(self, line: bytes) -> None:
        """Record a line of the client."""

    def said(self, response: str) -> None:
        """Record a response."""

    def note(self, text: str) -> None:
        """Record what happened."""

    def failed_login(self, username: str) -> None:
        """Record a login with a wrong user name, password or certificate."""

    def end(self) -> None:
        """Record that the connection is closed."""


class _Leavable:
    """A connection whose peer may leave within TLS, or end it wrongly."""

    def recv(self, buffer_size: int) -> bytes:
        """Read; after such an end, close the connection and return nothing."""
        try:
            return cast("bytes", cast("Any", super()).recv(buffer_size))
        except SSL.Error:
            cast("Any", self).handle_close()
            return b""


class DataConnection(_Leavable, TLS_DTPHandler):  # type: ignore[misc]
    """One data connection."""

    def __init__(self, sock: socket.socket, cmd_channel: FtpsSession) -> None:
        self._settled = False
        self._slow = False
        self._checked = False
        self._resp: tuple[Any, ...] = ()
        super().__init__(sock, cmd_channel)

    def handle_ssl_established(self) -> None:
        control = self.cmd_channel
        if control.tls.same_session and self.socket.master_key() != control.socket.master_key():
            self._settled = True
            control.record.note("the data connection did not resume the TLS session of the control connection")
            self._resp = ("522 The data connection must resume the TLS session", control.quietly)
            self.abort()

    def handle_failed_ssl_handshake(self) -> None:
        self.cmd_channel.record.note("the TLS handshake of the data connection failed")
        self._settled = True
        self._resp = ("522 The TLS handshake failed", self.cmd_channel.quietly)
        self.close()

    def enable_receiving(self, type: str, cmd: str) -> None:  # noqa: A002 - pyftpdlib's name
        fault = self.cmd_channel.take(FtpsStep.STOR_CONTENT)
        if fault is not None and fault.action is FaultAction.TRICKLE:
            self.ac_in_buffer_size = _PIECE
            self._slow = True
            fault = None
        self.file_obj.arrived = lambda size: self._arrived(size, fault)
        super().enable_receiving(type, cmd)

    def _arrived(self, size: int, fault: FtpsFault | None) -> None:
        """Go on after a piece of an upload."""
        if fault is not None and not self._settled:
            self._break_off(fault)
        elif size > _SIZE_LIMIT:
            self._settled = True
            self._resp = ("552 Exceeded storage allocation", self.cmd_channel.quietly)
            self.abort()
        elif self._slow:
            time.sleep(_PACE)

    def send(self, data: bytes) -> int:
        if self._ssl_accepting:
            # Sending would end the handshake, and pyftpdlib would not know.
            return 0
        if self.cmd == "RETR" and not self._checked:
            self._checked = True
            fault = self.cmd_channel.take(FtpsStep.RETR_CONTENT)
            if fault is not None and fault.action is not FaultAction.TRICKLE:
                sent = super().send(data[: len(data) // 2]) if len(data) > 1 else 0
                self._break_off(fault)
                return sent
            self._slow = fault is not None
        if self._slow:
            time.sleep(_PACE)
            data = data[:_PIECE]
        return cast("int", super().send(data))

    def close(self) -> None:
        if self._closed:
            return
        if self.receive and not self._settled:
            self._settled = True
            self._settle()
        elif self.transfer_finished and not self.receive:
            # Before the client can hear of it.
            self.cmd_channel.sent_whole()
        elif not self._resp and self.file_obj is not None and not self._settled:
            self._resp = ("426 Connection closed; transfer aborted", self.cmd_channel.quietly)
        if not self._closed:
            super().close()

    def abort(self) -> None:
        """Close the connection without the end of TLS."""
        self._ssl_established = False
        self.close()

    def _settle(self) -> None:
        """Take an upload that has ended, or show the fault that is due."""
        whole = self._ssl_established and bool(self.socket.get_shutdown() & SSL.RECEIVED_SHUTDOWN)
        control = self.cmd_channel
        if not whole:
            self._ssl_established = False
            control.record.note(f"the upload broke off after {self.tot_bytes_received:,} octets")
            self._resp = ("426 Connection closed; transfer aborted", control.quietly)
            return
        fault = control.take(FtpsStep.STOR_END)
        if fault is None or fault.action is FaultAction.TRICKLE:
            refusal = control.keep(self.file_obj, Kept.ALL)
            self._resp = (refusal or "226 Transfer complete", control.quietly)
            control.is_slow = fault is not None
        elif fault.action in {FaultAction.DROP, FaultAction.STALL}:
            self._break_off(fault)
        else:
            control.keep(self.file_obj, fault.kept)
            code, text = fault.reply
            self._resp = (f"{code} {text}", control.quietly)
            control.is_last = code == _CLOSING

    def _break_off(self, fault: FtpsFault) -> None:
        """Lose both connections, or fall silent."""
        self._settled = True
        control = self.cmd_channel
        if self.receive:
            control.keep(self.file_obj, fault.kept)
        self._resp = ()
        control.break_off(reset=fault.action is FaultAction.DROP)
        if not self._closed:
            self._wanted_io_events = 0
            self.modify_ioloop_events(0)

    def use_sendfile(self) -> bool:  # noqa: PLR6301 - a hook
        return False


class FtpsSession(_Leavable, TLS_FTPHandler):  # type: ignore[misc]
    """One control connection."""

    authorizer = Logins()
    abstracted_fs = Folders
    dtp_handler = DataConnection
    banner = "gateway.example ready"
    auth_failed_timeout = 0
    tls_control_required = True
    tls_data_required = True
    use_sendfile = False
    proto_cmds = {name: value for name, value in TLS_FTPHandler.proto_cmds.items() if name in _COMMANDS}  # noqa: RUF012 - pyftpdlib's name

    def __init__(self, conn: socket.socket, server: Any, ioloop: object = None) -> None:  # noqa: ANN401 - a listener
        owner = server.owner
        self.store = owner.store
        self.tls = owner.tls
        self.clock = owner.clock
        self.passive_ports = owner.passive_ports
        self.visitor: Visitor | None = None
        self.certificate = ""
        self.sending: OutFile | None = None
        self.is_slow = False
        self.is_last = False
        self._silent = False
        self._owner = owner
        self._implicit = server.implicit
        self._greeted = False
        self.record = owner.recorded(_peer(conn))
        super().__init__(conn, server, ioloop)
        self.ssl_context = owner.context
        owner.controls.add(self)

    @classmethod
    def get_ssl_context(cls) -> None:
        """Return nothing: each server has a context of its own, which __init__ sets."""

    @staticmethod
    def quietly(_text: object) -> None:
        """Log nothing."""

    def log(self, msg: str, logfun: object = None) -> None:
        """Log nothing; the dialogue is recorded."""

    def handle(self) -> None:
        if self._implicit:
            self._prot = self._pbsz = True
            self.secure_connection(self.ssl_context)
        else:
            self._greet()

    def _greet(self) -> None:
        self._greeted = True
        fault = self.take(FtpsStep.GREETING)
        if fault is None or not self._show(fault):
            super().handle()
        self.is_slow = False

    def handle_ssl_established(self) -> None:
        shown = self.socket.get_peer_certificate()
        if shown is not None:
            self.certificate = shown.digest("sha256").decode().replace(":", "").lower()
        by = f", certificate {self.certificate[:16]}" if self.certificate else ", no certificate"
        self.record.note(f"{self.socket.get_protocol_version_name()} from here on{by}")
        if not self._greeted:
            self._greet()

    def handle_failed_ssl_handshake(self) -> None:
        self.record.note("the TLS handshake failed")
        self.close()

    def pre_process_command(self, line: str, cmd: str, arg: str) -> None:
        self.record.heard(f"{line}\r\n".encode())
        fault = self.take(_STEPS[cmd]) if cmd in _STEPS else None
        if fault is None or not self._show(fault, arg):
            super().pre_process_command(line, cmd, arg)
        self.is_slow = False

    def found_terminator(self) -> None:
        if not self._silent:
            super().found_terminator()

    def ftp_USER(self, line: str) -> None:  # noqa: N802 - pyftpdlib's name
        if self.store.needs_password or self.authenticated:
            super().ftp_USER(line)
            return
        # The certificate alone decides.
        self.visitor = self.store.log_in(line, "", self.certificate)
        if self.visitor is None:
            self.refuse_login(line)
            self.respond("530 Not logged in")
        else:
            self.username = line
            self.handle_auth_success("/", "", "Logged in by certificate")

    def ftp_STOR(self, file: str, mode: str = "w") -> None:  # noqa: N802 - pyftpdlib's name
        refusal = self.store.check_upload(cast("Visitor", self.visitor), file)
        if refusal is not None:
            self.respond(refusal)
        else:
            super().ftp_STOR(file, mode)

    def refuse_login(self, username: str) -> None:
        """Record a login with a wrong user name, password or certificate."""
        self.record.failed_login(username)

    def sent_whole(self) -> None:
        """Record that the file that was asked for is sent."""
        if self.sending is not None and self.visitor is not None:
            self.store.fetched(self.visitor, self.sending)
        self.sending = None

    def on_incomplete_file_sent(self, file: str) -> None:  # noqa: ARG002 - a hook
        self.sending = None

    def push(self, data: str) -> None:
        if self._silent:
            return
        self.record.said(data)
        if not self.is_slow:
            super().push(data)
            return
        for octet in data.encode():
            time.sleep(_PACE)
            super().push(chr(octet))

    def respond(self, resp: str, logfun: object = None) -> None:  # noqa: ARG002 - pyftpdlib's signature
        self._last_response = resp
        self.push(f"{resp}\r\n")
        self.is_slow = False
        if self.is_last:
            self.close_when_done()

    def close(self) -> None:
        if not self._closed:
            self.record.end()
            self._owner.controls.discard(self)
        super().close()

    # ── faults ──

    def take(self, step: FtpsStep) -> FtpsFault | None:
        """Return the fault that is due at a step."""
        fault: FtpsFault | None = self._owner.faults.take(step)
        if fault is not None:
            self.record.note(f"fault of the script: {fault.action} at {fault.at}")
        return fault

    def keep(self, file: FileBuffer, kept: Kept) -> str | None:
        """Keep of an upload what a fault leaves; return the response that refuses it after all, or None."""
        visitor = cast("Visitor", self.visitor)
        if kept is Kept.PART:
            self.store.keep_part(visitor, file.name, file.getvalue())
        elif kept is not Kept.NOTHING:
            refusal: str | None = self.store.take(visitor, file.name, file.getvalue(), whole=kept is Kept.ALL)
            return refusal
        return None

    def break_off(self, *, reset: bool) -> None:
        """Reset both connections, or never respond again."""
        self._silent = True
        if not reset:
            return
        for part in (self.data_channel, self):
            if part is not None:
                with contextlib.suppress(OSError):
                    part.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
                part._ssl_established = False  # noqa: SLF001 - so that it is closed at once
        self.close()

    def _show(self, fault: FtpsFault, arg: str = "") -> bool:
        """Show a fault at a command; return False if the right response must still be sent."""
        if fault.action is FaultAction.TRICKLE:
            self.is_slow = True
            return False
        if fault.deleted and self.visitor is not None:
            self.store.delete(self.visitor, self.fs.ftp2fs(arg))
        if fault.action in {FaultAction.DROP, FaultAction.STALL}:
            self.break_off(reset=fault.action is FaultAction.DROP)
            return True
        code, text = fault.reply
        self.is_last = code == _CLOSING
        self.respond(f"{code} {text}")
        return True


def _peer(sock: socket.socket) -> str:
    try:
        return str(sock.getpeername()[0])
    except OSError:
        return "?"  # it left at once
