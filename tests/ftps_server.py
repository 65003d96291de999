"""pyftpdlib with TLS, as a gateway that we did not write; everything on loopback."""

from __future__ import annotations

import threading
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, Self

from OpenSSL import SSL

with warnings.catch_warnings():
    # asyncore, which pyftpdlib takes from Python before 3.12.
    warnings.simplefilter("ignore", DeprecationWarning)
    from pyftpdlib.authorizers import DummyAuthorizer
    from pyftpdlib.handlers import TLS_DTPHandler, TLS_FTPHandler
    from pyftpdlib.ioloop import IOLoop
    from pyftpdlib.servers import FTPServer

USER: Final = "CVR_12345678_UI_12345678"
PASSWORD: Final = "geheim"
OUT: Final = "/CVR_12345678/UI_12345678/out"
MANIFEST: Final = "/CVR_12345678/UI_12345678/Manifest"
VERSIONS: Final = {"1.1": SSL.TLS1_1_VERSION, "1.2": SSL.TLS1_2_VERSION, "1.3": SSL.TLS1_3_VERSION}


class FtpsServer:
    """
    Serve a folder to one user, in a thread.

    Args:
        root: What the user sees as the root; the folders of a gateway are made in it.
        authority: The certificates of the tests.
        options: *implicit*, whether TLS begins with the first octet; *tls*, its only version; *client*, whether a
            certificate of the client is required; *reuse*, whether the data of a transfer must come with the TLS
            session of its control connection; *certificate*, the file of the server's; and attributes of the handler.
    """

    def __init__(self, root: Path, authority: SimpleNamespace, **options: Any) -> None:
        for folder in (OUT, MANIFEST):
            (root / folder[1:]).mkdir(parents=True, exist_ok=True)
        self.root = root
        self.commands: list[str] = []
        self.reused: list[bool] = []
        self.certificates = 0
        self._options = options
        self._loop = IOLoop()
        self._server = FTPServer(("127.0.0.1", 0), self._handler(self._context(authority)), self._loop)
        self.port: int = self._server.address[1]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve)

    def _context(self, authority: SimpleNamespace) -> SSL.Context:
        version = VERSIONS[self._options.pop("tls", "1.3")]
        certificate = self._options.pop("certificate", authority.host)
        context = SSL.Context(SSL.TLS_SERVER_METHOD)
        context.set_min_proto_version(version)
        context.set_max_proto_version(version)
        context.set_session_id(b"htpoort")
        context.use_certificate_chain_file(certificate)
        context.use_privatekey_file(certificate)
        if self._options.pop("client", False):
            context.load_verify_locations(authority.ca)
            context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT)
        return context

    def _handler(self, context: SSL.Context) -> type[TLS_FTPHandler]:
        server = self
        implicit, reuse = self._options.pop("implicit", False), self._options.pop("reuse", False)

        class Data(TLS_DTPHandler):  # type: ignore[misc]  # pyftpdlib has no types
            def handle_ssl_established(self) -> None:
                reused = bool(SSL._lib.SSL_session_reused(self.socket._ssl))  # pyOpenSSL has no method for it
                server.reused.append(reused)
                if reuse and not reused:
                    self.cmd_channel.respond("522 SSL connection failed: session reuse required")
                    self._resp = ()
                    self.close()

        class Handler(TLS_FTPHandler):  # type: ignore[misc]  # the same
            ssl_context = context
            certfile = "in the context"
            dtp_handler = Data
            authorizer = DummyAuthorizer()
            tls_control_required = True
            tls_data_required = True
            permit_foreign_addresses = False

            def handle(self) -> None:
                if implicit:
                    self.secure_connection(self.ssl_context)
                else:
                    super().handle()

            def handle_ssl_established(self) -> None:
                if implicit:
                    super().handle()
                server.certificates += self.socket.get_peer_certificate() is not None

            def process_command(self, cmd: str, *arguments: Any, **more: Any) -> None:
                server.commands.append(f"{cmd} {arguments[0] if arguments else ''}".strip())
                super().process_command(cmd, *arguments, **more)

        Handler.authorizer.add_user(USER, PASSWORD, str(self.root), perm="elradfmwMT")
        for name, value in self._options.items():
            setattr(Handler, name, value)
        return Handler

    def _serve(self) -> None:
        while not self._stop.is_set():
            self._loop.loop(timeout=0.02, blocking=False)
        self._server.close_all()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def file(self, path: str) -> Path:
        """Return the file behind a path on the server."""
        return self.root / path[1:]
