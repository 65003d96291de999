"""Certificates of a configuration that are renewed while the agent runs."""

from __future__ import annotations

import asyncio
import smtplib
import ssl
from collections.abc import Callable
from pathlib import Path

import trustme
from agents import MAILBOX, PARTY, declaration, now
from cryptography import x509

from htpoort import State
from htpoort.config import AgentConfig
from htpoort.ledger import Ledger
from htpoort.transport import Incoming, Receiver, TlsSettings, server_context

Read = Callable[..., AgentConfig]

SMALL = f'parties = ["{PARTY}"]\n[ledger]\nurl = "sqlite:///htpoort.db"\n[timing]\npoll = "10ms"\n'


def renewed(authority: trustme.CA, path: Path) -> int:
    """Write a new certificate with its key; return its serial number."""
    issued = authority.issue_cert("localhost", "127.0.0.1", key_type=trustme.KeyType.RSA)
    issued.private_key_and_cert_chain_pem.write_to_path(str(path))
    return x509.load_pem_x509_certificate(issued.cert_chain_pems[0].bytes()).serial_number


PAUSES = '[timing]\npause = ["50ms"]'


def seen(port: int, context: ssl.SSLContext) -> int:
    """Connect as a peer does; return the serial number of the certificate that the server presented."""
    with smtplib.SMTP("localhost", port, local_hostname="gateway.example", timeout=60) as client:
        client.starttls(context=context)
        assert isinstance(client.sock, ssl.SSLSocket)
        shown = client.sock.getpeercert()
    assert shown is not None
    return int(str(shown["serialNumber"]), 16)


async def reached(ledger: Ledger, state: State) -> State:
    """Wait until the declaration is in a state."""
    async with asyncio.timeout(60):
        while True:
            found = await asyncio.to_thread(ledger.exchanges.find, "K1", party=PARTY)
            assert found is not None
            if found.state is state:
                return state


async def test_an_inbox(folder: Path, read: Read) -> None:
    """Peers that connect after a renewal get the renewed certificate, without a restart of the agent."""
    authority = trustme.CA()
    old = renewed(authority, folder / "own.pem")
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(trusting)
    config = read(
        f'{SMALL}[[smtp]]\nhostname = "mx.forwarder.example"\nmailboxes = ["{MAILBOX}"]\nport = 0\n'
        'certificate = "own.pem"\nrequire_tls = true\n'
    )
    with config.ledger.open() as ledger:
        async with config.agent(ledger) as agent:
            before = await asyncio.to_thread(seen, agent.ports[0], trusting)
            new = renewed(authority, folder / "own.pem")
            after = await asyncio.to_thread(seen, agent.ports[0], trusting)

    assert (old, new) == (before, after)


async def test_an_outbox(folder: Path, read: Read) -> None:
    """A certificate that is missing for a moment pauses the outbox, is logged as TLS trouble, and costs no attempt."""
    authority, own = trustme.CA(), folder / "own.pem"
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    renewed(authority, folder / "theirs.pem")
    renewed(authority, own)
    came = asyncio.Event()

    async def taken(_incoming: Incoming) -> None:
        came.set()

    theirs = server_context(TlsSettings(certificate=folder / "theirs.pem", ca_file=folder / "ca.pem"))
    async with Receiver(taken, hostname="gateway.example", mailboxes=["dms@htpoort.nl"], tls=theirs) as receiver:
        waits = ", ".join(['"50ms"'] * 100)
        config = read(
            SMALL.replace("[timing]", PAUSES)
            + f'[[outbox]]\nserver = "localhost"\nport = {receiver.port}\nca_file = "ca.pem"\n'
            f'certificate = "own.pem"\nconnections = 1\nretry = [{waits}]\n'
        )
        with config.ledger.open() as ledger:
            async with config.agent(ledger) as agent:
                own.unlink()
                ledger.exchanges.queue(declaration("K1"), at=now())
                agent.wake()
                async with asyncio.timeout(60):
                    while not await asyncio.to_thread(ledger.servers.paused):  # noqa: ASYNC110 - no event announces it
                        await asyncio.sleep(0)
                first = ledger.story("K1")[0].entries[2].detail
                renewed(authority, own)
                await reached(ledger, State.ACCEPTED)

    advice = "Give a readable PEM file with the certificate and its chain."
    assert f"tls: {own}: certificate cannot be used: No such file or directory. {advice}" == first
    assert came.is_set()
