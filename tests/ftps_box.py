"""A gateway for FTPS that plays faults: at each command, at each connection for data, in each list and file."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from collections import defaultdict
from collections.abc import Callable
from typing import Any, Final, Self

FEATURES: Final = "211-Features:\r\n MLST type*;size*;\r\n SIZE\r\n UTF8\r\n EPSV\r\n211 End\r\n"
_RESET: Final = struct.pack("ii", 1, 0)

Step = bytes | str | Callable[[], object]
Fault = Step | tuple[Step, ...] | list[Any]
"""
What is done in place of an answer: octets, "usual", "drop" (reset), "close", "stall" (until the client leaves), or a
call; a tuple does several, and a list has one for each time, the last for all that follow.

The name ``data`` is that of the connection for data: "usual", "drop", "plain" (no TLS), "stall" (no TLS either),
"deaf" (nothing is read), "half" (reset in the middle), "ragged" (no end of TLS), "cut" (half of it, and no end of TLS),
"short" (half of it, and its end), "endless", or octets in place of what is sent.
"""


class FtpsBox:
    """
    Serve files from memory, with a thread for each connection.

    Args:
        tls: The context of the server.
        files: Octets by path.
        implicit: Whether TLS begins with the first octet.
        faults: What is done in place of an answer, by command, ``greeting``, ``data``, or the command and ``end`` for
            the last answer of a transfer.
    """

    def __init__(
        self,
        tls: ssl.SSLContext,
        files: dict[str, bytes] | None = None,
        *,
        implicit: bool = False,
        faults: dict[str, Fault] | None = None,
    ) -> None:
        self.tls = tls
        self.files = dict(files or {})
        self.implicit = implicit
        self.faults = dict(faults or {})
        self.commands: list[str] = []
        self.connections = 0
        self.open = 0
        self.reused: list[bool] = []
        self.ended: list[bool] = []
        self.reached: dict[str, threading.Event] = defaultdict(threading.Event)
        self.left = threading.Event()
        self.endless = b"x" * 65_536
        self.ragged = False
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._begin(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        # Closing alone does not wake the thread that accepts.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for each in self._sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()

    def keep(self, connection: socket.socket) -> socket.socket:
        """End a connection at the end, whatever its thread waits for."""
        self._sockets.append(connection)
        return connection

    def fault(self, name: str) -> Fault:
        """Take the next fault of a name."""
        self.reached[name].set()
        fault = self.faults.get(name, "usual")
        if isinstance(fault, list):
            fault = fault.pop(0) if len(fault) > 1 else fault[0]
        return fault

    def _begin(self, work: Callable[..., None], *arguments: Any) -> None:
        thread = threading.Thread(target=work, args=arguments)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                self._begin(self._serve, self.keep(connection))

    def _serve(self, connection: socket.socket) -> None:
        with self._lock:
            self.open += 1
        served = _Connection(self, connection)
        try:
            with contextlib.suppress(OSError, EOFError):
                served.run()
        finally:
            served.close()
            with self._lock:
                self.open -= 1
            self.left.set()


class _Connection:
    def __init__(self, box: FtpsBox, connection: socket.socket) -> None:
        self._box = box
        self._socket = connection
        self._file = connection.makefile("rb")
        self._folder = ""
        self._passive: socket.socket | None = None

    def run(self) -> None:
        if self._box.implicit:
            self._secure()
        self._say("greeting", "220 gateway.example ready")
        while line := self._file.readline().decode("utf-8", "surrogateescape").rstrip("\r\n"):
            self._box.commands.append(line)
            verb, _, rest = line.partition(" ")
            getattr(self, f"_{verb.lower()}", self._unknown)(rest)

    def close(self) -> None:
        for each in (self._file, self._socket, self._passive):
            if each is not None:
                with contextlib.suppress(OSError):
                    each.close()

    def _secure(self) -> None:
        self._file.close()
        self._socket = self._box.tls.wrap_socket(self._socket, server_side=True, do_handshake_on_connect=False)
        self._box.keep(self._socket)
        self._socket.do_handshake()
        self._file = self._socket.makefile("rb")

    def _say(self, name: str, usual: str) -> bool:
        """Give an answer, or play the fault of its name; return whether the command goes on."""
        fault = self._box.fault(name)
        went = True
        for step in fault if isinstance(fault, tuple) else (fault,):
            if callable(step):
                step()
            elif isinstance(step, bytes):
                self._socket.sendall(step)
                went = step[:1] < b"4"
            elif step == "usual":
                self._socket.sendall(usual.encode() + (b"" if usual.endswith("\n") else b"\r\n"))
            elif step == "stall":
                while self._socket.recv(1000):
                    pass
                raise EOFError
            else:
                if step == "drop":
                    self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                self.close()
                raise EOFError
        return went

    # ── commands ─────────────────────────────────────────────────────────────

    def _unknown(self, _rest: str) -> None:
        self._say("unknown", "500 no command")

    def _auth(self, _rest: str) -> None:
        if self._say("AUTH", "234 go on"):
            self._secure()

    def _user(self, _rest: str) -> None:
        self._say("USER", "331 password")

    def _pass(self, _rest: str) -> None:
        self._say("PASS", "230 welcome")

    def _feat(self, _rest: str) -> None:
        self._say("FEAT", FEATURES)

    def _opts(self, _rest: str) -> None:
        self._say("OPTS", "200 always")

    def _pbsz(self, _rest: str) -> None:
        self._say("PBSZ", "200 0")

    def _prot(self, _rest: str) -> None:
        self._say("PROT", "200 private")

    def _type(self, _rest: str) -> None:
        self._say("TYPE", "200 binary")

    def _noop(self, _rest: str) -> None:
        self._say("NOOP", "200 here")

    def _quit(self, _rest: str) -> None:
        self._say("QUIT", "221 bye")

    def _cwd(self, rest: str) -> None:
        if self._say("CWD", "250 there"):
            self._folder = rest

    def _size(self, rest: str) -> None:
        content = self._box.files.get(self._path(rest))
        self._say("SIZE", "550 no such file" if content is None else f"213 {len(content)}")

    def _dele(self, rest: str) -> None:
        if self._say("DELE", "250 deleted"):
            self._box.files.pop(self._path(rest), None)

    def _epsv(self, _rest: str) -> None:
        self._say("EPSV", f"229 go on (|||{self._listen()}|)")

    def _pasv(self, _rest: str) -> None:
        port = self._listen()
        # The address of another host, which nobody listens at.
        self._say("PASV", f"227 go on (192,0,2,1,{port // 256},{port % 256})")

    def _stor(self, rest: str) -> None:
        if self._say("STOR", "150 go on"):
            octets = self._take()
            if octets is not None:
                self._box.files[self._path(rest)] = octets
            self._say("STOR end", "226 taken")

    def _retr(self, rest: str) -> None:
        content = self._box.files.get(self._path(rest))
        if content is None:
            self._say("RETR", "550 no such file")
        elif self._say("RETR", "150 go on"):
            self._give(content)
            self._say("RETR end", "226 sent")

    def _mlsd(self, _rest: str) -> None:
        lines = [f"type=file;size={len(content)}; {name}\r\n" for name, content in self._listed()]
        if self._say("MLSD", "150 go on"):
            self._give("".join(lines).encode())
            self._say("MLSD end", "226 sent")

    def _nlst(self, _rest: str) -> None:
        if self._say("NLST", "150 go on"):
            self._give("".join(f"{name}\r\n" for name, _ in self._listed()).encode())
            self._say("NLST end", "226 sent")

    def _path(self, name: str) -> str:
        return f"{self._folder}/{name}"

    def _listed(self) -> list[tuple[str, bytes]]:
        paths = [(path.rpartition("/"), content) for path, content in self._box.files.items()]
        return [(name, content) for (folder, _, name), content in paths if folder == self._folder]

    # ── data ─────────────────────────────────────────────────────────────────

    def _listen(self) -> int:
        if self._passive is not None:
            self._passive.close()
        self._passive = socket.create_server(("127.0.0.1", 0))
        self._passive.settimeout(60)
        port: int = self._passive.getsockname()[1]
        return port

    def _data(self) -> tuple[ssl.SSLSocket | None, Fault]:
        """Accept the connection for data; without TLS if its fault is of that kind."""
        fault = self._box.fault("data")
        assert self._passive is not None
        plain, _ = self._passive.accept()
        self._box.keep(plain)
        if fault in {"drop", "plain", "stall"}:
            if fault == "drop":
                plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            elif fault == "plain":
                plain.sendall(b"no TLS here\r\n" * 10)
            with contextlib.suppress(OSError):
                while fault != "drop" and plain.recv(1000):
                    pass
            plain.close()
            return None, fault
        data = plain
        try:
            data = self._box.tls.wrap_socket(
                plain, server_side=True, suppress_ragged_eofs=False, do_handshake_on_connect=False
            )
            self._box.keep(data)
            data.do_handshake()
        except OSError:
            data.close()
            return None, fault
        self._box.reused.append(bool(data.session_reused))
        self._box.reached["TLS of data"].set()
        return data, fault

    def _take(self) -> bytes | None:
        data, fault = self._data()
        if data is None:
            return None
        with data:
            if fault == "deaf":
                self._file.read(1)
                raise EOFError
            if fault == "half":
                octets = data.recv(1000)
                data.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                return octets
            octets = b""
            try:
                while piece := data.recv(65_536):
                    octets += piece
                self._box.ended.append(True)
            except ssl.SSLEOFError:
                self._box.ended.append(False)
            with contextlib.suppress(OSError):
                data.unwrap()
        return octets

    def _give(self, content: bytes) -> None:
        data, fault = self._data()
        if data is None:
            return
        with data, contextlib.suppress(OSError):
            if isinstance(fault, bytes):
                content = fault
            if fault == "endless":
                while True:
                    data.sendall(self._box.endless)
            data.sendall(content[: len(content) // 2] if fault in {"cut", "short", "half"} else content)
            if fault == "half":
                data.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            elif fault not in {"cut", "ragged"} and not self._box.ragged:
                data.unwrap()
