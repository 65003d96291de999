"""
Make certificates for one test.

Never does: make one that anybody else trusts.
"""

from __future__ import annotations

from pathlib import Path

import trustme

from htpoort.simulator._private_files import write_private


def write(folder: Path, names: tuple[str, ...], client: str) -> None:
    """
    Write the certificate of an authority, and what it issued.

    Args:
        folder: Gets ``ca.pem``, ``server.pem`` and ``client.pem``; the last two with their keys. Only their owner
            may read them.
        names: Host names and addresses of the server; the first is its common name.
        client: The mailbox of the client.
    """
    authority = trustme.CA()
    # RSA: the suites of TLS 1.2 that Customs lists are for RSA certificates.
    # A common name: fetchmail takes no certificate without one.
    server = authority.issue_cert(*names, common_name=names[0], key_type=trustme.KeyType.RSA)
    issued = {"server.pem": server, "client.pem": authority.issue_cert(client, common_name=client)}
    write_private(folder / "ca.pem", authority.cert_pem.bytes())
    for name, certificate in issued.items():
        write_private(folder / name, certificate.private_key_and_cert_chain_pem.bytes())
