"""
Check everything that a configuration names before an agent runs on it: ledger, clock, disks, servers, deliveries.

Never does: send or fetch a message, create a ledger, or stop at the first thing that is wrong.
"""

from __future__ import annotations

import asyncio
import errno
import os
import shlex
import socket
from collections.abc import Callable, Coroutine, Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

import attrs

from htpoort import _clock
from htpoort._aio import cancel_all, run_in_thread
from htpoort.agent import Pop3Inbox
from htpoort.config.configuration import AgentConfig, MissingSecrets
from htpoort.config.disk_checks import (
    TEST_TIMEOUT,
    Finding,
    Verdict,
    disks,
    free_space,
    ledger_file,
    ok,
    other_owner,
    try_delivery,
    try_folder,
    warning,
    wrong,
)
from htpoort.core.cutover import day_of
from htpoort.core.errors import LedgerError
from htpoort.core.text import one_line
from htpoort.ledger import Ledger
from htpoort.transport import (
    FtpsAccount,
    Pop3Account,
    ProbeStep,
    SmtpInbox,
    SmtpServer,
    TlsSettings,
    certificate_end,
    hosts,
    probe,
    served_certificate,
)

__all__ = ["SILENCE", "check"]

SILENCE: Final = timedelta(hours=24)
"""If nothing came in for so long while declarations wait for a reply, something is probably wrong."""
_SERVER_DAYS: Final = 14  # left of a server's certificate; its operator renews it
_OWN_DAYS: Final = 30  # left of our own certificate
_COUNTED: Final = 1_000  # days that are counted; of what is valid for longer, the date says more
_CLOCK_TOLERANCE: Final = timedelta(minutes=2)
_NONE_MISSING: Final = MissingSecrets()
_EPOCH: Final = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


async def check(
    config: AgentConfig,
    *,
    at: datetime,
    silence: timedelta = SILENCE,
    missing: MissingSecrets = _NONE_MISSING,
    report: Callable[[Finding], object] = lambda _: None,
) -> tuple[Finding, ...]:
    """
    Check everything that a configuration names; nothing is sent or fetched.

    In each folder, a hidden file is written and removed; no folder is created that stays. Each server gets one
    login, and is asked for an answer.

    Args:
        config: The configuration, from `read_agent`.
        at: Now, aware.
        silence: Warn if nothing came in for so long while declarations wait for a reply.
        missing: What `read_agent_in_part` could not read: without its password no login is tried, and without its
            certificates no TLS.
        report: Called with each finding as soon as it and all before it are there.

    Returns:
        Every finding, in a fixed order.
    """
    found: list[Finding] = []
    tasks = [asyncio.create_task(part) for part in _parts(config, missing, at=at, silence=silence)]
    try:
        for task in tasks:
            for finding in await task:
                # A group of tasks would wrap what it raises, such as that the reader of a pipe is gone.
                report(finding)
                found.append(finding)
    finally:
        await cancel_all(tasks)
    return tuple(found)


def _parts(
    config: AgentConfig, missing: MissingSecrets, *, at: datetime, silence: timedelta
) -> Iterator[Coroutine[None, None, list[Finding]]]:
    """List the checks; they run at the same time."""
    yield _in_thread(lambda: _ledger(config, at, silence))
    yield _in_thread(lambda: [free_space(places, folder) for folder, places in disks(config).items()])
    yield _in_thread(lambda: [*_gaps(config), *_closed(config, day_of(at))])
    yield _in_thread(lambda: other_owner(config, user=os.geteuid(), writes_all=os.geteuid() == 0))
    for number, outbox in enumerate(config.outboxes):
        yield _server(f"outbox[{number}]", outbox.server, at, missing)
    pop3 = [inbox.server for inbox in config.inboxes if isinstance(inbox, Pop3Inbox)]
    for number, account in enumerate(pop3):
        yield _server(f"pop3[{number}]", account, at, missing)
    smtp = [inbox for inbox in config.inboxes if isinstance(inbox, SmtpInbox)]
    for number, inbox in enumerate(smtp):
        yield _listener(f"smtp[{number}]", inbox, at, missing)
    for number, gateway in enumerate(config.gateways):
        yield _server(f"gateway[{number}]", gateway.server, at, missing)
    for system, delivery in config.deliveries.items():
        yield try_delivery(f"delivery {system}", system, delivery)
    for (system, party), delivery in config.party_deliveries.items():
        yield try_delivery(f"delivery {system} for {party}", system, delivery)
    for number, folder in enumerate(config.folders):
        yield try_folder(f"folder[{number}]", folder)


