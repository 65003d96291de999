"""`htpoort quarantine list`, `show`, `release` and `discard`: messages whose process is not known."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from typing import Annotated

import attrs
import typer

from htpoort import _clock
from htpoort.cli import _facts, _input, _output, _show
from htpoort.cli._input import CONFIG, LIMIT, REST, Config, Json, Limit, Number
from htpoort.core.errors import InputError
from htpoort.core.routing import Routed

app = _input.group("quarantine", "List, show, release or discard messages whose process is not known.")


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
def show(
    key: Number,
    *,
    raw: Annotated[bool, typer.Option("--raw", help="Write the message as it arrived, and nothing else.")] = False,
    config: Config = CONFIG,
    json: Json = False,
) -> None:
    """Show one message of the quarantine, and what was decided about it and why."""
    if raw and json:
        raise _input.refusal("input.usage", "Give --raw or --json, not both.")
    with _input.opened(config) as (_, ledger):
        held = ledger.quarantine.get(key)
        log = _facts.log(ledger.quarantine.log(key))
        message = ledger.quarantine.message(key) if raw else b""
    if raw:
        _show.octets(message)
    elif json:
        _show.as_json({**_facts.held(held), "log": log})
    else:
        _show.rows(_facts.held(held))
        _show.table("Log", ("at", "event", "detail"), [tuple(entry.values()) for entry in log])


@app.command()
def release(  # noqa: PLR0913 - one option for each part of the decision
    key: Number,
    *,
    system: Annotated[str, typer.Option(help="Declaration system that the message is from.")],
    party: Annotated[str, typer.Option(help="Party ID that the message is for.")],
    reference: Annotated[
        str | None, typer.Option(help="Reference (K) of the message; by default the one in its Subject.")
    ] = None,
    despite: Annotated[
        str | None,
        typer.Option(metavar="REASON", help="Release it even if the ledger contradicts; the reason goes into the log."),
    ] = None,
    config: Config = CONFIG,
    json: Json = False,
) -> None:
    """Hand a message over to the process that you choose."""
    with _input.opened(config) as (settings, ledger), _naming_despite():
        quarantine, at, directory = ledger.quarantine, _clock.now(), settings.directory
        from_system, for_party = directory.system(system), settings.party(party)
        if despite is None:
            stored = quarantine.release(
                key, system=from_system, party=for_party, reference=reference, at=at, directory=directory
            )
        else:
            reason = _input.words("--despite", despite)
            stored = quarantine.release_despite(
                key,
                system=from_system,
                party=for_party,
                reason=reason,
                reference=reference,
                at=at,
                directory=directory,
            )
        _output.done()
    facts = {"result": "released", "key": key, "reply": stored.key, "repeated": stored.repeated}
    if isinstance(stored.routing, Routed):
        routed = stored.routing
        facts |= {"system": routed.system.name, "party": str(routed.party), "reference": routed.reference}
        facts["correlation"] = routed.correlation.value
    (_show.as_json if json else _show.rows)(facts)


@contextlib.contextmanager
def _naming_despite() -> Generator[None]:
    """Name the option in what the ledger advises and asks for."""
    try:
        with _input.naming(reason="--despite"):
            yield
    except InputError as error:
        problems = (
            attrs.evolve(
                one, message=one.message.replace("release it despite this, with a reason", "give --despite REASON")
            )
            for one in error.problems
        )
        raise InputError(error.text, tuple(problems)) from None


@app.command()
def discard(
    key: Number,
    *,
    why: Annotated[str, typer.Option(help="The reason, for the log.")],
    config: Config = CONFIG,
    json: Json = False,
) -> None:
    """Mark a message as one for no process; it stays readable."""
    why = _input.words("--why", why)
    with _input.opened(config) as (_, ledger), _input.naming(reason="--why"):
        ledger.quarantine.discard(key, at=_clock.now(), reason=why)
        _output.done()
    (_show.as_json if json else _show.rows)({"result": "discarded", "key": key})
