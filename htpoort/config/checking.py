"""
Check everything that a configuration names before an agent runs on it: ledger, clock, disks, servers, deliveries.

Never does: send or fetch a message, create a ledger, or stop at the first thing that is wrong.
"""

from __future__ import annotations

import asyncio
import enum
import errno
import os
import socket
import tempfile
from collections.abc import Callable, Coroutine, Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, final

import attrs

from htpoort._aio import run_in_thread
from htpoort.agent import DeclarationFiles, DeclarationFolder, Pop3Inbox
from htpoort.config.configuration import AgentConfig, MissingSecrets, shown_delivery
from htpoort.core.errors import HtpoortError, InputError, LedgerError
from htpoort.core.text import one_line
from htpoort.delivery import CommandDelivery, Delivery, DirectoryDelivery, MaildirDelivery, SelfTestingDelivery
from htpoort.ledger import Ledger, Reply, check_url
from htpoort.transport import (
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

__all__ = ["SILENCE", "Finding", "Verdict", "check", "free_space"]

SILENCE: Final = timedelta(hours=24)
"""If nothing came in for so long while declarations wait for a reply, something is probably wrong."""
_SERVER_DAYS: Final = 14  # left of a server's certificate; its operator renews it
_OWN_DAYS: Final = 30  # left of our own certificate
_CLOCK_TOLERANCE: Final = timedelta(minutes=2)
_SCARCE: Final = 1024**3  # octets; below, a warning
_FULL: Final = 50 * 1024**2
_FEW_FILES: Final = 10_000  # that a disk can still take
_TEST_TIMEOUT: Final = 10.0  # seconds; a disk may hang
_NONE_MISSING: Final = MissingSecrets()
_EPOCH: Final = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


class Verdict(enum.Enum):
    """What a check found."""

    OK = "ok"
    """It works."""
    WARNING = "warning"
    """The agent runs, but a person should look at it."""
    WRONG = "wrong"
    """It does not work."""


@final
@attrs.frozen(kw_only=True)
class Finding:
    """
    What one check found.

    Args:
        part: What was checked, such as ``ledger``, ``outbox[0]`` or ``delivery DMS``.
        check: Which check: ``file``, ``open``, ``clock``, ``traffic``, ``paused``, ``space``, ``missing``, ``write``,
            ``refused``, ``left-alone``, ``listen``, ``certificate``, or a step of a server, such as ``login``.
        verdict: Whether it works.
        message: What was found, in sentences.
        advice: What to do, in sentences; empty if there is nothing to do.
    """

    part: str
    check: str
    verdict: Verdict
    message: str
    advice: str = ""


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

    In each folder, a hidden file is written and removed. Each server gets one login, and is asked for an answer.

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
    async with asyncio.TaskGroup() as group:
        parts = _parts(config, missing, at=at, silence=silence)
        for task in [group.create_task(part) for part in parts]:
            for finding in await task:
                report(finding)
                found.append(finding)
    return tuple(found)


def _parts(
    config: AgentConfig, missing: MissingSecrets, *, at: datetime, silence: timedelta
) -> Iterator[Coroutine[None, None, list[Finding]]]:
    """List the checks; they run at the same time."""
    yield _in_thread(lambda: _ledger(config, at, silence))
    yield _in_thread(lambda: [free_space(places, folder) for folder, places in _disks(config).items()])
    yield _in_thread(lambda: list(_gaps(config)))
    for number, outbox in enumerate(config.outboxes):
        yield _server(f"outbox[{number}]", outbox.server, at, missing)
    pop3 = [inbox.server for inbox in config.inboxes if isinstance(inbox, Pop3Inbox)]
    for number, account in enumerate(pop3):
        yield _server(f"pop3[{number}]", account, at, missing)
    smtp = [inbox for inbox in config.inboxes if isinstance(inbox, SmtpInbox)]
    for number, inbox in enumerate(smtp):
        yield _listener(f"smtp[{number}]", inbox, at, missing)
    for system, delivery in config.deliveries.items():
        yield _delivery(f"delivery {system}", system, delivery)
    for (system, party), delivery in config.party_deliveries.items():
        yield _delivery(f"delivery {system} for {party}", system, delivery)
    for number, folder in enumerate(config.folders):
        yield _folder(f"folder[{number}]", folder)


async def _in_thread(work: Callable[[], list[Finding]]) -> list[Finding]:
    return await run_in_thread(work)


def _ok(part: str, which: str, message: str) -> Finding:
    return Finding(part=part, check=which, verdict=Verdict.OK, message=message)


def _warning(part: str, which: str, message: str, advice: str) -> Finding:
    return Finding(part=part, check=which, verdict=Verdict.WARNING, message=message, advice=advice)


def _wrong(part: str, which: str, message: str, advice: str) -> Finding:
    return Finding(part=part, check=which, verdict=Verdict.WRONG, message=message, advice=advice)


# ── the ledger, and what it knows ────────────────────────────────────────────


def _ledger(config: AgentConfig, at: datetime, silence: timedelta) -> list[Finding]:
    settings = config.ledger
    file = _ledger_file(config)
    if file is not None and file.parent.is_dir() and not file.exists():
        advice = f"htpoort run creates an empty one. If there should be one, check url in [ledger] of {settings.file}."
        return [_warning("ledger", "open", f"There is no ledger {file}.", advice)]
    try:
        with settings.open(create=False) as ledger:
            # Deletes nothing: no server can be due since then. It fails if the ledger cannot be written.
            ledger.servers.clear_pauses(due_before=_EPOCH)
            return [
                _ok("ledger", "open", f"{ledger.location} can be read and written."),
                _clock(ledger, at),
                *_traffic(ledger, at, silence),
                *_paused(ledger),
            ]
    except LedgerError as error:
        message = f"The ledger {error.location} cannot be {error.operation}."
        return [_wrong("ledger", "open", message, error.advice)]


def _ledger_file(config: AgentConfig) -> Path | None:
    """Return the file of the ledger; None on a server."""
    url = check_url(config.ledger.url)
    return Path(url.database or "") if url.drivername == "sqlite" else None


def _clock(ledger: Ledger, at: datetime) -> Finding:
    """Compare the clock with the newest record of the ledger."""
    newest = ledger.newest_entry()
    if newest is None or newest.at <= at + _CLOCK_TOLERANCE:
        last = "" if newest is None else f"; the newest record of the ledger is from {_shown(newest.at)}"
        return _ok("ledger", "clock", f"It is {_shown(at)}{last}.")
    message = f"It is {_shown(at)}, but the newest record of the ledger is from {_shown(newest.at)}."
    advice = "The clock of this machine is slow, or was fast when that was written, on this machine or another; set it."
    return _wrong("ledger", "clock", message, advice)


def _traffic(ledger: Ledger, at: datetime, silence: timedelta) -> list[Finding]:
    """Warn if nothing came in for long while declarations wait for a reply."""
    hours = silence.total_seconds() / 3600
    oldest = next(ledger.exchanges.unanswered(before=at - silence), None)
    if oldest is None:
        return [_ok("ledger", "traffic", f"No declaration has waited {hours:g} hours for a reply.")]
    if (last := ledger.last_received(after=at - silence)) is not None:
        return [_ok("ledger", "traffic", f"The last message came in at {_shown(last)}.")]
    reference, party = oldest.exchange.reference, oldest.exchange.party
    message = (
        f"Nothing came in for {hours:g} hours, though {reference} of {party} has waited for a reply since "
        f"{_shown(oldest.since)}."
    )
    advice = "See htpoort unanswered; check where replies arrive, and whether Customs has a disruption."
    return [_warning("ledger", "traffic", message, advice)]


def _paused(ledger: Ledger) -> list[Finding]:
    """List the servers that an agent leaves alone."""
    return [
        _warning("ledger", "paused", f"{pause.name} has been paused since {_shown(pause.since)}: {pause.why}", "")
        for pause in ledger.servers.paused()
    ]


def _shown(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")


# ── disks ────────────────────────────────────────────────────────────────────


def _disks(config: AgentConfig) -> dict[Path, list[str]]:
    """Find a folder of each disk that something is written to, and what is written there."""
    places: list[tuple[str, Path]] = []
    if (file := _ledger_file(config)) is not None:
        places.append(("ledger", file.parent))
    deliveries = {f"delivery {system}": delivery for system, delivery in config.deliveries.items()}
    deliveries |= {f"delivery {system} for {party}": to for (system, party), to in config.party_deliveries.items()}
    for name, delivery in deliveries.items():
        if isinstance(delivery, MaildirDelivery):
            places.append((name, Path(delivery.path)))
        elif isinstance(delivery, DirectoryDelivery):
            # Without its placeholders: what is below does not exist before the first reply.
            places.append((name, Path(str(delivery.path).partition("{")[0])))
        elif isinstance(delivery, CommandDelivery):
            places.append((name, Path(tempfile.gettempdir())))
    places += [(f"folder[{number}]", folder.path) for number, folder in enumerate(config.folders)]
    disks: dict[int, Path] = {}
    found: dict[Path, list[str]] = {}
    for name, place in places:
        if (folder := _existing(place)) is not None:
            found.setdefault(disks.setdefault(folder.stat().st_dev, folder), []).append(name)
    return found


def _existing(folder: Path) -> Path | None:
    """Find the nearest folder that exists; None if that cannot be seen."""
    try:
        return next((place for place in (folder, *folder.parents) if place.is_dir()), None)
    except OSError:
        return None


def free_space(parts: Iterable[str], folder: Path, *, scarce: int = _SCARCE, full: int = _FULL) -> Finding:
    """
    Check the space that is left on a disk.

    Args:
        parts: What is written there.
        folder: A folder on the disk.
        scarce: Warn if fewer octets are left.
        full: The disk counts as full if fewer octets are left.

    Returns:
        The finding.
    """
    which = ", ".join(parts)
    try:
        disk = os.statvfs(folder)
    except OSError as error:
        return _wrong("disk", "space", f"{folder} ({which}): {error.strerror}.", "Check that the disk is mounted.")
    left = disk.f_bavail * disk.f_frsize
    message = f"{left / 1024**3:.1f} GiB are free on the disk of {folder} ({which})."
    advice = "Make room: on a full disk nothing is sent, received or delivered."
    if left < full:
        return _wrong("disk", "space", message, advice)
    if left < scarce:
        return _warning("disk", "space", message, advice)
    # A file system without a limit has 0 files.
    if disk.f_files and disk.f_favail < _FEW_FILES:
        message = f"The disk of {folder} ({which}) can take {disk.f_favail} more files."
        return _warning("disk", "space", message, "Remove files, such as replies that were processed.")
    return _ok("disk", "space", message)


# ── what is missing ──────────────────────────────────────────────────────────


def _gaps(config: AgentConfig) -> Iterator[Finding]:
    """Warn of what a configuration leaves out."""
    if not config.outboxes:
        yield _warning("outbox", "missing", "There is no [[outbox]], so nothing is sent.", "Add one, if that is wrong.")
    if not config.inboxes:
        message = "There is neither [[pop3]] nor [[smtp]], so no reply comes in."
        yield _warning("pop3", "missing", message, "Add one, if that is wrong.")
    known = [system.name for system in config.ledger.directory]
    for outbox in config.outboxes:
        for system in outbox.systems or known:
            name = config.ledger.directory.system(system).name
            parties = {party for of, party in config.party_deliveries if of == name}
            if name not in config.deliveries and parties != set(map(str, config.ledger.parties)):
                message = f"Declarations to {name} are sent, but its replies are only stored: it has no [[delivery]]."
                advice = f'Add a [[delivery]] with system = "{name}", or leave {name} out of systems of the [[outbox]].'
                yield _warning(f"delivery {name}", "missing", message, advice)


# ── servers ──────────────────────────────────────────────────────────────────


async def _server(part: str, server: SmtpServer | Pop3Account, at: datetime, missing: MissingSecrets) -> list[Finding]:
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
            make = _warning if step.passing else _wrong
            found.append(make(part, step.step.value, message, step.advice))
            continue
        if step.certificate is not None:
            found.append(_server_certificate(part, message, step.certificate.end, at))
            continue
        found.append(_ok(part, step.step.value, message))
    if found[-1].verdict is Verdict.WRONG:
        return found
    if no_tls:
        advice = "Mend what is wrong with its certificates, and check again."
        found.append(_warning(part, ProbeStep.TLS.value, "TLS was not tried, and no login.", advice))
    elif no_login:
        advice = "Mend what is wrong with its password, and check again."
        found.append(_warning(part, ProbeStep.LOGIN.value, "The login was not tried.", advice))
    return found


def _server_certificate(part: str, message: str, end: datetime, at: datetime) -> Finding:
    days = (end - at).days
    message = f"{message[:-1]}, {days} days left, until {_shown(end)}."
    if days < _SERVER_DAYS:
        return _warning(part, ProbeStep.TLS.value, message, "Ask the operator of the server when it will be renewed.")
    return _ok(part, ProbeStep.TLS.value, message)


def _own_certificate(part: str, end: datetime | None, at: datetime, name: str) -> Finding:
    if end is None:
        return _warning(part, "certificate", f"It cannot be read when {name} ends.", "Check the file.")
    days = (end - at).days
    message = f"{name} has {days} days left, until {_shown(end)}."
    if end <= at:
        return _wrong(part, "certificate", f"{name} ended at {_shown(end)}.", "Renew it; no restart is needed.")
    if days < _OWN_DAYS:
        return _warning(part, "certificate", message, "Renew it; no restart is needed.")
    return _ok(part, "certificate", message)


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
        return _wrong(part, "listen", f"{place}: {hosts.error_reason(error)}.", advice)
    return _ok(part, "listen", f"{place} is free; an agent can listen there.")


async def _in_use(part: str, inbox: SmtpInbox) -> Finding:
    """Read the greeting of what listens: it may be the agent of this configuration."""
    place = f"{inbox.host}:{inbox.port}"
    greeting = b""
    try:
        async with asyncio.timeout(_TEST_TIMEOUT):
            reader, writer = await asyncio.open_connection(inbox.host, inbox.port)
            greeting = await reader.readline()
            writer.close()
    except (OSError, ValueError):
        pass
    if greeting.split()[:2] == [b"220", inbox.hostname.encode()]:
        return _ok(part, "listen", f"An agent listens at {place}.")
    advice = "If that is not the agent of this configuration, stop it, or give another port."
    return _warning(part, "listen", f"Another program listens at {place}.", advice)


# ── folders ──────────────────────────────────────────────────────────────────


async def _delivery(part: str, system: str, delivery: Delivery[Reply]) -> list[Finding]:
    target: object = delivery
    if not isinstance(target, SelfTestingDelivery):
        return []
    try:
        async with asyncio.timeout(_TEST_TIMEOUT):
            await target.self_test(system)
    except InputError as error:
        return [_wrong(part, "write", one_line(problem.message), "") for problem in error.problems]
    except (HtpoortError, OSError) as error:
        why = one_line(str(error)) or f"It took more than {_TEST_TIMEOUT:g} s."
        return [_wrong(part, "write", why, "Check the disk.")]
    return [_ok(part, "write", f"Replies can be delivered: {shown_delivery(delivery)}.")]


async def _folder(part: str, folder: DeclarationFolder) -> list[Finding]:
    files = DeclarationFiles(folder)
    try:
        async with asyncio.timeout(_TEST_TIMEOUT):
            await run_in_thread(files.self_test)
            content = await run_in_thread(files.content)
    except OSError as error:
        if isinstance(error, FileNotFoundError):
            return [_wrong(part, "write", f"There is no folder {folder.path}.", "Create it.")]
        why = error.strerror or f"It took more than {_TEST_TIMEOUT:g} s"
        advice = "It must exist, be writable for this user, and be on one file system with its folders sent and bad."
        return [_wrong(part, "write", f"{folder.path}: {why}.", advice)]
    found = [_ok(part, "write", f"{folder.path} can be used; files that wait in it: {len(content.waiting)}.")]
    if content.refused:
        message = f"Files that were refused, and are in {folder.path / 'bad'}: {len(content.refused)}."
        advice = "The reason is beside each; correct them and move them back, or remove them."
        found.append(_warning(part, "refused", message, advice))
    if content.others:
        # Also what was just written: a person who checks wants to know it before it is too late.
        message = f"{': '.join(files.left_alone_in_words(sorted(content.others)))}."
        advice = "Rename what is to be sent, and move everything else away."
        found.append(_warning(part, "left-alone", message, advice))
    return found