async def _in_thread(work: Callable[[], list[Finding]]) -> list[Finding]:
    return await run_in_thread(work)


# ── the ledger, and what it knows ────────────────────────────────────────────


def _ledger(config: AgentConfig, at: datetime, silence: timedelta) -> list[Finding]:
    settings = config.ledger
    file = ledger_file(config)
    absent = f"htpoort run creates an empty one. If there should be one, [ledger] of {settings.file} has the wrong url."
    if file is not None and file.parent.is_dir() and not file.exists():
        return [warning("ledger", "open", f"The ledger {file} does not exist.", absent)]
    try:
        with settings.open(create=False) as ledger:
            # Deletes nothing: no server can be due since then. It fails if the ledger cannot be written.
            ledger.servers.clear_pauses(due_before=_EPOCH)
            return [
                ok("ledger", "open", f"{ledger.location} can be read and written."),
                _time(ledger, at),
                *_traffic(ledger, at, silence),
                *_paused(ledger),
            ]
    except LedgerError as error:
        if error.is_missing and file is None:
            # The server answered: there are no tables yet.
            return [warning("ledger", "open", f"There is no ledger at {error.location}.", absent)]
        message = f"The ledger {error.location} cannot be {error.operation}."
        return [wrong("ledger", "open", message, error.advice)]


def _time(ledger: Ledger, at: datetime) -> Finding:
    """Compare the clock with the newest record of the ledger."""
    newest = ledger.newest_entry()
    if newest is None or newest.at <= at + _CLOCK_TOLERANCE:
        last = "" if newest is None else f"; the newest record of the ledger is from {_shown(newest.at)}"
        return ok("ledger", "clock", f"It is {_shown(at)}{last}.")
    message = f"It is {_shown(at)}, but the newest record of the ledger is from {_shown(newest.at)}."
    advice = "The clock of this machine is slow, or was fast when that was written, on this machine or another; set it."
    return wrong("ledger", "clock", message, advice)


def _traffic(ledger: Ledger, at: datetime, silence: timedelta) -> list[Finding]:
    """Warn if nothing came in for long while declarations wait for a reply."""
    hours = silence.total_seconds() / 3600
    oldest = next(ledger.exchanges.unanswered(before=at - silence), None)
    if oldest is None:
        return [ok("ledger", "traffic", f"No declaration has waited {hours:g} hours for a reply.")]
    if (last := ledger.last_received(after=at - silence)) is not None:
        return [ok("ledger", "traffic", f"The last message came in at {_shown(last)}.")]
    reference, party = oldest.exchange.reference, oldest.exchange.party
    message = (
        f"Nothing came in for {hours:g} hours, though {reference} of {party} has waited for a reply since "
        f"{_shown(oldest.since)}."
    )
    advice = "See htpoort unanswered; check where replies arrive, and whether Customs has a disruption."
    return [warning("ledger", "traffic", message, advice)]


def _paused(ledger: Ledger) -> list[Finding]:
    """List the servers that an agent leaves alone."""
    return [
        warning(
            "ledger",
            "paused",
            f"{pause.name} has been paused since {_shown(pause.since)}: {pause.why.removesuffix('.')}.",
            f"When the cause is mended, htpoort resume {shlex.quote(pause.name)} lets it be tried at once.",
        )
        for pause in ledger.servers.paused()
    ]


def _shown(moment: datetime) -> str:
    return _clock.local(moment)


# ── what is missing ──────────────────────────────────────────────────────────


