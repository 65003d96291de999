"""Read ``htpoort.toml`` into values, and report everything that is wrong with it at once."""

from __future__ import annotations

import functools
import itertools
import os
from collections.abc import Container, Iterable, Mapping
from pathlib import Path
from typing import Final, cast, final

import attrs

from htpoort.agent import FileGatewaySettings, Outbox, Pop3Inbox, Timing
from htpoort.config import _gateways, _notices, _parts
from htpoort.config._sources import Sources
from htpoort.config._tables import CutoverTable, LedgerTable, MetricsTable, Mode, OutboxTable, TimingTable
from htpoort.config.configuration import AgentConfig, CutoverConfig, LedgerConfig, MetricsConfig, MissingSecrets
from htpoort.core.cutover import CutoverPlan, Move, plan_files
from htpoort.core.cutover.moves import unknown_parties
from htpoort.core.directory import DeclarationSystem, read_known
from htpoort.core.errors import InputError, LedgerError, Problem
from htpoort.core.files.service import read_services
from htpoort.core.party import PartyId
from htpoort.core.text import unreadable
from htpoort.core.toml_reader import Document, KeyPath, show_path
from htpoort.files import GatewayUser
from htpoort.ledger import SECRET_PARAMETERS, check_url
from htpoort.transport import SmtpInbox

__all__ = ["PartlyRead", "read_agent", "read_agent_in_part", "read_agent_without_secrets", "read_ledger"]

_KNOWN: Final = (
    *(
        "parties",
        "systems",
        "published_systems",
        "cutover",
        "ledger",
        "outbox",
        "smtp",
        "pop3",
        "gateway",
        "delivery",
        "folder",
    ),
    *("timing", "notices", "unanswered", "metrics"),
)
_SERVERS: Final = ("outbox", "smtp", "pop3", "gateway")
_OF_MAIL: Final = ("outbox", "smtp", "pop3", "folder", "cutover")
_TLS_KEYS: Final = ("ca_file", "certificate", "key", "key_password_env", "key_password_file")
_LAST_PORT: Final = 65_535
_MOST_DAYS: Final = 36_525
"""A hundred years, which is within every calendar."""


def read_ledger(path: Path | str, *, environ: Mapping[str, str] = os.environ) -> LedgerConfig:
    """
    Read what every command on a ledger needs.

    The whole file is checked, but passwords, certificates and programs are not looked up: a user who asks for the
    status may not be allowed to read them.

    Args:
        path: The TOML file; relative paths in it start from its folder.
        environ: The environment.

    Returns:
        Directory, parties and ledger.

    Raises:
        InputError: The file cannot be read, or is wrong; the error lists every problem.
    """
    return _finished(_read(path, environ, look_up=False)).ledger


def read_agent(path: Path | str, *, environ: Mapping[str, str] = os.environ) -> AgentConfig:
    """
    Read everything that an agent needs.

    Args:
        path: The TOML file; relative paths in it start from its folder.
        environ: The environment, where passwords may be.

    Returns:
        The whole configuration, with its passwords read and its certificates checked.

    Raises:
        InputError: The file cannot be read, or it or a file that it names is wrong; the error lists every problem.
    """
    return _finished(_read(path, environ, look_up=True, places=True))


def read_agent_without_secrets(path: Path | str, *, environ: Mapping[str, str] = os.environ) -> AgentConfig:
    """
    Read everything that an agent needs, but look up no password, certificate or program.

    Args:
        path: The TOML file; relative paths in it start from its folder.
        environ: The environment.

    Returns:
        The whole configuration. Each password in it is a stand-in, so no agent can log in with it.

    Raises:
        InputError: The file cannot be read, or is wrong; the error lists every problem.
    """
    return _finished(_read(path, environ, look_up=False))


@final
@attrs.frozen(kw_only=True)
class PartlyRead:
    """
    A configuration that is right, though a password or certificate that it names may be missing.

    Args:
        config: The configuration. Where a password or certificate is missing, a stand-in replaces it.
        problems: What could not be read.
        missing: The same, for `check`.
    """

    config: AgentConfig
    problems: tuple[Problem, ...]
    missing: MissingSecrets


