"""Certificates renewed while a program runs: new connections use them, and half a pair breaks nothing."""

from __future__ import annotations

import asyncio
import os
import smtplib
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
import trustme
from cryptography import x509

from htpoort import SendError, SendFailure, Submission
from htpoort.transport import Incoming, Receiver, Sender, SmtpServer, TlsSettings, server_context

Build = Callable[..., Submission]
Fixed = Callable[..., Any]

OFFER = b"250-customs.example\r\n250 STARTTLS\r\n"
LOG = "htpoort.transport"


class Files:
    """Keep a certificate and its key in two files, and renew them as programs do: one after the other."""

    def __init__(self, place: Path) -> None:
        self.authority = trustme.CA()
        self.ca, self.certificate, self.key = (place / name for name in ("ca.pem", "own.pem", "own.key"))
        self.authority.cert_pem.write_to_path(self.ca)
        self.renew()

    def renew(self, *, half: bool = False) -> Callable[[], int]:
        """Write a new certificate, and its key or a function that writes it later; return the serial number too."""
        # The published suites of TLS 1.2 are for RSA.
        issued = self.authority.issue_cert("localhost", "127.0.0.1", key_type=trustme.KeyType.RSA)
        (chain,) = issued.cert_chain_pems
        chain.write_to_path(self.certificate)

        def finish() -> int:
            issued.private_key_pem.write_to_path(self.key)
            return x509.load_pem_x509_certificate(chain.bytes()).serial_number

        if not half:
            finish()
        return finish

    @property
    def settings(self) -> TlsSettings:
        """The settings of a program."""
        return TlsSettings(ca_file=self.ca, certificate=self.certificate, key=self.key)

    @property
    def serial(self) -> int:
        """The serial number of the certificate in the file."""
        return x509.load_pem_x509_certificate(self.certificate.read_bytes()).serial_number


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """Make the files of a peer that presents a certificate."""
    return Files(tmp_path)


def serial_of(shown: Any) -> int:
    """Return the serial number of the certificate that the peer saw."""
    return int(shown["serialNumber"], 16)


