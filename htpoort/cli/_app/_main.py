"""
Declare the commands that need no ledger, and run one command.

Never does: the work; each command hands over to a room beside this package.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from htpoort.cli import _demo, _facts, _input, _output, _show
from htpoort.cli._app import _agent, _cutover, _ledger, _quarantine, _simulate
from htpoort.cli._app._options import (
    BAD_INPUT,
    FAILED,
    QUARANTINED,
    ContentType,
    Date,
    FileName,
    Json,
    Layout,
    LayoutOption,
    Mailbox,
    MessageId,
    Party,
    Payload,
    Reference,
    Sha256,
    System,
    Systems,
    built,
)
from htpoort.envelope import RoutingEnvelope
from htpoort.errors import HtpoortError, InputError, LedgerError, SendError, SendFailure
from htpoort.message import Submission
from htpoort.routing import Quarantined, Router
from htpoort.transport import Accepted, Security, Sender, SmtpServer, TlsSettings

app = typer.Typer(
    name="htpoort",
    help="Exchange declarations with Dutch Customs by e-mail.",
    epilog="Exit codes: 0 done, 1 failed, 2 bad input or usage, 3 quarantined.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # brackets in a help text are brackets
    pretty_exceptions_enable=False,
)


@app.command()
def parse(
    subject: Annotated[str | None, typer.Argument(help="Text of a Subject; - or nothing is standard input.")] = None,
    file: Annotated[str | None, typer.Option("--file", metavar="FILE", help="Read the text from a file.")] = None,
    *,
    strict: Annotated[bool, typer.Option("--strict", help="Refuse what the writer would not emit.")] = False,
    json: Json = False,
) -> None:
    """Read the envelope out of a Subject."""
    facts = _facts.envelope(RoutingEnvelope.parse(_input.text(subject, file), strict=strict))
    (_show.as_json if json else _show.rows)(facts)


@app.command(name="build")
def build_command(  # noqa: PLR0913 - one option for each thing a message has
    payload: Payload = "-",
    *,
    system: System,
    party: Party,
    mailbox: Mailbox,
    reference: Reference,
    layout: LayoutOption = Layout.BODY,
    file_name: FileName = None,
    content_type: ContentType = None,
    date: Date = None,
    message_id: MessageId = None,
    systems: Systems = None,
    output: Annotated[str | None, typer.Option("--output", "-o", metavar="FILE", help="Write there.")] = None,
    json: Json = False,
) -> None:
    """Build the message that carries a declaration, and write it to standard output or a file."""
    known = _input.directory(systems)
    data = _input.octets(payload)
    made = built(data, system, party, mailbox, reference, layout, file_name, content_type, date, message_id, known)
    if output is not None:
        try:
            Path(output).write_bytes(made.data)
        except OSError as error:
            raise _input.refusal("input.file", f"{output} cannot be written: {error.strerror}.") from None
        _output.done()
    if json:
        _show.as_json(_facts.submission(made))
    elif output is None:
        _show.octets(made.data)


@app.command()
def route(  # noqa: PLR0913 - one option for each thing that decides
    message: Annotated[
        str, typer.Argument(metavar="MESSAGE", help="File with the message; - is standard input.")
    ] = "-",
    *,
    party: Annotated[list[str], typer.Option(help="Party ID that replies are taken for; may be repeated.")],
    mailbox: Annotated[str | None, typer.Option(help="Route by this mailbox and --subject, not a message.")] = None,
    subject: Annotated[str | None, typer.Option(help="Subject of the reply, with --mailbox.")] = None,
    mail_from: Annotated[str | None, typer.Option(help="MAIL FROM of the SMTP dialogue, to be compared.")] = None,
    sent: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="What was sent: JSON lines with system, party and reference."),
    ] = None,
    systems: Systems = None,
    json: Json = False,
) -> None:
    """Say which process a reply belongs to; exit code 3 where that cannot be told."""
    if (mailbox is None) != (subject is None):
        raise _input.refusal("input.usage", "Give --mailbox and --subject together, or a message.")
    lookup = None if sent is None else _input.sent(sent)
    router = Router(directory=_input.directory(systems), parties=party, sent=lookup)
    if mailbox is not None and subject is not None:
        found = router.route(mailbox=mailbox, subject=subject)
    else:
        found = router.route_message(_input.octets(message), mail_from)
    if isinstance(found, Quarantined):
        # The exit code says so, whether the reason can be printed or not.
        _output.only_informs()
    (_show.as_json if json else _show.rows)(_facts.routing(found))
    if isinstance(found, Quarantined):
        raise typer.Exit(QUARANTINED)


@app.command(name="send")
def send_command(  # noqa: PLR0913 - the options of build, and of a server
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
        typer.Option(envvar="HTPOORT_PASSWORD", show_envvar=True, help="Password; better in the environment."),
    ] = None,
    ca_file: Annotated[Path | None, typer.Option(help="Certificates that are trusted, PEM.")] = None,
    certificate: Annotated[Path | None, typer.Option(help="Our own certificate and its chain, PEM.")] = None,
    key: Annotated[Path | None, typer.Option(help="Its private key, PEM.")] = None,
    key_password: Annotated[
        str | None,
        typer.Option(envvar="HTPOORT_KEY_PASSWORD", show_envvar=True, help="What opens the key."),
    ] = None,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds for each step of the dialogue.")] = 60.0,
    layout: LayoutOption = Layout.BODY,
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
    made = built(data, system, party, mailbox, reference, layout, file_name, content_type, date, message_id, known)
    target = SmtpServer(
        host=server,
        port=port,
        security=security,
        username=username,
        password=password,
        timeout=timeout,
        tls=TlsSettings(ca_file=ca_file, certificate=certificate, key=key, key_password=key_password),
    )
    accepted = asyncio.run(_sent(made, target))
    _output.done()
    facts = {"result": "accepted", "system": made.system, "recipient": made.rcpt_to, "mail_from": made.mail_from}
    facts |= {"subject": made.envelope.render(), "reference": reference, "message_id": made.message_id}
    (_show.as_json if json else _show.rows)({**facts, "code": accepted.code, "reply": accepted.reply})


async def _sent(made: Submission, server: SmtpServer) -> Accepted:
    async with Sender(server) as sender:
        try:
            return await sender.send(made)
        except asyncio.CancelledError:
            # Ctrl-C: whoever gave the order must know whether it may be given again.
            kind = SendFailure.UNKNOWN if sender.content_begun else SendFailure.LOST
            raise SendError(made.rcpt_to, kind, None, "it was interrupted") from None


app.command()(_simulate.simulate)


@app.command()
def demo(*, json: Json = False) -> None:
    """Show the whole exchange on loopback, offline; exit code 1 if anything went elsewhere."""
    outcome = asyncio.run(_demo.play(lambda text: None if json else _show.line(text)))
    if json:
        _show.as_json(outcome.facts())
    else:
        outcome.show()
    if not outcome.right:
        raise typer.Exit(FAILED)


def _shortened(error: HtpoortError) -> str:
    """Write an error for a person; of very many problems, as of each line of a file, the first."""
    if not isinstance(error, InputError) or len(error.problems) <= _show.PROBLEMS:
        return str(error)
    first = InputError(error.text, error.problems[: _show.PROBLEMS])
    return f"{first}\nand {len(error.problems) - _show.PROBLEMS} more problems; --json has all."


for command in (
    _agent.run,
    _agent.queue,
    _agent.fetch,
    _ledger.status,
    _ledger.show,
    _ledger.unanswered,
    _ledger.resolve,
    _ledger.export,
    _ledger.redeliver,
    _ledger.prune,
):
    app.command()(command)
app.add_typer(_quarantine.app, name="quarantine")
app.add_typer(_cutover.app, name="cutover")


def run(arguments: Sequence[str]) -> int:
    """
    Run one command.

    Args:
        arguments: Without the name of the program.

    Returns:
        The exit code: 0 done, 1 failed, 2 bad input or usage, 3 quarantined.
    """
    try:
        app(args=list(arguments), prog_name="htpoort")
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else FAILED
    except HtpoortError as error:
        return _failed(error, as_json="--json" in arguments)
    except _output.OutputLostError:
        return FAILED
    return 0


def _failed(error: HtpoortError, *, as_json: bool) -> int:
    """Report an error; returns the exit code."""
    if _output.is_done():
        # It came after the commit, as when the ledger was closed: the order stands.
        _show.failed(f"htpoort: what was ordered is done; then: {error}")
        return 0
    code = FAILED if isinstance(error, SendError | LedgerError) else BAD_INPUT
    if not as_json:
        _show.failed(f"htpoort: {_shortened(error)}")
        return code
    with contextlib.suppress(_output.OutputLostError):
        _show.as_json(_facts.failure(error))
    return code
