"""Trying a server: each step is seen, the first failure is explained, and nothing is sent, fetched or tried twice."""

from __future__ import annotations

import socket
import ssl
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trustme
from pop3_server import PASSWORD, Fault, Pop3Box

from htpoort.simulator import Declarant, Gateway, GatewayTls
from htpoort.transport import (
    Pop3Account,
    ProbedStep,
    Security,
    SmtpServer,
    TlsSettings,
    certificate_end,
    probe,
    served_certificate,
    server_context,
)

MAILBOX = "edi@forwarder.example"
UPGRADE: dict[str, Fault] = {"STLS": ("go on", "tls")}
IMPLICIT, STARTTLS, PLAIN = Security.IMPLICIT, Security.STARTTLS, Security.PLAIN


def smtp(port: int, *, host: str = "127.0.0.1", security: Security = PLAIN, **settings: Any) -> SmtpServer:
    """Describe an SMTP server on loopback."""
    return SmtpServer(host=host, port=port, security=security, **settings)


def pop3(port: int, *, security: Security = PLAIN, password: str = PASSWORD, **settings: Any) -> Pop3Account:
    """Describe a POP3 account on loopback."""
    return Pop3Account(host="127.0.0.1", port=port, security=security, username=MAILBOX, password=password, **settings)


def summary(steps: tuple[ProbedStep, ...]) -> list[tuple[str, bool, str]]:
    """Return name, success and message of each step."""
    return [(one.step.value, one.succeeded, one.message) for one in steps]


def names(steps: tuple[ProbedStep, ...]) -> list[str]:
    """Return the names of the steps, the last of which failed."""
    assert [True] * (len(steps) - 1) + [False] == [one.succeeded for one in steps]
    return [one.step.value for one in steps]


class TestAServerThatWorks:
    """Every step is there, with what was seen."""

    @pytest.mark.parametrize("security", [STARTTLS, IMPLICIT])
    async def test_of_smtp(self, tmp_path: Path, security: Security) -> None:
        """TLS, login and NOOP; the gateway gets no message."""
        tls = GatewayTls.made(tmp_path)
        async with Gateway(tls=tls, declarants=[Declarant(mailbox=MAILBOX, password="geheim")]) as gateway:
            port = gateway.smtp_port if security is STARTTLS else gateway.smtps_port
            assert port is not None
            settings = TlsSettings(ca_file=tls.ca_file)
            steps = await probe(
                smtp(port, host="localhost", security=security, tls=settings, username=MAILBOX, password="geheim")
            )
            received, refused = gateway.received, gateway.refused

        assert ["resolve", "connect", "tls", "login", "answer"] == [one.step.value for one in steps]
        assert all(one.succeeded and not one.advice for one in steps)
        assert "127.0.0.1" in steps[0].message
        assert f"localhost:{port} answers" == steps[1].message
        assert "TLSv1.3, with a certificate for localhost, 127.0.0.1, ::1" == steps[2].message
        assert "logged in as edi@forwarder.example" == steps[3].message
        assert steps[4].message.startswith("NOOP: 250 ")
        assert ([], []) == (received, refused)

    @pytest.mark.parametrize("security", [STARTTLS, IMPLICIT])
    async def test_of_pop3(self, authority: SimpleNamespace, foreign_tls: ssl.SSLContext, security: Security) -> None:
        """TLS, login, NOOP and STAT; every mail stays."""
        async with Pop3Box(b"a\r\n", tls=foreign_tls, implicit=security is IMPLICIT, faults=UPGRADE) as box:
            settings = TlsSettings(ca_file=authority.ca)
            steps = await probe(pop3(box.port, security=security, tls=settings))
            commands, mails = [line for line in box.commands if line not in {"CAPA", "STLS"}], box.uidls

        assert ["resolve", "connect", "tls", "login", "answer"] == [one.step.value for one in steps]
        assert all(one.succeeded for one in steps)
        assert "STAT: +OK 1 3" == steps[-1].message
        assert [f"USER {MAILBOX}", f"PASS {PASSWORD}", "NOOP", "STAT", "QUIT"] == commands
        assert ["u1"] == mails

    async def test_of_the_simulator_by_pop3(self) -> None:
        """The simulator's own mailbox answers too."""
        async with Gateway(declarants=[Declarant(mailbox=MAILBOX, password="geheim")]) as gateway:
            assert gateway.pop3_port is not None
            steps = await probe(pop3(gateway.pop3_port))

        assert ("answer", True, "STAT: +OK 0 0") == summary(steps)[-1]

    async def test_without_tls_and_login(self, fixed: Any) -> None:
        """Where none is configured, there is none, and no step for a login."""
        async with fixed(NOOP=b"250 OK\r\n") as server:
            steps = await probe(smtp(server.port))
            commands = [line.partition(" ")[0] for line in server.commands]

        assert [
            ("resolve", True, "127.0.0.1 is 127.0.0.1"),
            ("connect", True, f"127.0.0.1:{server.port} answers"),
            ("tls", True, "no TLS, as security is plain"),
            ("answer", True, "NOOP: 250 OK"),
        ] == summary(steps)
        assert ["EHLO", "NOOP", "QUIT"] == commands

    async def test_a_login_may_be_left_out(self, fixed: Any) -> None:
        """Without the passwords, everything before the login is tried."""
        async with fixed(EHLO=b"250-x\r\n250 AUTH PLAIN\r\n", NOOP=b"250 OK\r\n") as server, Pop3Box() as box:
            sending = await probe(smtp(server.port, username=MAILBOX, password="geheim"), log_in=False)
            fetching = await probe(pop3(box.port), log_in=False)

        assert ["resolve", "connect", "tls", "answer"] == [one.step.value for one in sending]
        assert ["resolve", "connect", "tls"] == [one.step.value for one in fetching]
        assert not any("PASS" in line or "AUTH" in line for line in (*server.commands, *box.commands))


