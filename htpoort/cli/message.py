"""`htpoort parse`, `build` and `route`: work on text and messages alone, without a ledger or a server."""

from __future__ import annotations

import json as json_format
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, cast

import typer

from htpoort.cli import _facts, _input, _output, _show
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
    System,
    Systems,
    TransferEncodingOption,
)
from htpoort.core.envelope import RoutingEnvelope
from htpoort.core.errors import InputError, Problem
from htpoort.core.routing import Quarantined, Router, SentRecord

app = _input.group()


@app.command()
def parse(
    subject: Annotated[
        str | None, typer.Argument(metavar="SUBJECT", help="Text of a Subject; - or no argument reads standard input.")
    ] = None,
    file: Annotated[str | None, typer.Option("--file", metavar="FILE", help="Read the text from this file.")] = None,
    *,
    strict: Annotated[bool, typer.Option("--strict", help="Accept only what htpoort itself would write.")] = False,
    json: Json = False,
) -> None:
    """Read the routing envelope in a Subject."""
    facts = _facts.envelope(RoutingEnvelope.parse(_text(subject, file), strict=strict))
    (_show.as_json if json else _show.rows)(facts)


def _text(subject: str | None, file: str | None) -> str:
    """Take a Subject from the argument, or else from a file or standard input without its last line end."""
    if subject is not None and file is not None:
        raise _input.refusal("input.usage", "Give SUBJECT or --file, not both.")
    if subject is not None and subject != "-":
        return subject
    # An octet that is not UTF-8 must not end in a traceback; the error shows where it is.
    read = _input.octets(file or "-", "SUBJECT" if file is None else "--file").decode("utf-8", "replace")
    return read.removesuffix("\n").removesuffix("\r")


@app.command()
def build(  # noqa: PLR0913 - one option for each part of a message
    payload: Payload = "-",
    *,
    system: System,
    party: Party,
    mailbox: Mailbox,
    reference: Reference,
    layout: LayoutOption = LayoutChoice.BODY,
    transfer_encoding: TransferEncodingOption = None,
    file_name: FileName = None,
    content_type: ContentType = None,
    date: Date = None,
    message_id: MessageId = None,
    systems: Systems = None,
    output: Annotated[
        str | None, typer.Option("--output", "-o", metavar="FILE", help="Write the message to this file.")
    ] = None,
    json: Json = False,
) -> None:
    """Build the message that carries a declaration, and write it to standard output or a file."""
    known = _input.directory(systems)
    data = _input.octets(payload, "PAYLOAD")
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
    if output is not None:
        try:
            Path(output).write_bytes(message.data)
        except OSError as error:
            raise _input.refusal("input.file", f"--output: {output} cannot be written: {error.strerror}.") from None
        _output.mark_committed()
    if json:
        _show.as_json(_facts.submission(message))
    elif output is None:
        _show.octets(message.data)


@app.command()
def route(  # noqa: PLR0913 - one option for each value that routing compares
    message: Annotated[
        str | None,
        typer.Argument(metavar="MESSAGE", help="File with the message; - or no argument reads standard input."),
    ] = None,
    *,
    party: Annotated[list[str], typer.Option(help="Party ID that you take replies for; may be repeated.")],
    mailbox: Annotated[
        str | None, typer.Option(help="Mailbox that the reply is from; with --subject, instead of MESSAGE.")
    ] = None,
    subject: Annotated[str | None, typer.Option(help="Subject of the reply, with --mailbox.")] = None,
    mail_from: Annotated[
        str | None, typer.Option(help="MAIL FROM of the SMTP dialogue; compared with the message.")
    ] = None,
    sent: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="What was sent: JSON lines with system, party and reference."),
    ] = None,
    systems: Systems = None,
    json: Json = False,
) -> None:
    """Show which process a reply belongs to; exit code 3 if it must be quarantined."""
    if (mailbox is None) != (subject is None) or (mailbox is not None and message is not None):
        raise _input.refusal("input.usage", "Give --mailbox and --subject together, or MESSAGE.")
    lookup = None if sent is None else _sent(sent)
    directory = _input.directory(systems)
    with _input.naming(parties="--party"):
        router = Router(directory=directory, parties=party, sent=lookup)
    if mailbox is not None and subject is not None:
        found = router.route(mailbox=mailbox, subject=subject)
    else:
        found = router.route_message(_input.octets(message or "-", "MESSAGE"), mail_from)
    if isinstance(found, Quarantined):
        # The exit code shows it, whether the reason can be printed or not.
        _output.make_optional()
    (_show.as_json if json else _show.rows)(_facts.routing(found))
    if isinstance(found, Quarantined):
        raise typer.Exit(_output.QUARANTINED)


def _sent(path: str) -> Callable[[str], list[SentRecord]]:
    """
    Read what was sent: JSON lines with the texts system, party and reference.

    Returns:
        A function that gives the records of a reference.

    Raises:
        InputError: The file cannot be read, or has lines of another form; names each line.
    """
    records: dict[str, list[SentRecord]] = {}
    problems: list[Problem] = []
    for number, content in enumerate(_input.octets(path, "--sent").decode("utf-8", "replace").splitlines(), start=1):
        if not content.strip():
            continue
        record = _record(content)
        if record is None:
            message = f'--sent: {path}, line {number}: write {{"system": "…", "party": "…", "reference": "…"}}.'
            problems.append(Problem("input.sent", message))
        else:
            records.setdefault(record.reference, []).append(record)
    if problems:
        raise InputError("", tuple(problems))
    return lambda reference: records.get(reference, [])


def _record(content: str) -> SentRecord | None:
    try:
        found: object = json_format.loads(content)
    except (ValueError, RecursionError):  # a number of 5,000 digits; ten thousand nested arrays
        return None
    if not isinstance(found, dict):
        return None
    table = cast("dict[str, object]", found)
    system, party, reference = (table.get(key) for key in ("system", "party", "reference"))
    if isinstance(system, str) and isinstance(party, str) and isinstance(reference, str):
        return SentRecord(system=system, party=party, reference=reference)
    return None
