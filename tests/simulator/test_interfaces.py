"""The interfaces of the gateway, driven by the clients of the standard library: MSA and POP3, TLS and login."""

from __future__ import annotations

import asyncio
import contextlib
import poplib
import smtplib
import ssl
from collections.abc import Callable
from datetime import date
from pathlib import Path

import attrs
import pytest
import trustme

from htpoort import InputError
from htpoort.simulator import ClientCertificate, Declarant, Gateway, GatewayTls
from htpoort.transport import POLICIES, Environment, policy_for

MAILBOX, OTHER = "edi@forwarder.example", "edi@trader.example"
REQUEST = "[V=NL123456789.02.05][A=DMS4.NL][K=22096222734662][S=0]"
DECLARANTS = (
    Declarant(mailbox=MAILBOX, password="correct horse"),
    Declarant(mailbox=OTHER, password="battery staple", username="trader"),
)


def message(sender: str = MAILBOX) -> str:
    """Write a declaration."""
    return f"From: {sender}\r\nTo: dms@htpoort.nl\r\nSubject: {REQUEST}\r\n\r\n<MetaData/>\r\n"


def trusting(tls: GatewayTls, *, shown: bool = False) -> ssl.SSLContext:
    """Make a client's context without our policy."""
    context = ssl.create_default_context(cafile=str(tls.ca_file))
    if shown:
        context.load_cert_chain(str(tls.client_certificate))
    return context


def submitted(
    client: smtplib.SMTP,
    *,
    login: tuple[str, str] | None = None,
    sender: str = MAILBOX,
    tls: ssl.SSLContext | None = None,
) -> None:
    """Send a declaration over a connection, and close it."""
    with client:
        if tls is not None:
            client.starttls(context=tls)
        if login is not None:
            client.login(*login)
        client.sendmail(sender, ["dms@htpoort.nl"], message(sender))


def plain(gateway: Gateway) -> smtplib.SMTP:
    """Connect to the port of STARTTLS."""
    return smtplib.SMTP("127.0.0.1", gateway.smtp_port, local_hostname="forwarder.example")


class TestSubmission:
    """SMTP-MSA: STARTTLS or implicit TLS, user name and password."""

    async def test_starttls(self, tls: GatewayTls) -> None:
        """A client that logs in over STARTTLS is served."""
        async with Gateway(declarants=DECLARANTS, tls=tls) as gateway:
            login = (MAILBOX, "correct horse")
            await asyncio.to_thread(lambda: submitted(plain(gateway), login=login, tls=trusting(tls)))

        assert [MAILBOX] == [taken.mailbox for taken in gateway.received]

    async def test_implicit_tls(self, tls: GatewayTls) -> None:
        """A client that uses TLS from the first octet is served, and offered no STARTTLS."""

        def send() -> bool:
            client = smtplib.SMTP_SSL(
                "127.0.0.1", gateway.smtps_port or 0, local_hostname="forwarder.example", context=trusting(tls)
            )
            client.ehlo()
            offered = client.has_extn("starttls")
            submitted(client, login=("trader", "battery staple"), sender=OTHER)
            return offered

        async with Gateway(declarants=DECLARANTS, tls=tls) as gateway:
            offered = await asyncio.to_thread(send)

        assert (False, [OTHER]) == (offered, [taken.mailbox for taken in gateway.received])

    async def test_who_says_nothing(self, tls: GatewayTls) -> None:
        """A peer that connects without a handshake does not keep the gateway from closing, and sees the end."""
        async with asyncio.timeout(30):
            async with Gateway(tls=tls) as gateway:
                port = gateway.smtps_port or 0
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                # Served after the silent one was accepted.
                await asyncio.to_thread(
                    lambda: submitted(smtplib.SMTP_SSL("127.0.0.1", port, "forwarder.example", context=trusting(tls)))
                )
            octets = await reader.read()
            writer.close()

        assert (b"", 1) == (octets, len(gateway.received))

    async def test_who_speaks_plainly(self, tls: GatewayTls) -> None:
        """A peer that sends SMTP in place of TLS is disconnected."""
        async with Gateway(tls=tls) as gateway:
            reader, writer = await asyncio.open_connection("127.0.0.1", gateway.smtps_port or 0)
            writer.write(b"EHLO forwarder.example\r\n")
            with contextlib.suppress(ConnectionResetError):
                octets = await reader.read()
                assert b"220" not in octets
            writer.close()

    @pytest.mark.parametrize(
        ("login", "sender", "code"),
        [
            (None, MAILBOX, 530),
            (None, "nobody@elsewhere.example", 530),
            ((MAILBOX, "correct horse"), OTHER, 553),
            ((MAILBOX, "correct horse"), "nobody@elsewhere.example", 553),
            (("trader", "battery staple"), MAILBOX, 553),
        ],
    )
    async def test_from_its_own_mailbox_only(self, login: tuple[str, str] | None, sender: str, code: int) -> None:
        """No client sends without a login, nor from another mailbox than that of its login."""
        async with Gateway(declarants=DECLARANTS) as gateway:
            with pytest.raises(smtplib.SMTPSenderRefused) as caught:
                await asyncio.to_thread(lambda: submitted(plain(gateway), login=login, sender=sender))

        assert (code, []) == (caught.value.smtp_code, gateway.received)

    @pytest.mark.parametrize(
        "login",
        [(MAILBOX, "wrong"), ("nobody", "correct horse"), ("trader", "correct horse"), (OTHER, "battery staple")],
    )
    async def test_a_wrong_login(self, login: tuple[str, str]) -> None:
        """A wrong password, the password of another declarant, and a mailbox in place of the user name get 535."""
        async with Gateway(declarants=DECLARANTS) as gateway:
            with pytest.raises(smtplib.SMTPAuthenticationError) as caught:
                await asyncio.to_thread(lambda: submitted(plain(gateway), login=login))

        assert 535 == caught.value.smtp_code

    async def test_a_declarant_without_a_password(self) -> None:
        """A declarant of the MTA interface needs no login, also beside others that do."""
        free = Declarant(mailbox="mta@broker.example")
        async with Gateway(declarants=[*DECLARANTS, free]) as gateway:
            await asyncio.to_thread(lambda: submitted(plain(gateway), sender=free.mailbox))

        assert ["mta@broker.example"] == [taken.mailbox for taken in gateway.received]


