"""What the simulator writes: only its owner may read keys and messages, and every client can use the certificate."""

from __future__ import annotations

import asyncio
import os
import smtplib
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from htpoort.cli.simulate import Certificates
from htpoort.simulator import ClientCertificate, Declarant, Gateway, GatewayTls
from htpoort.simulator.declarations import MessageRecorder

MAILBOX = "edi@forwarder.example"
DECLARATION = (
    f"From: {MAILBOX}\r\nTo: dms@htpoort.nl\r\n"
    "Subject: [V=NL123456789.02.05][A=DMS4.NL][K=22096222734662][S=0]\r\n\r\n<MetaData/>\r\n"
)


@pytest.fixture
def _no_umask() -> Iterator[None]:
    """Let files have every right that is not taken from them."""
    before = os.umask(0)
    try:
        yield
    finally:
        os.umask(before)


def modes(folder: Path) -> dict[str, str]:
    """List the rights of a folder and of its files."""
    return {path.name: oct(path.stat().st_mode & 0o777) for path in (folder, *folder.iterdir())}


@pytest.mark.usefixtures("_no_umask")
class TestRights:
    """Files with keys or declarations are 0600 and their folder 0700, whatever the umask."""

    def test_certificates(self, tmp_path: Path) -> None:
        """Only their owner can read keys, also if a readable file of that name existed before."""
        folder = tmp_path / "made"
        folder.mkdir(mode=0o700)
        (folder / "server.pem").touch(mode=0o666)
        GatewayTls.made(folder)
        assert {"made": "0o700", "ca.pem": "0o600", "server.pem": "0o600", "client.pem": "0o600"} == modes(folder)

    def test_a_folder_that_the_command_makes(self, tmp_path: Path) -> None:
        """Only its owner can read the folder that the command makes for certificates."""
        folder = tmp_path / "made"
        with Certificates(wanted="--tls", folder=folder, client=ClientCertificate.NONE).made():
            assert "0o700" == modes(folder)["made"]

    async def test_a_record(self, tmp_path: Path) -> None:
        """The same holds for the messages that the simulator records, and their folder."""
        folder = tmp_path / "record"
        async with Gateway(declarants=[Declarant(mailbox=MAILBOX, password="geheim")], record=folder) as gateway:

            def sent() -> None:
                with smtplib.SMTP("127.0.0.1", gateway.smtp_port, local_hostname="forwarder.example") as client:
                    client.login(MAILBOX, "geheim")
                    client.sendmail(MAILBOX, ["dms@htpoort.nl"], DECLARATION)

            await asyncio.to_thread(sent)
            await gateway.wait_for_due_replies()
        names = ("000001-in-22096222734662.eml", "000002-out-22096222734662.eml")
        assert {"record": "0o700"} | dict.fromkeys(names, "0o600") == modes(folder)

    async def test_two_gateways_record_in_one_folder(self, tmp_path: Path) -> None:
        """Neither replaces a file of the other, though both counted the files before either wrote one."""
        one, other = MessageRecorder(tmp_path), MessageRecorder(tmp_path)
        await one.write("in", "K1", b"one")
        await other.write("in", "K1", b"other")

        contents = [(tmp_path / f"00000{number}-in-K1.eml").read_bytes() for number in (1, 2)]
        assert [b"one", b"other"] == contents


def test_the_certificate_has_a_common_name(tmp_path: Path) -> None:
    """The certificate has its host as common name, which fetchmail requires, and as alternative name."""
    tls = GatewayTls.made(tmp_path, names=["gateway.example"])
    pem = Path(tls.certificate).read_bytes()
    certificate = x509.load_pem_x509_certificate(pem[pem.index(b"-----BEGIN CERTIFICATE") :])
    (name,) = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    others = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "localhost" == name.value
    assert ["localhost", "gateway.example"] == others.get_values_for_type(x509.DNSName)


class TestAnswers:
    """The simulator responds like a receiver, although it can show a fault at each command."""

    async def test_help(self, tls: GatewayTls) -> None:
        """HELP names every command."""
        async with Gateway(tls=tls) as gateway:

            def asked() -> tuple[int, bytes]:
                with smtplib.SMTP_SSL(
                    "127.0.0.1",
                    gateway.smtps_port or 0,
                    "a",
                    context=ssl.create_default_context(cafile=str(tls.ca_file)),
                ) as client:
                    return client.docmd("HELP")

            answer = await asyncio.to_thread(asked)
        text = b"Supported commands: DATA EHLO HELO HELP MAIL NOOP QUIT RCPT RSET STARTTLS VRFY"
        assert (250, text) == answer

    async def test_who_is_said_to_have_sent_it(self) -> None:
        """A declarant whose program sends AUTH= in MAIL is served (RFC 4954, section 5)."""
        async with Gateway(declarants=[Declarant(mailbox=MAILBOX, password="geheim")]) as gateway:

            def sent() -> None:
                with smtplib.SMTP("127.0.0.1", gateway.smtp_port, local_hostname="forwarder.example") as client:
                    client.login(MAILBOX, "geheim")
                    client.sendmail(MAILBOX, ["dms@htpoort.nl"], DECLARATION, mail_options=["AUTH=<>"])

            await asyncio.to_thread(sent)
        assert ["22096222734662"] == [taken.envelope.reference for taken in gateway.received]
