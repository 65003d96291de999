"""Sending over TLS: nothing is sent in the clear, or to an untrusted server."""

from __future__ import annotations

import ssl
import warnings
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import attrs
import pytest

from htpoort import InputError, SendError, SendFailure, Submission
from htpoort.transport import Security, Sender, SmtpServer, TlsSettings, send, server_context

Build = Callable[..., Submission]
Fixed = Callable[..., Any]

OFFER = b"250-customs.example\r\n250 STARTTLS\r\n"


def server_at(port: int, authority: SimpleNamespace, **settings: Any) -> SmtpServer:
    """Describe how to reach a server of a test, which presents a certificate of our authority."""
    tls = settings.pop("tls", TlsSettings(ca_file=authority.ca))
    return SmtpServer(host=settings.pop("host", "localhost"), port=port, tls=tls, timeout=60, **settings)


async def failure(submission: Submission, server: SmtpServer) -> SendError:
    """Send, and return the error."""
    with pytest.raises(SendError) as caught:
        await send(submission, server)
    return caught.value


class TestSafe:
    """A message is sent over a version and suite of TLS that the policy allows."""

    @pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
    async def test_starttls_is_the_default(
        self, fixed: Fixed, submission: Build, authority: SimpleNamespace, foreign_tls: ssl.SSLContext, host: str
    ) -> None:
        """By default, STARTTLS comes before the message, and EHLO is sent again after it."""
        async with fixed(tls=foreign_tls, EHLO=OFFER) as server:
            await send(submission(), server_at(server.port, authority, host=host))
        assert ["EHLO", "STARTTLS", "EHLO", "MAIL", "RCPT", "DATA", "QUIT"] == [
            command.partition(" ")[0] for command in server.commands
        ]
        assert [version for version, _ in server.ciphers] == ["TLSv1.3"]
        assert server.contents == [submission().data + b".\r\n"]

    async def test_implicit_tls(
        self, fixed: Fixed, submission: Build, authority: SimpleNamespace, foreign_tls: ssl.SSLContext
    ) -> None:
        """With implicit TLS nothing at all is sent before the handshake."""
        async with fixed(tls=foreign_tls, implicit=True) as server:
            await send(submission(), server_at(server.port, authority, security=Security.IMPLICIT))
        assert server.commands[0] == "EHLO forwarder.example"
        assert [version for version, _ in server.ciphers] == ["TLSv1.3"]

    async def test_a_server_of_tls_1_2(
        self, fixed: Fixed, submission: Build, authority: SimpleNamespace, foreign_tls: ssl.SSLContext
    ) -> None:
        """TLS 1.2 is still accepted, with a suite of the published list."""
        foreign_tls.maximum_version = ssl.TLSVersion.TLSv1_2
        async with fixed(tls=foreign_tls, EHLO=OFFER) as server:
            await send(submission(), server_at(server.port, authority))
        assert server.ciphers == [("TLSv1.2", "ECDHE-RSA-AES256-GCM-SHA384")]

    async def test_what_was_offered_before_tls_is_forgotten(
        self, fixed: Fixed, submission: Build, authority: SimpleNamespace, foreign_tls: ssl.SSLContext
    ) -> None:
        """A SIZE forged into the first EHLO does not count after the handshake (RFC 3207, section 4.2)."""
        forged = b"250-customs.example\r\n250-SIZE 1\r\n250 STARTTLS\r\n"
        async with fixed(tls=foreign_tls, EHLO=[forged, b"250 customs.example\r\n"]) as server:
            accepted = await send(submission(), server_at(server.port, authority))
        assert accepted.code == 250

    async def test_login_over_tls(
        self, fixed: Fixed, submission: Build, authority: SimpleNamespace, foreign_tls: ssl.SSLContext
    ) -> None:
        """User name and password are sent after the handshake."""
        offers = [OFFER, b"250-customs.example\r\n250 AUTH PLAIN\r\n"]
        async with fixed(tls=foreign_tls, EHLO=offers) as server:
            await send(submission(), server_at(server.port, authority, username="edi", password="geheim"))
        assert server.commands[3] == "AUTH PLAIN AGVkaQBnZWhlaW0="

    @pytest.mark.parametrize("security", [Security.STARTTLS, Security.IMPLICIT])
    async def test_a_client_certificate_is_shown(
        self, fixed: Fixed, submission: Build, authority: SimpleNamespace, security: Security
    ) -> None:
        """A server that requests a certificate gets ours."""
        context = server_context(TlsSettings(certificate=authority.host, ca_file=authority.ca))
        tls = TlsSettings(ca_file=authority.ca, certificate=authority.client)
        async with fixed(tls=context, implicit=security is Security.IMPLICIT, EHLO=OFFER) as server:
            accepted = await send(submission(), server_at(server.port, authority, security=security, tls=tls))
        assert accepted.code == 250

    async def test_many_messages_over_one_handshake(
        self, fixed: Fixed, submission: Build, authority: SimpleNamespace, foreign_tls: ssl.SSLContext
    ) -> None:
        """A kept connection keeps its TLS."""
        async with fixed(tls=foreign_tls, EHLO=OFFER) as server, Sender(server_at(server.port, authority)) as sender:
            for _ in range(3):
                await sender.send(submission())
        assert (1, 1, 3) == (server.connections, len(server.ciphers), len(server.contents))

    async def test_a_stock_server(
        self, stock: Fixed, submission: Build, authority: SimpleNamespace, foreign_tls: ssl.SSLContext
    ) -> None:
        """Stock aiosmtpd that requires STARTTLS gets the message octet for octet."""
        async with stock(tls_context=foreign_tls, require_starttls=True) as server:
            await send(submission(), server_at(server.port, authority))
        assert server.sink.contents == [submission().data]


