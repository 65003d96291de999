"""Write and send one message, in each way that a user may."""

from __future__ import annotations

import asyncio
import base64
import json
import smtplib
import ssl
from collections.abc import Awaitable, Callable
from email import policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any, Final

import aiosmtplib
import attrs
from interop.messages import PASSWORD, PAYLOAD, subject_of
from interop.programs import HERE, run

from htpoort import Submission
from htpoort.transport import Security, SmtpServer, TlsSettings, send

HOST: Final = "127.0.0.1"
HELLO: Final = "forwarder.example"


@attrs.frozen(kw_only=True)
class Place:
    """
    The server to send to: a port on loopback, and the login of the sender.

    The authority is that of the server's certificate; None without TLS. The certificate is the sender's.
    """

    port: int
    ca: Path | None = None
    implicit: bool = False
    login: str | None = None
    certificate: Path | None = None

    @property
    def security(self) -> Security:
        """How the connection is secured."""
        if self.ca is None:
            return Security.PLAIN
        return Security.IMPLICIT if self.implicit else Security.STARTTLS

    @property
    def context(self) -> ssl.SSLContext:
        """Make a context that trusts the one authority."""
        context = ssl.create_default_context(cafile=self.ca)
        if self.certificate is not None:
            context.load_cert_chain(self.certificate)
        return context

    @property
    def server(self) -> SmtpServer:
        """The same server, for our own sender."""
        tls = TlsSettings(ca_file=self.ca, certificate=self.certificate)
        login = {} if self.login is None else {"username": self.login, "password": PASSWORD}
        return SmtpServer(host=HOST, port=self.port, security=self.security, tls=tls, **login)


Writer = Callable[[Submission, Place], Awaitable[None]]


def rendered(message: Submission, rules: policy.EmailPolicy) -> EmailMessage:
    """Write the message again as a user of the standard library does."""
    made = EmailMessage(policy=rules)
    made["From"], made["To"] = message.mail_from, message.rcpt_to
    made["Subject"] = subject_of(message.envelope)
    made.set_content(PAYLOAD.decode())
    return made


LONG_LINES: Final = policy.SMTP.clone(max_line_length=998)


async def by_htpoort(message: Submission, place: Place) -> None:
    """Send with our own sender."""
    await send(message, place.server)


def _smtplib(place: Place, work: Callable[[smtplib.SMTP], Any]) -> None:
    """Open a session of the standard library."""
    if place.implicit:
        client: smtplib.SMTP = smtplib.SMTP_SSL(HOST, place.port, HELLO, context=place.context)
    else:
        client = smtplib.SMTP(HOST, place.port, HELLO)
    with client:
        if place.security is Security.STARTTLS:
            client.starttls(context=place.context)
        if place.login is not None:
            client.login(place.login, PASSWORD)
        work(client)


async def smtplib_octets(message: Submission, place: Place) -> None:
    """Pass the octets of `build` to the standard library."""
    await asyncio.to_thread(
        _smtplib, place, lambda client: client.sendmail(message.mail_from, message.rcpt_to, message.data)
    )


async def smtplib_message(message: EmailMessage, place: Place) -> None:
    """Pass a message to the standard library, which makes the octets."""
    await asyncio.to_thread(_smtplib, place, lambda client: client.send_message(message))


def _smtplib_rendered(rules: policy.EmailPolicy) -> Writer:
    async def writer(message: Submission, place: Place) -> None:
        await smtplib_message(rendered(message, rules), place)

    return writer


async def _aiosmtplib(content: bytes | EmailMessage, message: Submission, place: Place) -> None:
    tls: dict[str, Any] = {} if place.ca is None else {"tls_context": place.context}
    await aiosmtplib.send(
        content,  # type: ignore[arg-type]  # either is taken
        sender=message.mail_from,
        recipients=[message.rcpt_to],
        hostname=HOST,
        port=place.port,
        local_hostname=HELLO,
        use_tls=place.implicit,
        start_tls=place.security is Security.STARTTLS,
        username=place.login,
        password=None if place.login is None else PASSWORD,
        **tls,
    )


async def aiosmtplib_octets(message: Submission, place: Place) -> None:
    """Pass the octets of `build` to aiosmtplib."""
    await _aiosmtplib(message.data, message, place)


async def aiosmtplib_rendered(message: Submission, place: Place) -> None:
    """Pass a message whose policy forbids folding to aiosmtplib."""
    await _aiosmtplib(rendered(message, LONG_LINES), message, place)


async def by_curl(message: Submission, place: Place) -> None:
    """Pass the octets of `build` to curl."""
    scheme = "smtps" if place.implicit else "smtp"
    safe: tuple[str | Path, ...] = () if place.ca is None else ("--ssl-reqd", "--cacert", place.ca)
    if place.certificate is not None:
        safe += ("--cert", place.certificate)
    if place.login is not None:
        safe += ("--user", f"{place.login}:{PASSWORD}")
    parties = ("--mail-from", message.mail_from, "--mail-rcpt", message.rcpt_to)
    url = f"{scheme}://{HOST}:{place.port}/{HELLO}"
    await run("curl", "--silent", "--show-error", *safe, *parties, "--upload-file", "-", url, given=message.data)


