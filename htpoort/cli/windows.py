"""`htpoort windows read`, `add`, `list`, `what-now` and `timeline`: notices about service windows and disruptions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final
from zoneinfo import ZoneInfo

import typer

from htpoort import _clock
from htpoort.cli import _input, _notice_advice, _output, _show, _timeline
from htpoort.cli._facts import Facts
from htpoort.cli._input import CONFIG, Config, Json
from htpoort.cli._notice_sources import KnownNotices, file_name, has_configuration, known_notices, read_moment, zones_of
from htpoort.core.errors import InputError, UnknownError, did_you_mean, near_names
from htpoort.core.notices import (
    Access,
    Advice,
    AdvicePeriod,
    Notice,
    PlacedWindow,
    notice_json,
    read_notice,
    read_own_notice,
)
from htpoort.core.notices.own import ZONES
from htpoort.core.text import decoded_text, folded

if TYPE_CHECKING:
    from htpoort.ledger import StoredNotice

app = _input.group("windows", "Read notices about service windows and disruptions, and show what to do now.")

Texts = Annotated[
    list[str], typer.Argument(metavar="FILE", help="Files, each with the text of a notice; - is standard input.")
]
AuthorityOption = Annotated[
    str | None, typer.Option("--authority", metavar="KEY", help="Who published it; by default found in the text.")
]
NoticeFiles = Annotated[
    list[str] | None,
    typer.Option(
        "--notices", metavar="FILE", help="Use the notices of these files, texts or .toml, and not the ledger's."
    ),
]
MoreFiles = Annotated[
    list[str] | None, typer.Argument(metavar="FILE", help="More files for --notices, which stands before the first.")
]
KnownAt = Annotated[
    str | None, typer.Option("--known-at", metavar="TIME", help="Use only what was known then; by default everything.")
]
AccessOption = Annotated[
    Access, typer.Option("--access", metavar="KIND", help="How declarations are sent: file, online or any.")
]

_ROW: Final = ("system", "start", "end", "behaviour", "recovery", "fallback")
_LISTED: Final = ("number", "learned", "references", "state", "complete", "source")
_LISTED_ROW: Final = ("notice", *_ROW)
_PERIOD: Final = ("system", "advice", "from", "until", "notice", "sure")
_NOT_SURE: Final = "Not sure: no notice says that it is over, or the text leaves it in doubt; what-now says why."


# ── read, add, list ──────────────────────────────────────────────────────────


@app.command()
def read(
    files: Texts,
    *,
    authority: AuthorityOption = None,
    no_store: Annotated[bool, typer.Option("--no-store", help="Only show what was read; store nothing.")] = False,
    config: Config = CONFIG,
    json: Json = False,
) -> None:
    """Read published notices, show what they state, and store them; exit code 2 if nothing was read in one of them."""
    _check_texts(files, authority)
    texts = [(file_name(file), decoded_text(_input.octets(file, "FILE"))) for file in files]
    notices: list[Notice] = []
    stored: list[str] = []
    warnings: list[str] = []
    if not no_store and has_configuration(config):
        with _input.opened(config, create=True) as (settings, ledger):
            for name, text in texts:
                try:
                    kept = ledger.notices.add(text, at=_clock.now(), authority=authority, source=name)
                except InputError:
                    # Nothing was read in it, so nothing is stored; what is wrong with it is shown.
                    notices.append(read_notice(text, authority=authority))
                    continue
                notices.append(kept.notice)
                word = "was stored already" if kept.repeated else "is stored"
                stored.append(f"{name} {word} as notice {kept.key}.")
                warnings += _notice_advice.warnings(ledger, kept, (each.name for each in settings.directory))
        _output.mark_committed()
    else:
        notices += [read_notice(text, authority=authority) for _, text in texts]
        if not no_store:
            _show.failed(f"htpoort: Nothing was stored, because there is no {config} here.")
    if json:
        _show.as_json([notice_json(notice) for notice in notices])
    else:
        for (name, _), notice in zip(texts, notices, strict=True):
            _show_notice(name, notice)
    for line in stored:
        (_show.failed if json else _show.line)(_show.printable(line))
    _show_warnings(warnings)
    if not all(notice.revisions for notice in notices):
        raise typer.Exit(_output.BAD_INPUT)


def _check_texts(files: Iterable[str], authority: str | None) -> None:
    """
    Check that each file is a text, and that the authority is known.

    Raises:
        InputError: A file is a notice of one's own, or no authority has that key.
    """
    own = [file for file in files if file.endswith(".toml")]
    if own:
        message = f"FILE: {own[0]} is a notice of your own; store it with htpoort windows add {_show.quoted(own[0])}."
        raise _input.refusal("input.usage", message)
    if authority is not None and authority not in ZONES:
        question = did_you_mean(near_names(authority, ZONES))
        message = f"--authority is {authority!r}, which is not known{question} Known: {', '.join(ZONES)}."
        raise _input.refusal("input.value", message)


@app.command()
def add(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A notice of your own, as TOML; - is standard input.")],
    *,
    no_store: Annotated[bool, typer.Option("--no-store", help="Only check it and show it; store nothing.")] = False,
    config: Config = CONFIG,
    json: Json = False,
) -> None:
    """Store a notice that you typed; if something in it is wrong, every problem is shown and nothing is stored."""
    octets = _input.octets(file, "FILE")
    with _input.file_of("FILE"):
        notice = read_own_notice(octets, name=file_name(file), now=_clock.now())
    if no_store:
        if json:
            _show.as_json({"number": None, "repeated": False, **notice_json(notice)})
        else:
            _show_notice(file_name(file), notice)
            _show.line("Nothing was stored; leave out --no-store to store it.")
        return
    with _input.opened(config, create=True) as (settings, ledger):
        from htpoort.ledger import NoticeForm  # noqa: PLC0415 - SQLAlchemy, which only a ledger needs

        kept = ledger.notices.add(notice.text, at=_clock.now(), form=NoticeForm.OWN, source=file_name(file))
        warnings = _notice_advice.warnings(ledger, kept, (each.name for each in settings.directory))
    _output.mark_committed()
    if json:
        _show.as_json({"number": kept.key, "repeated": kept.repeated, **notice_json(notice)})
    else:
        _show_notice(file_name(file), notice)
        _show.line(f"{'It was stored already' if kept.repeated else 'It is stored'} as notice {kept.key}.")
    _show_warnings(warnings)


@app.command("list")
def list_notices(*, config: Config = CONFIG, json: Json = False) -> None:
    """List the notices of the ledger, oldest first."""
    with _input.opened(config) as (_, ledger):
        listed = [_listed(stored) for stored in ledger.notices.listed()]
    if json:
        _show.as_json(listed)
        return
    lines = [
        (
            facts["number"],
            _show.local(facts["learned"]),
            _joined(facts["references"]),
            facts["state"],
            facts["complete"],
            facts["source"],
        )
        for facts in listed
    ]
    _show.table("Notices", _LISTED, lines)
    rows = [(facts["number"], *_cells(row)) for facts in listed for row in facts["windows"]]
    if rows:
        _show.table("Windows, at local times of the notices", _LISTED_ROW, rows)


def _listed(stored: StoredNotice) -> Facts:
    notice = stored.notice
    return {
        "number": stored.key,
        "learned": stored.learned.isoformat(),
        "form": stored.form.value,
        "source": stored.source,
        "systems": list(dict.fromkeys(row.system for row in notice.windows if row.system is not None)),
        **notice_json(notice),
    }


def _show_notice(name: str, notice: Notice) -> None:
    """Show what a text states, and what is not certain of it."""
    facts = notice_json(notice)
    _show.line(_show.printable(f"{name}:"))
    if notice.revisions:
        times = [each or "without a time" for each in facts["revisions"]]
        _show.rows({
            "authority": notice.authority or f"not known; times are those of {notice.zone or 'no zone'}",
            "references": _joined(facts["references"]) or None,
            "kind": facts["kind"],
            "state": facts["state"],
            "texts": _joined(times) if any(facts["revisions"]) else None,
            "complete": notice.complete or "no: it can hold, and it releases nothing",
        })
        _show.table("Windows", _ROW, map(_cells, facts["windows"]))
    if notice.problems:
        lines = [(each.code, each.message) for each in notice.problems]
        _show.table("Problems", ("code", "what"), lines)
    if facts["unread"]:
        _show.table("Sentences that no rule understood", ("text",), [(text,) for text in facts["unread"]])


def _cells(row: Facts) -> tuple[str, ...]:
    """Write a window in a table that fits a terminal: what the notice leaves open is left out."""
    system = row["system"] or "none is named"
    limits = [] if row["access"] == "any" else [row["access"]]
    if row["messages"]:
        limits.append(_joined(row["messages"]))
    named = f"{system} ({'; '.join(limits)})" if limits else system
    end = f"{row['end'] or 'not known'}{' expected' if row['end_kind'] == 'expected' else ''}"
    words = (row[key] for key in ("behaviour", "recovery", "fallback"))
    behaviour, *others = ("" if word == "unstated" else word for word in words)
    return (named, *(text.replace("T", " ") for text in (row["start"] or "", end)), behaviour or "unstated", *others)


def _show_warnings(lines: Iterable[str]) -> None:
    for line in lines:
        _show.failed(_show.printable(line))


def _joined(texts: Iterable[str]) -> str:
    return ", ".join(texts)


# ── what-now ─────────────────────────────────────────────────────────────────


@app.command("what-now")
def what_now(  # noqa: PLR0913 - the options
    system: Annotated[str, typer.Argument(metavar="SYSTEM", help="The system, or its name in the notices.")],
    more: MoreFiles = None,
    *,
    at: Annotated[
        str | None, typer.Option("--at", metavar="TIME", help="When it would be sent; by default now.")
    ] = None,
    known_at: KnownAt = None,
    notices: NoticeFiles = None,
    access: AccessOption = Access.FILE,
    config: Config = CONFIG,
    json: Json = False,
) -> None:
    """Show what to do with a declaration for a system: send, hold, send-expect-late or unclear; and why."""
    of = known_notices(notices, more, config, known_at)
    zones = zones_of(of.notices, system)
    moment = _clock.now() if at is None else read_moment(at, "--at", zones)
    known = None if known_at is None else read_moment(known_at, "--known-at", zones)
    advice = of.availability.what_now(system, at=moment, known_at=known, access=access)
    if known is None and access is Access.FILE:
        advice = _notice_advice.as_sent(advice, of.obeyed, of.orders, system=system, at=moment)
    if json:
        _show.as_json(_advice(advice))
        return
    facts = _advice(advice)
    _show.rows({
        "system": system,
        "at": _shown(moment, zones[0] if len(zones) == 1 else None),
        **facts,
        "until": _until(advice),
    })


def _advice(advice: Advice) -> Facts:
    until = advice.until
    return {
        "advice": str(advice.advice),
        "until": None if until is None else until.astimezone(_zone(advice.windows)).isoformat(),
        "reason": advice.reason,
        "recovery": str(advice.recovery),
        "fallback": str(advice.fallback),
        "notice": advice.notice or None,
        "revision": None if advice.revision is None else _local(advice.revision),
    }


def _until(advice: Advice) -> str | None:
    if advice.until is None:
        return None
    return _shown(advice.until, _zone(advice.windows))


def _zone(windows: Sequence[PlacedWindow]) -> ZoneInfo:
    zones = [window.zone for window in windows if window.zone is not None]
    return ZoneInfo(zones[0] if zones else "UTC")


def _shown(moment: datetime, zone: ZoneInfo | None) -> str:
    local = moment.astimezone(zone)
    return f"{local:%Y-%m-%d %H:%M:%S %Z}"


def _local(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds" if moment.second else "minutes")


# ── timeline ─────────────────────────────────────────────────────────────────


@app.command()
def timeline(  # noqa: PLR0913 - the options
    more: MoreFiles = None,
    *,
    system: Annotated[
        list[str] | None, typer.Option("--system", metavar="NAME", help="Only this system; may be repeated.")
    ] = None,
    begin: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help="Where it begins; by default the first window.")
    ] = None,
    end: Annotated[
        str | None, typer.Option("--until", metavar="TIME", help="Where it ends; by default the last window.")
    ] = None,
    known_at: KnownAt = None,
    notices: NoticeFiles = None,
    access: AccessOption = Access.FILE,
    svg: Annotated[
        Path | None, typer.Option("--svg", metavar="FILE", help="Draw it into this SVG file as well.")
    ] = None,
    config: Config = CONFIG,
    json: Json = False,
) -> None:
    """Show when which system is affected, as bars in the terminal and as SVG."""
    of = known_notices(notices, more, config, known_at)
    zones = zones_of(of.notices, "") or (ZoneInfo("UTC"),)
    zone = zones[0] if len(zones) == 1 else ZoneInfo("UTC")
    bound = None if known_at is None else read_moment(known_at, "--known-at", zones)
    first = None if begin is None else read_moment(begin, "--from", zones)
    last = None if end is None else read_moment(end, "--until", zones)
    if first is not None and last is not None and last <= first:
        raise _input.refusal("input.date", "--until is not after --from.")
    drawn = _timeline.Timeline.of(
        of.availability,
        _drawn_names(of, system or (), bound),
        start=first,
        stop=last,
        known_at=bound,
        access=access,
        zone=zone,
        now=_clock.now(),
        none_of_yours=_none_of_yours(of, bound),
    )
    if svg is not None:
        try:
            svg.write_text(drawn.svg(), encoding="utf-8")
        except OSError as error:
            raise _input.refusal("input.file", f"--svg: {svg} cannot be written: {error.strerror}.") from None
    if json:
        _show.as_json([_period(row, period, zone) for row in drawn.rows for period in row.periods])
    else:
        _show_timeline(drawn)


def _show_timeline(drawn: _timeline.Timeline) -> None:
    for line in drawn.lines(_show.width()):
        _show.line(_show.printable(line))
    lines = [
        (
            row.label,
            period.advice.advice,
            *("" if moment is None else drawn.written(moment) for moment in (period.opens, period.closes)),
            period.advice.notice,
            not period.assumed,
        )
        for row in drawn.rows
        for period in row.periods
    ]
    _show.table(f"Periods ({drawn.zone.key})" if lines else "Periods", _PERIOD, lines)
    if any(period.assumed for row in drawn.rows for period in row.periods):
        _show.line(_NOT_SURE)


def _drawn_names(of: KnownNotices, asked: Sequence[str], known_at: datetime | None) -> dict[str, bool | None]:
    """
    Find the rows of a timeline: the systems that notices mean, then each name that means none of them.

    Args:
        of: The notices.
        asked: Only these names.
        known_at: Use only what was known then.

    Returns:
        The names, each with whether it is or means a system; None without a configuration.

    Raises:
        UnknownError: Nothing can be known of a name that was asked for.
    """
    meant, printed = of.availability.named(of.systems or (), known_at=known_at)
    for name in asked:
        if not of.availability.knows(name):
            known = tuple(sorted({*(of.systems or ()), *of.availability.printed_names()}))
            raise UnknownError("--system", name, "the notices", known)
    unmapped = set(map(folded, printed))
    names = asked or (*meant, *printed)
    return {name: None if of.systems is None else folded(name) not in unmapped for name in names}


def _none_of_yours(of: KnownNotices, known_at: datetime | None) -> frozenset[str]:
    """Find the names of which the configuration says that they concern none of its systems."""
    if of.systems is None:
        return frozenset()
    _, printed = of.availability.named(of.systems, known_at=known_at)
    _, undecided = of.availability.named((*of.systems, ""), known_at=known_at)
    return frozenset(printed) - frozenset(undecided)


def _period(row: _timeline.Row, period: AdvicePeriod, zone: ZoneInfo) -> Facts:
    advice = period.advice
    return {
        "system": row.name,
        "mapped": row.mapped,
        "advice": str(advice.advice),
        "from": None if period.opens is None else period.opens.astimezone(zone).isoformat(),
        "until": None if period.closes is None else period.closes.astimezone(zone).isoformat(),
        "notice": advice.notice or None,
        "revision": None if advice.revision is None else _local(advice.revision),
        "assumed": period.assumed,
    }
