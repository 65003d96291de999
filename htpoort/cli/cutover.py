"""`htpoort cutover preview`, `status`, `shadows` and `rehearse`: the move from one declaration system to another."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Generator, Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final
from zoneinfo import ZoneInfo

import typer

from htpoort import _clock
from htpoort.cli import _facts, _html, _input, _output, _show
from htpoort.cli._facts import Facts
from htpoort.cli._html import AlsoHtml
from htpoort.cli._input import CONFIG, LIMIT, REST, Config, Csv, Json, Limit
from htpoort.config import AgentConfig, CutoverConfig, LedgerConfig, read_agent_without_secrets, read_ledger
from htpoort.core.cutover import decide_switch_off, move_progress, preview_moves
from htpoort.core.cutover.moves import ZONE
from htpoort.ledger import Ledger

if TYPE_CHECKING:
    from htpoort.core.party import PartyId
    from htpoort.rehearsal import Arrival, Rehearsal, RehearsedDeclaration, ReplyVerdict
    from htpoort.report import Chart, Move, Rehearsed

app = _input.group(
    "cutover", "Move parties from one declaration system to another, as [cutover] in htpoort.toml describes it."
)

Parties = Annotated[
    list[str] | None, typer.Option("--party", metavar="ID", help="Only this party (V); may be repeated.")
]


@contextlib.contextmanager
def _opened(path: Path) -> Generator[tuple[AgentConfig, CutoverConfig, Ledger]]:
    """Read a configuration with a plan, without its passwords, and open its ledger."""
    with _input.configured(path):
        settings = read_agent_without_secrets(path)
    cutover = _cutover_of(settings.ledger, path)
    with settings.ledger.open(create=False) as ledger:
        yield settings, cutover, ledger


def _cutover_of(settings: LedgerConfig, path: Path) -> CutoverConfig:
    if settings.cutover is None:
        message = (
            f"{path} has no [cutover]; add it, with a [[cutover.move]] of party, system and since for each move, "
            'or with moves = "FILE.csv".'
        )
        raise _input.refusal("toml.missing", message)
    return settings.cutover


@app.command()
def preview(
    *,
    on: Annotated[str, typer.Option("--on", metavar="DAY", help="The day, as 2026-12-01 or 01-12-2026.")],
    party: Parties = None,
    config: Config = CONFIG,
    csv: Csv = False,
    json: Json = False,
) -> None:
    """Show who moves on a day, what is still open at the old system, what changes, and what was never tested."""
    _input.check_one_form(csv=csv, json=json)
    day, at = _input.day(on, "--on"), _clock.now()
    with _opened(config) as (settings, cutover, ledger):
        asked = settings.ledger.select_parties(party or ())
        moving = [mover for mover in asked if cutover.plan.moves_of(mover)]
        moves = [
            _facts.preview(mover, at)
            for mover in preview_moves(
                cutover.plan, on=day, parties=moving, totals=ledger.party_totals(moving), settings=settings.settings_of
            )
        ]
    if json:
        _show.as_json({"on": day.isoformat(), "moves": moves})
    elif csv:
        _show.csv_lines(_facts.PREVIEW, map(_facts.preview_cells, moves))
    elif not moves:
        _show.line(f"{'None of these parties' if party else 'No party'} moves on {day.isoformat()}.")
    else:
        _show_preview(day.isoformat(), moves)


def _show_preview(day: str, moves: list[Facts]) -> None:
    """Show who moves; then, once, what is the same for many parties."""
    columns = ("party", "kind", "before", "after", "open", "oldest", "oldest_days")
    _show.table(f"Moves on {day}", columns, [tuple(facts[name] for name in columns) for facts in moves])
    changes = [
        (facts["before"], facts["after"], change["what"], change["before"], change["after"])
        for facts in moves
        for change in facts["changes"]
    ]
    _show.table("What changes", ("from", "to", "what", "before", "after"), dict.fromkeys(changes))
    untested = dict.fromkeys(sentence for facts in moves for sentence in facts["untested"])
    if untested:
        _show.table("Never tested", ("what",), [(sentence,) for sentence in untested])


@app.command()
def status(
    *,
    party: Parties = None,
    html: AlsoHtml = None,
    config: Config = CONFIG,
    csv: Csv = False,
    json: Json = False,
) -> None:
    """Show how far each party has moved, and whether the old system may be switched off."""
    _input.check_one_form(csv=csv, json=json)
    write = _html.writer(html, "move_page", csv=csv, json=json)
    with _opened(config) as (settings, cutover, ledger):
        asked, at = settings.ledger.select_parties(party or ()), _clock.now()
        name, days = cutover.leaving.name, cutover.quiet_days
        if party:
            # A report on some parties holds nothing that counts the others.
            whole, totals = {}, ledger.party_totals(asked)
            progress = move_progress(
                cutover.plan, old_system=cutover.leaving, at=at, parties=asked, totals=totals, quiet_days=days
            )
        else:
            facts = ledger.old_system_facts(name, parties=asked, at=at, quiet_days=days)
            decision = decide_switch_off(cutover.plan, facts)
            whole, progress = _facts.switch_off(decision), decision.progress
        names = [system.name for system in settings.ledger.directory]
        columns, parties = _facts.progress_columns(names), [_facts.progress(each) for each in progress]
        charts = _charts(ledger, asked if party else None, names, at) if write else ()
    if html is not None and write is not None:
        _html.put(html, write(_page_of(name, whole, columns, parties, charts, at)))
        if html == _html.STANDARD_OUTPUT:
            return
    if json:
        _show.as_json({**whole, "parties": parties})
        return
    cells = [_facts.progress_cells(facts) for facts in parties]
    if csv:
        _show.csv_lines(columns, cells)
        return
    _show.table("Progress", columns, [tuple(facts[name] for name in columns) for facts in cells])
    if whole:
        _show.line(" ".join(_verdict(whole)))


def _verdict(whole: Facts) -> list[str]:
    """Write whether the old system may be switched off, and what it waits for; nothing for some parties."""
    if not whole:
        return []
    may = "may be switched off" if whole["may_be_switched_off"] else "may not be switched off yet"
    return [f"{whole['leaving']} {may}.", *whole["waits_for"]]


def _charts(
    ledger: Ledger, parties: Iterable[PartyId] | None, systems: Iterable[str], at: datetime
) -> tuple[Chart, ...]:
    """Draw what was queued in the last days, of some parties or of everything."""
    from htpoort.report import traffic_charts  # noqa: PLC0415 - only a page needs it

    return traffic_charts(ledger, parties=parties, since=_html.last_days(at), until=at, systems=systems)


def _page_of(  # noqa: PLR0913, PLR0917 - what the page shows
    leaving: str,
    whole: Facts,
    columns: tuple[str, ...],
    parties: Iterable[Facts],
    charts: tuple[Chart, ...],
    at: datetime,
) -> Move:
    from htpoort.report import Move  # noqa: PLC0415 - see above

    lines = [
        tuple(
            _facts.read_moment(value) if isinstance(value, _facts.Instant) else value
            for value in map(cells.get, columns)
        )
        for cells in map(_facts.progress_cells, parties)
    ]
    return Move(
        made=at,
        since=_html.last_days(at),
        until=at,
        leaving=leaving,
        verdict=tuple(_verdict(whole)),
        columns=columns,
        lines=tuple(lines),
        charts=charts,
    )


@app.command()
def shadows(
    *,
    party: Parties = None,
    limit: Limit = LIMIT,
    config: Config = CONFIG,
    csv: Csv = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON lines, one for each exchange.")] = False,
) -> None:
    """Show how the messages for the shadow system differ from those that were queued."""
    _input.check_one_form(csv=csv, json=json)
    with _opened(config) as (settings, _, ledger):
        asked = settings.ledger.select_parties(party) if party else None
        _show_shadows(map(_facts.shadow, ledger.exchanges.shadows(asked)), limit, csv=csv, json=json)


def _show_shadows(differing: Iterator[Facts], limit: int, *, csv: bool, json: bool) -> None:
    """Print the differences of each shadow as it is read."""
    if json:
        for facts in differing:
            _show.json_line(facts)
    elif csv:
        _show.csv_lines(_facts.SHADOWS, _facts.shadow_lines(differing))
    else:
        lines = (tuple(facts.values()) for facts in _facts.shadow_lines(differing))
        _show.table("Shadows", _facts.SHADOWS, lines, limit=limit, rest=REST)


# ── rehearse ─────────────────────────────────────────────────────────────────

_COLUMNS: Final = ("sent", "party", "kind", "K", "to", "replies to process", "after a move", "in quarantine", "right")
_WRONG: Final = ("came", "K", "answer", "belongs", "went")


@app.command()
def rehearse(
    *,
    scenario: Annotated[
        Path | None, typer.Option(metavar="FILE", help="How the gateway answers, and what it does wrong, as TOML.")
    ] = None,
    html: AlsoHtml = None,
    config: Config = CONFIG,
    json: Json = False,
) -> None:
    """Run the plan against the simulator, offline; exit code 1 if a reply was lost or misrouted, or none arrived."""
    write = _html.writer(html, "rehearsal_page", json=json)
    result = _rehearsed(config, scenario)
    if html is not None and write is not None:
        _html.put(html, write(_page_of_rehearsal(result, _clock.now())))
    if html == _html.STANDARD_OUTPUT:
        pass
    elif json:
        _show.as_json(rehearsal(result))
    else:
        show_rehearsal(result)
    if not result.correct:
        raise typer.Exit(_output.FAILED)


def _rehearsed(path: Path, scenario: Path | None) -> Rehearsal:
    from htpoort.rehearsal import SCRIPT, rehearse  # noqa: PLC0415 - the simulator would double the start of the others
    from htpoort.simulator import Script  # noqa: PLC0415 - see above

    with _input.configured(path):
        settings = read_ledger(path)
    script = SCRIPT
    if scenario is not None:
        with _input.file_of("--scenario"):
            script = Script.read(scenario)
    cutover = _cutover_of(settings, path)
    with _quiet():
        return asyncio.run(rehearse(cutover.plan, parties=settings.parties, script=script))


@contextlib.contextmanager
def _quiet() -> Generator[None]:
    """Silence the agent's warnings: in a rehearsal, messages are meant to end in quarantine."""
    log = logging.getLogger("htpoort.agent")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)