async def _swaks(message: Submission, place: Place, *content: str, given: bytes = b"") -> None:
    safe: tuple[str | Path, ...] = ()
    if place.ca is not None:
        safe = ("--tls-on-connect" if place.implicit else "--tls", "--tls-verify", "--tls-ca-path", place.ca)
    if place.certificate is not None:
        safe += ("--tls-cert", place.certificate, "--tls-key", place.certificate)
    if place.login is not None:
        safe += ("--auth", "PLAIN", "--auth-user", place.login, "--auth-password", PASSWORD)
    parties = ("--from", message.mail_from, "--to", message.rcpt_to, "--helo", HELLO)
    await run("swaks", "--server", HOST, "--port", str(place.port), *safe, *parties, *content, given=given)


async def swaks_octets(message: Submission, place: Place) -> None:
    """Pass the octets of `build` to swaks, which ends the last line itself."""
    await _swaks(message, place, "--data", "-", given=message.data.removesuffix(b"\r\n"))


async def swaks_rendered(message: Submission, place: Place) -> None:
    """Let swaks write the message around a Subject and a body."""
    subject = f"Subject: {subject_of(message.envelope)}"
    await _swaks(message, place, "--header", subject, "--body", PAYLOAD.decode().strip())


def _pem(path: Path | None) -> str | None:
    return None if path is None else path.read_text(encoding="ascii")


async def _nodemailer(message: Submission, place: Place, **content: object) -> None:
    order = {
        "port": place.port,
        "implicit": place.implicit,
        "tls": place.ca is not None,
        "ca": _pem(place.ca),
        "certificate": _pem(place.certificate),
        "username": place.login,
        "password": PASSWORD,
        "from": message.mail_from,
        "to": message.rcpt_to,
    }
    await run("node", HERE / "node" / "compose.js", given=json.dumps(order | content).encode())


async def nodemailer_octets(message: Submission, place: Place) -> None:
    """Pass the octets of `build` to nodemailer."""
    await _nodemailer(message, place, raw=base64.b64encode(message.data).decode())


async def nodemailer_rendered(message: Submission, place: Place) -> None:
    """Let nodemailer write the message around a Subject and a text."""
    await _nodemailer(message, place, subject=subject_of(message.envelope), text=PAYLOAD.decode())


async def nodemailer_prepared(message: Submission, place: Place) -> None:
    """Let nodemailer write the message around a Subject marked as prepared."""
    prepared = {"prepared": True, "value": subject_of(message.envelope)}
    await _nodemailer(message, place, headers={"subject": prepared}, text=PAYLOAD.decode())


async def _jakarta(message: Submission, place: Place, given: bytes, **further: str) -> None:
    settings = {"port": str(place.port), "from": message.mail_from, "to": message.rcpt_to} | further
    if place.ca is not None:
        settings["ca"] = str(place.ca)
    if place.implicit:
        settings["implicit"] = "yes"
    if place.login is not None:
        settings |= {"username": place.login, "password": PASSWORD}
    if place.certificate is not None:
        settings["certificate"] = str(place.certificate.with_suffix(".p12"))
    # Half a second instead of more than one, for a program that ends at once.
    quick = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
    await run("java", *quick, "Send", *(f"{name}={value}" for name, value in settings.items()), given=given)


async def jakarta_octets(message: Submission, place: Place) -> None:
    """Pass the octets of `build` to Jakarta Mail."""
    await _jakarta(message, place, message.data)


async def jakarta_submitter(message: Submission, place: Place) -> None:
    """Pass the octets of `build` to Jakarta Mail, which names the submitter in MAIL FROM (RFC 4954, section 5)."""
    await _jakarta(message, place, message.data, submitter=message.mail_from)


async def jakarta_rendered(message: Submission, place: Place) -> None:
    """Let Jakarta Mail write the message around a Subject and a text."""
    await _jakarta(message, place, PAYLOAD, subject=subject_of(message.envelope))


OCTETS: Final[dict[str, Writer]] = {
    "htpoort `send`": by_htpoort,
    "smtplib `sendmail(bytes)`": smtplib_octets,
    "aiosmtplib `send(bytes)`": aiosmtplib_octets,
    "curl `--upload-file`": by_curl,
    "swaks `--data`": swaks_octets,
    "nodemailer `raw`": nodemailer_octets,
    "Jakarta Mail, a message of octets": jakarta_octets,
}
"""Clients that get the octets of `build`."""

RENDERED: Final[dict[str, Writer]] = {
    "smtplib `send_message`, policy default": _smtplib_rendered(policy.default),
    "smtplib `send_message`, policy with 998 columns": _smtplib_rendered(LONG_LINES),
    "aiosmtplib `send(EmailMessage)`, policy with 998 columns": aiosmtplib_rendered,
    "swaks `--header --body`": swaks_rendered,
    "nodemailer `subject, text`": nodemailer_rendered,
    "nodemailer `headers.subject`, prepared": nodemailer_prepared,
    "Jakarta Mail `setSubject, setText`": jakarta_rendered,
}
"""Clients that write the message themselves, around the same Subject."""

WRITERS: Final = OCTETS | RENDERED
