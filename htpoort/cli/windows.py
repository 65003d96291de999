"""`htpoort windows read`, `add`, `list`, `what-now` and `timeline`: notices about service windows and disruptions."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple, TypedDict
from zoneinfo import ZoneInfo

import attrs
import typer

from htpoort import _clock
from htpoort.cli import _input, _notice_advice, _output, _show, _timeline
from htpoort.cli._facts import Facts
from htpoort.cli._input import CONFIG, Config, Json
from htpoort.core.errors import InputError, UnknownError, did_you_mean, near_names
from htpoort.core.notices import (
    Access,
    Advice,
    Availability,
    Notice,
    NoticeName,
    PlacedWindow,
    notice_json,
    read_notice,
    read_own_notice,
)
from htpoort.core.notices.own import YEARS, ZONES
from htpoort.core.text import folded

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
MoreFiles = Annotated[list[str] | None, typer.Argument(metavar="FILE", hidden=True)]
KnownAt = Annotated[
    str | None, typer.Option("--known-at", metavar="TIME", help="Use only what was known then; by default everything.")
]
AccessOption = Annotated[
    Access, typer.Option("--access", metavar="KIND", help="How declarations are sent: file, online or any.")
]

_ROW: Final = ("system", "access", "messages", "start", "end", "end_kind", "behaviour", "recovery", "fallback")
_LISTED: Final = ("number", "learned", "references", "state", "complete", "systems", "source")
_PERIOD: Final = ("system", "advice", "from", "until", "notice", "sure")


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
    texts = [(_name(file), _decoded(_input.octets(file, "FILE"))) for file in files]
    notices = [read_notice(text, authority=authority) for _, text in texts]
    stored: list[str] = []
    warnings: list[str] = []
    if not no_store and _has_configuration(config):
        with _input.opened(config, create=True) as (settings, ledger):
            for (name, text), notice in zip(texts, notices, strict=True):
                if notice.revisions:
                    kept = ledger.notices.add(text, at=_clock.now(), authority=authority, source=name)
                    word = "was stored already" if kept.repeated else "is stored"
                    stored.append(f"{name} {word} as notice {kept.key}.")
                    warnings += _notice_advice.warnings(ledger, kept, (each.name for each in settings.directory))
        _output.mark_committed()
    elif not no_store:
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
    config: Config = CONFIG,
    json: Json = False,
) -> None:
    """Store a notice that you typed; if something in it is wrong, every problem is shown and nothing is stored."""
    text = _own_text(_input.octets(file, "FILE"))
    with _input.file_of("FILE"):
        notice = read_own_notice(text, name=_name(file))
    with _input.opened(config, create=True) as (settings, ledger):
        from htpoort.ledger import NoticeForm  # noqa: PLC0415 - SQLAlchemy, which only a ledger needs

        kept = ledger.notices.add(text, at=_clock.now(), form=NoticeForm.OWN, source=_name(file))
        warnings = _notice_advice.warnings(ledger, kept, (each.name for each in settings.directory))
    _output.mark_committed()
    if json:
        _show.as_json({"number": kept.key, "repeated": kept.repeated, **notice_json(notice)})
    else:
        _show_notice(_name(file), notice)
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
            _joined(facts["systems"]),
            facts["source"],
        )
        for facts in listed
    ]
    _show.table("Notices", _LISTED, lines)


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
        _show.rows({
            "authority": notice.authority or f"not known; times are those of {notice.zone or 'no zone'}",
            "references": _joined(facts["references"]),
            "kind": facts["kind"],
            "state": facts["state"],
            "texts": _joined([each or "without a time" for each in facts["revisions"]]),
            "complete": notice.complete or "no: it can hold, and it releases nothing",
        })
        lines = [
            tuple(_joined(row[key]) if key == "messages" else row[key] for key in _ROW) for row in facts["windows"]
        ]
        _show.table("Windows", _ROW, lines)
    if notice.problems:
        lines = [(each.code, each.message) for each in notice.problems]
        _show.table("Problems", ("code", "what"), lines)
    if facts["unread"]:
        _show.table("Sentences that no rule understood", ("text",), [(text,) for text in facts["unread"]])


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
    availability, zones, agents = _known(notices, more, config)
    zone = _zone_of(zones, system)
    moment = _clock.now() if at is None else _moment(at, "--at", zone)
    known = None if known_at is None else _moment(known_at, "--known-at", zone)
    advice = availability.what_now(system, at=moment, known_at=known, access=access)
    if known is None and access is Access.FILE:
        advice = _notice_advice.as_sent(advice, agents.obeyed, agents.orders, system=system, at=moment)
    if json:
        _show.as_json(_advice(advice))
        return
    facts = _advice(advice)
    _show.rows({"system": system, "at": _shown(moment, zone), **facts, "until": _until(advice)})


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


def _moment(text: str, option: str, zone: ZoneInfo | None) -> datetime:
    """
    Read a time; one without a zone is local to the authority, as the times of its notices are.

    Raises:
        InputError: It is not a time, or it has no zone and that of the notices is not known.
    """
    moment = None
    with contextlib.suppress(ValueError):
        moment = datetime.fromisoformat(text)
    if moment is None or moment.year not in YEARS:
        message = f"{option} is {text!r}; give a time such as 2026-11-30T21:00, or 2026-11-30T21:00:00+01:00."
        raise _input.refusal("input.date", message)
    if moment.tzinfo is None and zone is not None:
        moment = moment.replace(tzinfo=zone)
    if moment.tzinfo is None:
        message = f"{option} is {text!r}, without a time zone, and the notices do not have one zone; "
        raise _input.refusal("input.date", f"{message}give for example {text}+01:00.")
    return moment.astimezone(UTC)


# ── the notices of files, or of the ledger ───────────────────────────────────


class _AgentView(NamedTuple):
    """What an agent goes by, and the last order for each event."""

    obeyed: Availability
    orders: Mapping[str, tuple[datetime, str]]


def _known(
    files: list[str] | None, more: list[str] | None, config: Path
) -> tuple[Availability, list[Notice], _AgentView]:
    """Read the notices of files, or of the ledger."""
    if more and not files:
        raise _input.refusal("input.usage", f"{more[0]!r} is one argument too many; files follow --notices.")
    if files:
        known = [_notice_of(file) for file in [*files, *(more or ())]]
        names = _names(config) if _has_configuration(config) else ()
        of_files = Availability(known, names)
        return of_files, known, _AgentView(of_files, {})
    with _input.opened(config) as (_, ledger):
        notices = ledger.notices
        view = _AgentView(notices.obeyed(), notices.orders())
        return notices.availability(), [known.notice for known in notices.known()], view


def _names(config: Path) -> tuple[NoticeName, ...]:
    from htpoort.config import read_ledger  # noqa: PLC0415 - SQLAlchemy, which only a ledger needs

    with _input.configured(config):
        return read_ledger(config).notices.names


def _notice_of(file: str) -> Notice:
    """
    Read the notice of a file.

    Raises:
        InputError: It has none, or its TOML is wrong.
    """
    octets = _input.octets(file, "--notices")
    if file.endswith(".toml"):
        with _input.file_of("--notices"):
            return read_own_notice(octets, name=file)
    notice = read_notice(_decoded(octets))
    if not notice.revisions:
        named = f"--notices: {_name(file)}: "
        problems = (attrs.evolve(each, message=f"{named}{each.message}", start=0, stop=0) for each in notice.problems)
        raise InputError("", tuple(problems))
    return notice


class _Played(TypedDict):
    notices: list[Notice]
    notice_names: list[NoticeName]


def named_notices(files: Iterable[str], names: Iterable[str], systems: Sequence[str]) -> _Played:
    """
    Read the values of --notices and --notice-name, as a gateway takes them.

    Raises:
        InputError: A file has no notice, a name has another form, or nothing of them would be played.
        UnknownError: A name is to mean a system that is not played.
    """
    read: list[NoticeName] = []
    for text in names:
        name, _, system = text.rpartition("=")
        if not name.strip() or not system.strip():
            message = f"--notice-name is {text!r}; give NAME=SYSTEM, such as 'DMS Invoer=DMS'."
            raise _input.refusal("input.value", message)
        read.append(NoticeName(name=name.strip(), system=system.strip()))
    played: _Played = {"notices": [_notice_of(file) for file in files], "notice_names": read}
    _notice_advice.check_played(**played, systems=systems)
    return played


def _zone_of(notices: Iterable[Notice], system: str) -> ZoneInfo | None:
    """Find the zone that times without one have: that of the notices that name a system, or else of all."""
    listed = list(notices)
    wanted = folded(system)
    naming = [
        notice
        for notice in listed
        if any(wanted == folded(row.system or "") for each in notice.revisions for row in each.windows)
    ]
    zones = {notice.zone for notice in naming or listed if notice.zone is not None}
    return ZoneInfo(zones.pop()) if len(zones) == 1 else None


def _has_configuration(path: Path) -> bool:
    """Report whether there is a configuration, or one was named, which then must be there."""
    return path != CONFIG or path.exists() or _input.config_option(path) != "--config"


def _name(file: str) -> str:
    return "standard input" if file == "-" else file


def _own_text(octets: bytes) -> str:
    """Decode a TOML file; what is not UTF-8 is refused where it is read."""
    return octets.decode("utf-8-sig", "surrogateescape")


def _decoded(octets: bytes) -> str:
    """Decode the text of a notice: pages are UTF-8, and what was saved by an editor may be UTF-16 or Windows-1252."""
    if octets.startswith((b"\xff\xfe", b"\xfe\xff")):
        return octets.decode("utf-16", "replace")
    try:
        return octets.decode("utf-8-sig")
    except UnicodeDecodeError:
        return octets.decode("cp1252", "replace")


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
    availability, known, _ = _known(notices, more, config)
    zone = _zone_of(known, "") or ZoneInfo("UTC")
    bound = None if known_at is None else _moment(known_at, "--known-at", zone)
    first = None if begin is None else _moment(begin, "--from", zone)
    last = None if end is None else _moment(end, "--until", zone)
    if first is not None and last is not None and last <= first:
        raise _input.refusal("input.date", "--until is not after --from.")
    asked = system or availability.printed_names(bound)
    for name in system or ():
        if not availability.knows(name):
            raise UnknownError("--system", name, "the notices", availability.printed_names())
    drawn = _timeline.Timeline.of(
        availability, asked, start=first, stop=last, known_at=bound, access=access, zone=zone, now=_clock.now()
    )
    if svg is not None:
        try:
            svg.write_text(drawn.svg(), encoding="utf-8")
        except OSError as error:
            raise _input.refusal("input.file", f"--svg: {svg} cannot be written: {error.strerror}.") from None
    periods = [_period(name, placed, zone) for name, windows in drawn.systems for placed in windows]
    if json:
        _show.as_json(periods)
        return
    for line in drawn.lines():
        _show.line(_show.printable(line))
    lines = [
        (
            name,
            placed.advice,
            *("" if moment is None else drawn.written(moment) for moment in (placed.opens, placed.closes)),
            placed.notice,
            not placed.assumed,
        )
        for name, windows in drawn.systems
        for placed in windows
    ]
    _show.table(f"Periods ({zone.key})" if lines else "Periods", _PERIOD, lines)


def _period(name: str, placed: PlacedWindow, zone: ZoneInfo) -> Facts:
    return {
        "system": name,
        "advice": str(placed.advice),
        "from": None if placed.opens is None else placed.opens.astimezone(zone).isoformat(),
        "until": None if placed.closes is None else placed.closes.astimezone(zone).isoformat(),
        "notice": placed.notice or None,
        "revision": None if placed.revision is None else _local(placed.revision),
        "assumed": placed.assumed,
    }
