"""
Say how the gateway does TLS: its certificate, what it speaks, and whether clients show a certificate.

Never does: make a certificate that anybody else trusts.
"""

from __future__ import annotations

import enum
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Self, final

import attrs

from htpoort.errors import InputError, Problem
from htpoort.simulator._kinds import kind_problems
from htpoort.transport import TlsPolicy, TlsSettings, server_context

__all__ = ["ClientCertificate", "GatewayTls"]

_NAMES: Final = ("localhost", "127.0.0.1", "::1")
_CLIENT: Final = "edi@forwarder.example"
_NEWEST: Final = TlsSettings().policy


class ClientCertificate(enum.StrEnum):
    """Tell whether the gateway asks clients for a certificate."""

    NONE = "none"
    """It does not ask."""
    OPTIONAL = "optional"
    """It asks; one that is shown must be of its authority."""
    REQUIRED = "required"
    """It takes nobody without one of its authority, and nothing before TLS."""


@final
@attrs.frozen(kw_only=True)
class GatewayTls:
    """
    Hold the certificate of the gateway and what it asks of clients.

    `made` writes everything that is needed into a folder; or name files of your own.

    That the MSA interface has TLS, and which versions, is official. That the gateway takes neither a login nor a
    declaration before it is inferred from that, and so in the clear there is 530 by SMTP and -ERR by POP3. What is
    unknown is whether it does STARTTLS or implicit TLS; here there are both.

    Args:
        certificate: PEM file with the gateway's certificate and its chain.
        key: PEM file of its private key; where not given, it stands in *certificate*.
        key_password: What opens the key. Not shown in the repr.
        ca_file: PEM file of the authority: what a client trusts, and whose clients may connect.
        client: Whether clients show a certificate. How the real gateway checks one is unknown.
        client_certificate: PEM file with a certificate and key that a client may show.
        require_tls: Whether nothing is taken before TLS; without it a client may choose.
        policy: Versions and suites, as of a day and an environment: ``policy_for(Environment.TEST, on=day)``.
            TLS 1.3 is spoken beside what it names.
        announced_only: Speak only the versions that the policy's source announces, to see what a client
            does when one goes away.

    Raises:
        InputError: Clients are to show a certificate and *ca_file* is missing, or they may speak without TLS;
            *client* is none of its enum. Tells every one.

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
        problems = kind_problems("simulator.tls", client=(self.client, ClientCertificate))
        if not problems and self.client is not ClientCertificate.NONE and self.ca_file is None:
            message = f"client is {self.client} and ca_file is not set; give the authority of the clients."
            problems.append(Problem("simulator.tls", message))
        if self.client is ClientCertificate.REQUIRED and not self.require_tls:
            message = "require_tls is False and client is required; only over TLS a client shows a certificate."
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
    ) -> Self:
        """
        Make an authority, a certificate of the gateway and one of a client; needs `htpoort[simulator]`.

        Args:
            folder: Is there, and gets ``ca.pem``, ``server.pem`` and ``client.pem``, which only their owner may read.
            policy: Versions and suites.
            client: Whether clients show a certificate.
            require_tls: Whether nothing is taken before TLS.
            announced_only: Speak only the versions that the policy's source announces.
            names: Host names and addresses that the gateway's certificate is for, beside those of loopback.

        Returns:
            The value with the paths.

        Raises:
            ModuleNotFoundError: trustme is not installed.
            OSError: A file cannot be written.
        """
        from htpoort.simulator import _certificates  # noqa: PLC0415 - only who makes certificates needs trustme

        place = Path(folder)
        _certificates.write(place, (*_NAMES, *names), _CLIENT)
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
        """What a client of ours needs: whom to trust, and the certificate to show where one is asked for."""
        shown = None if self.client is ClientCertificate.NONE else self.client_certificate
        return TlsSettings(policy=self.policy, ca_file=self.ca_file, certificate=shown)

    def context(self) -> ssl.SSLContext:
        """
        Make the context of the servers; reads files.

        Returns:
            A context with the policy's minimum and suites; with a maximum only where *announced_only* asks
            for one.

        Raises:
            InputError: A file cannot be read or used; tells the field and the path.
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