class TestNotSafe:
    """If TLS fails, nothing of the message is sent, and a retry makes no sense."""

    async def test_no_starttls_offered(self, fixed: Fixed, submission: Build, authority: SimpleNamespace) -> None:
        """A server, or an attacker on the way, that offers no STARTTLS receives EHLO and no more."""
        async with fixed() as server:
            error = await failure(submission(), server_at(server.port, authority, username="edi", password="geheim"))
        assert (SendFailure.TLS, None, "The server offers no STARTTLS.", False) == (
            error.kind,
            error.code,
            error.reply,
            error.retryable,
        )
        assert server.commands == ["EHLO forwarder.example"]

    async def test_an_ehlo_refused_is_no_way_around_tls(
        self, fixed: Fixed, submission: Build, authority: SimpleNamespace
    ) -> None:
        """After a refused EHLO, the next message begins on a new connection, not in the clear."""
        async with fixed(EHLO=b"550 no\r\n") as server, Sender(server_at(server.port, authority)) as sender:
            for _ in range(2):
                with pytest.raises(SendError) as caught:
                    await sender.send(submission())
        assert (SendFailure.CONNECT, 550) == (caught.value.kind, caught.value.code)
        assert server.commands == ["EHLO forwarder.example"] * 2

    async def test_starttls_refused(self, fixed: Fixed, submission: Build, authority: SimpleNamespace) -> None:
        """A 454 at STARTTLS is TLS, with its code."""
        async with fixed(EHLO=OFFER, STARTTLS=b"454 TLS not available\r\n") as server:
            error = await failure(submission(), server_at(server.port, authority))
        assert (SendFailure.TLS, 454, "TLS not available", False) == (
            error.kind,
            error.code,
            error.reply,
            error.retryable,
        )

    async def test_plain_text_instead_of_a_handshake(
        self, fixed: Fixed, submission: Build, authority: SimpleNamespace
    ) -> None:
        """Text after the 220 of STARTTLS is TLS."""
        async with fixed(EHLO=OFFER, STARTTLS=(b"220 go on\r\n", b"250 hello there\r\n" * 4, "stall")) as server:
            error = await failure(submission(), server_at(server.port, authority))
        assert (SendFailure.TLS, None, False) == (error.kind, error.code, error.retryable)

    async def test_plain_text_instead_of_implicit_tls(
        self, fixed: Fixed, submission: Build, authority: SimpleNamespace
    ) -> None:
        """Implicit TLS to a plain server is TLS."""
        async with fixed() as server:
            error = await failure(submission(), server_at(server.port, authority, security=Security.IMPLICIT))
        assert (SendFailure.TLS, False) == (error.kind, error.retryable)

    @pytest.mark.parametrize("how", ["drop", "stall"])
    async def test_lost_in_the_handshake(
        self, fixed: Fixed, submission: Build, authority: SimpleNamespace, how: str
    ) -> None:
        """A lost or silent connection in the handshake may be temporary: LOST."""
        async with fixed(EHLO=OFFER, STARTTLS=(b"220 go on\r\n", how)) as server:
            # The files of TLS are read within this time too.
            settings = attrs.evolve(server_at(server.port, authority), timeout=1 if how == "stall" else 60)
            error = await failure(submission(), settings)
        assert (SendFailure.LOST, True) == (error.kind, error.retryable)

    @pytest.mark.parametrize("security", [Security.STARTTLS, Security.IMPLICIT])
    async def test_an_untrusted_certificate(
        self,
        fixed: Fixed,
        submission: Build,
        authority: SimpleNamespace,
        foreign_tls: ssl.SSLContext,
        security: Security,
    ) -> None:
        """A certificate of an authority that is not in the CA file is TLS, and the reply has the reason."""
        tls = TlsSettings(ca_file=authority.other_ca)
        async with fixed(tls=foreign_tls, implicit=security is Security.IMPLICIT, EHLO=OFFER) as server:
            error = await failure(submission(), server_at(server.port, authority, tls=tls, security=security))
        assert (SendFailure.TLS, False) == (error.kind, error.retryable)
        assert "certificate verify failed" in error.reply
        assert "MAIL" not in " ".join(server.commands)

    async def test_the_systems_authorities_do_not_trust_ours(
        self, fixed: Fixed, submission: Build, authority: SimpleNamespace, foreign_tls: ssl.SSLContext
    ) -> None:
        """Without a CA file the system's authorities are trusted, and no others."""
        async with fixed(tls=foreign_tls, EHLO=OFFER) as server:
            error = await failure(submission(), server_at(server.port, authority, tls=TlsSettings()))
        assert error.kind is SendFailure.TLS

    async def test_the_certificate_of_another_host(
        self, fixed: Fixed, submission: Build, authority: SimpleNamespace
    ) -> None:
        """A trusted certificate without the server's name is TLS."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(authority.elsewhere)
        async with fixed(tls=context, EHLO=OFFER) as server:
            error = await failure(submission(), server_at(server.port, authority))
        assert error.kind is SendFailure.TLS
        assert "Hostname mismatch" in error.reply

    async def test_a_server_too_old(
        self, alerting: Fixed, submission: Build, authority: SimpleNamespace, foreign_tls: ssl.SSLContext
    ) -> None:
        """A server that supports at most TLS 1.1 is TLS."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            foreign_tls.minimum_version = ssl.TLSVersion.TLSv1
            foreign_tls.maximum_version = ssl.TLSVersion.TLSv1_1
        async with alerting(foreign_tls) as server:
            error = await failure(submission(), server_at(server.port, authority))
        assert (SendFailure.TLS, False) == (error.kind, error.retryable)

    async def test_only_removed_suites(
        self, alerting: Fixed, submission: Build, authority: SimpleNamespace, foreign_tls: ssl.SSLContext
    ) -> None:
        """A server that supports only TLS_RSA_* is TLS: the notice of 06-03-2025 removes it."""
        foreign_tls.maximum_version = ssl.TLSVersion.TLSv1_2
        foreign_tls.set_ciphers("AES256-GCM-SHA384:AES128-GCM-SHA256")
        async with alerting(foreign_tls) as server:
            error = await failure(submission(), server_at(server.port, authority))
        assert error.kind is SendFailure.TLS

    @pytest.mark.parametrize("security", [Security.STARTTLS, Security.IMPLICIT])
    async def test_no_client_certificate_where_one_is_asked(
        self, alerting: Fixed, submission: Build, authority: SimpleNamespace, security: Security
    ) -> None:
        """A server that requires a certificate we do not have is TLS, though with TLS 1.3 it reports that late."""
        context = server_context(TlsSettings(certificate=authority.host, ca_file=authority.ca))
        async with alerting(context, implicit=security is Security.IMPLICIT) as server:
            error = await failure(submission(), server_at(server.port, authority, security=security))
        assert (SendFailure.TLS, False) == (error.kind, error.retryable)

    async def test_a_missing_file_is_reported_before_connecting(
        self, fixed: Fixed, submission: Build, authority: SimpleNamespace
    ) -> None:
        """A missing CA file is the user's mistake: InputError, and no connection."""
        async with fixed() as server:
            tls = TlsSettings(ca_file="no-such-file.pem")
            with pytest.raises(InputError, match="ca_file cannot be used"):
                await send(submission(), server_at(server.port, authority, tls=tls))
        assert server.connections == 0