def _gaps(config: AgentConfig) -> Iterator[Finding]:
    """Warn of what a configuration leaves out."""
    if not config.outboxes and not any(gateway.upload for gateway in config.gateways):
        yield warning("outbox", "missing", "There is no [[outbox]], so nothing is sent.", "Add one, if that is wrong.")
    if not config.inboxes and (config.outboxes or not config.gateways):
        message = "There is neither [[pop3]] nor [[smtp]], so no reply comes in."
        yield warning("pop3", "missing", message, "Add one, if that is wrong.")
    fetched = {service.name for gateway in config.gateways if gateway.fetch for service in gateway.services}
    for gateway in config.gateways:
        for name in sorted({service.name for service in gateway.services if gateway.upload} - fetched):
            message = f"Files for {name} are uploaded, but no [[gateway]] fetches what answers them."
            yield warning(f"gateway {name}", "missing", message, "Set fetch = true in one that has this service.")
    known = [system.name for system in config.ledger.directory]
    for outbox in config.outboxes:
        for system in outbox.systems or known:
            yield from _undelivered(
                config, config.ledger.directory.system(system).name, config.ledger.parties, "outbox"
            )
    for gateway in config.gateways:
        for service in gateway.services if gateway.fetch else ():
            yield from _undelivered(config, service.name, config.ledger.users, "gateway")


def _undelivered(config: AgentConfig, name: str, parties: Iterable[object], table: str) -> Iterator[Finding]:
    """Warn of a system whose replies are only stored."""
    single = {party for of, party in config.party_deliveries if of == name}
    if name not in config.deliveries and not set(map(str, parties)) <= single:
        message = f"Declarations to {name} are sent, but its replies are only stored: it has no [[delivery]]."
        key = "systems" if table == "outbox" else "services"
        advice = f'Add a [[delivery]] with system = "{name}", or leave {name} out of {key} of the [[{table}]].'
        yield warning(f"delivery {name}", "missing", message, advice)


def _closed(config: AgentConfig, today: date) -> Iterator[Finding]:
    """Warn of declarations that go to a system that takes none any more."""
    systems = {system.name: system for system in (*config.ledger.directory, *config.ledger.services)}
    for place, name in _targets(config, today):
        system = systems.get(name) or config.ledger.directory.system(name)
        if system.closed is not None and system.closed <= today:
            message = f"{place} sends to {system.name}, which takes no new declarations since {system.closed}."
            yield warning(place, "closed", message, "Send to its successor, unless this is a test or an archive.")


def _targets(config: AgentConfig, today: date) -> Iterator[tuple[str, str]]:
    """List which part of a configuration names which system for new declarations today."""
    for number, outbox in enumerate(config.outboxes):
        yield from ((f"outbox[{number}]", name) for name in outbox.systems)
    for number, gateway in enumerate(config.gateways):
        yield from ((f"gateway[{number}]", service.name) for service in gateway.services if gateway.upload)
    for number, folder in enumerate(config.folders):
        if folder.system is not None:
            yield f"folder[{number}]", folder.system
    if config.ledger.cutover is not None:
        plan = config.ledger.cutover.plan
        names = {plan.system_for(party, on=today).name for party in config.ledger.parties}
        yield from (("cutover", name) for name in sorted(names))


# ── servers ──────────────────────────────────────────────────────────────────


