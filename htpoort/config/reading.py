"""
Read a configuration file into values.

Never does: start anything, or stop at the first problem.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final, cast

from htpoort.agent import Outbox, Timing
from htpoort.config import _cutover, _deliveries, _lines, _servers, _systems
from htpoort.config._document import Document
from htpoort.config._secrets import Sources
from htpoort.config._tables import LedgerTable, OutboxTable, TimingTable, structured, unknown
from htpoort.config.values import AgentConfig, LedgerConfig
from htpoort.directory import Directory
from htpoort.errors import InputError, LedgerError
from htpoort.ledger import check_url
from htpoort.ledger.url import SECRETS
from htpoort.party import PartyId

__all__ = ["read_agent", "read_ledger", "read_settings"]

_KNOWN: Final = ("parties", "systems", "cutover", "ledger", "outbox", "smtp", "pop3", "delivery", "timing")


def read_ledger(path: Path | str, *, environ: Mapping[str, str] = os.environ) -> LedgerConfig:
    """
    Read what every command on a ledger needs.

    The whole file is checked; passwords, certificates and programs are not looked at, because who
    asks for the status need not be allowed to.

    Args:
        path: The TOML file; relative paths in it start from its folder.
        environ: The environment.

    Returns:
        Directory, parties and ledger.

    Raises:
        InputError: The file cannot be read, or something in it cannot be taken; tells everything.
    """
    return _read(path, environ, real=False).ledger


def read_agent(path: Path | str, *, environ: Mapping[str, str] = os.environ) -> AgentConfig:
    """
    Read everything that an agent needs.

    Args:
        path: The TOML file; relative paths in it start from its folder.
        environ: The environment, where passwords may be.

    Returns:
        The whole configuration, its passwords and certificates looked at.

    Raises:
        InputError: The file cannot be read, or something in it or named by it cannot be taken; tells
            everything.
    """
    return _read(path, environ, real=True)


def read_settings(path: Path | str, *, environ: Mapping[str, str] = os.environ) -> AgentConfig:
    """
    Read everything, to tell about it: no password, certificate or program is looked at.

    Args:
        path: The TOML file; relative paths in it start from its folder.
        environ: The environment.

    Returns:
        The whole configuration. Each password in it is a stand-in, so no agent can log in with it.

    Raises:
        InputError: The file cannot be read, or something in it cannot be taken; tells everything.
    """
    return _read(path, environ, real=False)


def _read(path: Path | str, environ: Mapping[str, str], *, real: bool) -> AgentConfig:
    document = Document(Path(path))
    sources = Sources(document, environ, real)
    for key in document.table:
        if key == "windows":
            # The name is taken, so that a file that is ahead of its program is not half obeyed.
            document.refusal("toml.unknown-key", (key,), "service windows are not read yet; leave it out.")
        elif key not in _KNOWN:
            unknown(document, (key,), list(_KNOWN))
    directory = _systems.directory(document)
    config = AgentConfig(
        ledger=_ledger(sources, directory, _parties(document)),
        outboxes=_outboxes(sources, directory),
        inboxes=(*_servers.smtp_inboxes(sources), *_servers.pop3_inboxes(sources)),
        deliveries=_deliveries.deliveries(sources, directory),
        timing=_timing(document),
    )
    document.finish()
    return config


# ── parties, systems, ledger ─────────────────────────────────────────────────


def _parties(document: Document) -> tuple[PartyId, ...]:
    value = document.table.get("parties")
    if not isinstance(value, list) or not value:
        code = "toml.missing" if value is None else "toml.type"
        document.refusal(code, ("parties",), 'give an array of party IDs, as ["NL123456789.02.05"].')
        return ()
    parties: dict[str, PartyId] = {}
    for number, text in enumerate(cast("list[object]", value)):
        path = ("parties", number)
        if not isinstance(text, str):
            document.refusal("toml.type", path, "give a string.")
            continue
        try:
            party = PartyId.parse(text)
        except InputError as error:
            for problem in error.problems:
                code = problem.code
                document.refusal(code, path, problem.message)
            continue
        if str(party).lower() in parties:
            document.refusal("config.twice", path, f"{party} stands here a second time.")
        parties[str(party).lower()] = party
    return tuple(parties.values())


def _ledger(sources: Sources, directory: Directory, parties: tuple[PartyId, ...]) -> LedgerConfig:
    document, path = sources.document, ("ledger",)
    cutover = _cutover.cutover(sources, directory, parties)
    table, url = None, ""
    if "ledger" not in document.table:
        document.refusal("toml.missing", path, "this table is needed.")
    else:
        table = structured(document, path, document.table["ledger"], LedgerTable)
    if table is not None:
        url = _url(sources, table)
        if table.retention_days < 0:
            document.refusal("toml.value", ("ledger", "retention_days"), "give days, 0 or more.")
        elif cutover is not None and table.retention_days < cutover.quiet_days:
            why = "as cutover.quiet_days says: until then a reply counts."
            document.refusal("toml.value", ("ledger", "retention_days"), f"give {cutover.quiet_days} or more, {why}")
    table = table or LedgerTable()
    return LedgerConfig(
        directory=directory,
        parties=parties,
        url=url,
        retention_days=table.retention_days,
        cutover=cutover,
        transaction_timeout=table.transaction_timeout,
    )


def _url(sources: Sources, table: LedgerTable) -> str:
    """Give the ledger's URL, its file absolute."""
    document = sources.document
    if document.refused(("ledger",), "url", "url_env"):
        return ""
    if (table.url is None) == (table.url_env is None):
        document.refusal("toml.value", ("ledger",), "give url or url_env.")
        return ""
    path = ("ledger", "url" if table.url_env is None else "url_env")
    text = table.url if table.url_env is None else sources.variable(path, table.url_env)
    if text is None:
        return ""
    try:
        url = check_url(text)
    except LedgerError as error:
        document.refusal("config.url", path, error.advice)
        return ""
    if table.url_env is None and (url.password is not None or SECRETS & set(map(str.lower, url.query))):
        message = (
            'a password does not belong in this file; put the URL into the environment, and give url_env = "NAME".'
        )
        document.refusal("config.secret", path, message)
    if url.drivername == "sqlite":
        url = url.set(database=str(sources.path(url.database or "")))
    return url.render_as_string(hide_password=False)