def read_agent_in_part(path: Path | str, *, environ: Mapping[str, str] = os.environ) -> PartlyRead:
    """
    Read what an agent needs as far as it is there: one missing password leaves every other table complete.

    Folders and programs are not looked for: `check` tries them.

    Args:
        path: The TOML file; relative paths in it start from its folder.
        environ: The environment, where passwords may be.

    Returns:
        The configuration, with what is missing.

    Raises:
        InputError: The file cannot be read, or is wrong; the error lists every problem.
    """
    plain = _finished(_read(path, environ, look_up=False))
    full, document = _read(path, environ, look_up=True)
    wrong = [table for kind in _SERVERS for table in document.tables((kind,)) if document.is_refused((kind,), table[1])]
    names = {table: show_path(table) for table in wrong}
    passwords = {table for table in wrong if document.is_refused(table, "password_env", "password_file")}
    files = {table for table in wrong if table not in passwords or document.is_refused(table, *_TLS_KEYS)}
    return PartlyRead(
        config=attrs.evolve(
            plain,
            outboxes=tuple(
                plain.outboxes[at] if ("outbox", at) in names else outbox for at, outbox in enumerate(full.outboxes)
            ),
            inboxes=_inboxes(plain, full, names),
            gateways=_gateways_of(plain, full, names),
        ),
        problems=document.problems,
        missing=MissingSecrets(
            passwords=frozenset(names[table] for table in passwords),
            certificates=frozenset(names[table] for table in files),
        ),
    )


def _inboxes(plain: AgentConfig, full: AgentConfig, wrong: Container[KeyPath]) -> tuple[SmtpInbox | Pop3Inbox, ...]:
    """Take the inboxes that could be read in full, and the others without what was read."""
    servers = {inbox.server.ledger_name: inbox for inbox in full.inboxes if isinstance(inbox, Pop3Inbox)}
    inboxes: list[SmtpInbox | Pop3Inbox] = []
    numbers = {"smtp": itertools.count(), "pop3": itertools.count()}
    for at, inbox in enumerate(plain.inboxes):
        kind = "pop3" if isinstance(inbox, Pop3Inbox) else "smtp"
        if (kind, next(numbers[kind])) in wrong:
            inboxes.append(inbox)
        else:
            inboxes.append(servers[inbox.server.ledger_name] if isinstance(inbox, Pop3Inbox) else full.inboxes[at])
    return tuple(inboxes)


def _gateways_of(plain: AgentConfig, full: AgentConfig, wrong: Container[KeyPath]) -> tuple[FileGatewaySettings, ...]:
    """Take the gateways that could be read in full, and the others without what was read."""
    complete = {gateway.server.ledger_name: gateway for gateway in full.gateways}
    return tuple(
        gateway if ("gateway", at) in wrong else complete[gateway.server.ledger_name]
        for at, gateway in enumerate(plain.gateways)
    )


def _finished(read: tuple[AgentConfig, Document]) -> AgentConfig:
    """Return the configuration, unless there are problems."""
    config, document = read
    document.finish()
    return config


def _read(
    path: Path | str, environ: Mapping[str, str], *, look_up: bool, places: bool = False
) -> tuple[AgentConfig, Document]:
    document, folder = _open(Path(path))
    for key in document.table:
        if key == "windows":
            message = "service windows are not in this file; store them with htpoort windows add, or read."
            document.report("toml.unknown-key", (key,), message)
        elif key not in _KNOWN:
            document.report_unknown((key,), _KNOWN)
    directory = read_known(document)
    sources = Sources(
        document=document,
        folder=folder,
        environ=environ,
        look_up=look_up,
        places=places,
        directory=directory,
        services=read_services(document, directory),
    )
    timing, parties, gateways = _timing(document), _parties(document), _gateways.gateways(sources)
    users = tuple({str(gateway.user): gateway.user for gateway in gateways}.values())
    deliveries, party_deliveries = _parts.deliveries(sources, (*parties, *users), timing.delivery_timeout)
    config = AgentConfig(
        ledger=_ledger(sources, parties, users),
        outboxes=_outboxes(sources),
        inboxes=(*_parts.smtp_inboxes(sources), *_parts.pop3_inboxes(sources)),
        gateways=gateways,
        deliveries=deliveries,
        party_deliveries=party_deliveries,
        folders=_parts.folders(sources, parties),
        timing=timing,
        metrics=_metrics(document),
    )
    return config, document


def _open(path: Path) -> tuple[Document, Path]:
    """Read the file; return it with its folder."""
    return Document.of_file(path.read_bytes, name=str(path)), path.absolute().parent


def _metrics(document: Document) -> MetricsConfig | None:
    """Read where the agent shows its metrics."""
    if not document.has(("metrics",)):
        return None
    table = document.read(("metrics",), MetricsTable)
    if table is None:
        return None
    if not 0 <= table.port <= _LAST_PORT:
        document.report("toml.value", ("metrics", "port"), f"give 0 to {_LAST_PORT}, 0 for any free port.")
    if not table.host:
        document.report("toml.value", ("metrics", "host"), "give an address of this machine, such as 127.0.0.1.")
    return MetricsConfig(host=table.host, port=table.port)