def _summary(result: Rehearsal) -> Facts:
    """Count where messages went."""
    went = Counter(place.destination.value for reply in result.replies for place in reply.arrived)
    return {
        "declarations": len(result.declarations),
        "not_taken": _not_taken(result),
        "replies": len(result.replies),
        "to_a_process": went["process"],
        "in_quarantine": went["quarantine"],
        "refused": went["refused"],
        "lost": went["nowhere"],
        "after_a_move": sum(reply.after_move for reply in result.replies),
        "agent_restarted": _minute(result.restarted),
        "wrong": len(result.incorrect),
    }


def rehearsal(result: Rehearsal) -> Facts:
    """Describe a rehearsal for `--json`."""
    return {
        "right": result.correct,
        "silent": list(result.without_reply),
        "summary": _summary(result),
        "declarations": [_declared(each) for each in result.declarations],
        "replies": [_came(each) for each in result.replies],
    }


def show_rehearsal(result: Rehearsal) -> None:
    """Print where each declaration went, then everything that is wrong, then the totals."""
    replies = _by_reference(result)
    _show.table("What went where", _COLUMNS, [_row(each, replies[each.reference]) for each in result.declarations])
    wrong = [each for each in result.replies if not each.correct]
    if wrong:
        _show.table("Wrong", _WRONG, map(_wrong, wrong))
    _show.rows(_summary(result))
    for line in _came_to(result):
        _show.line(line)


