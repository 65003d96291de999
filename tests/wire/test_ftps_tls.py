"""Files go over TLS that was checked, or not at all; and what is secret shows nowhere."""

from __future__ import annotations

import datetime as dt
import logging
import shutil
import ssl
import traceback
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import attrs
import pytest
import trustme
from ftps_account import FILE, account, box, failure, outcome, upload
from ftps_box import Fault
from ftps_server import MANIFEST, PASSWORD, USER, FtpsServer

from htpoort import InputError, Mark
from htpoort.transport import (
    FILE_GATEWAY,
    POLICIES,
    FtpsAccount,
    FtpsConnection,
    FtpsError,
    FtpsFailure,
    Presence,
    RemoteListing,
    Security,
    TlsPolicy,
    TlsSettings,
)

STARTTLS, IMPLICIT = Security.STARTTLS, Security.IMPLICIT
NOT_SAFE = (FtpsFailure.TLS, Presence.ABSENT, True, False)
SECRET = "kanarie-Geheim+1"


@pytest.fixture
def expired(tmp_path: Path) -> SimpleNamespace:
    """Make an authority whose certificate for localhost ended yesterday."""
    ours = trustme.CA()
    end = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)  # noqa: TID251 - OpenSSL asks the machine for the time
    host = ours.issue_cert("localhost", not_after=end, key_type=trustme.KeyType.RSA)
    ours.cert_pem.write_to_path(tmp_path / "ca.pem")
    host.private_key_and_cert_chain_pem.write_to_path(tmp_path / "host.pem")
    return SimpleNamespace(ca=str(tmp_path / "ca.pem"), host=str(tmp_path / "host.pem"))