# ── parties and ledger ───────────────────────────────────────────────────────


def _parties(document: Document) -> tuple[PartyId, ...]:
    value = document.table.get("parties")
    if value is None and document.has(("gateway",)) and not any(document.has((key,)) for key in _OF_MAIL):
        return ()
    if not isinstance(value, list) or not value:
        code = "toml.missing" if value is None else "toml.type"
        document.report(code, ("parties",), 'give an array of party IDs, such as ["NL123456789.02.05"].')
        return ()
    parties: dict[str, PartyId] = {}
    for number, text in enumerate(cast("list[object]", value)):
        path = ("parties", number)
        if not isinstance(text, str):
            document.report("toml.type", path, "give a string.")
            continue
        party = document.build(path, functools.partial(PartyId.parse, text), None)
        if party is not None and parties.setdefault(str(party).lower(), party) is not party:
            document.report("config.twice", path, f"{party} is already listed.")
    return tuple(parties.values())


def _ledger(sources: Sources, parties: tuple[PartyId, ...], users: tuple[GatewayUser, ...]) -> LedgerConfig:
    document, path = sources.document, ("ledger",)
    cutover = _cutover(sources, parties)
    table, url = None, ""
    if not document.has(path):
        document.report("toml.missing", path, "this table is needed.")
    else:
        table = document.read(path, LedgerTable)
    if table is not None:
        url = _url(sources, table)
        if table.retention_days < 0:
            document.report("toml.value", ("ledger", "retention_days"), "give a number of days, 0 or more.")
        elif cutover is not None and table.retention_days < cutover.quiet_days:
            message = f"give at least {cutover.quiet_days}, the days of cutover.quiet_days: replies count until then."
            document.report("toml.value", ("ledger", "retention_days"), message)
    table = table or LedgerTable()
    return LedgerConfig(
        file=document.name,
        directory=sources.directory,
        services=sources.services,
        parties=parties,
        users=users,
        url=url,
        retention_days=table.retention_days,
        cutover=cutover,
        transaction_timeout=table.transaction_timeout,
        notices=_notices.notices(sources),
        unanswered=_notices.unanswered(sources),
    )


def _url(sources: Sources, table: LedgerTable) -> str:
    """Read the URL of the ledger; a relative file becomes absolute."""
    document = sources.document
    if document.is_refused(("ledger",), "url", "url_env"):
        return ""
    if (table.url is None) == (table.url_env is None):
        message = "give url or url_env" if table.url is None else "give url or url_env, not both"
        document.report("toml.value", ("ledger",), f"{message}.")
        return ""
    path = ("ledger", "url" if table.url_env is None else "url_env")
    text = table.url if table.url_env is None else sources.variable(path, table.url_env)
    if text is None:
        return ""
    try:
        url = check_url(text)
    except LedgerError as error:
        # Here it follows a path, within a sentence.
        document.report("config.url", path, f"{error.advice[:1].lower()}{error.advice[1:]}")
        return ""
    if table.url_env is None and (url.password is not None or SECRET_PARAMETERS & set(map(str.lower, url.query))):
        message = (
            "do not write a password into this file; put the URL into an environment variable, "
            'and give url_env = "NAME".'
        )
        document.report("config.secret", path, message)
    if url.drivername == "sqlite":
        url = url.set(database=str(sources.path(url.database or "")))
    return url.render_as_string(hide_password=False)


# ── moves ────────────────────────────────────────────────────────────────────


def _cutover(sources: Sources, parties: Iterable[PartyId]) -> CutoverConfig | None:
    """Read ``[cutover]``; None if the file has none, or if no plan can be made of it."""
    document = sources.document
    if not document.has(("cutover",)):
        return None
    table = document.read(("cutover",), CutoverTable)
    if table is None:
        return None
    plan = _plan(sources, table, parties)
    leaving = sources.system(("cutover", "leaving"), table.leaving)
    shadow = _shadow(sources, table)
    if not 0 <= table.quiet_days <= _MOST_DAYS:
        document.report("toml.value", ("cutover", "quiet_days"), f"give a number of days, 0 to {_MOST_DAYS}.")
    if plan is None or leaving is None or document.is_refused(("cutover",), "quiet_days"):
        return None
    return CutoverConfig(
        plan=plan, leaving=sources.directory.system(leaving), quiet_days=table.quiet_days, shadow=shadow
    )


