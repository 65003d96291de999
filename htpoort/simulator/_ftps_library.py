"""
The only module that imports pyftpdlib and pyOpenSSL, with its cryptography; only a simulated file gateway needs them.

Importing it changes nothing: no warning, and no logging.
"""

# pyright: basic, reportMissingTypeStubs=false
# pyftpdlib has no types.

from __future__ import annotations

import warnings

from cryptography.hazmat.primitives.serialization import load_pem_private_key
from OpenSSL import SSL

with warnings.catch_warnings():
    # On Python 3.11 pyftpdlib uses asyncore and asynchat of the standard library.
    warnings.simplefilter("ignore", DeprecationWarning)
    from pyftpdlib.ioloop import IOLoop  # type: ignore[import-untyped]  # isort: skip
    from pyftpdlib.authorizers import AuthenticationFailed, DummyAuthorizer  # type: ignore[import-untyped]
    from pyftpdlib.filesystems import AbstractedFS, FilesystemError  # type: ignore[import-untyped]
    from pyftpdlib.handlers import TLS_DTPHandler, TLS_FTPHandler  # type: ignore[import-untyped]
    from pyftpdlib.servers import FTPServer  # type: ignore[import-untyped]

__all__ = [
    "SSL",
    "AbstractedFS",
    "AuthenticationFailed",
    "DummyAuthorizer",
    "FTPServer",
    "FilesystemError",
    "IOLoop",
    "TLS_DTPHandler",
    "TLS_FTPHandler",
    "load_pem_private_key",
]