# ── outboxes, timing ─────────────────────────────────────────────────────────


def _outboxes(sources: Sources, directory: Directory) -> tuple[Outbox, ...]:
    document = sources.document
    owners: dict[str, int] = {}
    made: list[Outbox] = []
    for number, (path, entry) in enumerate(document.tables("outbox")):
        table = structured(document, path, entry, OutboxTable)
        if table is None:
            continue
        made.append(_servers.outbox(sources, path, table))
        if document.refused(path, "systems"):
            # None of its own is not every system.
            continue
        for at, text in enumerate(table.systems or [system.name for system in directory]):
            place: _lines.Path = (*path, "systems", at) if table.systems else path
            name = _systems.named(document, directory, place, text)
            if name is not None and owners.setdefault(name, number) != number:
                message = f"{name} is in outbox[{owners[name]}] too; its declarations would go either way."
                document.refusal("config.twice", place, message)
    return tuple(made)


def _timing(document: Document) -> Timing:
    table = structured(document, ("timing",), document.table.get("timing", {}), TimingTable) or TimingTable()
    return document.made(
        ("timing",),
        lambda: Timing(
            poll=table.poll,
            lease=table.lease,
            grace=table.grace,
            again=table.again,
            redeliver=table.redeliver,
            delivery=table.delivery,
            rest=table.rest,
            rest_login=table.rest_login,
        ),
        Timing(),
    )