class TestNotSafe:
    """Each fault of TLS has its own words; nothing is sent after it, and a retry makes no sense."""

    @pytest.mark.parametrize("security", [STARTTLS, IMPLICIT])
    async def test_another_name(self, tmp_path: Path, authority: SimpleNamespace, security: Security) -> None:
        """A trusted certificate without the server's name."""
        implicit = security is IMPLICIT
        with FtpsServer(tmp_path, authority, certificate=authority.elsewhere, implicit=implicit) as server:
            error = await failure(account(server.port, authority, security=security))
        assert (NOT_SAFE, True) == (outcome(error), "Hostname mismatch" in error.reply)
        assert not [command for command in server.commands if command.startswith(("USER", "PASS"))]

    @pytest.mark.parametrize("security", [STARTTLS, IMPLICIT])
    async def test_an_unknown_authority(self, tmp_path: Path, authority: SimpleNamespace, security: Security) -> None:
        """A certificate of an authority that is not trusted."""
        tls = TlsSettings(ca_file=authority.other_ca)
        with FtpsServer(tmp_path, authority, implicit=security is IMPLICIT) as server:
            error = await failure(account(server.port, authority, tls=tls, security=security))
        assert (NOT_SAFE, True) == (outcome(error), "unable to get local issuer certificate" in error.reply)

    async def test_an_expired_certificate(
        self, tmp_path: Path, authority: SimpleNamespace, expired: SimpleNamespace
    ) -> None:
        """A certificate that has ended."""
        with FtpsServer(tmp_path / "root", expired) as server:
            error = await failure(account(server.port, authority, tls=TlsSettings(ca_file=expired.ca)))
        assert (NOT_SAFE, True) == (outcome(error), "certificate has expired" in error.reply)

    async def test_a_server_too_old(self, tmp_path: Path, authority: SimpleNamespace) -> None:
        """A server that supports at most TLS 1.1."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            with FtpsServer(tmp_path, authority, tls="1.1") as server:
                error = await failure(account(server.port, authority))
        assert (NOT_SAFE, True) == (outcome(error), "alert protocol version" in error.reply)

    @pytest.mark.parametrize("version", ["1.2", "1.3"])
    @pytest.mark.parametrize("security", [STARTTLS, IMPLICIT])
    async def test_no_certificate_of_ours(
        self, tmp_path: Path, authority: SimpleNamespace, version: str, security: Security
    ) -> None:
        """A server that demands a certificate; with TLS 1.3 it reports that late, at the login."""
        tls = TlsSettings(ca_file=authority.ca)
        with FtpsServer(tmp_path, authority, tls=version, client=True, implicit=security is IMPLICIT) as server:
            error = await failure(account(server.port, authority, tls=tls, security=security))
        words = "handshake failure" if version == "1.2" else "certificate required"
        assert (NOT_SAFE, True) == (outcome(error), f"alert {words}" in error.reply)
        assert not [command for command in server.commands if command.startswith("PASS")]

    async def test_implicit_tls_to_a_server_that_greets_first(self, authority: SimpleNamespace) -> None:
        """Implicit TLS to a port for explicit TLS."""
        with box(authority) as server:
            error = await failure(account(server.port, authority, security=IMPLICIT))
        assert NOT_SAFE == outcome(error)

    async def test_no_way_around(self, authority: SimpleNamespace) -> None:
        """If AUTH or PROT is refused, neither the password nor a file goes in the clear, the next time neither."""
        faults: list[dict[str, Fault]] = [{"AUTH": b"502 no\r\n"}, {"PROT": b"534 no\r\n"}]
        for each in faults:
            with box(authority, **each) as server:
                async with FtpsConnection(account(server.port, authority)) as connection:
                    for _ in range(2):
                        with pytest.raises(FtpsError):
                            await upload(connection)
            assert not [command for command in server.commands if command.startswith("STOR")]
            assert "AUTH" not in each or ["AUTH TLS"] * 2 == server.commands

    async def test_the_certificate_of_the_data_is_checked_too(self, authority: SimpleNamespace) -> None:
        """A port for data with another certificate gets no octet: it may be another machine's."""
        with box(authority) as server:
            async with FtpsConnection(account(server.port, authority)) as connection:
                await connection.open()
                server.tls = box(SimpleNamespace(host=authority.elsewhere)).tls
                with pytest.raises(FtpsError) as caught:
                    await upload(connection)
                assert not connection.content_begun
        assert (FtpsFailure.TLS, Presence.ABSENT) == (caught.value.kind, caught.value.presence)
        assert ({}, True) == (server.files, "Hostname mismatch" in caught.value.reply)

    async def test_a_file_that_is_not_there(self, authority: SimpleNamespace, tmp_path: Path) -> None:
        """A file of the settings that cannot be read is reported at the start, and later as TLS that may pass."""
        with box(authority) as server:
            with pytest.raises(InputError, match="ca_file cannot be used"):
                await failure(account(server.port, authority, tls=TlsSettings(ca_file="no-such-file.pem")))
            ca_file = tmp_path / "ca.pem"
            shutil.copy(authority.ca, ca_file)
            async with FtpsConnection(account(server.port, authority, tls=TlsSettings(ca_file=ca_file))) as connection:
                await upload(connection)
                await connection.aclose()
                await connection.open()
                ca_file.unlink()
                await upload(connection, name="m2")
                server.faults["NOOP"] = "drop"
                with pytest.raises(FtpsError, match="ca_file cannot be used") as caught:
                    await upload(connection, name="m3")
        assert NOT_SAFE == outcome(caught.value)


