"""The settings of a mail server."""

from __future__ import annotations

from typing import Any

import pytest

from htpoort import InputError
from htpoort.transport import Pop3Account, Security, SmtpServer
from htpoort.transport.hosts import address_of, is_host, is_loopback


class TestSmtpServer:
    """The server to send to: named, safe by default, complete."""

    @pytest.mark.parametrize(
        ("security", "port"), [(Security.STARTTLS, 587), (Security.IMPLICIT, 465), (Security.PLAIN, 25)]
    )
    def test_the_usual_port(self, security: Security, port: int) -> None:
        """By default the port is the usual one for the kind of security (RFC 6409, RFC 8314)."""
        assert SmtpServer(host="smtp.forwarder.example", security=security).port == port

    def test_starttls_is_the_default(self) -> None:
        """The default is TLS, or no connection."""
        assert SmtpServer(host="smtp.forwarder.example").security is Security.STARTTLS

    def test_no_default_host(self) -> None:
        """A host is required."""
        with pytest.raises(TypeError, match="host"):
            SmtpServer()  # type: ignore[call-arg]

    def test_how_it_is_shown(self) -> None:
        """For people the server is a place, and a login if there is one, whose name may contain an @."""
        host, user = "smtp.forwarder.example", "edi@forwarder.example"
        shown = [
            SmtpServer(host=host, username=user, password="geheim").label,
            SmtpServer(host=host).label,
        ]
        assert ["smtp.forwarder.example:587 as edi@forwarder.example", "smtp.forwarder.example:587"] == shown

    def test_the_password_is_not_shown(self) -> None:
        """The repr contains the user name but not the password."""
        shown = repr(SmtpServer(host="smtp.forwarder.example", username="edi", password="geheim"))
        assert "edi" in shown
        assert "geheim" not in shown

    @pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"])
    def test_a_login_in_the_clear_to_this_machine(self, host: str) -> None:
        """A login without TLS is allowed on loopback."""
        SmtpServer(host=host, security=Security.PLAIN, username="edi", password="geheim")

    @pytest.mark.parametrize(
        ("settings", "codes"),
        [
            ({"host": ""}, ["smtp.host"]),
            ({"host": None}, ["smtp.host"]),
            ({"host": "a b"}, ["smtp.host"]),
            ({"host": "a..b"}, ["smtp.host"]),
            ({"host": "-a.example"}, ["smtp.host"]),
            ({"host": "smtp.example\r\nQUIT"}, ["smtp.host"]),
            ({"host": "a" * 64 + ".example"}, ["smtp.host"]),
            ({"host": "a." * 127 + "ab"}, ["smtp.host"]),
            ({"host": "smtр.example"}, ["smtp.host"]),
            ({"local_hostname": "a b"}, ["smtp.host"]),
            ({"port": 0}, ["smtp.port"]),
            ({"port": 65_536}, ["smtp.port"]),
            ({"port": "25"}, ["smtp.port"]),
            ({"security": "starttls"}, ["smtp.security"]),
            ({"username": "edi"}, ["smtp.login"]),
            ({"password": "geheim"}, ["smtp.login"]),
            ({"username": "", "password": ""}, ["smtp.login", "smtp.login"]),
            ({"username": "e\0di", "password": "ge\nheim"}, ["smtp.login", "smtp.login"]),
            ({"username": b"edi", "password": "geheim"}, ["smtp.login"]),
            ({"security": Security.PLAIN, "username": "edi", "password": "geheim"}, ["smtp.login-in-the-clear"]),
            ({"timeout": 0}, ["smtp.timeout"]),
            ({"timeout": "60"}, ["smtp.timeout"]),
            ({"timeout": float("nan")}, ["smtp.timeout"]),
            ({"final_timeout": float("inf")}, ["smtp.timeout"]),
            (
                {"host": "", "port": 0, "timeout": -1, "username": "edi"},
                ["smtp.host", "smtp.port", "smtp.login", "smtp.timeout"],
            ),
        ],
    )
    def test_what_cannot_be(self, settings: dict[str, Any], codes: list[str]) -> None:
        """Every invalid value is reported, all at once, and no password is shown."""
        with pytest.raises(InputError) as caught:
            SmtpServer(**{"host": "smtp.forwarder.example", **settings})
        assert codes == [problem.code for problem in caught.value.problems]
        assert "heim" not in f"{caught.value!s}{caught.value!r}"

    @pytest.mark.parametrize(
        "host", ["smtps://edi:geheim@smtp.forwarder.example:465", "edi:geheim@smtp.forwarder.example", "smtp://geheim"]
    )
    @pytest.mark.parametrize("field", ["host", "local_hostname"])
    def test_a_host_that_may_hold_a_password(self, field: str, host: str) -> None:
        """A URL or an account in the place of a host is refused without being shown."""
        with pytest.raises(InputError) as caught:
            SmtpServer(**{"host": "smtp.forwarder.example", field: host})  # type: ignore[arg-type]  # a field of text
        assert f"{field} is a text with @ or ://" in str(caught.value)
        assert "geheim" not in f"{caught.value!s}{caught.value!r}"

    def test_a_mailbox_server_that_may_hold_a_password(self) -> None:
        """The same applies to POP3."""
        with pytest.raises(InputError) as caught:
            Pop3Account(host="pop3s://edi:geheim@pop.forwarder.example", username="edi", password="geheim")
        assert ["pop3.host"] == [problem.code for problem in caught.value.problems]
        assert "geheim" not in f"{caught.value!s}{caught.value!r}"


class TestHosts:
    """Which texts are hosts, and which of them are this machine."""

    @pytest.mark.parametrize(
        ("text", "host", "loopback"),
        [
            ("localhost", True, True),
            ("localhost.example", True, False),
            ("127.0.0.1", True, True),
            ("::1", True, True),
            ("::ffff:127.0.0.1", True, True),
            ("::ffff:192.0.2.1", True, False),
            ("192.0.2.1", True, False),
            ("fe80::1%eth0", True, False),
            ("mx_1.forwarder.example", True, False),
            ("a" * 63, True, False),
            ("", False, False),
            ("a.example.", False, False),
            ("a\n", False, False),
        ],
    )
    def test_texts(self, text: str, *, host: bool, loopback: bool) -> None:
        """A host is a name in ASCII or a numeric address; loopback is localhost, 127.0.0.0/8 and ::1."""
        assert (host, loopback) == (is_host(text), is_loopback(text))

    def test_a_peer_of_ipv4_on_a_socket_of_ipv6(self) -> None:
        """An IPv4 peer written as IPv6 is the IPv4 peer; a name is not an address."""
        assert (str(address_of("::ffff:192.0.2.1")), address_of("localhost")) == ("192.0.2.1", None)
