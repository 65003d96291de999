"""`htpoort send`: a declaration straight to a mail server."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from htpoort.cli import _input, _output, _show
from htpoort.cli._facts import Facts
from htpoort.cli._input import (
    ContentType,
    Date,
    FileName,
    Json,
    LayoutChoice,
    LayoutOption,
    Mailbox,
    MessageId,
    Party,
    Payload,
    Reference,
    Sha256,
    System,
    Systems,
    TransferEncodingOption,
)
from htpoort.core.errors import SendError, SendFailure
from htpoort.core.message import Submission
from htpoort.transport import Accepted, Security, Sender, SmtpServer, TlsSettings

app = _input.group()


@app.command()
def send(  # noqa: PLR0913 - the options of build, and of a server
    payload: Payload = "-",
    *,
    server: Annotated[str, typer.Option(help="Name or address of the mail server; there is no default.")],
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the mail server.")],
    system: System,
    party: Party,
    mailbox: Mailbox,
    reference: Reference,
    security: Annotated[Security, typer.Option(help="How the connection is protected.")] = Security.STARTTLS,
    username: Annotated[str | None, typer.Option(help="User name for the login.")] = None,
    password: Annotated[
        str | None,
        typer.Option(envvar="HTPOORT_PASSWORD", show_envvar=True, help="Password; safer in the environment."),
    ] = None,
    ca_file: Annotated[Path | None, typer.Option(help="Trusted certificates, PEM.")] = None,
    certificate: Annotated[Path | None, typer.Option(help="Our own certificate and its chain, PEM.")] = None,
    key: Annotated[Path | None, typer.Option(help="Private key of our own certificate, PEM.")] = None,
    key_password: Annotated[
        str | None,
        typer.Option(envvar="HTPOORT_KEY_PASSWORD", show_envvar=True, help="Password of the private key."),
    ] = None,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds for each step of the dialogue.")] = 60.0,
    layout: LayoutOption = LayoutChoice.BODY,
    transfer_encoding: TransferEncodingOption = None,
    file_name: FileName = None,
    content_type: ContentType = None,
    date: Date = None,
    message_id: MessageId = None,
    sha256: Sha256 = None,
    systems: Systems = None,
    json: Json = False,
) -> None:
    """Build a message and send it to one mail server."""
    known = _input.directory(systems)
    data = _input.payload(payload, sha256)
    options = _input.MessageOptions(
        party=party,
        mailbox=mailbox,
        reference=reference,
        layout=layout,
        transfer_encoding=transfer_encoding,
        file_name=file_name,
        content_type=content_type,
        date=date,
        message_id=message_id,
    )
    message = options.build(data, system=system, known=known)
    with _input.naming(host="--server"):
        target = SmtpServer(
            host=server,
            port=port,
            security=security,
            username=username,
            password=password,
            timeout=timeout,
            tls=_tls_settings(security, ca_file, certificate, key, key_password),
        )
    accepted = asyncio.run(_sent(message, target))
    _output.mark_committed()
    (_show.as_json if json else _show.rows)(_accepted_facts(message, accepted))


def _tls_settings(
    security: Security, ca_file: Path | None, certificate: Path | None, key: Path | None, key_password: str | None
) -> TlsSettings:
    """Read the options for TLS; refuse one that another one makes useless."""
    if certificate is None and (key is not None or key_password is not None):
        option = "--key-password" if key is None else "--key"
        raise _input.refusal("input.usage", f"{option} needs --certificate.")
    if security is Security.PLAIN and (ca_file is not None or certificate is not None):
        raise _input.refusal("input.usage", "--security plain uses no TLS, so leave out --ca-file and --certificate.")
    return TlsSettings(ca_file=ca_file, certificate=certificate, key=key, key_password=key_password)


def _accepted_facts(message: Submission, accepted: Accepted) -> Facts:
    """Describe a message that the server accepted."""
    return {
        "result": "accepted",
        "system": message.system,
        "recipient": message.rcpt_to,
        "mail_from": message.mail_from,
        "subject": message.envelope.render(),
        "reference": message.envelope.reference,
        "message_id": message.message_id,
        "code": accepted.code,
        "reply": accepted.reply,
    }


async def _sent(message: Submission, server: SmtpServer) -> Accepted:
    async with Sender(server) as sender:
        try:
            return await sender.send(message)
        except asyncio.CancelledError:
            # Ctrl-C: the user must learn whether the message may be sent again.
            kind = SendFailure.UNKNOWN if sender.content_begun else SendFailure.LOST
            raise SendError(message.rcpt_to, kind, None, "it was interrupted") from None
