"""Clients that name the submitter in MAIL FROM, as a server that offers AUTH must understand (RFC 4954, section 5)."""

from __future__ import annotations

import asyncio
import shutil

import attrs
import pytest
from interop.messages import MAILBOX, PASSWORD, declaration
from interop.programs import LIMIT, folder
from interop.relays import exim
from interop.servers import Files, Kept
from interop.writers import Place, by_htpoort, jakarta_submitter

from htpoort import DMS
from htpoort.simulator import Declarant, Gateway
from htpoort.transport import Receiver

_LOGIN = f"""\
plain:
  driver = plaintext
  public_name = PLAIN
  client_send = ^edi^{PASSWORD}
"""
SUBMITTERS = {"the mailbox": MAILBOX, "no one": "<>"}


def login(username: str, password: str) -> bool:
    """Accept the one user."""
    return (username, password) == ("edi", PASSWORD)


async def came(gateway: Gateway) -> None:
    """Wait for the first declaration; Exim relays in its own time."""
    async with asyncio.timeout(LIMIT):
        while True:
            if gateway.received:
                return
            await asyncio.sleep(0)


@pytest.mark.parametrize("submitter", SUBMITTERS.values(), ids=SUBMITTERS)
async def test_exim_at_the_receiver(submitter: str) -> None:
    """Exim with `authenticated_sender` delivers to a receiver with a login, and bounces nothing."""
    kept = Kept()
    async with Receiver(kept, hostname="mx.example", mailboxes=[DMS.mailbox], authenticator=login) as ours:
        options = {"hosts_require_auth": "127.0.0.1", "authenticated_sender": submitter}
        async with exim(ours.port, options=options, authenticators=_LOGIN) as port:
            await by_htpoort(declaration(35), Place(port=port))
            raw = await kept.number(1)

    assert raw.endswith(declaration(35).data)
    assert [MAILBOX] == [incoming.mail_from for incoming in kept.incoming]


async def test_exim_at_the_simulator(files: Files) -> None:
    """Exim with `authenticated_sender` delivers to the simulator over STARTTLS, as a mail host in between does."""
    declarant = Declarant(mailbox=MAILBOX, username="edi", password=PASSWORD)
    with folder() as place:
        # Exim reads it as a user who may not enter the folder of the keys.
        options = {
            "hosts_require_auth": "127.0.0.1",
            "hosts_require_tls": "127.0.0.1",
            "tls_verify_certificates": str(shutil.copyfile(files.ca, place / "ca.pem")),
            "tls_verify_hosts": "127.0.0.1",
            "authenticated_sender": MAILBOX,
        }
        async with (
            Gateway(declarants=[declarant], tls=files.of_gateway("1.3")) as gateway,
            exim(gateway.smtp_port, options=options, authenticators=_LOGIN) as port,
        ):
            await by_htpoort(declaration(35), Place(port=port))
            await came(gateway)

    assert [declaration(35).envelope] == [taken.envelope for taken in gateway.received]


@pytest.mark.parametrize("tls", ["1.2", "1.3"])
async def test_jakarta_mail(tls: str, files: Files) -> None:
    """The simulator and a receiver with a login accept Jakarta Mail with `mail.smtp.submitter`."""
    message = declaration(35)
    kept = Kept()
    declarant = Declarant(mailbox=MAILBOX, username="edi", password=PASSWORD)
    async with Gateway(declarants=[declarant], tls=files.of_gateway(tls)) as gateway:
        place = Place(port=gateway.smtp_port, ca=files.ca, login="edi")
        await jakarta_submitter(message, place)
    async with Receiver(
        kept, hostname="mx.example", mailboxes=[DMS.mailbox], authenticator=login, tls=files.context(tls)
    ) as ours:
        await jakarta_submitter(message, attrs.evolve(place, port=ours.port))

    assert [message.data] == [taken.raw for taken in gateway.received]
    assert [message.data] == [incoming.raw for incoming in kept.incoming]
