"""
The TLS settings of the gateway: its certificate, its versions, and whether clients show a certificate.

Only clients that are given its authority trust the certificates that it makes.
"""

from __future__ import annotations

import enum
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Self, final

import attrs

from htpoort._disk import write_private
from htpoort.core.errors import InputError, Problem
from htpoort.simulator.faults import member_problems
from htpoort.transport import TlsPolicy, TlsSettings, server_context

__all__ = ["ClientCertificate", "GatewayTls"]

_NAMES: Final = ("localhost", "127.0.0.1", "::1")
_CLIENT: Final = "edi@forwarder.example"
_NEWEST: Final = TlsSettings().policy


class ClientCertificate(enum.StrEnum):
    """Whether the gateway asks clients for a certificate."""

    NONE = "none"
    """It does not ask."""
    OPTIONAL = "optional"
    """It asks; a certificate that is shown must be of its authority."""
    REQUIRED = "required"
    """It refuses clients without a certificate of its authority, and everything before TLS."""


@final
@attrs.frozen(kw_only=True)
class GatewayTls:
    """
    The certificate of the gateway, and what it requires of clients.

    `made` writes all files to a folder; or name your own.

    That the MSA interface has TLS, and which versions, is official. That the gateway accepts neither a login nor a
    declaration before TLS is inferred from that; so the simulator answers 530 by SMTP and -ERR by POP3. Whether the
    real gateway has STARTTLS or implicit TLS is unknown; the simulator has both.

    Args:
        certificate: PEM file with the gateway's certificate and its chain.
        key: PEM file of its private key; by default the key is in *certificate*.
        key_password: Password of the key. Not shown in the repr.
        ca_file: PEM file of the authority that clients trust, and that the certificates of clients must be of.
        client: Whether clients show a certificate. How the real gateway checks it is unknown.
        client_certificate: PEM file with a certificate and key that a client may show.
        require_tls: Whether everything before TLS is refused; otherwise a client may choose.
        policy: Versions and suites, as of a day and an environment: ``policy_for(Environment.TEST, on=day)``.
            TLS 1.3 is offered too.
        announced_only: Offer only the versions that the policy's source announces, to see what a client
            does when one is withdrawn.

    Raises:
        InputError: Clients must show a certificate, but *ca_file* is missing or they may connect without TLS;
            *client* is not a member of its enum. The error lists every problem.

    Source:
        Interface description of the MSA and the dated notices about its TLS.
    """

    certificate: Path | str
    key: Path | str | None = None
    key_password: str | None = attrs.field(default=None, repr=False)
    ca_file: Path | str | None = None
    client: ClientCertificate = ClientCertificate.NONE
    client_certificate: Path | str | None = None
    require_tls: bool = True
    policy: TlsPolicy = _NEWEST
    announced_only: bool = False

    def __attrs_post_init__(self) -> None:
        problems = member_problems("simulator.tls", client=(self.client, ClientCertificate))
        if not problems and self.client is not ClientCertificate.NONE and self.ca_file is None:
            message = f"client is {self.client}, but there is no authority to check certificates; give ca_file."
            problems.append(Problem("simulator.tls", message))
        if self.client is ClientCertificate.REQUIRED and not self.require_tls:
            message = "require_tls is false, but a client certificate is required, which needs TLS; leave it out."
            problems.append(Problem("simulator.tls", message))
        if problems:
            raise InputError("", tuple(problems))

    @classmethod
    def made(  # noqa: PLR0913 - the choices of the class, each with its default
        cls,
        folder: Path | str,
        *,
        policy: TlsPolicy = _NEWEST,
        client: ClientCertificate = ClientCertificate.NONE,
        require_tls: bool = True,
        announced_only: bool = False,
        names: Sequence[str] = (),
        clients: Sequence[str] = (_CLIENT,),
    ) -> Self:
        """
        Make an authority, a certificate of the gateway and those of clients; needs `htpoort[simulator]`.

        Args:
            folder: An existing folder; it gets ``ca.pem``, ``server.pem`` and ``client.pem``, readable by their owner.
            policy: Versions and suites.
            client: Whether clients show a certificate.
            require_tls: Whether everything before TLS is refused.
            announced_only: Offer only the versions that the policy's source announces.
            names: Host names and addresses of the gateway's certificate, in addition to those of loopback.
            clients: The names in the certificates of clients, at least one. That of the second is in ``client-2.pem``,
                and so on.

        Returns:
            Settings with the paths of the files.

        Raises:
            ModuleNotFoundError: trustme is not installed.
            OSError: A file cannot be written.
        """
        place = Path(folder)
        _write(place, (*_NAMES, *names), clients)
        return cls(
            certificate=place / "server.pem",
            ca_file=place / "ca.pem",
            client=client,
            client_certificate=place / "client.pem",
            require_tls=require_tls,
            policy=policy,
            announced_only=announced_only,
        )

    @property
    def for_clients(self) -> TlsSettings:
        """The settings for a client: the authority to trust, and a certificate if the gateway asks for one."""
        shown = None if self.client is ClientCertificate.NONE else self.client_certificate
        return TlsSettings(policy=self.policy, ca_file=self.ca_file, certificate=shown)

    def context(self) -> ssl.SSLContext:
        """
        Make the context of the servers; reads files.

        Returns:
            A context with the policy's minimum and suites; with a maximum only if *announced_only* is set.

        Raises:
            InputError: A file cannot be read or used; has the field and the path.
        """
        context = server_context(
            TlsSettings(
                policy=self.policy,
                ca_file=None if self.client is ClientCertificate.NONE else self.ca_file,
                certificate=self.certificate,
                key=self.key,
                key_password=self.key_password,
            )
        )
        if self.client is ClientCertificate.OPTIONAL:
            context.verify_mode = ssl.CERT_OPTIONAL
        if self.announced_only:
            context.minimum_version = min(self.policy.announced)
            context.maximum_version = max(self.policy.announced)
        return context


def _write(folder: Path, names: tuple[str, ...], clients: Sequence[str]) -> None:
    """
    Write the certificate of an authority, and the certificates that it issues.

    Args:
        folder: For ``ca.pem``, ``server.pem``, ``client.pem`` and so on; all but the first with their keys. Only their
            owner may read them.
        names: Host names and addresses of the server; the first is its common name.
        clients: The mailbox or the name of each client.
    """
    import trustme  # noqa: PLC0415 - an extra: only needed to make certificates

    authority = trustme.CA()
    # RSA: the suites of TLS 1.2 that Customs lists are for RSA certificates.
    # A common name: fetchmail accepts no certificate without one.
    server = authority.issue_cert(*names, common_name=names[0], key_type=trustme.KeyType.RSA)
    issued = {"server.pem": server}
    for number, client in enumerate(clients, start=1):
        # An authority issues certificates for mailboxes and hosts; any other name can only be the common name.
        identity = client if "@" in client else "client.example"
        file = "client.pem" if number == 1 else f"client-{number}.pem"
        issued[file] = authority.issue_cert(identity, common_name=client)
    write_private(folder / "ca.pem", authority.cert_pem.bytes())
    for name, certificate in issued.items():
        write_private(folder / name, certificate.private_key_and_cert_chain_pem.bytes())