def _plan(sources: Sources, table: CutoverTable, parties: Iterable[PartyId]) -> CutoverPlan | None:
    """Make the plan; problems with the plan as a whole are kept beside those with single moves."""
    document, directory = sources.document, sources.directory
    tables = plan_files.from_tables(document, ("cutover", "move"), directory)
    moves = (*tables.values(), *_moves_of_file(sources, table))
    default = sources.system(("cutover", "default"), table.default)
    # If the parties are wrong, no party can be missing among them.
    problems = () if document.is_refused((), "parties") else unknown_parties(moves, parties)
    # Moves are checked even if the default is not a system, which was reported.
    name = next(iter(directory)).name if default is None else default
    try:
        plan = CutoverPlan(directory=directory, default=name, moves=moves)
    except InputError as error:
        plan, problems = None, (*error.problems, *problems)
    places = {move.place: path for path, move in tables.items()}
    for problem in problems:
        # A problem begins with the place of its move, which has a line of its own if it is a table.
        place, _, message = problem.message.partition(": ")
        if place in places:
            document.add_problem(places[place], attrs.evolve(problem, message=message))
        else:
            document.add_problem(("cutover", "moves") if table.moves else ("cutover",), problem)
    return None if problems or default is None else plan


def _moves_of_file(sources: Sources, table: CutoverTable) -> tuple[Move, ...]:
    """Read the moves of the CSV file, if one is named."""
    if table.moves is None:
        return ()
    document, path, file = sources.document, ("cutover", "moves"), sources.path(table.moves)
    try:
        # Decoded here, because a file that is opened as text has its line ends changed, in cells too.
        moves, problems = plan_files.from_csv(file.read_bytes().decode("utf-8-sig"), sources.directory)
    except OSError as error:
        document.report("config.file", path, unreadable(file, error))
        return ()
    except UnicodeDecodeError:
        document.report("config.file", path, f"{file} is not UTF-8; save it as CSV UTF-8.")
        return ()
    except ValueError:
        # A NUL.
        document.report("config.file", path, f"{str(file)!r} is not a path.")
        return ()
    for problem in problems:
        document.add_problem(path, attrs.evolve(problem, message=f"{table.moves}, {problem.message}"))
    return tuple(attrs.evolve(move, place=f"{table.moves}, {move.place}") for move in moves)


def _shadow(sources: Sources, table: CutoverTable) -> DeclarationSystem | None:
    """Find the system that messages are also built for, and never sent to; None in live mode."""
    document, path = sources.document, ("cutover", "shadow_system")
    if document.is_refused(("cutover",), "mode", "shadow_system"):
        return None
    if table.mode is Mode.SHADOW and table.shadow_system is None:
        document.report("toml.missing", path, 'mode = "shadow" needs it; give the name of a system.')
    elif table.mode is Mode.LIVE and table.shadow_system is not None:
        document.report("toml.value", path, 'only mode = "shadow" uses it; set that mode, or leave it out.')
    elif table.shadow_system is not None and (name := sources.system(path, table.shadow_system)) is not None:
        return sources.directory.system(name)
    return None


# ── outboxes and timing ──────────────────────────────────────────────────────


def _outboxes(sources: Sources) -> tuple[Outbox, ...]:
    document = sources.document
    owners: dict[str, int] = {}
    outboxes: list[Outbox] = []
    for number, path in enumerate(document.tables(("outbox",))):
        table = document.read(path, OutboxTable)
        if table is None:
            continue
        outboxes.append(_parts.outbox(sources, path, table))
        if document.is_refused(path, "systems"):
            # The stand-in is empty, which would mean every system.
            continue
        for at, text in enumerate(table.systems or [system.name for system in sources.directory]):
            place: KeyPath = (*path, "systems", at) if table.systems else path
            name = sources.system(place, text)
            if name is not None and owners.setdefault(name, number) != number:
                message = f"{name} is already in outbox[{owners[name]}]; a system has one outbox."
                document.report("config.twice", place, message)
    return tuple(outboxes)


def _timing(document: Document) -> Timing:
    if not document.has(("timing",)):
        return Timing()
    table = document.read(("timing",), TimingTable) or TimingTable()
    return document.build(
        ("timing",),
        lambda: Timing(
            poll_interval=table.poll,
            lease=table.lease,
            grace=table.grace,
            retry_delay=table.retry_delay,
            redelivery_schedule=table.redeliver,
            delivery_timeout=table.delivery,
            pause_schedule=table.pause,
            login_pause=table.pause_login,
            release_spread=table.release,
        ),
        Timing(),
        names={
            "poll_interval": "poll",
            "redelivery_schedule": "redeliver",
            "delivery_timeout": "delivery",
            "pause_schedule": "pause",
            "login_pause": "pause_login",
            "release_spread": "release",
        },
    )
