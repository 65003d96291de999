"""
Serve the folders of a simulated gateway by FTPS.

The server has a thread of its own, because pyftpdlib has a loop of its own. What happens is handed to the event loop
that started it.
"""

# pyright: basic
# pyftpdlib has no types, so that what is derived from it has none either.

from __future__ import annotations

import queue
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast, final

import attrs

from htpoort.simulator._file_store import FileStore
from htpoort.simulator._ftps_library import SSL, FTPServer, IOLoop, load_pem_private_key
from htpoort.simulator._ftps_session import DataConnection, FtpsSession, SessionRecord
from htpoort.simulator.clock import Clock
from htpoort.simulator.faults import FaultCounter
from htpoort.simulator.file_faults import FtpsFault

__all__ = ["FtpsServer", "ServerTls"]


@final
@attrs.frozen(kw_only=True)
class ServerTls:
    """
    The TLS of the server.

    Args:
        certificate: PEM file of the server's certificate and its chain.
        key: PEM file of its private key.
        key_password: Password of the key, if it has one.
        ca_file: PEM file of the authority of the clients' certificates.
        needs_certificate: Whether a client must show one.
        oldest: The lowest version, as of `ssl.TLSVersion`.
        newest: The highest; None for any.
        same_session: Whether a data connection must resume the TLS session of the control connection.
    """

    certificate: str
    key: str
    key_password: str | None
    ca_file: str
    needs_certificate: bool
    oldest: int
    newest: int | None
    same_session: bool

    def context(self) -> SSL.Context:
        """Make the context; reads files."""
        context = SSL.Context(SSL.TLS_SERVER_METHOD)
        context.use_certificate_chain_file(self.certificate)
        password = None if self.key_password is None else self.key_password.encode()
        context.use_privatekey(cast("Any", load_pem_private_key(Path(self.key).read_bytes(), password)))
        context.load_verify_locations(self.ca_file)
        demanded = SSL.VERIFY_FAIL_IF_NO_PEER_CERT if self.needs_certificate else 0
        context.set_verify(SSL.VERIFY_PEER | demanded)
        context.set_min_proto_version(self.oldest)
        if self.newest is not None:
            context.set_max_proto_version(self.newest)
        if self.oldest < SSL.TLS1_2_VERSION:
            # OpenSSL 3 speaks versions before 1.2 only without its usual level of security.
            context.set_cipher_list(b"DEFAULT:@SECLEVEL=0")
        # A session can be resumed with a certificate of the client only if it has a context ID.
        context.set_session_id(b"htpoort")
        context.set_session_cache_mode(SSL.SESS_CACHE_SERVER)
        return context


class _Listener(FTPServer):  # type: ignore[misc]
    """One port."""

    def __init__(self, sock: socket.socket, owner: FtpsServer, loop: Any, *, implicit: bool) -> None:  # noqa: ANN401 - a loop of pyftpdlib
        self.owner = owner
        self.implicit = implicit
        super().__init__(sock, FtpsSession, ioloop=loop)


@final
class _Waker:
    """Wake the loop of pyftpdlib from another thread."""

    def __init__(self, loop: Any) -> None:  # noqa: ANN401 - a loop of pyftpdlib
        self._loop = loop
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)  # noqa: FBT003 - the standard library's signature
        self._fileno = self._reader.fileno()
        loop.register(self._fileno, self, loop.READ)

    def wake(self) -> None:
        self._writer.send(b".")

    def readable(self) -> bool:  # noqa: PLR6301 - a hook
        return True

    def writable(self) -> bool:  # noqa: PLR6301 - a hook
        return False

    def handle_read_event(self) -> None:
        self._reader.recv(4096)

    def leave(self) -> None:
        """Leave the loop, which would close it."""
        self._loop.unregister(self._fileno)

    def close(self) -> None:
        self._reader.close()
        self._writer.close()


@final
class FtpsServer:
    """
    Serve a store by FTPS, in a thread.

    Args:
        store: The folders.
        tls: Certificates and versions.
        faults: The faults to show.
        clock: For the times of files.
        recorded: Begins the record of a session; called in the thread of the server.
        passive_ports: Of the data connections; None for any free one.
    """

    def __init__(  # noqa: PLR0913 - the parts that it puts together
        self,
        store: FileStore,
        *,
        tls: ServerTls,
        faults: FaultCounter[FtpsFault],
        clock: Clock,
        recorded: Callable[[str], SessionRecord],
        passive_ports: range | None = None,
    ) -> None:
        self.store = store
        self.tls = tls
        self.faults = faults
        self.clock = clock
        self.recorded = recorded
        self.passive_ports = passive_ports
        self.context = tls.context()
        self.controls: set[FtpsSession] = set()
        self._calls: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()
        self._stopped = False

    def start(self, explicit: socket.socket, implicit: socket.socket) -> None:
        """Serve two sockets, which are bound; they are closed with the server."""
        self._loop = IOLoop()
        self._waker = _Waker(self._loop)
        for sock, is_implicit in ((explicit, False), (implicit, True)):
            _Listener(sock, self, self._loop, implicit=is_implicit)
        self._thread = threading.Thread(target=self._run, name="htpoort-ftps", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Close every connection, and wait until the thread has ended."""
        self.call(self._end)
        self._thread.join()
        # Only now: the thread may have ended before the call above woke it.
        self._waker.close()

    def call(self, work: Callable[[], object]) -> None:
        """Run something in the thread of the server, without waiting for it."""
        self._calls.put(work)
        self._waker.wake()

    def _run(self) -> None:
        wait = None
        while not self._stopped:
            self._loop.poll(wait)
            wait = self._loop.sched.poll()
            while not self._calls.empty():
                self._calls.get()()
        self._waker.leave()
        self._loop.close()

    def _end(self) -> None:
        self._stopped = True
        # Without waiting for the end of TLS, which a client that is silent never sends.
        for part in (*self.controls, *self._loop.socket_map.values()):
            if isinstance(part, FtpsSession | DataConnection):
                part._ssl_established = False  # noqa: SLF001 - the same
        for control in tuple(self.controls):
            control.break_off(reset=False)
            control.close()