def _page_of_rehearsal(result: Rehearsal, made: datetime) -> Rehearsed:
    from htpoort.report import Rehearsed, RehearsedLine  # noqa: PLC0415 - only a page needs it

    replies = _by_reference(result)
    return Rehearsed(
        made=made,
        zone=ZoneInfo(ZONE),
        correct=result.correct,
        verdict=tuple(_came_to(result)),
        summary={name.replace("_", " "): value for name, value in _summary(result).items()},
        columns=_COLUMNS,
        lines=tuple((each.at, *map(_plain, _row(each, replies[each.reference])[1:])) for each in result.declarations),
        wrong_columns=_WRONG,
        wrong=tuple((each.at, *map(_plain, _wrong(each)[1:])) for each in result.replies if not each.correct),
        arrivals=tuple(
            RehearsedLine(at=reply.at, system=reply.declaration.planned, place=place.destination.value)
            for reply in result.replies
            for place in reply.arrived
        ),
    )


def _plain(value: object) -> object:
    """Write a cell as a text, unless it is a number or empty."""
    return value if value is None or isinstance(value, int) else str(value)


def _by_reference(result: Rehearsal) -> dict[str, list[ReplyVerdict]]:
    """Group the replies by the K of their declarations."""
    replies: dict[str, list[ReplyVerdict]] = {each.reference: [] for each in result.declarations}
    for each in result.replies:
        replies[each.declaration.reference].append(each)
    return replies