class TestBeforeTls:
    """With TLS nothing is accepted before it, unless that is allowed."""

    @pytest.mark.parametrize("client", ClientCertificate)
    async def test_nothing_is_taken(self, tls: GatewayTls, client: ClientCertificate) -> None:
        """Neither a login nor a declaration is accepted in the clear: 530 by SMTP, -ERR by POP3."""

        def tried() -> list[int]:
            with plain(gateway) as smtp:
                smtp.ehlo()
                codes = [smtp.docmd("AUTH", "PLAIN AGVkaQBnZWhlaW0=")[0], smtp.mail(MAILBOX)[0]]
            pop3 = poplib.POP3("127.0.0.1", gateway.pop3_port or 0)
            with pytest.raises(poplib.error_proto, match="over TLS only"):
                pop3.user(MAILBOX)
            pop3.quit()
            return codes

        async with Gateway(declarants=DECLARANTS, tls=attrs.evolve(tls, client=client)) as gateway:
            assert [530, 530] == await asyncio.to_thread(tried)
        assert [] == gateway.received

    async def test_if_that_is_asked_for(self, tls: GatewayTls) -> None:
        """If TLS is not required, a client may use it or not."""
        async with Gateway(declarants=DECLARANTS, tls=attrs.evolve(tls, require_tls=False)) as gateway:
            login = (MAILBOX, "correct horse")
            await asyncio.to_thread(lambda: submitted(plain(gateway), login=login))
            await asyncio.to_thread(lambda: submitted(plain(gateway), login=login, tls=trusting(tls)))

        assert 2 == len(gateway.received)

    def test_a_certificate_is_shown_over_tls(self, tls: GatewayTls) -> None:
        """A required certificate cannot be shown in the clear, so the two settings together are refused."""
        with pytest.raises(InputError) as caught:
            attrs.evolve(tls, client=ClientCertificate.REQUIRED, require_tls=False)

        text = "require_tls is false, but a client certificate is required, which needs TLS; leave it out."
        assert [("simulator.tls", text)] == [(one.code, one.message) for one in caught.value.problems]

    @pytest.mark.parametrize("implicit", [False, True])
    async def test_no_second_tls(self, tls: GatewayTls, *, implicit: bool) -> None:
        """Over TLS there is no STARTTLS; a client that sends it can continue."""

        def again() -> tuple[int, int]:
            if implicit:
                client: smtplib.SMTP = smtplib.SMTP_SSL(
                    "127.0.0.1", gateway.smtps_port or 0, "forwarder.example", context=trusting(tls)
                )
            else:
                client = plain(gateway)
                client.starttls(context=trusting(tls))
            code = client.docmd("STARTTLS")[0]
            submitted(client, login=(MAILBOX, "correct horse"))
            return code, len(gateway.received)

        async with Gateway(declarants=DECLARANTS, tls=tls) as gateway:
            assert (503, 1) == await asyncio.to_thread(again)