class TestSender:
    """A sender reads its files for each connection."""

    @pytest.fixture
    def asking(self, files: Files) -> ssl.SSLContext:
        """Make the context of a server that requests a certificate and keeps its own."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        files.authority.issue_cert("localhost").configure_cert(context)
        context.verify_mode = ssl.CERT_REQUIRED
        files.authority.configure_trust(context)
        return context

    async def test_a_new_connection_shows_the_renewed_certificate(
        self, fixed: Fixed, submission: Build, files: Files, asking: ssl.SSLContext
    ) -> None:
        """An open connection keeps its certificate; the next one presents what is in the files by then."""
        old = files.serial
        answers = [b"250 sender\r\n", b"250 sender\r\n", (b"421 closing\r\n", "close"), b"250 sender\r\n"]
        async with (
            fixed(tls=asking, EHLO=OFFER, MAIL=answers) as server,
            Sender(SmtpServer(host="localhost", port=server.port, tls=files.settings, timeout=60)) as sender,
        ):
            await sender.send(submission())
            files.renew()
            for _ in range(2):
                await sender.send(submission())

        assert [old, files.serial] == [serial_of(shown) for shown in server.shown]
        assert 3 == len(server.contents)

    async def test_a_renewal_before_the_first_connection(
        self, fixed: Fixed, submission: Build, files: Files, asking: ssl.SSLContext
    ) -> None:
        """The certificate read when the sender was opened is not the one that it presents later."""
        async with (
            fixed(tls=asking, EHLO=OFFER) as server,
            Sender(SmtpServer(host="localhost", port=server.port, tls=files.settings, timeout=60)) as sender,
        ):
            files.renew()
            await sender.send(submission())

        assert [files.serial] == [serial_of(shown) for shown in server.shown]

    @pytest.mark.parametrize("which", ["half", "gone"])
    async def test_a_file_that_cannot_be_used_now(
        self, fixed: Fixed, submission: Build, files: Files, asking: ssl.SSLContext, which: str
    ) -> None:
        """It is TLS, no connection is made, and the reply names the file; once corrected, the message is sent."""
        async with (
            fixed(tls=asking, EHLO=OFFER) as server,
            Sender(SmtpServer(host="localhost", port=server.port, tls=files.settings, timeout=60)) as sender,
        ):
            finish = files.renew(half=True)
            if which == "gone":
                files.key.unlink()
            with pytest.raises(SendError) as caught:
                await sender.send(submission())
            connections = server.connections
            finish()
            await sender.send(submission())

        assert (SendFailure.TLS, None, 0) == (caught.value.kind, caught.value.code, connections)
        assert caught.value.reply.startswith(f"{files.key}: key cannot be used: ")
        assert 1 == len(server.contents)

    async def test_a_disk_that_does_not_answer(self, fixed: Fixed, submission: Build, files: Files) -> None:
        """Reading has the timeout of a step, so a sender never waits for a file forever."""
        async with (
            fixed() as server,
            Sender(SmtpServer(host="localhost", port=server.port, tls=files.settings, timeout=0.2)) as sender,
        ):
            files.ca.unlink()
            os.mkfifo(files.ca)
            with pytest.raises(SendError) as caught:
                await sender.send(submission())
            # Releases the thread that is still reading.
            os.close(os.open(files.ca, os.O_WRONLY))

        assert (SendFailure.TLS, "Reading the TLS files took too long") == (caught.value.kind, caught.value.reply)
        assert 0 == server.connections


async def taken(_incoming: Incoming) -> None:
    """Accept any message."""


class TestReceiver:
    """A receiver with a context of `server_context` uses renewed files for new connections."""

    @pytest.fixture
    def listening(self, files: Files) -> Receiver:
        """Make a receiver that requests no certificate."""
        context = server_context(attrs.evolve(files.settings, ca_file=None))
        return Receiver(taken, hostname="mx.forwarder.example", mailboxes=["edi@forwarder.example"], tls=context)

    @pytest.fixture
    def seen(self, files: Files) -> Callable[..., Any]:
        """Connect as a peer does; return the serial number of the certificate that it saw."""

        def connected(port: int, host: str, context: ssl.SSLContext) -> int:
            with smtplib.SMTP(host, port, local_hostname="dms.example", timeout=60) as client:
                client.starttls(context=context)
                client.noop()
                assert isinstance(client.sock, ssl.SSLSocket)
                return serial_of(client.sock.getpeercert())

        async def asked(
            receiver: Receiver, host: str = "localhost", highest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3
        ) -> int:
            context = ssl.create_default_context(cafile=str(files.ca))
            context.maximum_version = highest
            return await asyncio.to_thread(connected, receiver.port, host, context)

        return asked

    # No name (SNI) is sent to an address.
    @pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
    @pytest.mark.parametrize("highest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
    async def test_new_connections_see_the_renewed_certificate(
        self, listening: Receiver, seen: Callable[..., Any], files: Files, host: str, highest: ssl.TLSVersion
    ) -> None:
        """Without a restart, repeatedly, and with every version of TLS."""
        expected: list[int] = []
        found: list[int] = []
        async with listening:
            for _ in range(3):
                expected += [files.serial] * 2
                found += [await seen(listening, host, highest) for _ in range(2)]
                files.renew()

        assert 3 == len(set(expected))
        assert expected == found

    @pytest.mark.parametrize("which", ["half", "gone"])
    async def test_half_a_renewal_keeps_the_old_one(
        self,
        listening: Receiver,
        seen: Callable[..., Any],
        files: Files,
        caplog: pytest.LogCaptureFixture,
        which: str,
    ) -> None:
        """Peers see the old certificate until the new pair is complete, and the problem is logged once."""
        old = files.serial
        async with listening:
            finish = files.renew(half=True)
            if which == "gone":
                files.key.unlink()
            kept = [await seen(listening) for _ in range(3)]
            lines = [record.getMessage() for record in caplog.records if record.name == LOG]
            new = finish()
            last = await seen(listening)

        assert ([old] * 3, new) == (kept, last)
        (line,) = lines
        assert f"{files.key}: key cannot be used: " in line

    async def test_renewed_authorities(self, seen: Callable[..., Any], files: Files) -> None:
        """A peer whose authority was added to the CA file is accepted, one whose authority was removed is not."""
        context = server_context(files.settings)
        ours, theirs = files.authority, trustme.CA()

        def asked(port: int, authority: trustme.CA) -> bool:
            trusting = ssl.create_default_context(cafile=str(place / "both.pem"))
            authority.issue_cert("dms@htpoort.nl").configure_cert(trusting)
            with smtplib.SMTP("localhost", port, local_hostname="dms.example", timeout=60) as client:
                client.starttls(context=trusting)
                try:
                    return client.noop()[0] == 250
                except (OSError, smtplib.SMTPServerDisconnected):
                    return False

        del seen
        place = files.ca.parent
        ours.cert_pem.write_to_path(place / "both.pem")
        receiver = Receiver(taken, hostname="mx.forwarder.example", mailboxes=["edi@forwarder.example"], tls=context)
        async with receiver:
            before = [await asyncio.to_thread(asked, receiver.port, one) for one in (ours, theirs)]
            theirs.cert_pem.write_to_path(files.ca)
            after = [await asyncio.to_thread(asked, receiver.port, one) for one in (ours, theirs)]

        assert ([True, False], [False, True]) == (before, after)