async def _server(
    part: str, server: SmtpServer | Pop3Account | FtpsAccount, at: datetime, missing: MissingSecrets
) -> list[Finding]:
    """Try a server, and examine the certificates on both sides."""
    found: list[Finding] = []
    no_tls = part in missing.certificates
    no_login = no_tls or part in missing.passwords
    if no_tls:
        server = attrs.evolve(server, tls=TlsSettings(policy=server.tls.policy))
    elif server.tls.certificate is not None:
        end = await run_in_thread(certificate_end, Path(server.tls.certificate))
        found.append(_own_certificate(part, end, at, str(server.tls.certificate)))
    for step in await probe(server, log_in=not no_login):
        if no_tls and step.step not in {ProbeStep.RESOLVE, ProbeStep.CONNECT}:
            # Without its files it cannot succeed.
            break
        message = f"{one_line(step.message)}."
        if not step.succeeded:
            make = warning if step.passing else wrong
            found.append(make(part, step.step.value, message, step.advice))
            continue
        if step.certificate is not None:
            found.append(_server_certificate(part, message, step.certificate.end, at))
            continue
        found.append(ok(part, step.step.value, message))
    if found[-1].verdict is Verdict.WRONG:
        return found
    if no_tls:
        advice = "Mend what is wrong with its certificates, and check again."
        found.append(warning(part, ProbeStep.TLS.value, "TLS was not tried, and no login.", advice))
    elif no_login:
        advice = "Mend what is wrong with its password, and check again."
        found.append(warning(part, ProbeStep.LOGIN.value, "The login was not tried.", advice))
    return found


def _left(days: int, end: datetime) -> str:
    """Say how long a certificate is valid; of years, the date says more than the days."""
    if days > _COUNTED:
        return f"valid until {end.astimezone(UTC):%Y-%m-%d}"
    return f"{days} days left, until {_shown(end)}"


def _server_certificate(part: str, message: str, end: datetime, at: datetime) -> Finding:
    days = (end - at).days
    message = f"{message[:-1]}, {_left(days, end)}."
    if days < _SERVER_DAYS:
        return warning(part, ProbeStep.TLS.value, message, "Ask the operator of the server when it will be renewed.")
    return ok(part, ProbeStep.TLS.value, message)


def _own_certificate(part: str, end: datetime | None, at: datetime, name: str) -> Finding:
    if end is None:
        return warning(part, "certificate", f"It cannot be read when {name} ends.", "Check the file.")
    days = (end - at).days
    message = f"{name} has {_left(days, end)}." if days <= _COUNTED else f"{name} is {_left(days, end)}."
    if end <= at:
        return wrong(part, "certificate", f"{name} ended at {_shown(end)}.", "Renew it; no restart is needed.")
    if days < _OWN_DAYS:
        return warning(part, "certificate", message, "Renew it; no restart is needed.")
    return ok(part, "certificate", message)


async def _listener(part: str, inbox: SmtpInbox, at: datetime, missing: MissingSecrets) -> list[Finding]:
    """Check that an agent can listen, or does; and its certificate."""
    found = [await _listen(part, inbox)]
    if inbox.tls is not None and part not in missing.certificates:
        der = await run_in_thread(served_certificate, inbox.tls)
        end = None if der is None else certificate_end(der)
        found.append(_own_certificate(part, end, at, "The certificate"))
    return found


async def _listen(part: str, inbox: SmtpInbox) -> Finding:
    place = f"{inbox.host}:{inbox.port}"
    try:
        for family, address in await hosts.addresses(inbox.host, inbox.port):
            with socket.socket(family, socket.SOCK_STREAM) as listening:
                listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listening.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return await _in_use(part, inbox)
        advice = {
            errno.EACCES: "This user may not listen there; give a port from 1024 on.",
            errno.EADDRNOTAVAIL: "Give an address of this machine.",
        }.get(error.errno or 0, "Check host and port.")
        return wrong(part, "listen", f"{place}: {hosts.error_reason(error)}.", advice)
    return ok(part, "listen", f"{place} is free; an agent can listen there.")


async def _in_use(part: str, inbox: SmtpInbox) -> Finding:
    """Read the greeting of what listens: it may be the agent of this configuration."""
    place = f"{inbox.host}:{inbox.port}"
    greeting = b""
    try:
        async with asyncio.timeout(TEST_TIMEOUT):
            reader, writer = await asyncio.open_connection(inbox.host, inbox.port)
            greeting = await reader.readline()
            writer.close()
    except (OSError, ValueError):
        pass
    if greeting.split()[:2] == [b"220", inbox.hostname.encode()]:
        return ok(part, "listen", f"An agent listens at {place}.")
    advice = "If that is not the agent of this configuration, stop it, or give another port."
    return warning(part, "listen", f"Another program listens at {place}.", advice)
