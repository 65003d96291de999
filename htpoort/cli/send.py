"""`htpoort send` and `queue`: a declaration straight to a mail server, or into the ledger for an agent to send."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Generator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, final

import attrs
import typer

from htpoort import _clock
from htpoort.cli import _facts, _input, _output, _show
from htpoort.cli._facts import Facts
from htpoort.cli._files import FileOptions
from htpoort.cli._input import (
    CONFIG,
    Config,
    ContentType,
    Date,
    FileName,
    Json,
    LayoutChoice,
    LayoutOption,
    Mailbox,
    MessageId,
    MessageOptions,
    Party,
    Payload,
    Reference,
    Sha256,
    System,
    Systems,
    TransferEncodingOption,
)
from htpoort.core.directory import Directory
from htpoort.core.errors import InputError, SendError, SendFailure
from htpoort.core.message import Submission, automatic_reference
from htpoort.transport import Accepted, Security, Sender, SmtpServer, TlsSettings

if TYPE_CHECKING:
    from htpoort.agent import Dispatched, Dispatcher
    from htpoort.config import LedgerConfig
    from htpoort.ledger import Exchange, Ledger

app = _input.group()

_AUTO: Final = "auto"
_STDIN: Final = "-"

_Payloads = Annotated[
    list[str] | None,
    typer.Argument(metavar="PAYLOAD", help="Files with declarations, or a folder of them; - is standard input."),
]
_System = Annotated[
    str | None, typer.Option("--system", help="Declaration system; by default the one that [cutover] names.")
]
_Party = Annotated[
    str | None, typer.Option("--party", help="Party ID (V), or user of a gateway; not needed if --pattern has {party}.")
]
_Reference = Annotated[
    str | None,
    typer.Option("--reference", help="Reference (K), or name of a file; auto: it follows from party and payload."),
]
_Pattern = Annotated[
    str | None,
    typer.Option("--pattern", metavar="FORM", help="Form of the names of files, such as {party}/{reference}.xml."),
]
_Kind = Annotated[str | None, typer.Option("--kind", help="Kind of declaration, as [cutover] names it.")]
_ShadowPayload = Annotated[
    str | None,
    typer.Option("--shadow-payload", metavar="FILE", help="The declaration for the shadow system; by default PAYLOAD."),
]
_OwnMailbox = Annotated[
    str | None,
    typer.Option("--mailbox", help="The declarant's own mailbox, where replies arrive; not for a file to a gateway."),
]
_ValidationOnly = Annotated[
    bool, typer.Option("--validation-only", help="Let the gateway only check the file, which declares nothing.")
]
_BusinessReference = Annotated[
    str | None, typer.Option("--business-reference", help="The declarant's own reference (LRN), for reports.")
]


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
    options = MessageOptions(
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


@app.command()
def queue(  # noqa: PLR0913 - one option for each part of a message
    payloads: _Payloads = None,
    *,
    system: _System = None,
    party: _Party = None,
    mailbox: _OwnMailbox = None,
    reference: _Reference = None,
    validation_only: _ValidationOnly = False,
    pattern: _Pattern = None,
    kind: _Kind = None,
    shadow_payload: _ShadowPayload = None,
    business_reference: _BusinessReference = None,
    layout: LayoutOption = LayoutChoice.BODY,
    transfer_encoding: TransferEncodingOption = None,
    file_name: FileName = None,
    content_type: ContentType = None,
    date: Date = None,
    message_id: MessageId = None,
    sha256: Sha256 = None,
    config: Config = CONFIG,
    json: Json = False,
) -> None:
    """Put a declaration, or many files, into the ledger; an agent sends them."""
    _input.check_layout(layout, file_name)
    _check_kind(kind)
    texts = payloads or [_STDIN]
    many = len(texts) > 1 or pattern is not None or os.path.isdir(texts[0])  # noqa: PTH112 - False also for a name that cannot be one
    of_one = {
        "--shadow-payload": shadow_payload,
        "--business-reference": business_reference,
        "--file-name": file_name,
        "--content-type": content_type,
        "--date": date,
        "--message-id": message_id,
        "--sha256": sha256,
    }
    _check_many(texts, reference, pattern, of_one) if many else _check_one(party, reference)
    options = MessageOptions(
        party=party or "",
        mailbox=mailbox or "",
        reference=reference or "",
        layout=layout,
        transfer_encoding=transfer_encoding,
        file_name=file_name,
        content_type=content_type,
        date=date,
        message_id=message_id,
    )
    if mailbox is None or validation_only:
        file = FileOptions(system, options, kind, of_one, validation_only, many)
        _show_facts(_queued_facts(file.queue(config, texts[0]), json=json), json=json)
        return
    with _input.opened(config, create=True) as (settings, ledger):
        if many:
            from htpoort.cli import _bulk  # noqa: PLC0415 - one declaration does not pay for it

            files = _bulk.Files(settings, ledger, options, system, kind, pattern)
            raise typer.Exit(files.queue(texts).show(json=json, kind_note=_kind_note(settings, system, kind)))
        one = _One(settings, ledger, options, system, kind, shadow_payload, business_reference)
        dispatched = one.queue(texts[0], sha256)
    _show_queued(one, dispatched, json=json)


def _kind_note(settings: LedgerConfig, system: str | None, kind: str | None) -> str | None:
    """Report a kind that no move has, because a slip in it may choose the old system."""
    if kind is None or system is not None or settings.cutover is None or settings.cutover.plan.names_kind(kind):
        return None
    return f"no move in [cutover] has the kind {kind}, so only the moves without a kind count"


def _check_kind(kind: str | None) -> None:
    """Check that a kind is not blank."""
    if kind is not None and not kind.strip():
        raise _input.refusal("cutover.kind", f"--kind is {kind!r}; give a kind as [cutover] names it, or leave it out.")


def _check_one(party: str | None, reference: str | None) -> None:
    """Check that what one declaration needs is there."""
    if party is None:
        raise _input.refusal("input.usage", "--party is missing.")
    if reference is None:
        message = "--reference is missing; give a new K, or auto, which makes one from the party and the payload."
        raise _input.refusal("input.usage", message)


def _check_many(
    texts: Sequence[str], reference: str | None, pattern: str | None, of_one: Mapping[str, str | None]
) -> None:
    """Check that the options fit several declarations."""
    wrong = [f"{option} is of one declaration; leave it out." for option, value in of_one.items() if value is not None]
    if _STDIN in texts:
        wrong.append("- is standard input, which is one declaration without a name; queue it by itself.")
    if reference is not None and reference != _AUTO:
        wrong.append(
            f"--reference {reference} is the K of one declaration; give auto, or --pattern to take K from names."
        )
    elif reference is None and pattern is None:
        wrong.append("Each file needs a K; give --pattern to take it from the name, or --reference auto.")
    elif reference == _AUTO and pattern is not None and "{reference}" in pattern:  # noqa: RUF027 - a placeholder
        wrong.append("--pattern takes K from the name of each file, so leave out --reference auto.")
    if wrong:
        raise InputError("", tuple(_input.refusal("input.usage", message).problems[0] for message in wrong))


# ── one declaration ──────────────────────────────────────────────────────────


@final
@attrs.frozen
class _One:
    """One declaration, which may have everything that a message has."""

    settings: LedgerConfig
    ledger: Ledger
    options: MessageOptions
    system: str | None
    kind: str | None
    shadow_payload: str | None
    business_reference: str | None

    def queue(self, payload: str, sha256: str | None) -> Dispatched:
        """Queue it."""
        if self.system is not None and (service := self.settings.service(self.system)) is not None:
            raise _input.refusal("input.usage", f"--mailbox is for a message; {service.name} takes files.")
        self._check_shadow_payload(payload)
        reference = _input.words("--reference", self.options.reference)
        lrn = self.business_reference
        lrn = None if lrn is None else _input.words("--business-reference", lrn)
        now, dispatcher = _clock.now(), self.settings.dispatcher(self.ledger)
        data = None
        if reference == _AUTO:
            data = _input.payload(payload, sha256)
            reference = automatic_reference(self.options.party, data)
        options = attrs.evolve(self.options, reference=reference)
        with _naming_system(self.settings.directory):
            # Before PAYLOAD is read, which may be a terminal.
            chosen = dispatcher.choose(
                party=options.party, reference=reference, at=now, system=self.system, kind=self.kind
            )
        if data is None:
            data = _input.payload(payload, sha256)
        if options.date and _input.date_problems(options.date):
            # Nothing may be queued, so only build the message, and report everything that is wrong with it.
            options.build(data, system=chosen.system.name, known=self.settings.directory)
        dispatched = self._dispatch(dispatcher, options, data, now, lrn)
        _output.mark_committed()
        if lrn is not None and not dispatched.exchange.repeated:
            self._warn_of_known(lrn, dispatched.exchange)
        return dispatched

    def _warn_of_known(self, lrn: str, queued: Exchange) -> None:
        """Warn of an LRN that another declaration of the party has; after some disruptions that is intended."""
        found = self.ledger.exchanges.with_business_reference(lrn, party=queued.party)
        if others := [one for one in found if one.key != queued.key]:
            last = others[-1]
            new = queued.reference
            text = (
                f"htpoort: {lrn} is also the LRN of {last.reference}, which is {last.state.value}. A second "
                f"declaration with a known LRN is rejected, unless a notice says to send it again. {new} is queued; if "
                f"it is not to be sent: htpoort resolve {new} --party {queued.party} --close"
            )
            _show.failed(_show.printable(text))

    def _dispatch(
        self, dispatcher: Dispatcher, options: MessageOptions, payload: bytes, at: datetime, lrn: str | None
    ) -> Dispatched:
        shadow = self.shadow_payload
        return dispatcher.dispatch(
            payload,
            party=options.party,
            mailbox=options.mailbox,
            reference=options.reference,
            at=at,
            system=self.system,
            kind=self.kind,
            shadow_payload=None if shadow is None else lambda: _input.payload(shadow, None, "--shadow-payload"),
            business_reference=lrn,
            layout=options.layout.value,
            transfer_encoding=options.encoding,
            content_type=options.content_type,
            file_name=options.file_name,
            date=None if options.date is None else _input.moment(options.date),
            message_id=options.message_id,
        )

    def _check_shadow_payload(self, payload: str) -> None:
        """Check that --shadow-payload fits the configuration and the other options."""
        cutover, shadow_payload = self.settings.cutover, self.shadow_payload
        if shadow_payload is not None and (cutover is None or cutover.shadow is None):
            message = (
                '--shadow-payload needs mode = "shadow" and shadow_system = "NAME" in [cutover] of the configuration.'
            )
            raise _input.refusal("input.usage", message)
        if shadow_payload == payload == _STDIN:
            raise _input.refusal("input.usage", "Standard input is PAYLOAD or --shadow-payload, not both.")


@contextlib.contextmanager
def _naming_system(directory: Directory) -> Generator[None]:
    """Where neither a system nor a plan is given, name the option and the table of the file."""
    try:
        yield
    except InputError as error:
        if "dispatch.no-system" not in {problem.code for problem in error.problems}:
            raise
        names = " or ".join(system.name for system in directory)
        message = f"Give --system {names}, or write in [cutover] of the configuration which party uses which system."
        raise _input.refusal("input.usage", message) from None


def _show_queued(one: _One, dispatched: Dispatched, *, json: bool) -> None:
    exchange, shadow = dispatched.exchange, dispatched.destination.shadow
    facts = _queued_facts(exchange, json=json)
    if shadow is not None:
        facts["shadow"] = shadow.name
    elif one.shadow_payload is not None:
        facts["shadow_payload"] = f"not used; the declaration itself goes to {exchange.system}, the shadow system"
    if (note := _kind_note(one.settings, one.system, one.kind)) is not None:
        facts["kind"] = note
    _show_facts(facts, json=json)


def _queued_facts(exchange: Exchange, *, json: bool) -> Facts:
    facts = _facts.exchange(exchange)
    if json:
        facts["repeated"] = exchange.repeated
    elif exchange.repeated:
        facts["note"] = "The same declaration was queued before under this K; nothing was added."
    return facts


def _show_facts(facts: Facts, *, json: bool) -> None:
    if json:
        _show.as_json(facts)
    else:
        _show.rows(_facts.for_person(facts))