class TestPolicy:
    """The suites that one gateway published are not those of another."""

    @pytest.fixture
    def elliptic(self, tmp_path: Path) -> SimpleNamespace:
        """Make an authority, and a certificate whose key no suite of the mail gateway supports."""
        ours = trustme.CA()
        host = ours.issue_cert("localhost", key_type=trustme.KeyType.ECDSA)
        ours.cert_pem.write_to_path(tmp_path / "ca.pem")
        host.private_key_and_cert_chain_pem.write_to_path(tmp_path / "host.pem")
        return SimpleNamespace(ca=str(tmp_path / "ca.pem"), host=str(tmp_path / "host.pem"))

    async def test_a_key_of_another_kind(
        self, tmp_path: Path, authority: SimpleNamespace, elliptic: SimpleNamespace
    ) -> None:
        """A gateway of TLS 1.2 may have a key that the mail gateway's suites do not support."""
        with FtpsServer(tmp_path / "root", elliptic, tls="1.2", reuse=True) as server:
            async with FtpsConnection(
                account(server.port, authority, tls=TlsSettings(ca_file=elliptic.ca))
            ) as connection:
                assert 8 == (await upload(connection)).size

    @pytest.mark.parametrize("policy", POLICIES)
    def test_a_policy_of_the_mail_gateway(self, policy: TlsPolicy) -> None:
        """Each is replaced by that of the file gateway; the files stay as they are."""
        tls = TlsSettings(policy=policy, ca_file="ca.pem", certificate="client.pem")
        made = FtpsAccount(host="gateway.example", username=USER, password=PASSWORD, tls=tls)
        assert attrs.evolve(tls, policy=FILE_GATEWAY) == made.tls

    def test_a_policy_of_the_caller(self) -> None:
        """Any other policy is used as it is."""
        policy = attrs.evolve(FILE_GATEWAY, ciphers=("ECDHE-ECDSA-AES256-GCM-SHA384",))
        tls = TlsSettings(policy=policy)
        assert tls is FtpsAccount(host="gateway.example", username=USER, password=PASSWORD, tls=tls).tls

    def test_what_was_published(self) -> None:
        """TLS 1.2 alone since 7 October 2020, without suites."""
        assert (dt.date(2020, 10, 7), (ssl.TLSVersion.TLSv1_2,), ssl.TLSVersion.TLSv1_2, (), Mark.OFFICIAL) == (
            FILE_GATEWAY.valid_from,
            FILE_GATEWAY.announced,
            FILE_GATEWAY.minimum,
            FILE_GATEWAY.ciphers,
            FILE_GATEWAY.mark,
        )


class TestByCertificate:
    """A server may know the user by the certificate."""

    @pytest.mark.parametrize("password", [None, "geheim"])
    async def test_no_password_is_requested(self, authority: SimpleNamespace, password: str | None) -> None:
        """If USER is answered 232, no password is sent."""
        with box(authority, USER=b"232 known by certificate\r\n") as server:
            async with FtpsConnection(account(server.port, authority, password=password)) as connection:
                assert RemoteListing(files=()) == await connection.listed(MANIFEST)
        assert f"USER {USER}" in server.commands
        assert not [command for command in server.commands if command.startswith("PASS")]

    async def test_a_password_that_there_is_not(self, authority: SimpleNamespace) -> None:
        """If a password is requested and there is none, the login has failed."""
        with box(authority) as server:
            error = await failure(account(server.port, authority, password=None))
        assert (FtpsFailure.LOGIN, Presence.ABSENT, True, False) == outcome(error)