class TestClientCertificates:
    """Clients show a certificate if the gateway asks for one."""

    @pytest.mark.parametrize("client", [ClientCertificate.OPTIONAL, ClientCertificate.REQUIRED])
    @pytest.mark.parametrize("connect", ["starttls", "implicit"])
    async def test_shown(self, tls: GatewayTls, client: ClientCertificate, connect: str) -> None:
        """A certificate of the gateway's authority is accepted."""
        asking = attrs.evolve(tls, client=client)

        def send() -> None:
            context = trusting(tls, shown=True)
            if connect == "starttls":
                submitted(plain(gateway), tls=context)
            else:
                submitted(smtplib.SMTP_SSL("127.0.0.1", gateway.smtps_port or 0, "forwarder.example", context=context))

        async with Gateway(tls=asking) as gateway:
            await asyncio.to_thread(send)

        assert 1 == len(gateway.received)

    async def test_not_shown(self, tls: GatewayTls) -> None:
        """A client without a certificate is refused if one is required, and accepted otherwise."""
        asking = attrs.evolve(tls, client=ClientCertificate.REQUIRED)
        async with Gateway(tls=asking) as strict:
            with pytest.raises((ssl.SSLError, OSError, smtplib.SMTPException)):
                await asyncio.to_thread(lambda: submitted(plain(strict), tls=trusting(tls)))
        async with Gateway(tls=attrs.evolve(tls, client=ClientCertificate.OPTIONAL)) as mild:
            await asyncio.to_thread(lambda: submitted(plain(mild), tls=trusting(tls)))

        assert ([], 1) == (strict.received, len(mild.received))

    def test_an_authority_is_needed(self) -> None:
        """Asking for a certificate without an authority is refused."""
        with pytest.raises(InputError, match="no authority to check certificates; give ca_file"):
            GatewayTls(certificate="server.pem", client=ClientCertificate.OPTIONAL)

    def test_a_text_is_no_choice(self) -> None:
        """A text in place of the enum is refused: it would mean another choice."""
        with pytest.raises(InputError) as caught:
            GatewayTls(certificate="server.pem", ca_file="ca.pem", client="optional")  # type: ignore[arg-type]

        expected = "client is 'optional'; give one of none, optional, required."
        assert [expected] == [one.message for one in caught.value.problems]

    def test_what_a_client_of_ours_is_given(self, tls: GatewayTls) -> None:
        """The settings for clients have the authority, and a certificate only if the gateway asks for one."""
        asking = attrs.evolve(tls, client=ClientCertificate.REQUIRED)

        assert (tls.ca_file, None) == (tls.for_clients.ca_file, tls.for_clients.certificate)
        assert (tls.ca_file, tls.client_certificate) == (asking.for_clients.ca_file, asking.for_clients.certificate)


class TestPolicy:
    """The gateway offers what was published for a day and an environment."""

    @staticmethod
    async def spoken(tls: GatewayTls, change: Callable[[ssl.SSLContext], object]) -> tuple[str, str]:
        """Do a handshake with a changed context; return version and suite."""

        def shaken() -> tuple[str, str]:
            context = trusting(tls)
            change(context)
            with smtplib.SMTP_SSL("127.0.0.1", gateway.smtps_port or 0, "forwarder.example", context=context) as client:
                assert isinstance(client.sock, ssl.SSLSocket)
                cipher = client.sock.cipher()
                assert cipher is not None
                return str(client.sock.version()), cipher[0]

        async with Gateway(tls=tls) as gateway:
            return await asyncio.to_thread(shaken)

    async def test_suites_of_a_day(self, tmp_path: Path) -> None:
        """A key without a suite in the notice of 2025 is served the day before it, and refused on its day."""
        authority = trustme.CA()
        authority.cert_pem.write_to_path(tmp_path / "ca.pem")
        # The suites of the notice are for RSA; this one is not.
        issued = authority.issue_cert("127.0.0.1", key_type=trustme.KeyType.ECDSA)
        issued.private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
        files = GatewayTls(certificate=tmp_path / "server.pem", ca_file=tmp_path / "ca.pem")
        before = attrs.evolve(files, policy=policy_for(Environment.TEST, on=date(2025, 4, 7)))
        since = attrs.evolve(files, policy=policy_for(Environment.TEST, on=date(2025, 4, 8)))

        def old(context: ssl.SSLContext) -> None:
            context.maximum_version = ssl.TLSVersion.TLSv1_2

        version, suite = await self.spoken(before, old)
        assert ("TLSv1.2", "ECDHE-ECDSA-") == (version, suite[:12])
        with pytest.raises(InputError, match=r"no suite of TLS 1\.2 in the policy supports; give one with an RSA key"):
            await self.spoken(since, old)

    async def test_a_suite_of_the_notice(self, tls: GatewayTls) -> None:
        """From the day of the notice its suites are used, with the certificate that the simulator makes."""

        def one(context: ssl.SSLContext) -> None:
            context.maximum_version = ssl.TLSVersion.TLSv1_2
            context.set_ciphers("ECDHE-RSA-AES128-GCM-SHA256")

        since = attrs.evolve(tls, policy=policy_for(Environment.TEST, on=date(2025, 4, 8)))
        assert ("TLSv1.2", "ECDHE-RSA-AES128-GCM-SHA256") == await self.spoken(since, one)

    async def test_what_is_announced(self, tls: GatewayTls) -> None:
        """On request the gateway offers 1.2 alone, as in the interface description, or 1.3 alone, as once announced."""
        first, _, only_1_3, *_ = POLICIES
        old = attrs.evolve(tls, policy=first, announced_only=True)
        new = attrs.evolve(tls, policy=only_1_3, announced_only=True)

        def capped(context: ssl.SSLContext) -> None:
            context.maximum_version = ssl.TLSVersion.TLSv1_2

        assert "TLSv1.2" == (await self.spoken(old, lambda _: None))[0]
        assert "TLSv1.3" == (await self.spoken(new, lambda _: None))[0]
        assert "TLSv1.2" == (await self.spoken(attrs.evolve(new, announced_only=False), capped))[0]
        with pytest.raises((ssl.SSLError, OSError)):
            await self.spoken(new, capped)

    async def test_a_file_that_is_not_there(self, tmp_path: Path) -> None:
        """A certificate that cannot be read is reported when the gateway starts."""
        gateway = Gateway(tls=GatewayTls(certificate=tmp_path / "none.pem"))
        with pytest.raises(InputError, match="certificate cannot be used"):
            async with gateway:
                pass


