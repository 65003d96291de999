"""
Make certificates for one test.

Never does: make one that anybody else trusts.
"""

from __future__ import annotations

from pathlib import Path

import trustme


def write(folder: Path, names: tuple[str, ...], client: str) -> None:
    """
    Write the certificate of an authority, and what it issued.

    Args:
        folder: Gets ``ca.pem``, ``server.pem`` and ``client.pem``; the last two with their keys.
        names: Host names and addresses of the server.
        client: The mailbox of the client.
    """
    authority = trustme.CA()
    # RSA: the suites of TLS 1.2 that Customs lists are for RSA certificates.
    server = authority.issue_cert(*names, key_type=trustme.KeyType.RSA)
    authority.cert_pem.write_to_path(folder / "ca.pem")
    server.private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")
    authority.issue_cert(client).private_key_and_cert_chain_pem.write_to_path(folder / "client.pem")