def _came_to(result: Rehearsal) -> Iterable[str]:
    """Sum the rehearsal up in a line or two."""
    missing = _not_taken(result)
    refused = f"{missing} declaration{' was' if missing == 1 else 's were'} not taken" if missing else ""
    if result.incorrect:
        yield "SOMETHING WENT ELSEWHERE; see above."
    if not result.replies:
        yield "NOTHING WAS ANSWERED, so nothing was rehearsed."
    elif result.without_reply:
        its = "its part was" if len(result.without_reply) == 1 else "their parts were"
        silent = f"{' and '.join(result.without_reply)} ANSWERED NOTHING, so {its} not rehearsed."
        yield f"{refused}, and {silent}" if refused else silent
    elif not result.incorrect:
        sentence = f"that was taken went where it belongs; {refused}" if refused else "went where it belongs"
        yield f"Everything {sentence}."


def _not_taken(result: Rehearsal) -> int:
    return sum(declaration.accepted_by is None for declaration in result.declarations)


def _row(declared: RehearsedDeclaration, replies: list[ReplyVerdict]) -> tuple[object, ...]:
    places = [place for reply in replies for place in reply.arrived]
    processes = Counter(place.name for place in places if place.destination.value == "process")
    reasons = Counter(place.name for place in places if place.destination.value == "quarantine")
    return (
        _minute(declared.at),
        declared.party,
        declared.kind,
        declared.reference,
        declared.accepted_by or f"not taken by {declared.planned}",
        _counted(processes),
        sum(reply.after_move for reply in replies),
        _counted(reasons),
        "yes" if declared.correct and all(reply.correct for reply in replies) else "NO",
    )


def _counted(names: Counter[str]) -> str:
    return ", ".join(f"{name} {number}" for name, number in sorted(names.items()))


def _wrong(reply: ReplyVerdict) -> tuple[object, ...]:
    went = "; ".join(map(str, reply.arrived))
    return _minute(reply.at), reply.declaration.reference, reply.fault or reply.kind, reply.expected, went


def _minute(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M")


def _declared(declared: RehearsedDeclaration) -> Facts:
    return {
        "sent": declared.at.isoformat(),
        "party": str(declared.party),
        "kind": declared.kind,
        "reference": declared.reference,
        "system": declared.planned,
        "taken_by": declared.accepted_by,
        "right": declared.correct,
    }


def _came(reply: ReplyVerdict) -> Facts:
    return {
        "came": reply.at.isoformat(),
        "reference": reply.declaration.reference,
        "party": str(reply.declaration.party),
        "kind": reply.kind.value,
        "fault": None if reply.fault is None else reply.fault.value,
        "times": reply.times,
        "after_move": reply.after_move,
        "belongs": _place(reply.expected),
        "went": [_place(place) for place in reply.arrived],
        "right": reply.correct,
    }


def _place(place: Arrival) -> Facts:
    process = place.destination.value == "process"
    return {
        "where": place.destination.value,
        "system": place.name if process else None,
        "party": place.party if process else None,
        "correlation": place.correlation if process else None,
        "reason": place.name if place.destination.value == "quarantine" else None,
    }