class TestLostOverTls:
    """Over TLS a lost connection means the same as without."""

    @pytest.mark.parametrize("how", ["drop", "close"])
    async def test_in_the_middle_of_the_content(
        self,
        fixed: Fixed,
        submission: Build,
        authority: SimpleNamespace,
        foreign_tls: ssl.SSLContext,
        how: str,
    ) -> None:
        """A connection lost in the middle of a large content is LOST."""
        big = b"<MetaData>\r\n" + b"<A>22096222734662</A>\r\n" * 600_000 + b"</MetaData>\r\n"
        async with fixed(tls=foreign_tls, EHLO=OFFER, content=how) as server:
            error = await failure(submission(big), server_at(server.port, authority))
        assert (SendFailure.LOST, True) == (error.kind, error.retryable)

    @pytest.mark.parametrize("how", ["drop", "close", "stall"])
    async def test_after_the_final_dot(
        self,
        fixed: Fixed,
        submission: Build,
        authority: SimpleNamespace,
        foreign_tls: ssl.SSLContext,
        how: str,
    ) -> None:
        """A connection lost after the final dot is UNKNOWN."""
        async with fixed(tls=foreign_tls, EHLO=OFFER, dot=how) as server:
            error = await failure(submission(), server_at(server.port, authority, final_timeout=0.2))
        assert (SendFailure.UNKNOWN, False) == (error.kind, error.retryable)
