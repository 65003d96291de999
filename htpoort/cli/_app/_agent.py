"""
Declare the commands that exchange: run, queue, fetch.

Never does: load the ledger's libraries before one of them is called; they would double the start of every command.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from htpoort import _clock
from htpoort.cli import _first_process, _input, _output, _records, _show
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
    Sha256,
    built,
)
from htpoort.cli._opened import opened
from htpoort.message import Submission

if TYPE_CHECKING:
    from datetime import datetime

    from htpoort.config import CutoverConfig, LedgerConfig
    from htpoort.directory import DeclarationSystem
    from htpoort.ledger import Ledger


def run(
    *,
    config: Config = CONFIG,
    verbose: Annotated[bool, typer.Option("--verbose", help="Tell what goes well too.")] = False,
    json: Json = False,
) -> None:
    """Send what is queued, take replies in and deliver them, until SIGTERM or Ctrl-C."""
    # Before anything is open, and before there is a second thread.
    _first_process.stand_in()

    from htpoort.cli import _running  # noqa: PLC0415 - see above

    # What it prints only informs: an agent goes on working whether anyone reads that or not.
    _output.only_informs()
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
    system: Annotated[
        str | None, typer.Option(help="Name of the declaration system; as [cutover] says where not given.")
    ] = None,
    party: Party,
    mailbox: Mailbox,
    reference: Reference,
    kind: Annotated[str | None, typer.Option(help="Kind of declaration, as [cutover] names it.")] = None,
    shadow_payload: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="The declaration for the shadow system; PAYLOAD where not given."),
    ] = None,
    business_reference: Annotated[
        str | None, typer.Option(help="The declarant's own reference (LRN), for reports.")
    ] = None,
    layout: LayoutOption = Layout.BODY,
    file_name: FileName = None,
    content_type: ContentType = None,
    date: Date = None,
    message_id: MessageId = None,
    sha256: Sha256 = None,
    config: Config = CONFIG,
    json: Json = False,
) -> None:
    """Build a message and put it into the ledger; an agent sends it."""
    with opened(config, create=True) as (settings, ledger):
        # V goes out as the configuration spells it.
        party = str(_input.own_party(party, settings.parties))
        if business_reference is not None:
            business_reference = _input.words("--business-reference", business_reference)
            _input.printable("business_reference", business_reference)
        now = _clock.now()
        target = _queued_to(settings, ledger, party, reference) if system is None else None
        target = target or _target(settings, system, party, kind, now)
        beside = _beside(settings.cutover, target, payload, shadow_payload)
        # The shadow differs in nothing that is made up here.
        when = now.isoformat() if date is None else date
        mid = _clock.message_id(mailbox) if message_id is None else message_id

        def made(data: bytes, goes_to: DeclarationSystem, as_type: str | None) -> Submission:
            known, name = settings.directory, goes_to.name
            return built(data, name, party, mailbox, reference, layout, file_name, as_type, when, mid, known)

        data = _input.payload(payload, sha256)
        sent, shadow = made(data, target, content_type), None
        if beside is not None and shadow_payload is None:
            shadow = made(data, beside, content_type)
        elif beside is not None and shadow_payload is not None:
            shadow = made(_input.payload(shadow_payload, None), beside, None)
        exchange = ledger.exchanges.queue(sent, at=now, business_reference=business_reference, shadow=shadow)
        _output.done()
    facts = _records.exchange(exchange)
    if json:
        facts["repeated"] = exchange.repeated
    elif exchange.repeated:
        facts["note"] = "The same declaration was queued before under this K; nothing was added."
    if shadow is not None:
        facts["shadow"] = shadow.system
    elif shadow_payload is not None:
        facts["shadow_payload"] = f"not used; the declaration goes to {target.name}, the shadow system, itself"
    (_show.as_json if json else _show.rows)(facts)


def _queued_to(settings: LedgerConfig, ledger: Ledger, party: str, reference: str) -> DeclarationSystem | None:
    """Find the system that a K was queued for: a caller that repeats itself after a move does not mean another one."""
    before = ledger.exchanges.find(party, _input.words("--reference", reference))
    return next((one for one in settings.directory if before is not None and one.name == before.system), None)


def _target(
    settings: LedgerConfig, system: str | None, party: str, kind: str | None, now: datetime
) -> DeclarationSystem:
    """Find the system that a declaration goes to: the one that is named, or else that of the plan."""
    if system is not None:
        return settings.directory.system(system)
    if settings.cutover is None:
        message = "Give --system, or say in [cutover] of the configuration who uses which system."
        raise _input.refusal("input.usage", message)
    return settings.cutover.plan.system_for(party, on=now, kind=kind)


def _beside(
    cutover: CutoverConfig | None, target: DeclarationSystem, payload: str, shadow_payload: str | None
) -> DeclarationSystem | None:
    """Find the system that a shadow is built for; none where the declaration goes there anyway."""
    shadow = None if cutover is None else cutover.shadow
    if shadow_payload is not None and shadow is None:
        message = '--shadow-payload needs mode = "shadow" and shadow_system = "NAME" in [cutover] of the configuration.'
        raise _input.refusal("input.usage", message)
    if shadow_payload == payload == "-":
        raise _input.refusal("input.usage", "Standard input is PAYLOAD or --shadow-payload, not both.")
    return None if shadow is None or shadow.name == target.name else shadow


def fetch(*, config: Config = CONFIG, json: Json = False) -> None:
    """Look once into every POP3 mailbox, and store what is there; exit code 1 where one could not be read."""
    from htpoort.cli import _running  # noqa: PLC0415 - see above

    looks = asyncio.run(_running.fetch(config))
    _output.done()
    if json:
        _show.as_json(looks)
    else:
        for look in looks:
            _show.rows(look)
    if any(look["error"] is not None for look in looks):
        raise typer.Exit(FAILED)
