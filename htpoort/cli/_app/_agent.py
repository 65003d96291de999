"""
Declare the commands that exchange: run, queue, fetch.

Never does: load the ledger's libraries before one of them is called; they would double the start of every command.
"""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from htpoort import _clock
from htpoort.cli import _input, _records, _show
from htpoort.cli._app._options import (
    CONFIG,
    FAILED,
    Config,
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
    System,
    built,
)
from htpoort.cli._opened import opened


def run(
    *,
    config: Config = CONFIG,
    verbose: Annotated[bool, typer.Option("--verbose", help="Tell what goes well too.")] = False,
    json: Json = False,
) -> None:
    """Send what is queued, take replies in and deliver them, until SIGTERM or Ctrl-C."""
    from htpoort.cli import _running  # noqa: PLC0415 - see above

    try:
        asyncio.run(_running.run(config, as_json=json, verbose=verbose))
    except OSError as error:
        # What the system says names the address that cannot be listened on.
        why = error.strerror or str(error)
        if json:
            _show.as_json({"error": type(error).__name__, "message": why, "retryable": False})
        else:
            _show.failed(f"htpoort: {why}")
        raise typer.Exit(FAILED) from None


def queue(  # noqa: PLR0913 - one option for each thing a message has
    payload: Payload = "-",
    *,
    system: System,
    party: Party,
    mailbox: Mailbox,
    reference: Reference,
    business_reference: Annotated[
        str | None, typer.Option(help="The declarant's own reference (LRN), for reports.")
    ] = None,
    layout: LayoutOption = Layout.BODY,
    file_name: FileName = None,
    content_type: ContentType = None,
    date: Date = None,
    message_id: MessageId = None,
    config: Config = CONFIG,
    json: Json = False,
) -> None:
    """Build a message and put it into the ledger; an agent sends it."""
    with opened(config) as (settings, ledger):
        _input.own_party(party, settings.parties)
        _input.printable("business_reference", business_reference)
        known = settings.directory
        made = built(
            payload, system, party, mailbox, reference, layout, file_name, content_type, date, message_id, known
        )
        exchange = ledger.exchanges.queue(made, at=_clock.now(), business_reference=business_reference)
    (_show.as_json if json else _show.rows)(_records.exchange(exchange))


def fetch(*, config: Config = CONFIG, json: Json = False) -> None:
    """Look once into every POP3 mailbox, and store what is there; exit code 1 where one could not be read."""
    from htpoort.cli import _running  # noqa: PLC0415 - see above

    looks = asyncio.run(_running.fetch(config))
    if json:
        _show.as_json(looks)
    else:
        for look in looks:
            _show.rows(look)
    if any(look["error"] is not None for look in looks):
        raise typer.Exit(FAILED)
