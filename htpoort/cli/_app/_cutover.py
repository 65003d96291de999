"""
Declare the commands on a move from one declaration system to another.

Never does: change the plan, or send.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import typer

from htpoort import _clock
from htpoort.cli import _input, _moving, _show
from htpoort.cli._app._ledger import Csv
from htpoort.cli._app._options import CONFIG, LIMIT, REST, Config, Json, Limit
from htpoort.cli._app._rehearse import rehearse
from htpoort.cli._facts import Facts
from htpoort.cli._opened import moving

app = typer.Typer(
    help="Move parties from one declaration system to another, as [cutover] of the configuration says.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Parties = Annotated[
    list[str] | None, typer.Option("--party", metavar="ID", help="Only this party (V); may be repeated.")
]


@app.command()
def preview(
    *,
    on: Annotated[str, typer.Option("--on", metavar="DAY", help="The day, as 2026-12-01 or 01-12-2026.")],
    party: Parties = None,
    config: Config = CONFIG,
    csv: Csv = False,
    json: Json = False,
) -> None:
    """Tell who moves on a day, what is open at the old system, what changes, and what was never tested."""
    _input.one_form(csv=csv, json=json)
    day = _input.day(on)
    with moving(config) as (settings, cutover, ledger):
        asked = _input.some_parties(party or (), settings.ledger.parties)
        found = _moving.previewed(settings, cutover, ledger, on=day, at=_clock.now(), parties=asked)
    if json:
        _show.as_json({"on": day.isoformat(), "moves": found})
    elif csv:
        _show.csv_lines(_moving.COMING, map(_moving.coming_cells, found))
    elif not found:
        _show.line(f"{'None of these' if party else 'Nobody'} moves on {day.isoformat()}.")
    else:
        _show_preview(day.isoformat(), found)


def _show_preview(day: str, found: list[Facts]) -> None:
    """Show who moves; then what is the same for many once."""
    columns = ("party", "kind", "before", "after", "open", "oldest", "oldest_days")
    _show.table(f"Moves on {day}", columns, [tuple(facts[name] for name in columns) for facts in found])
    changes = [
        (facts["before"], facts["after"], one["what"], one["before"], one["after"])
        for facts in found
        for one in facts["changes"]
    ]
    _show.table("What changes", ("from", "to", "what", "before", "after"), dict.fromkeys(changes))
    untested = dict.fromkeys(sentence for facts in found for sentence in facts["untested"])
    _show.table("Never tested", ("what",), [(sentence,) for sentence in untested])


@app.command()
def status(*, party: Parties = None, config: Config = CONFIG, csv: Csv = False, json: Json = False) -> None:
    """Tell how far each party has moved, and whether the old system may be switched off."""
    _input.one_form(csv=csv, json=json)
    with moving(config) as (settings, cutover, ledger):
        asked = _input.some_parties(party or (), settings.ledger.parties)
        at = _clock.now()
        found = _moving.gone(cutover, ledger, at=at, parties=asked)
        # Who asks for some parties is told nothing that counts the others.
        whole = None if party else _moving.leaving(cutover, ledger, at=at, found=found)
        columns = _moving.party_columns(system.name for system in settings.ledger.directory)
    parties = [_moving.party(one) for one in found]
    if json:
        _show.as_json({**(whole or {}), "parties": parties})
        return
    cells = [_moving.party_cells(facts) for facts in parties]
    if csv:
        _show.csv_lines(columns, cells)
        return
    _show.table("Progress", columns, [tuple(facts[name] for name in columns) for facts in cells])
    if whole is not None:
        may = "may be switched off" if whole["may_be_switched_off"] else "may not be switched off yet"
        _show.line(" ".join([f"{whole['leaving']} {may}.", *whole["waits_for"]]))


@app.command()
def shadows(
    *,
    party: Parties = None,
    limit: Limit = LIMIT,
    config: Config = CONFIG,
    csv: Csv = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON lines, one for each exchange.")] = False,
) -> None:
    """Tell in what the messages for the shadow system differ from those that were queued."""
    _input.one_form(csv=csv, json=json)
    with moving(config) as (settings, _, ledger):
        asked = _input.some_parties(party, settings.ledger.parties) if party else None
        _show_shadows(_moving.compared(ledger.exchanges.shadows(asked)), limit, csv=csv, json=json)


def _show_shadows(found: Iterator[Facts], limit: int, *, csv: bool, json: bool) -> None:
    """Print what each shadow differs in, as it is read."""
    if json:
        for facts in found:
            _show.json_line(facts)
    elif csv:
        _show.csv_lines(_moving.SHADOWS, _moving.shadow_lines(found))
    else:
        lines = (tuple(facts.values()) for facts in _moving.shadow_lines(found))
        _show.table("Shadows", _moving.SHADOWS, lines, limit=limit, rest=REST)


app.command()(rehearse)