class TestAccount:
    """The account: always with TLS, complete, and without a line end in it."""

    @staticmethod
    def make(**settings: Any) -> FtpsAccount:
        """Make an account with some values that are not the usual ones."""
        return FtpsAccount(**({"host": "gateway.example", "username": USER, "password": PASSWORD} | settings))

    def test_by_default(self) -> None:
        """Port 6381 and explicit TLS, or implicit; the names do not show the password."""
        plain = self.make()
        assert (6381, STARTTLS, 6381) == (plain.port, plain.security, self.make(security=IMPLICIT).port)
        assert f"{USER}@gateway.example:6381" == plain.ledger_name
        assert f"gateway.example:6381 as {USER}" == plain.label
        assert PASSWORD not in repr(plain)

    @pytest.mark.parametrize(
        ("settings", "code"),
        [
            ({"host": "a b"}, "ftps.host"),
            ({"host": "ftps://u:kanarie@gateway.example"}, "ftps.host"),
            ({"port": 0}, "ftps.port"),
            ({"security": "explicit"}, "ftps.security"),
            ({"security": Security.PLAIN}, "ftps.login-in-the-clear"),
            ({"security": Security.PLAIN, "host": "localhost"}, "ftps.login-in-the-clear"),
            ({"username": "u\r\nDELE m1"}, "ftps.login"),
            ({"username": ""}, "ftps.login"),
            ({"password": "kanarie\r\nDELE m1"}, "ftps.login"),
            ({"password": "kanarie\n"}, "ftps.login"),
            ({"password": ""}, "ftps.login"),
            ({"password": None}, "ftps.login"),
            ({"timeout": 0}, "ftps.timeout"),
            ({"transfer_timeout": float("inf")}, "ftps.timeout"),
            ({"file_limit": 0}, "ftps.limit"),
            ({"listing_limit": "1"}, "ftps.limit"),
        ],
    )
    def test_what_cannot_be(self, settings: dict[str, Any], code: str) -> None:
        """Each invalid value has its code, and no part of a password shows."""
        with pytest.raises(InputError) as caught:
            self.make(**settings)
        assert [code] == [problem.code for problem in caught.value.problems]
        assert "kanarie" not in f"{caught.value}{caught.value!r}"


class TestSecrets:
    """A password shows in no error, whatever a server repeats."""

    FORMS = (
        SECRET,
        SECRET.upper(),
        "kanarie- Geheim+1",
        "kanarie-Geh",
        "kanarie-Geheim%2B1",
        "a2FuYXJpZS1HZWhlaW0rMQ==",
    )

    @pytest.mark.parametrize("form", FORMS)
    @pytest.mark.parametrize("place", ["PASS", "CWD", "STOR", "STOR end", "TYPE"])
    async def test_in_each_answer(
        self, authority: SimpleNamespace, place: str, form: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The error, its repr, its traceback and the log do not contain it, in any form."""
        caplog.set_level(logging.DEBUG)
        with box(authority, **{place: f"530-{form}\r\n530 {form} is wrong\r\n".encode()}) as server:
            error = await failure(account(server.port, authority, password=SECRET))
        shown = "".join([str(error), repr(error), error.reply, error.summary, *traceback.format_exception(error)])
        assert "nari" not in (shown + caplog.text).lower()
        assert "is wrong" in error.reply

    async def test_out_of_step_and_in_names(self, authority: SimpleNamespace) -> None:
        """Neither an answer that was not asked for, nor a name in a list, nor an acceptance shows it."""
        with box(authority, CWD=f"250 there\r\n250 {SECRET}\r\n".encode()) as server:
            error = await failure(account(server.port, authority, password=SECRET))
        with box(authority, data=f"type=file; ../{SECRET}\r\n".encode()) as server:
            async with FtpsConnection(account(server.port, authority, password=SECRET)) as connection:
                listing = await connection.listed(MANIFEST)
        with box(authority, STOR_end=f"226 {SECRET}\r\n".encode()) as server:
            async with FtpsConnection(account(server.port, authority, password=SECRET)) as connection:
                uploaded = await upload(connection, octets=FILE)
        assert "nari" not in f"{error}{error!r}{listing}{uploaded}".lower()

    def test_what_an_error_says(self) -> None:
        """The text names server, user, kind and answer, and what to do, by what is known of the file."""
        error = FtpsError(f"{USER}@gateway.example:6381", FtpsFailure.DEFERRED, 450, "later")
        assert f"gateway.example:6381 as {USER} (deferred): 450 later." == error.summary
        assert f"{error.summary} Try it again later with the same name." == str(error)
        unknown = attrs.evolve(error, presence=Presence.UNKNOWN)
        assert str(unknown).endswith("The server may have taken the file; upload it again under the same name only.")
        assert (True, False) == (error.retryable, unknown.retryable)
        nothing = FtpsError(f"{USER}@gateway.example:6381", FtpsFailure.LOST, None, "")
        assert f"gateway.example:6381 as {USER} (lost): no reply." == nothing.summary
