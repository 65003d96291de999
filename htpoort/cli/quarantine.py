"""`htpoort quarantine list`, `show`, `release`, `discard` and `withdraw`: messages whose process is not known."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from typing import Annotated, Final

import attrs
import typer

from htpoort import _clock
from htpoort.cli import _facts, _input, _output, _selection, _show
from htpoort.cli._input import CONFIG, LIMIT, REST, Config, Json, Limit, MessageNumber
from htpoort.cli._selection import PartNumber, PayloadOnly, RawOnly
from htpoort.core.errors import InputError, UnknownError
from htpoort.core.payload import read_payload
from htpoort.core.routing import Routed

app = _input.group("quarantine", "List, show, release or discard messages whose process is not known.")

_CONTRADICTIONS: Final = frozenset({"release.other-party", "release.other-system"})
"""The codes of what the ledger knows against a choice."""


@app.command(name="list")
def list_command(
    *,
    everything: Annotated[bool, typer.Option("--all", help="Released and discarded messages too.")] = False,
    limit: Limit = LIMIT,
    config: Config = CONFIG,
    json: Json = False,
) -> None:
    """List the messages that wait for a decision."""
    columns = ("key", "state", "received", "reason", "mailbox", "subject", "copies")
    with _input.opened(config) as (_, ledger):
        facts = map(_facts.held, ledger.quarantine.listed(None) if everything else ledger.quarantine.listed())
        if json:
            _show.json_array(facts)
        else:
            lines = (tuple(one[column] for column in columns) for one in facts)
            _show.table("Quarantine", columns, lines, limit=limit, rest=REST)


@app.command()
def show(  # noqa: PLR0913 - one option for each form
    number: MessageNumber,
    *,
    raw: RawOnly = False,
    payload: PayloadOnly = False,
    part: PartNumber = None,
    config: Config = CONFIG,
    json: Json = False,
) -> None:
    """Show one message of the quarantine, what it carries, and what was decided about it and why."""
    _selection.check_output(raw=raw, payload=payload, part=part, json=json)
    with _input.opened(config) as (_, ledger), _advising():
        held = ledger.quarantine.get(number)
        log = _facts.log(ledger.quarantine.log(number))
        message = ledger.quarantine.message(number)
    if raw or payload:
        _selection.write_octets(message, payload=payload, part=part)
        return
    facts, carried = _facts.held(held), _facts.payload(read_payload(message))
    if json:
        _show.as_json({**facts, "payload": carried, "log": log})
    else:
        _show.rows(facts)
        _selection.show_payload(carried)
        _show.table("Log", ("at", "event", "detail"), [tuple(entry.values()) for entry in log])


@app.command()
def release(  # noqa: PLR0913 - one option for each part of the decision
    number: MessageNumber,
    *,
    system: Annotated[str, typer.Option(help="Declaration system that the message is from.")],
    party: Annotated[str, typer.Option(help="Party ID that the message is for.")],
    reference: Annotated[
        str | None, typer.Option(help="Reference (K) of the message; by default the one in its Subject.")
    ] = None,
    despite: Annotated[
        str | None,
        typer.Option(
            metavar="REASON", help="Release it although the ledger contradicts it; the reason goes into the log."
        ),
    ] = None,
    config: Config = CONFIG,
    json: Json = False,
) -> None:
    """Hand a message over to the process that you choose."""
    with _input.opened(config) as (settings, ledger), _advising(), _naming_despite():
        quarantine, at, directory = ledger.quarantine, _clock.now(), settings.directory
        from_system, for_party = directory.system(system), settings.party(party)
        if despite is None:
            stored = quarantine.release(
                number, system=from_system, party=for_party, reference=reference, at=at, directory=directory
            )
        else:
            reason = _input.words("--despite", despite)
            stored = quarantine.release_despite(
                number,
                system=from_system,
                party=for_party,
                reason=reason,
                reference=reference,
                at=at,
                directory=directory,
            )
        _output.mark_committed()
    facts = {"result": "released", "key": number, "reply": stored.key, "repeated": stored.repeated}
    if isinstance(stored.routing, Routed):
        routed = stored.routing
        facts |= {"system": routed.system.name, "party": str(routed.party), "reference": routed.reference}
        facts["correlation"] = routed.correlation.value
    (_show.as_json if json else _show.rows)(facts)


@contextlib.contextmanager
def _advising() -> Generator[None]:
    """If the quarantine lacks a number, name the command that lists them."""
    try:
        yield
    except UnknownError as error:
        if error.kind != "message":
            raise
        raise attrs.evolve(error, place=f"{error.place} (see htpoort quarantine list --all)") from None


@contextlib.contextmanager
def _naming_despite() -> Generator[None]:
    """Name the option for the reason; the ledger asks for one if it contradicts the choice."""
    try:
        with _input.naming(reason="--despite"):
            yield
    except InputError as error:
        *others, last = error.problems
        if last.code not in _CONTRADICTIONS:
            raise
        last = attrs.evolve(last, message=f"{last.message} Give it by --despite REASON.")
        raise InputError(error.text, (*others, last)) from None


@app.command()
def discard(
    number: MessageNumber,
    *,
    why: Annotated[str, typer.Option(help="The reason, for the log.")],
    config: Config = CONFIG,
    json: Json = False,
) -> None:
    """Mark a message as one for no process; it stays readable."""
    why = _input.words("--why", why)
    with _input.opened(config) as (_, ledger), _advising(), _input.naming(reason="--why"):
        ledger.quarantine.discard(number, at=_clock.now(), reason=why)
        _output.mark_committed()
    (_show.as_json if json else _show.rows)({"result": "discarded", "key": number})


@app.command()
def withdraw(
    number: MessageNumber,
    *,
    why: Annotated[str, typer.Option(help="The reason, for the log.")],
    config: Config = CONFIG,
    json: Json = False,
) -> None:
    """Take a wrong release back, until its reply is delivered; the message waits for a decision again."""
    why = _input.words("--why", why)
    with _input.opened(config) as (_, ledger), _advising(), _input.naming(reason="--why"):
        ledger.quarantine.withdraw(number, at=_clock.now(), reason=why)
        _output.mark_committed()
    (_show.as_json if json else _show.rows)({"result": "withdrawn", "key": number})