class TestMailboxes:
    """Replies stay in the declarant's POP3 mailbox until they are fetched."""

    @pytest.mark.parametrize("secure", ["plain", "stls", "implicit"])
    async def test_fetched(self, tls: GatewayTls, secure: str) -> None:
        """Each declarant fetches its own reply, with and without TLS."""

        def fetched() -> list[bytes]:
            if secure == "implicit":
                client: poplib.POP3 = poplib.POP3_SSL("127.0.0.1", gateway.pop3s_port or 0, context=trusting(tls))
            else:
                client = poplib.POP3("127.0.0.1", gateway.pop3_port or 0)
            if secure == "stls":
                client.stls(context=trusting(tls))
            client.user("trader")
            client.pass_("battery staple")
            lines = client.retr(1)[1]
            client.dele(1)
            client.quit()
            return lines

        async with Gateway(declarants=DECLARANTS, tls=attrs.evolve(tls, require_tls=False)) as gateway:
            for user, password, sender in ((MAILBOX, "correct horse", MAILBOX), ("trader", "battery staple", OTHER)):
                await asyncio.to_thread(
                    lambda login=(user, password), sender=sender: submitted(plain(gateway), login=login, sender=sender)
                )
            await gateway.wait_for_due_replies()
            lines = await asyncio.to_thread(fetched)

        assert b"To: edi@trader.example" in lines
        assert b"Subject: [V= DMS4.NL][A= NL123456789.02.05][K=22096222734662][S=0]" in lines
        assert (1, 0) == (len(gateway.mailbox(MAILBOX).messages), len(gateway.mailbox("EDI@trader.example").messages))
        assert [("pop3", MAILBOX), ("pop3", OTHER)] == [
            (sent.channel, sent.declaration.mailbox) for sent in gateway.sent
        ]

    async def test_what_is_served(self, tls: GatewayTls) -> None:
        """Without a certificate there is no implicit TLS, without a password no POP3; before the start, nothing."""
        nothing = Gateway(port=2525)
        async with Gateway(tls=tls) as no_password, Gateway(declarants=DECLARANTS) as no_tls:
            assert (None, None) == (no_password.pop3_port, no_password.pop3s_port)
            assert (None, None) == (no_tls.smtps_port, no_tls.pop3s_port)
            assert None not in {no_password.smtps_port, no_tls.pop3_port}
            assert (tls, None) == (no_password.tls, no_tls.tls)

        assert (2525, None, None) == (nothing.smtp_port, nothing.smtps_port, nothing.pop3_port)
        with pytest.raises(KeyError):
            nothing.mailbox(MAILBOX)


class TestPlaces:
    """Nothing leaves this machine unless it is allowed by name."""

    @pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "gateway.example"])  # noqa: S104 - what is refused
    def test_listening(self, host: str) -> None:
        """An address that other machines can reach is refused."""
        with pytest.raises(InputError, match="beyond_loopback=True"):
            Gateway(host=host)

    async def test_by_name(self) -> None:
        """If it is allowed by name, the gateway listens on every interface, and accepts every peer."""
        async with Gateway(host="0.0.0.0", beyond_loopback=True) as gateway:  # noqa: S104 - asked for by name
            await asyncio.to_thread(lambda: submitted(plain(gateway)))

        assert 1 == len(gateway.received)
