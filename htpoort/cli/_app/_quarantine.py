"""
Declare the commands on the quarantine.

Never does: decide where a message belongs; a person does.
"""

from __future__ import annotations

from typing import Annotated, Final

import typer

from htpoort import _clock
from htpoort.cli import _input, _output, _records, _release, _show
from htpoort.cli._app._options import CONFIG, LIMIT, REST, Config, Json, Limit
from htpoort.cli._opened import opened
from htpoort.routing import Routed

app = typer.Typer(
    help="Look at messages whose process cannot be told, release or discard them.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_MOST: Final = 2**63 - 1  # what a key of a database can be

Number = Annotated[int, typer.Argument(metavar="KEY", min=1, max=_MOST, help="Number of the message.")]


@app.command(name="list")
def list_command(
    *,
    everything: Annotated[bool, typer.Option("--all", help="Released and discarded messages too.")] = False,
    limit: Limit = LIMIT,
    config: Config = CONFIG,
    json: Json = False,
) -> None:
    """List the messages that wait for a person."""
    columns = ("key", "state", "received", "reason", "mailbox", "subject", "copies")
    with opened(config) as (_, ledger):
        facts = map(_records.held, ledger.quarantine.summaries(None) if everything else ledger.quarantine.summaries())
        if json:
            _show.json_array(facts)
        else:
            lines = (tuple(one[column] for column in columns) for one in facts)
            _show.table("Quarantine", columns, lines, limit=limit, rest=REST)


@app.command()
def show(
    key: Number,
    *,
    raw: Annotated[bool, typer.Option("--raw", help="Write the message as it came, and nothing else.")] = False,
    config: Config = CONFIG,
    json: Json = False,
) -> None:
    """Show one message of the quarantine, and what was decided about it and why."""
    if raw and json:
        raise _input.refusal("input.usage", "Give --raw or --json, not both.")
    with opened(config) as (_, ledger):
        held = ledger.quarantine.get(key)
        log = _records.log(ledger.quarantine.log(key))
    if raw:
        _show.octets(held.raw)
    elif json:
        _show.as_json({**_records.held(held), "log": log})
    else:
        _show.rows(_records.held(held))
        _show.table("Log", ("at", "event", "detail"), [tuple(entry.values()) for entry in log])


@app.command()
def release(  # noqa: PLR0913 - one option for each thing that a person chooses
    key: Number,
    *,
    system: Annotated[str, typer.Option(help="Name of the declaration system that it is from.")],
    party: Annotated[str, typer.Option(help="Party ID that it is for.")],
    reference: Annotated[str | None, typer.Option(help="Its reference (K); its own where not given.")] = None,
    despite: Annotated[
        str | None, typer.Option(metavar="REASON", help="Release it even if what is known contradicts; for the log.")
    ] = None,
    config: Config = CONFIG,
    json: Json = False,
) -> None:
    """Give a message to the process that you choose."""
    with opened(config) as (settings, ledger):
        held = ledger.quarantine.get(key)
        found = _release.routed(
            held,
            system=settings.directory.system(system),
            party=_input.own_party(party, settings.parties),
            reference=reference,
        )
        at, directory = _clock.now(), settings.directory
        if despite is None:
            stored = ledger.quarantine.release(key, found, at=at, directory=directory)
        else:
            reason = _input.words("--despite", despite)
            stored = ledger.quarantine.release_despite(key, found, reason=reason, at=at, directory=directory)
        _output.done()
    facts = {"result": "released", "key": key, "reply": stored.key, "repeated": stored.repeated}
    facts |= {"system": found.system.name, "party": str(found.party), "reference": found.reference}
    if isinstance(stored.found, Routed):
        facts["correlation"] = stored.found.correlation.value
    (_show.as_json if json else _show.rows)(facts)


@app.command()
def discard(
    key: Number,
    *,
    why: Annotated[str, typer.Option(help="For the log.")],
    config: Config = CONFIG,
    json: Json = False,
) -> None:
    """Mark a message as being for nobody; it stays readable."""
    why = _input.words("--why", why)
    with opened(config) as (_, ledger):
        ledger.quarantine.discard(key, at=_clock.now(), why=why)
        _output.done()
    (_show.as_json if json else _show.rows)({"result": "discarded", "key": key})
