"""The simulator and the logins of clients of other authors."""

from __future__ import annotations

import pytest
from interop.messages import MAILBOX, PASSWORD, declaration
from interop.servers import Files
from interop.writers import OCTETS, Place

from htpoort.simulator import ClientCertificate, Declarant, Gateway


@pytest.mark.parametrize("tls", ["1.2", "1.3"])
@pytest.mark.parametrize("implicit", [False, True], ids=["STARTTLS", "implicit"])
@pytest.mark.parametrize("writer", OCTETS)
async def test_password_and_certificate(writer: str, tls: str, files: Files, *, implicit: bool) -> None:
    """A client that presents its certificate and logs in is accepted, octet for octet, and gets its reply."""
    message = declaration(35)
    declarant = Declarant(mailbox=MAILBOX, username="edi", password=PASSWORD)
    async with Gateway(declarants=[declarant], tls=files.of_gateway(tls, ClientCertificate.REQUIRED)) as gateway:
        port = (gateway.smtps_port if implicit else None) or gateway.smtp_port
        place = Place(port=port, ca=files.ca, implicit=implicit, login="edi", certificate=files.client)
        await OCTETS[writer](message, place)
        await gateway.wait_for_due_replies()

        assert [message.data] == [taken.raw for taken in gateway.received]
        assert 1 == len(gateway.mailbox(MAILBOX).messages)


@pytest.mark.parametrize("writer", [name for name in OCTETS if "htpoort" not in name and "smtplib" not in name])
@pytest.mark.parametrize("lacks", ["password", "certificate"])
async def test_without_one_of_them(writer: str, lacks: str, files: Files) -> None:
    """A client that lacks its password or its certificate fails, and nothing was accepted."""
    declarant = Declarant(mailbox=MAILBOX, username="edi", password=PASSWORD)
    login = None if lacks == "password" else "edi"
    certificate = None if lacks == "certificate" else files.client
    async with Gateway(declarants=[declarant], tls=files.of_gateway("1.3", ClientCertificate.REQUIRED)) as gateway:
        place = Place(port=gateway.smtp_port, ca=files.ca, login=login, certificate=certificate)
        with pytest.raises(AssertionError, match="ended with"):
            await OCTETS[writer](declaration(35), place)

    assert [] == gateway.received
