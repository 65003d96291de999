"""`htpoort simulate`: play the gateway on loopback, and show what arrives."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import operator
import re
import signal
import tempfile
from collections.abc import Generator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Any, Final, Self, TypeVar, final

import attrs
import typer

from htpoort import _clock
from htpoort._extras import how_to_install
from htpoort.cli import _facts, _input, _output, _show
from htpoort.cli._facts import Facts
from htpoort.cli._file_simulation import FileSimulation
from htpoort.cli._input import Systems
from htpoort.cli._notice_sources import named_notices
from htpoort.cli._simulator_use import show_start
from htpoort.core.errors import InputError, Problem
from htpoort.simulator import (
    ClientCertificate,
    Declarant,
    Gateway,
    GatewayTls,
    Script,
    SimulatedClock,
)
from htpoort.transport import Security, SmtpServer
from htpoort.transport.hosts import is_loopback

if TYPE_CHECKING:
    from htpoort.live import LivePage

app = _input.group()

T = TypeVar("T")

_LAST_PORT: Final = 65_535
_DECLARANT: Final = re.compile(r"([^=:]+)(?:=(.+):([0-9]+)|:(.+))?")
_PUSHED: Final = re.compile(r"=[^=:]+:[0-9]+\Z")
_POLL: Final = 0.2  # seconds: short for a person, and no load for the machine

_Played = Annotated[
    list[str] | None, typer.Option(metavar="FILE", help="A notice whose windows it plays; may be repeated.")
]
_Names = Annotated[list[str] | None, typer.Option(metavar="NAME=SYSTEM", help="Which name in notices is which system.")]
_Scenario = Annotated[Path | None, typer.Option(metavar="FILE", help="How to answer, and what to do wrong, as TOML.")]
_Record = Annotated[Path | None, typer.Option(metavar="DIR", help="Write every message into this folder, as .eml.")]
_Senders = Annotated[
    list[str] | None,
    typer.Option(
        metavar="MAILBOX[:PASSWORD]",
        help="A sender that fetches replies by POP3; with MAILBOX=HOST:PORT they are pushed. May be repeated.",
    ),
]
_Port = Annotated[int, typer.Option(min=0, max=_LAST_PORT, help="Port for SMTP; 0 chooses a free one.")]
_TlsPort = Annotated[int, typer.Option(min=0, max=_LAST_PORT, help="The same for implicit TLS.")]
_Pop3Port = Annotated[int, typer.Option(min=0, max=_LAST_PORT, help="The same for POP3.")]
_Pop3sPort = Annotated[int, typer.Option(min=0, max=_LAST_PORT, help="The same for POP3 with implicit TLS.")]
_Tls = Annotated[bool, typer.Option("--tls/--no-tls", help="Make certificates, and offer TLS.")]
_Folder = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Keep the certificates here; by default they are deleted.")
]
_Client = Annotated[ClientCertificate, typer.Option(help="Whether clients show a certificate, with --tls.")]
_Ftps = Annotated[bool, typer.Option("--ftps", help="Play a file gateway by FTPS too, with certificates.")]
_FtpsUsers = Annotated[
    list[str] | None, typer.Option(metavar="USER[:PASSWORD]", help="A user of the file gateway; may be repeated.")
]
_FtpsPort = Annotated[int, typer.Option(min=0, max=_LAST_PORT, help="Port for FTPS with explicit TLS.")]
_FtpsTlsPort = Annotated[int, typer.Option(min=0, max=_LAST_PORT, help="The same for implicit TLS.")]
_Web = Annotated[bool, typer.Option("--web", help="Show what happens in a browser, on this machine only.")]
_WebPort = Annotated[int, typer.Option(min=0, max=_LAST_PORT, help="Port for the page of --web.")]
_Host = Annotated[str, typer.Option(help="Address to listen on.")]
_Beyond = Annotated[bool, typer.Option("--beyond-loopback", help="Listen on, and push to, other machines too.")]
_AsJson = Annotated[bool, typer.Option("--json", help="Print JSON: ports and logins, events, summary.")]


@app.command()
def simulate(  # noqa: PLR0913 - one option for each thing that can be set
    *,
    scenario: _Scenario = None,
    notices: _Played = None,
    notice_name: _Names = None,
    record: _Record = None,
    declarant: _Senders = None,
    port: _Port = 0,
    tls_port: _TlsPort = 0,
    pop3_port: _Pop3Port = 0,
    pop3s_port: _Pop3sPort = 0,
    tls: _Tls = False,
    certificates: _Folder = None,
    client_certificate: _Client = ClientCertificate.NONE,
    ftps: _Ftps = False,
    ftps_user: _FtpsUsers = None,
    ftps_port: _FtpsPort = 0,
    ftps_tls_port: _FtpsTlsPort = 0,
    web: _Web = False,
    web_port: _WebPort = 0,
    host: _Host = "127.0.0.1",
    beyond_loopback: _Beyond = False,
    systems: Systems = None,
    json: _AsJson = False,
) -> None:
    """Play the gateway on loopback until Ctrl-C."""
    _check_tls_options(client_certificate, tls_port, pop3s_port, tls=tls)
    _check_ftps_options(certificates, ftps_user, ftps_port, ftps_tls_port, tls=tls, ftps=ftps)
    page_of = _page_class(web_port, web=web)
    # The gateway goes on whether anyone reads what it prints or not.
    _output.make_optional()
    declarants = _declarants(declarant or (), has_pop3_port=bool(pop3_port or pop3s_port))
    if not beyond_loopback:
        _check_loopback(host, declarants)
    directory = _input.directory(systems)
    ports: dict[str, Any] = {"port": port, "tls_port": tls_port, "pop3_port": pop3_port, "pop3s_port": pop3s_port}
    ftps_ports = {"ftps_port": ftps_port, "ftps_tls_port": ftps_tls_port}
    clock = SimulatedClock(_clock.now(), runs=True) if web else None
    played: dict[str, Any] = {"host": host, "beyond_loopback": beyond_loopback, "clock": clock}
    _make_folder("--record", record)
    made_for = "--tls" if tls else "--ftps" if ftps else ""
    with Certificates(wanted=made_for, folder=certificates, client=client_certificate).made() as made:
        script = _script(scenario)
        with _input.naming(notices="--notices"):
            gateway = Gateway(
                directory=directory,
                declarants=declarants,
                script=script,
                **named_notices(notices or (), notice_name or (), [system.name for system in directory]),
                tls=made if tls else None,
                record=record,
                **played,
                **ports,
            )
        files = None
        if ftps and made is not None:
            files = FileSimulation.made(made, ftps_user or (), script.files, ports=ftps_ports, **played)
        page = None if page_of is None else page_of(gateway, port=web_port)
        with _input.listening(_addresses(host, ports | ftps_ports)):
            asyncio.run(_play(gateway, files, page, declarants, host=host, as_json=json))


def _addresses(host: str, ports: Mapping[str, int]) -> dict[str, tuple[str, str]]:
    """Name the options of each address."""
    return {f"{host}:{number}": (f"--{name.replace('_', '-')}", "--host") for name, number in ports.items()}


def _page_class(port: int, *, web: bool) -> type[LivePage] | None:
    """Load the page of --web; None without it."""
    if not web:
        if port:
            raise _input.refusal("input.usage", "--web-port needs --web.")
        return None
    try:
        from htpoort.live import LivePage  # noqa: PLC0415 - libraries that only --web needs
    except ModuleNotFoundError as error:
        library = str(error.name).partition(".")[0]
        message = f"--web needs {library}; {how_to_install('web')}"
        raise _input.refusal("input.usage", message) from None
    return LivePage


def _check_tls_options(client: ClientCertificate, tls_port: int, pop3s_port: int, *, tls: bool) -> None:
    """Refuse the options that only --tls uses."""
    given = {
        "--client-certificate": client is not ClientCertificate.NONE,
        "--tls-port": tls_port != 0,
        "--pop3s-port": pop3s_port != 0,
    }
    for option, is_given in given.items():
        if is_given and not tls:
            raise _input.refusal("input.usage", f"{option} needs --tls.")


def _check_ftps_options(  # noqa: PLR0913 - the same
    certificates: Path | None, users: list[str] | None, port: int, tls_port: int, *, tls: bool, ftps: bool
) -> None:
    """Refuse the options that only --ftps uses, and the folder of certificates that nothing needs."""
    if certificates is not None and not (tls or ftps):
        raise _input.refusal("input.usage", "--certificates needs --tls or --ftps.")
    for option, is_given in (("--ftps-user", users), ("--ftps-port", port), ("--ftps-tls-port", tls_port)):
        if is_given and not ftps:
            raise _input.refusal("input.usage", f"{option} needs --ftps.")


@final
@attrs.frozen(kw_only=True)
class Certificates:
    """
    Which certificates to make.

    Args:
        wanted: The option that needs them; empty to make none.
        folder: The folder for them; None for one that is deleted at the end.
        client: Whether clients show one.
    """

    wanted: str
    folder: Path | None
    client: ClientCertificate

    @contextlib.contextmanager
    def made(self) -> Generator[GatewayTls | None]:
        """
        Make them for the duration of the block.

        Raises:
            InputError: The library that makes certificates is not installed.
            OSError: They cannot be written.
        """
        if not self.wanted:
            yield None
            return
        with contextlib.ExitStack() as stack:
            folder = self.folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="htpoort-")))
            _make_folder("--certificates", folder)
            try:
                tls = GatewayTls.made(folder, client=self.client)
            except ModuleNotFoundError as error:
                message = f"{self.wanted} needs {error.name}; {how_to_install('simulator')}"
                raise _input.refusal("input.usage", message) from None
            yield tls


def _script(scenario: Path | None) -> Script:
    if scenario is None:
        return Script()
    with _input.file_of("--scenario"):
        return Script.read(scenario)


def _make_folder(option: str, folder: Path | None) -> None:
    """Make a folder that only its owner may read, if one is given and does not exist."""
    if folder is None:
        return
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        reason = "it is a file; give a folder" if isinstance(error, FileExistsError) else error.strerror
        raise OSError(error.errno, reason, f"{option} {folder}") from None


def _declarants(texts: Sequence[str], *, has_pop3_port: bool) -> list[Declarant]:
    """Read the values of --declarant; a port for POP3 needs one that fetches its replies."""
    with _input.about("--declarant"):
        declarants = [read_declarant(text) for text in texts]
    if has_pop3_port and not any(one.password for one in declarants):
        raise _input.refusal("input.usage", "--pop3-port and --pop3s-port need a --declarant that fetches its replies.")
    return declarants


def read_declarant(text: str) -> Declarant:
    """
    Read ``mailbox=host:port``, ``mailbox:password`` or ``mailbox``, which gets a password.

    Raises:
        InputError: The text has another form, or one of its parts is invalid.
    """
    match = _DECLARANT.fullmatch(text)
    # A password that ends like an address to push to is a slip: replies are fetched with it, or pushed without.
    if match is None or _PUSHED.search(match[4] or ""):
        message = (
            f"{text!r} is not a declarant; give MAILBOX=HOST:PORT to push replies to,"
            " or MAILBOX:PASSWORD, or MAILBOX alone, to have them fetched by POP3."
        )
        raise _input.refusal("input.declarant", message)
    mailbox, host, port, password = match.groups()
    if host is None:
        return Declarant(mailbox=mailbox, password=password or _clock.unique()[:16])
    return Declarant(mailbox=mailbox, server=SmtpServer(host=host, port=int(port), security=Security.PLAIN))


def _check_loopback(host: str, declarants: list[Declarant]) -> None:
    """Check for other machines as the gateway does, in the words of the options."""
    hosts = [("--host", host)]
    hosts += [("--declarant", one.server.host) for one in declarants if one.server is not None]
    problems = tuple(
        Problem(
            "simulator.beyond-loopback",
            f"{option}: {name!r} is not an address of this machine alone; allow it with --beyond-loopback.",
        )
        for option, name in hosts
        if not is_loopback(name)
    )
    if problems:
        raise InputError("", problems)


async def _play(  # noqa: PLR0913 - what was given and started
    gateway: Gateway,
    files: FileSimulation | None,
    page: LivePage | None,
    declarants: list[Declarant],
    *,
    host: str,
    as_json: bool,
) -> None:
    """Run the gateway until SIGINT or SIGTERM, then print the totals."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    # aiosmtpd warns, in the middle of the traffic, that a client certificate is required; that is intended here.
    logging.getLogger("mail.log").setLevel(logging.ERROR)
    async with gateway, contextlib.AsyncExitStack() as stack:
        if files is not None:
            await stack.enter_async_context(files)
        if page is not None:
            with _input.listening({f"127.0.0.1:{page.port}": ("--web-port", "--web")}):
                await stack.enter_async_context(page)
        url = None if page is None else page.url
        show_start(gateway, files, declarants, host=host, page=url, as_json=as_json)
        with Traffic(gateway, files, as_json=as_json) as traffic:
            await traffic.show_until(stopped)
        facts = summary(gateway) | ({} if files is None else files.summary())
    (_show.json_line if as_json else _show.rows)(facts)


