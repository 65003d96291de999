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

import typer

from htpoort import _clock
from htpoort.cli import _facts, _input, _output, _show
from htpoort.cli._facts import Facts
from htpoort.cli._input import CONFIG, LIMIT, REST, Config, Csv, Json, Limit
from htpoort.config import AgentConfig, CutoverConfig, LedgerConfig, read_agent_without_secrets, read_ledger
from htpoort.core.cutover import decide_switch_off, move_progress, preview_moves
from htpoort.ledger import Ledger

if TYPE_CHECKING:
    from htpoort.rehearsal import Arrival, Rehearsal, RehearsedDeclaration, ReplyVerdict

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
def status(*, party: Parties = None, config: Config = CONFIG, csv: Csv = False, json: Json = False) -> None:
    """Show how far each party has moved, and whether the old system may be switched off."""
    _input.check_one_form(csv=csv, json=json)
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
        columns = _facts.progress_columns(system.name for system in settings.ledger.directory)
    parties = [_facts.progress(each) for each in progress]
    if json:
        _show.as_json({**whole, "parties": parties})
        return
    cells = [_facts.progress_cells(facts) for facts in parties]
    if csv:
        _show.csv_lines(columns, cells)
        return
    _show.table("Progress", columns, [tuple(facts[name] for name in columns) for facts in cells])
    if whole:
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


@app.command()
def rehearse(
    *,
    scenario: Annotated[
        Path | None, typer.Option(metavar="FILE", help="How the gateway answers, and what it does wrong, as TOML.")
    ] = None,
    config: Config = CONFIG,
    json: Json = False,
) -> None:
    """Run the plan against the simulator, offline; exit code 1 if a reply was lost or misrouted, or none arrived."""
    result = _rehearsed(config, scenario)
    if json:
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
    replies: dict[str, list[ReplyVerdict]] = {each.reference: [] for each in result.declarations}
    for each in result.replies:
        replies[each.declaration.reference].append(each)
    _show.table("What went where", _COLUMNS, [_row(each, replies[each.reference]) for each in result.declarations])
    wrong = [each for each in result.replies if not each.correct]
    if wrong:
        _show.table("Wrong", ("came", "K", "answer", "belongs", "went"), map(_wrong, wrong))
    _show.rows(_summary(result))
    for line in _came_to(result):
        _show.line(line)


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
