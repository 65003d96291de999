"""`htpoort run` and `fetch`: run an agent, or fetch once from its POP3 mailboxes."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import importlib
import logging
import os
import signal
import sys
from collections.abc import Generator
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Final, final

import attrs
import typer

from htpoort import _clock
from htpoort._extras import how_to_install
from htpoort._log import event
from htpoort.agent import (
    Agent,
    DeclarationFiles,
    FetchReport,
    FileFetchReport,
    FileGatewaySettings,
    Pop3Inbox,
    SmtpInbox,
    fetch_files_once,
    fetch_once,
)
from htpoort.cli import _attention, _facts, _input, _output, _show
from htpoort.cli._facts import Facts
from htpoort.cli._input import CONFIG, Config, Json
from htpoort.cli._log_lines import logged
from htpoort.config import AgentConfig, MetricsConfig, read_agent
from htpoort.core.errors import LedgerError
from htpoort.core.exchange import State
from htpoort.core.files import FileRouter
from htpoort.core.routing import Quarantined
from htpoort.ledger import Claimed, Ledger

app = _input.group()

_LOG: Final = logging.getLogger("htpoort.cli")


@app.command()
def run(
    *,
    config: Config = CONFIG,
    once: Annotated[
        bool, typer.Option("--once", help="Do what is due and end; exit code 4 if something needs a person.")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Log successes too.")] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Print what was started as one line of JSON, and the log as JSON lines.")
    ] = False,
) -> None:
    """Run the agent: send what is queued, take in replies and deliver them, until SIGTERM or Ctrl-C."""
    if once:
        _output.make_optional()
        if asyncio.run(_run_once(config, as_json=json, verbose=verbose)):
            raise typer.Exit(_output.ATTENTION)
        return
    # Before anything is open, and before there is a second thread.
    _become_first_process()
    # An agent goes on working whether anyone reads what it prints or not.
    _output.make_optional()
    if asyncio.run(_run(config, as_json=json, verbose=verbose)):
        raise typer.Exit(_output.INTERRUPTED)


async def _run(path: Path, *, as_json: bool, verbose: bool) -> bool:
    """Run until a signal comes; return whether a second Ctrl-C ended it at once."""
    with _input.configured(path):
        config = read_agent(path)
    with logged(as_json=as_json, verbose=verbose), config.ledger.open() as ledger:
        _warn_if_new(ledger)
        monitoring = None if config.metrics is None else _import_monitoring()
        metrics = None if monitoring is None else monitoring.PrometheusMetrics()
        agent = config.agent(ledger, metrics=metrics)
        stopping = _Stopping(agent, config, as_json=as_json)
        with _input.listening(_addresses(config)), stopping.until_ended(ledger), contextlib.ExitStack() as answering:
            if monitoring is not None and config.metrics is not None:
                server = monitoring.MonitoringServer(
                    health=agent.troubles, metrics=metrics, **attrs.asdict(config.metrics)
                )
                port = answering.enter_context(server.running())
                config = attrs.evolve(config, metrics=attrs.evolve(config.metrics, port=port))
            async with agent:
                _started(config, ledger, agent.ports, as_json=as_json)
                await agent.wait_for_stop_request()
        return stopping.forced


def _import_monitoring() -> Any:  # noqa: ANN401 - a module
    """Import what answers `/metrics`; its library is an extra."""
    try:
        return importlib.import_module("htpoort.monitoring")
    except ModuleNotFoundError as error:
        message = f"[metrics] needs {error.name}; {how_to_install('metrics')}"
        raise _input.refusal("input.usage", message) from None


@final
class _Stopping:
    """
    Stop an agent in good order at the first signal, and at once at a second Ctrl-C.

    SIGHUP, which comes when a terminal is closed or a log was rotated, ends nothing: certificates are read anew when
    their files change, and the log goes to standard error.

    Args:
        agent: The agent, which is not entered yet.
        config: For the grace period.
        as_json: Whether standard output holds one JSON document, so that nothing may follow it.
    """

    def __init__(self, agent: Agent, config: AgentConfig, *, as_json: bool) -> None:
        self.forced = False
        """Whether a second Ctrl-C has come."""
        self._agent = agent
        self._grace = config.timing.grace
        self._as_json = as_json
        self._begun = False
        self._sending: tuple[Claimed, ...] = ()
        self._task = asyncio.current_task()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop, number)
        loop.add_signal_handler(signal.SIGHUP, _log_hangup)

    @contextlib.contextmanager
    def until_ended(self, ledger: Ledger) -> Generator[None]:
        """Run the agent in this block; if it was ended at once, log what is left unknown."""
        try:
            yield
        except asyncio.CancelledError:
            if not self.forced:
                raise
            unknown = [claimed for claimed in self._sending if _is_unknown(ledger, claimed)]
            for claimed in unknown:
                _LOG.warning(
                    "Left unknown: the declaration to %s of %s under %s; the server may have accepted it. It is not "
                    "sent again until a reply or htpoort resolve %s settles it",
                    *(claimed.system, claimed.party, claimed.reference, claimed.reference),
                    extra=event("declaration.unknown", of=claimed, why="the agent was ended at once"),
                )
            if not unknown:
                _LOG.warning("Ended at once; no declaration is left unknown", extra=event("agent.ended-at-once"))

    def _stop(self, number: int) -> None:
        if not self._begun:
            self._begun = True
            self._agent.stop()
            self._report()
        elif number == signal.SIGINT:
            if self.forced:
                os._exit(_output.INTERRUPTED)  # what is being sent becomes unknown when the next agent starts
            self.forced, self._sending = True, self._agent.sending
            if self._task is not None:
                self._task.cancel()

    def _report(self) -> None:
        """Report what the agent waits for before it ends."""
        counts = {"being sent": len(self._agent.sending), "being delivered": self._agent.delivering}
        work = " and ".join(f"{number} {what}" for what, number in counts.items() if number)
        text = "Stopping."
        if work:
            seconds = f"{self._grace.total_seconds():g} seconds"
            text = f"Stopping: waiting up to {seconds} for what is in progress ({work}). Ctrl-C again ends at once."
        if self._as_json:
            _LOG.info(
                text,
                extra=event("agent.stopping", sending=len(self._agent.sending), delivering=self._agent.delivering),
            )
        else:
            _show.line(text)


def _log_hangup() -> None:
    text = "SIGHUP: the agent goes on; it reads new certificates itself"
    _LOG.info(text, extra=event("agent.hangup"))


def _is_unknown(ledger: Ledger, claimed: Claimed) -> bool:
    """Return whether the server may have accepted a declaration, as far as the ledger knows."""
    try:
        exchange = ledger.exchanges.find(claimed.reference, party=claimed.party)
    except LedgerError:
        return True
    return exchange is None or exchange.state in {State.UNKNOWN, State.SENDING}


async def _run_once(path: Path, *, as_json: bool, verbose: bool) -> bool:
    """Do what is due; return whether something needs a person."""
    with _input.configured(path):
        config = read_agent(path)
    smtp = [f"{inbox.host}:{inbox.port}" for inbox in config.inboxes if isinstance(inbox, SmtpInbox)]
    pop3 = tuple(inbox for inbox in config.inboxes if isinstance(inbox, Pop3Inbox))
    with logged(as_json=as_json, verbose=verbose, once=True), config.ledger.open() as ledger:
        _warn_if_new(ledger)
        if smtp:
            # A mail server tries for days; a port that is open for a second would only look broken.
            text = "With --once, replies are not received at %s; run without it for that"
            _LOG.warning(text, ", ".join(smtp), extra=event("inbox.not-opened", addresses=smtp))
        agent = attrs.evolve(config, inboxes=pop3).agent(ledger, keep_pauses=True)
        stopping = _Stopping(agent, config, as_json=as_json)
        with stopping.until_ended(ledger):
            async with agent:
                await agent.wait_until_idle()
        if stopping.forced:
            raise typer.Exit(_output.INTERRUPTED)
        facts = _left_for_a_person(config, ledger)
        let_go = _waiting_for_their_turn(ledger)
    if as_json:
        _show.json_line({**facts, "let_go": let_go}, at_once=True)
    else:
        for held in let_go:
            _show.line(
                f"Still held for {held['system']}: {held['number']}, let go by "
                f"{_show.local(held['by'])}; the next htpoort run --once sends those whose turn it is by then"
            )
        for file, reason, why in _refused(config):
            _show.line(_show.printable(f"{file} was refused: {why} The reason is in {reason}"))
        for one in facts["attention"]:
            for line in _attention.in_words(one):
                _show.line(line)
    return any(facts.values())


def _warn_if_new(ledger: Ledger) -> None:
    """Report a ledger that was created, because an empty one may have taken the place of another."""
    if ledger.new:
        _LOG.warning(
            "There was no ledger at %s, so a new, empty one was created. If there should have been one, stop this "
            "agent and check the url in [ledger].",
            ledger.location,
            extra=event("ledger.new", ledger=ledger.location),
        )


def _left_for_a_person(config: AgentConfig, ledger: Ledger) -> Facts:
    """Count what goes on only when a person has decided or mended something."""
    now, paused = _clock.now(), ledger.servers.paused()
    facts = _facts.status(ledger, paused)
    states = [(State(state), number) for of in facts["exchanges"].values() for state, number in of.items()]
    folders = [_attention.Folder.read(folder) for folder in config.folders]
    of_ledger = _attention.of_ledger(config, ledger, facts, paused, now, patience=timedelta(0))
    return {
        "needs_attention": sum(number for state, number in states if state.needs_attention),
        "quarantined": facts["quarantined"],
        "undelivered": sum(facts["undelivered"].values()),
        "paused": [pause.name for pause in paused],
        "refused_files": [str(file) for file, _, _ in _refused(config)],
        "attention": [*of_ledger, *(one for folder in folders for one in folder.attention_after_run(now))],
    }


def _waiting_for_their_turn(ledger: Ledger) -> list[Facts]:
    """List what a window held that is let go later, so that not all of it is sent at its end."""
    review = ledger.windows.review([held.system for held in ledger.windows.held()], at=_clock.now())
    return [
        {"system": system, "number": release.waiting, "by": _facts.moment(release.by)}
        for system, release in review.to_release.items()
        if release.waiting and release.by is not None
    ]


def _refused(config: AgentConfig) -> list[tuple[Path, Path, str]]:
    """List the files that were refused, each with the file of the reason, and the reason."""
    return [
        (folder.path / name, files.reason_file(name), files.reason(name))
        for folder, files in ((folder, DeclarationFiles(folder)) for folder in config.folders)
        for name in files.refused()
    ]


def _addresses(config: AgentConfig) -> dict[str, tuple[str, str]]:
    """Name the keys of the file for each address that the agent listens on."""
    smtp = (inbox for inbox in config.inboxes if isinstance(inbox, SmtpInbox))
    file = config.ledger.file
    addresses = {
        f"{inbox.host}:{inbox.port}": (f"{file}: smtp[{number}].port", f"{file}: smtp[{number}].host")
        for number, inbox in enumerate(smtp)
    }
    if config.metrics is not None:
        address = f"{config.metrics.host}:{config.metrics.port}"
        addresses[address] = (f"{file}: metrics.port", f"{file}: metrics.host")
    return addresses


def _started(config: AgentConfig, ledger: Ledger, ports: tuple[int, ...], *, as_json: bool) -> None:
    """Print where the agent listens, fetches, sends and delivers."""
    smtp = [inbox for inbox in config.inboxes if isinstance(inbox, SmtpInbox)]
    facts: dict[str, list[str]] = {
        "smtp": [f"{inbox.host}:{port}" for inbox, port in zip(smtp, ports, strict=True)],
        "pop3": [inbox.server.label for inbox in config.inboxes if isinstance(inbox, Pop3Inbox)],
        "outbox": [f"{outbox.server.host}:{outbox.server.port}" for outbox in config.outboxes],
        "gateway": [_use_of(gateway) for gateway in config.gateways],
        "folder": [str(folder.path) for folder in config.folders],
        "delivery": [*config.deliveries, *(f"{system} for {party}" for system, party in config.party_deliveries)],
        "metrics": [] if config.metrics is None else [_address(config.metrics)],
    }
    missing = _missing(config)
    if as_json:
        # A line, because collectors of logs read lines.
        _show.json_line({"ledger": ledger.location, **facts, "missing": missing}, at_once=True)
        return
    _show.rows({
        "ledger": ledger.location,
        **{name: ", ".join(values) or None for name, values in facts.items()},
        "missing": [{"message": message} for message in missing],
    })
    _show.line("Stop with Ctrl-C.")


def _use_of(gateway: FileGatewaySettings) -> str:
    """Name a file gateway, and say what it is used for if that is not all."""
    label = gateway.server.label
    return label if gateway.upload and gateway.fetch else f"{label} ({'upload' if gateway.upload else 'fetch'} only)"


def _address(metrics: MetricsConfig) -> str:
    host = f"[{metrics.host}]" if ":" in metrics.host else metrics.host
    return f"http://{host}:{metrics.port}/"


def _missing(config: AgentConfig) -> list[str]:
    """List what the agent does not do, because the configuration lacks a table for it."""
    uploaded = {service.name.lower() for gateway in config.gateways if gateway.upload for service in gateway.services}
    sent = {name.lower() for outbox in config.outboxes for name in outbox.systems} | uploaded
    delivered = {name.lower() for name in (*config.deliveries, *(system for system, _ in config.party_deliveries))}
    named = sent | delivered | {folder.system.lower() for folder in config.folders if folder.system is not None}
    known = (*config.ledger.directory, *config.ledger.services)
    systems = [system.name for system in known if system.name.lower() in named]
    for_all = any(not outbox.systems for outbox in config.outboxes)
    missing: list[str] = []
    if not config.outboxes and not uploaded:
        missing.append("no [[outbox]]: no declaration is sent")
    elif not for_all:
        missing += [
            f"no [[outbox]] for {name}: declarations to it wait" for name in systems if name.lower() not in sent
        ]
    if not config.inboxes and not any(gateway.fetch for gateway in config.gateways):
        missing.append("no [[smtp]] and no [[pop3]]: no reply comes in")
    if not delivered:
        missing.append("no [[delivery]]: replies are stored, and wait")
    else:
        missing += [
            f"no [[delivery]] for {name}: its replies are stored, and wait"
            for name in systems
            if name.lower() not in delivered
        ]
    return missing


@app.command()
def fetch(*, config: Config = CONFIG, json: Json = False) -> None:
    """Fetch once from every POP3 mailbox and file gateway, and store it; exit code 1 if one could not be read."""
    reports = asyncio.run(_fetch(config))
    _output.mark_committed()
    if json:
        _show.as_json(reports)
    else:
        for report in reports:
            user, _, place = report["account"].rpartition("@")
            _show.rows({**report, "account": f"{place} as {user}"})
        if not reports:
            _show.line(f"There is no [[pop3]] in {config}; nothing was fetched.")
    if any(report["error"] is not None for report in reports):
        raise typer.Exit(_output.FAILED)


async def _fetch(path: Path) -> list[Facts]:
    with _input.configured(path):
        config = read_agent(path)
    inboxes = [inbox for inbox in config.inboxes if isinstance(inbox, Pop3Inbox)]
    gateways = [gateway for gateway in config.gateways if gateway.fetch]
    with config.ledger.open() as ledger:
        router = config.ledger.router()
        # At the same time, so that a server that hangs does not delay the others.
        mails, files = await asyncio.gather(
            asyncio.gather(*(fetch_once(ledger, router, inbox.server) for inbox in inboxes)),
            asyncio.gather(*(_fetch_files(ledger, gateway) for gateway in gateways)),
        )
    return [*map(_report_facts, mails), *map(_report_facts, files)]


async def _fetch_files(ledger: Ledger, gateway: FileGatewaySettings) -> FileFetchReport:
    files = FileRouter(services=gateway.services, user=gateway.user)
    return await fetch_files_once(ledger, files, gateway.server)


def _report_facts(report: FetchReport | FileFetchReport) -> Facts:
    """Count the mails of a mailbox, or files of a gateway; a copy of one in quarantine does not count as one more."""
    new = [one for one in report.stored if not one.repeated]
    problems = [problem.message for problem in (*report.problems, *(one.problem for one in report.left))]
    if report.more:
        things = "mails" if isinstance(report, FetchReport) else "files"
        problems.append(f"{report.more} more {things} are waiting; fetch again.")
    return {
        "account": report.account,
        "fetched": len(report.stored),
        "new": len(new),
        "copies": len(report.stored) - len(new),
        "quarantined": sum(isinstance(one.routing, Quarantined) for one in new),
        "error": None if report.error is None else str(report.error),
        "problems": [{"message": message} for message in problems],
    }


# ── process 1 ────────────────────────────────────────────────────────────────

_PASSED_ON: Final = frozenset({
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
})
_WAITED_FOR: Final = _PASSED_ON | {signal.SIGCHLD}
_KILLED: Final = 128  # a shell's exit code for a signal, to which its number is added
_SET_DEATH_SIGNAL: Final = 1  # of prctl(2)
_GET_SUBREAPER: Final = 37


def _become_first_process() -> None:
    """
    In a container, as process 1: run the agent in a child process, and pass signals and its exit code on.

    Process 1 inherits the processes that delivery commands leave behind, and must wait for each of them, or it stays
    as a zombie. An agent waits for its own commands only.
    """
    if not _gets_orphans():
        return
    signal.pthread_sigmask(signal.SIG_BLOCK, _WAITED_FOR)
    child = os.fork()
    if child:
        os._exit(_until_end_of(child))
    _prctl(_SET_DEATH_SIGNAL, signal.SIGKILL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _WAITED_FOR)


def _gets_orphans() -> bool:
    """Return whether this is process 1, or has asked the system for the orphans below it (a subreaper)."""
    if os.getpid() == 1:
        return True
    answer = ctypes.c_int(0)
    return _prctl(_GET_SUBREAPER, ctypes.byref(answer)) and bool(answer.value)


def _prctl(option: int, value: object) -> bool:
    """Call prctl(2), which only Linux has; returns whether it succeeded."""
    if sys.platform != "linux":
        return False
    return bool(ctypes.CDLL(None).prctl(option, value, 0, 0, 0) == 0)


def _until_end_of(child: int) -> int:
    """Pass signals on and wait for every process, until the child has ended; returns its exit code."""
    while True:
        came = signal.sigwaitinfo(_WAITED_FOR)
        # The child has already received what comes from the terminal.
        if came.si_signo in _PASSED_ON and came.si_code <= 0:
            os.kill(child, came.si_signo)
        while (ended := os.waitpid(-1, os.WNOHANG)) != (0, 0):
            number, status = ended
            if number == child:
                code = os.waitstatus_to_exitcode(status)
                return code if code >= 0 else _KILLED - code