def summary(gateway: Gateway) -> dict[str, object]:
    """Count what happened."""
    due = gateway.next_moment
    return {
        "taken": len(gateway.received),
        "refused": len(gateway.refused),
        "answered": sum(sent.error is None for sent in gateway.sent),
        "undelivered": len(gateway.undelivered),
        "faults": len(gateway.shown_faults) + len(gateway.shown_pop3_faults),
        "failed_logins": len(gateway.failed_logins),
        "next_answer": None if due is None else due.isoformat(timespec="seconds"),
    }


# ── traffic ──────────────────────────────────────────────────────────────────

_COLUMNS: Final = {"at": 8, "event": 9, "system": 6, "mailbox": 24, "reference": 14, "what": 0}
"""The facts of an event, and the width of each in a line."""


@final
class Traffic:
    """
    Show new events: rows of a table in a terminal, lines elsewhere, JSON lines for a program.

    Args:
        gateway: The gateway that is watched.
        files: The file gateway that is watched too, if there is one.
        as_json: Whether to print JSON lines.
    """

    def __init__(self, gateway: Gateway, files: FileSimulation | None = None, *, as_json: bool) -> None:
        self._gateway = gateway
        self._files = files
        self._as_json = as_json
        self._seen: dict[str, int] = dict.fromkeys(
            ("received", "refused", "sent", "shown_faults", "shown_pop3_faults", "failed_logins"), 0
        )
        self._feed = _show.Feed("Traffic", _COLUMNS)

    def __enter__(self) -> Self:
        if not self._as_json:
            self._feed.open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if not self._as_json:
            self._feed.close()

    async def show_until(self, stopped: asyncio.Event) -> None:
        """Show what happens until *stopped* is set."""
        while not stopped.is_set():
            self.show_news()
            # What happens within a moment is shown together, in order.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_POLL):
                    await stopped.wait()
        self.show_news()

    def show_news(self) -> None:
        """Show what has happened since the last call, in order."""
        for at, facts in sorted(self._news(), key=operator.itemgetter(0)):
            if self._as_json:
                _show.json_line({"at": at.isoformat(timespec="milliseconds"), **facts}, at_once=True)
            else:
                shown = {"at": f"{at.astimezone():%H:%M:%S}", **facts}
                self._feed.add([shown[column] for column in _COLUMNS])

    def _news(self) -> list[tuple[datetime, Facts]]:
        now = self._gateway.clock()
        found = [(one.at, _facts.taken(one)) for one in self._new("received", self._gateway.received)]
        found += [(now, _facts.refused(*one)) for one in self._new("refused", self._gateway.refused)]
        found += [(one.at, _facts.sent(one)) for one in self._new("sent", self._gateway.sent)]
        found += [(at, _facts.smtp_fault(fault)) for at, fault in self._new("shown_faults", self._gateway.shown_faults)]
        found += [
            (at, _facts.pop3_fault(fault))
            for at, fault in self._new("shown_pop3_faults", self._gateway.shown_pop3_faults)
        ]
        failed = self._new("failed_logins", self._gateway.failed_logins)
        found += [(one.at, _facts.failed_login(one)) for one in failed]
        return found if self._files is None else found + self._files.news(self._seen)

    def _new(self, name: str, values: Sequence[T]) -> Sequence[T]:
        fresh = values[self._seen[name] :]
        self._seen[name] += len(fresh)
        return fresh