class TestAServerThatDoesNotWork:
    """The step that fails is the last one; it has the error, and what to do."""

    async def test_there_is_no_such_host(self) -> None:
        """A name without an address ends at the first step; this one needs no name server."""
        steps = await probe(smtp(25, host="fe80::1%absent"))

        assert ["resolve"] == names(steps)
        assert steps[0].message.startswith("fe80::1%absent: ")
        assert "Check the name of the server, and the name servers of this machine." == steps[0].advice

    @pytest.mark.parametrize("describe", [smtp, pop3])
    async def test_nothing_listens(self, describe: Any) -> None:
        """A refused connection, with the port that was tried: it may be one that the configuration does not name."""
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))  # its own until the end, and never listened on
            port = unused.getsockname()[1]
            steps = await probe(describe(port))

        assert ["resolve", "connect"] == names(steps)
        assert f"127.0.0.1:{port}: Connection refused" == steps[-1].message
        assert "Check server and port, and whether a firewall lets this machine connect." == steps[-1].advice

    async def test_the_greeting_refuses(self, fixed: Any) -> None:
        """A server that wants no connection."""
        async with fixed(connect=b"554 no service here\r\n") as server:
            steps = await probe(smtp(server.port))
        async with Pop3Box(faults={"greeting": b"-ERR too many connections\r\n"}) as box:
            fetching = await probe(pop3(box.port))

        assert ("connect", False, f"127.0.0.1:{server.port}: 554 no service here") == summary(steps)[-1]
        assert ("connect", False, f"127.0.0.1:{box.port}: too many connections") == summary(fetching)[-1]

    async def test_no_tls_is_offered(self, fixed: Any) -> None:
        """STARTTLS or STLS that a server lacks."""
        async with fixed() as server, Pop3Box() as box:
            sending = await probe(smtp(server.port, security=STARTTLS))
            fetching = await probe(pop3(box.port, security=STARTTLS))

        for steps, message in (
            (sending, f"127.0.0.1:{server.port}: The server offers no STARTTLS"),
            (fetching, f"127.0.0.1:{box.port}: the server offers no STLS"),
        ):
            assert ["resolve", "connect", "tls"] == names(steps)
            assert message == steps[-1].message
            assert 'Give another port, or security = "implicit".' == steps[-1].advice

    async def test_implicit_tls_on_a_port_without_it(self, fixed: Any) -> None:
        """The most frequent mistake has its own advice."""
        async with fixed() as server, Pop3Box() as box:
            sending = await probe(smtp(server.port, security=IMPLICIT))
            fetching = await probe(pop3(box.port, security=IMPLICIT))

        for steps in (sending, fetching):
            assert ["resolve", "connect", "tls"] == names(steps)
            assert (
                'It does not begin with TLS on this port: give security = "starttls", or another port.'
                == steps[-1].advice
            )

    @pytest.mark.parametrize("security", [STARTTLS, IMPLICIT])
    async def test_the_authority_is_unknown(
        self, authority: SimpleNamespace, foreign_tls: ssl.SSLContext, security: Security
    ) -> None:
        """A certificate that is not trusted; the login is not tried."""
        async with Pop3Box(tls=foreign_tls, implicit=security is IMPLICIT, faults=UPGRADE) as box:
            settings = TlsSettings(ca_file=authority.other_ca)
            steps = await probe(pop3(box.port, security=security, tls=settings))

        assert ["resolve", "connect", "tls"] == names(steps)
        assert "If this is the right server, name the authority of its certificate in ca_file." == steps[-1].advice
        assert not any(line.startswith("USER") for line in box.commands)

    async def test_the_certificate_has_another_name(self, authority: SimpleNamespace, fixed: Any) -> None:
        """The names that it has are in the advice; nothing but EHLO is sent to find them."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(authority.elsewhere)
        async with fixed(tls=context, implicit=True) as server:
            settings = TlsSettings(ca_file=authority.ca)
            steps = await probe(smtp(server.port, security=IMPLICIT, tls=settings, username=MAILBOX, password="geheim"))
            commands = {line.partition(" ")[0] for line in server.commands}

        assert ["resolve", "connect", "tls"] == names(steps)
        assert "Its certificate is for elsewhere.example; give the server by one of these names." == steps[-1].advice
        assert commands <= {"EHLO", "QUIT"}

    async def test_the_certificate_has_expired(self, tmp_path: Path, fixed: Any) -> None:
        """An old certificate: their operator, or our clock."""
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        old = authority.issue_cert("127.0.0.1", not_after=datetime(2020, 1, 31, tzinfo=UTC))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        old.configure_cert(context)
        async with fixed(tls=context, implicit=True) as server:
            settings = TlsSettings(ca_file=tmp_path / "ca.pem")
            steps = await probe(smtp(server.port, security=IMPLICIT, tls=settings))

        assert ["resolve", "connect", "tls"] == names(steps)
        assert "Ask the operator of the server to renew it, and check the clock of this machine." == steps[-1].advice

    async def test_a_file_of_ours_is_missing(self, tmp_path: Path) -> None:
        """The file is named, and nothing is connected."""
        steps = await probe(smtp(25, security=STARTTLS, tls=TlsSettings(ca_file=tmp_path / "ca.pem")))

        assert ["resolve", "tls"] == names(steps)
        assert steps[-1].message.startswith(f"{tmp_path / 'ca.pem'}: ca_file cannot be used: ")

    async def test_the_password_is_wrong(self) -> None:
        """One login on each server, and no more: a server may lock the account."""
        async with Gateway(declarants=[Declarant(mailbox=MAILBOX, password="geheim")]) as gateway, Pop3Box() as box:
            sending = await probe(smtp(gateway.smtp_port, username=MAILBOX, password="anders"))
            fetching = await probe(pop3(box.port, password="anders"))

        for steps in (sending, fetching):
            assert ["resolve", "connect", "tls", "login"] == names(steps)
            assert (
                "Check user name and password. It was tried once, because a server may lock the account."
                == steps[-1].advice
            )
            assert not steps[-1].passing
            assert "anders" not in repr(steps)
        assert 1 == sum(line.startswith("PASS") for line in box.commands)

    async def test_the_login_needs_tls(self, tmp_path: Path) -> None:
        """If a server takes a login over TLS only, the cause is the security, not the password."""
        tls = GatewayTls.made(tmp_path)
        async with Gateway(declarants=[Declarant(mailbox=MAILBOX, password="geheim")], tls=tls) as gateway:
            sending = await probe(smtp(gateway.smtp_port, username=MAILBOX, password="geheim"))
            fetching = await probe(pop3(gateway.pop3_port, password="geheim"))

        assert "The server offers none of the logins PLAIN, LOGIN and CRAM-MD5 without TLS" == sending[-1].message
        for steps in (sending, fetching):
            assert "login" == names(steps)[-1]
            advice = 'It seems to take no login without TLS: give security = "starttls", or "implicit" with its port.'
            assert advice == steps[-1].advice

    async def test_the_mailbox_is_in_use(self) -> None:
        """That passes, for example when the agent has ended its session."""
        async with Pop3Box(faults={"PASS": b"-ERR [IN-USE] locked by another session\r\n"}) as box:
            steps = await probe(pop3(box.port))

        assert ("login", False, "[IN-USE] locked by another session") == summary(steps)[-1]
        assert steps[-1].passing
        assert "Another program may be using it, such as a running agent; try again later." == steps[-1].advice

    async def test_the_server_hangs_up_after_the_login(self, fixed: Any) -> None:
        """A connection that is lost at the last step."""
        async with fixed(NOOP="close") as server, Pop3Box(faults={"NOOP": "close"}) as box:
            sending, fetching = await probe(smtp(server.port)), await probe(pop3(box.port))

        assert "answer" == names(sending)[-1]
        assert "answer" == names(fetching)[-1]


class TestCertificateEnd:
    """When a certificate ends is read from its octets."""

    @pytest.mark.parametrize("end", [datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC), datetime(2050, 1, 1, tzinfo=UTC)])
    def test_of_a_file(self, tmp_path: Path, end: datetime) -> None:
        """Of a chain, the first counts; years from 2050 on are written in another form."""
        issued = trustme.CA().issue_cert(MAILBOX, not_after=end)
        issued.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "own.pem"))

        assert end == certificate_end(tmp_path / "own.pem")

    def test_of_a_server(self, tmp_path: Path) -> None:
        """A context shows the certificate that it presents, also one that asks clients for theirs."""
        end = datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)
        authority = trustme.CA()
        issued = authority.issue_cert("forwarder.example", not_after=end, key_type=trustme.KeyType.RSA)
        issued.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "own.pem"))
        authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        context = server_context(TlsSettings(certificate=tmp_path / "own.pem", ca_file=tmp_path / "ca.pem"))
        der = served_certificate(context)

        assert der is not None
        assert end == certificate_end(der)

    @pytest.mark.parametrize("octets", [b"", b"0", b"\x30\x82", b"\x30\x03\x30\x01\x02", b"abc" * 99])
    def test_of_anything_else(self, octets: bytes) -> None:
        """What is no certificate has no end, and raises nothing."""
        assert certificate_end(octets) is None

    def test_of_no_file(self, tmp_path: Path) -> None:
        """A file that is missing, or holds none."""
        (tmp_path / "other.pem").write_text("-----BEGIN CERTIFICATE-----\n")

        assert certificate_end(tmp_path / "none.pem") is None
        assert certificate_end(tmp_path / "other.pem") is None

    def test_of_a_server_without_one(self) -> None:
        """A context that has no certificate presents none."""
        assert served_certificate(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)) is None
