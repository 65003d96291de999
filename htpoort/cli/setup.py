"""`htpoort init` and `check`: write a configuration, and check everything that one names. Nothing is sent."""

from __future__ import annotations

import asyncio
import enum
import functools
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Final, TextIO, cast, final

import attrs
import typer

from htpoort import _clock, config as configuration
from htpoort.cli import _input, _output, _show
from htpoort.cli._first_configuration import FOLDER, LISTEN_PORT, PASSWORD, Login, Server, Setup
from htpoort.cli._input import CONFIG, Config, Json
from htpoort.config import Finding, Verdict, read_agent_in_part, read_ledger
from htpoort.config.checking import SILENCE
from htpoort.core import address
from htpoort.core.directory import HTPOORT
from htpoort.core.errors import InputError, Problem, UnknownError
from htpoort.core.party import PartyId
from htpoort.transport import Pop3Account, Security, SmtpServer, hosts

app = _input.group()

_HOUR: Final = timedelta(hours=1)
_WIDTH: Final = max(len(verdict.value) for verdict in Verdict)


@app.command()
def check(
    *,
    config: Config = CONFIG,
    silence: Annotated[
        int,
        typer.Option(
            "--silence", metavar="HOURS", min=1, help="Warn if nothing came in for so long while declarations wait."
        ),
    ] = SILENCE // _HOUR,
    json: Json = False,
) -> None:
    """Check configuration, ledger, clock, disks, servers and deliveries; exit code 4 if there are only warnings."""
    findings = asyncio.run(_check(config, silence * _HOUR, as_json=json))
    counts = {verdict: sum(found.verdict is verdict for found in findings) for verdict in Verdict}
    if json:
        _show.as_json({
            "findings": [{**attrs.asdict(found), "verdict": found.verdict.value} for found in findings],
            **{verdict.value: number for verdict, number in counts.items()},
        })
    else:
        of_warnings = "warning" if counts[Verdict.WARNING] == 1 else "warnings"
        numbers = f"{counts[Verdict.OK]} ok, {counts[Verdict.WARNING]} {of_warnings}, {counts[Verdict.WRONG]} wrong"
        _show.line(f"{numbers}. Nothing was sent.")
    if counts[Verdict.WRONG]:
        raise typer.Exit(_output.FAILED)
    if counts[Verdict.WARNING]:
        raise typer.Exit(_output.ATTENTION)


async def _check(path: Path, silence: timedelta, *, as_json: bool) -> list[Finding]:
    with _input.configured(path):
        read = read_agent_in_part(path)
    report: Callable[[Finding], object] = (lambda _: None) if as_json else _line
    found = [
        Finding(part="configuration", check="file", verdict=Verdict.WRONG, message=problem.message)
        for problem in read.problems
    ]
    if not read.problems:
        message = f"{path} can be read, and so can the passwords and certificates that it names."
        found.append(Finding(part="configuration", check="file", verdict=Verdict.OK, message=message))
    for finding in found:
        report(finding)
    checked = await configuration.check(
        read.config,
        at=_clock.now(),
        silence=silence,
        missing=read.missing,
        report=report,
    )
    return [*found, *checked]


def _line(found: Finding) -> None:
    verdict = f"{found.verdict.value:<{_WIDTH}}"
    _show.line(_show.printable(f"{verdict}  {found.part} {found.check}: {found.message} {found.advice}".rstrip()))


# ── init ─────────────────────────────────────────────────────────────────────


class Interface(enum.Enum):
    """How mail goes to and from the gateway."""

    MSA = "msa"
    MTA = "mta"


@app.command()
def init(  # noqa: PLR0913 - an option for each question
    *,
    config: Config = CONFIG,
    interface: Annotated[
        Interface | None,
        typer.Option(
            case_sensitive=False,
            help="Send with a login and fetch by POP3 (msa), or exchange mail between servers (mta).",
        ),
    ] = None,
    system: Annotated[str | None, typer.Option(help="Declaration system, such as DMS.")] = None,
    party: Annotated[
        list[str] | None, typer.Option(help="Your party ID (V), such as NL123456789.02.05. May be repeated.")
    ] = None,
    mailbox: Annotated[str | None, typer.Option(help="Your own mailbox, where replies arrive.")] = None,
    server: Annotated[str | None, typer.Option(help="Mail server that declarations are sent to.")] = None,
    port: Annotated[
        int | None, typer.Option(min=1, max=65_535, help="Port of --server; by default the usual one.")
    ] = None,
    username: Annotated[str | None, typer.Option(help="User name of both logins; by default the mailbox.")] = None,
    password_file: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="File for the password of both logins; by default beside --config."),
    ] = None,
    pop3_server: Annotated[str | None, typer.Option(help="POP3 server; by default --server.", metavar="HOST")] = None,
    pop3_port: Annotated[
        int | None, typer.Option(min=1, max=65_535, help="Port of --pop3-server; by default the usual one.")
    ] = None,
    listen_port: Annotated[
        int | None,
        typer.Option(min=1, max=65_535, help=f"Port that replies are pushed to, with mta; by default {LISTEN_PORT}."),
    ] = None,
    security: Annotated[
        Security | None,
        typer.Option(help="Security of all connections; by default the usual one."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Ask nothing; take what no option names by default.")] = False,
    json: Json = False,
) -> None:
    """Ask what you have, and write a configuration with comments, and a ledger; no file is replaced."""
    _check_place(config)
    of_msa = {"--username": username, "--pop3-server": pop3_server, "--password-file": password_file}
    given = {
        "--interface": interface and interface.value,
        "--system": system,
        "--party": " ".join(party) if party else None,
        "--mailbox": mailbox,
        "--server": server,
        **of_msa,
    }
    ports = {"--port": port, "--pop3-port": pop3_port, "--listen-port": listen_port}
    setup = _answered(
        _Answers(given, config, ask=not yes), {**of_msa, "--pop3-port": pop3_port}, ports, security, config
    )
    facts = _write(config, setup)
    if json:
        _show.as_json(facts)
        return
    _show_written(facts, setup, config)


def _show_written(facts: Mapping[str, Any], setup: Setup, config: Path) -> None:
    """Print what was written, and what to do next."""
    _show.rows({**facts, "declarations": ", ".join(facts["declarations"])})
    if setup.login is not None and not setup.login.file.stat().st_size:
        _show.line(f"Write the password of both logins into this file: {_show.printable(facts['password_file'])}")
    _show.line("Then: htpoort check" + ("" if config == CONFIG else f" --config {_show.quoted(str(config))}"))


def _answered(
    answers: _Answers,
    of_msa: Mapping[str, object],
    ports: Mapping[str, int | None],
    security: Security | None,
    config: Path,
) -> Setup:
    """Take every answer, in the order of the questions."""
    msa = answers.get("--interface", "msa").lower() == Interface.MSA.value
    if not msa:
        _check_unused(of_msa, "is for --interface msa; between mail servers there is no login and no POP3.")
    else:
        listen = {"--listen-port": ports["--listen-port"]}
        _check_unused(listen, "is for --interface mta; with msa, replies are fetched by POP3 and nothing listens.")
        if security is Security.PLAIN:
            answers.allow_loopback_only()
    kind = answers.get("--system", "DMS")
    parties = _once(answers.get("--party").split())
    ours, to = answers.get("--mailbox"), answers.get("--server")
    outbox = Server.usual(SmtpServer, to, ports["--port"], security or (None if msa else Security.PLAIN))
    login = pop3 = None
    if msa:
        name = answers.get("--username", ours)
        pop3 = Server.usual(Pop3Account, answers.get("--pop3-server", to), ports["--pop3-port"], security)
        login = Login(name, Path(answers.get("--password-file", str(config.with_name(PASSWORD)))), config)
    listen_port = ports["--listen-port"] or LISTEN_PORT
    return Setup(HTPOORT.system(kind).name, parties, ours, outbox, pop3, login, listen_port)


def _once(parties: Iterable[str]) -> tuple[str, ...]:
    """Return each party once, as it was spelled first."""
    spelled: dict[str, str] = {}
    for party in parties:
        spelled.setdefault(party.lower(), party)
    return tuple(spelled.values())


def _check_place(config: Path) -> None:
    """
    Check where the configuration is to be written, before anything is asked.

    Raises:
        InputError: A file is in the way, or there is no folder.
    """
    option, folder = _input.config_option(config), config.parent
    if config.exists():
        message = f"{config} exists, and nothing was written. Check it with htpoort check, or name another."
    elif not folder.is_dir():
        message = f"there is no folder {folder}, and nothing was written. Create it, or name a file in another."
    elif (folder / FOLDER).exists() and not (folder / FOLDER).is_dir():
        message = f"{folder / FOLDER} is in the way of the folder for declarations. Move it, or name a file elsewhere."
    else:
        return
    raise _input.refusal("input.usage", f"{option}: {message}")


def _check_unused(options: Mapping[str, object], why: str) -> None:
    """
    Check that no option is given that only the other interface uses.

    Raises:
        InputError: There is one; lists each.
    """
    message = f"{why} Leave it out."
    if given := [option for option, value in options.items() if value is not None]:
        raise InputError("", tuple(Problem("input.usage", f"{option} {message}") for option in given))


@final
class _Answers:
    """
    Take answers from options, and from the user if they may be asked.

    Args:
        given: The options, each with its value; None for one that was not given.
        config: The file that is to be written.
        ask: Whether the user may be asked.

    Raises:
        InputError: An option is missing or wrong; lists every one.
    """

    def __init__(self, given: Mapping[str, str | None], config: Path, *, ask: bool) -> None:
        self._given = {option: text for option, text in given.items() if text is not None}
        self._ask = ask
        self._has_asked = False
        self._checks: dict[str, _Check] = {**_CHECKS, "--password-file": functools.partial(_is_free, config)}
        self._check([] if ask else [option for option in _NEEDED if option not in self._given])

    def _check(self, missing: Iterable[str] = ()) -> None:
        problems = [problem for option, text in self._given.items() for problem in self._checks[option](option, text)]
        problems += [Problem("input.usage", f"{one} is missing; give it, or leave --yes out.") for one in missing]
        if problems:
            raise InputError("", tuple(problems))

    def allow_loopback_only(self) -> None:
        """
        Refuse servers to which a password would be sent without TLS.

        Raises:
            InputError: One was given.
        """
        self._checks |= dict.fromkeys(("--server", "--pop3-server"), _is_loopback)
        self._check()

    def get(self, option: str, default: str | None = None) -> str:
        """Return what was given, or asked, or the default; a wrong answer is asked again."""
        if option in self._given:
            return self._given[option]
        if self._ask:
            return self._asked(option, default)
        # What is needed was given.
        return default or ""

    def _asked(self, option: str, default: str | None) -> str:
        # On standard error: standard output has the result.
        if not self._has_asked:
            sys.stderr.write("Enter takes the value in brackets. Nothing is written before the last answer.\n")
            self._has_asked = True
        while True:
            sys.stderr.write(f"{_QUESTIONS[option]}: " if default is None else f"{_QUESTIONS[option]} [{default}]: ")
            sys.stderr.flush()
            answer = _next_line().strip() or default
            if answer is None:
                _show.failed("An answer is needed.")
                continue
            wrong = list(self._checks[option](_YOUR_ANSWER, answer))
            for problem in wrong:
                _show.failed(problem.message)
            if not wrong:
                return answer


def _next_line() -> str:
    """
    Read an answer.

    Raises:
        InputError: There is none, or it is not text.
    """
    # None if it was closed when the program started.
    stdin = cast("TextIO | None", sys.stdin)
    try:
        line = "" if stdin is None else stdin.readline()
    except UnicodeDecodeError:
        message = "Standard input is not text in this locale's encoding; use a UTF-8 locale, or ASCII."
        raise _input.refusal("input.value", message) from None
    if not line:
        raise _input.refusal("input.usage", "Standard input ended before the last answer; nothing was written.")
    return line


_QUESTIONS: Final = {
    "--interface": "Do you send with a login and fetch by POP3 (msa), or exchange mail between servers (mta)",
    "--system": "The declaration system",
    "--party": "Your party ID, such as NL123456789.02.05; several with blanks between them",
    "--mailbox": "Your own mailbox, where replies arrive",
    "--server": "The mail server that declarations are sent to",
    "--username": "The user name of the login",
    "--pop3-server": "The POP3 server that replies are fetched from",
    "--password-file": "The file for the password of both logins",
}
_NEEDED: Final = ("--party", "--mailbox", "--server")
_YOUR_ANSWER: Final = "Your answer"


def _is_interface(option: str, text: str) -> Iterator[Problem]:
    if text.lower() not in {one.value for one in Interface}:
        yield Problem("input.usage", f"{option} is {text!r}; give msa or mta.")


def _is_system(option: str, text: str) -> Iterator[Problem]:
    try:
        HTPOORT.system(text)
    except UnknownError as error:
        yield Problem("input.usage", f"{option} is {text!r}; give {' or '.join(error.known)}.")


def _is_party(option: str, text: str) -> Iterator[Problem]:
    for part in text.split() or [""]:
        try:
            PartyId.parse(part)
        except InputError as error:
            for problem in error.problems:
                yield attrs.evolve(problem, message=f"{option} is {part!r}, {problem.message.removeprefix('This is ')}")


def _is_host(option: str, text: str) -> Iterator[Problem]:
    if not hosts.is_host(text):
        yield Problem("input.usage", f"{option} is {hosts.shown(text)}; give the name or address of a host.")


def _is_loopback(option: str, text: str) -> Iterator[Problem]:
    yield from _is_host(option, text)
    if hosts.is_host(text) and not hosts.is_loopback(text):
        message = f"{option} is {text}, where --security plain would send the password in the clear; "
        yield Problem("input.usage", f"{message}give starttls or implicit, or leave --security out.")


def _is_username(option: str, text: str) -> Iterator[Problem]:
    if not text or not text.isprintable():
        yield Problem("input.usage", f"{option} is empty, or holds a character that no login can carry.")


def _is_free(config: Path, option: str, text: str) -> Iterator[Problem]:
    """Find why a file cannot hold the password."""
    file = Path(text)
    if not text or not text.isprintable():
        why = "is empty, or holds a character that the configuration cannot carry; give another file"
    elif file.absolute() == config.absolute():
        why = "is the configuration itself; give another file"
    elif file.is_dir():
        why = f"is {file}, a folder; give a file"
    elif not file.parent.is_dir():
        why = f"is {file}, and there is no folder {file.parent}; create it, or give another file"
    else:
        return
    yield Problem("input.usage", f"{option} {why}.")


_Check = Callable[[str, str], Iterable[Problem]]
_CHECKS: Final[dict[str, _Check]] = {
    "--interface": _is_interface,
    "--system": _is_system,
    "--party": _is_party,
    "--mailbox": address.mailbox_problems,
    "--server": _is_host,
    "--username": _is_username,
    "--pop3-server": _is_host,
}


def _write(path: Path, setup: Setup) -> dict[str, Any]:
    """Write the configuration, and create the folders for declarations, the file for the password and the ledger."""
    if setup.login is not None:
        setup.login.create()
    try:
        # Also if the file has appeared since the first look.
        with path.open("x", encoding="utf-8") as file:
            file.write(setup.text)
    except OSError as error:
        raise OSError(error.errno, error.strerror, f"--config {path}") from None
    folders = [path.absolute().parent / FOLDER / party for party in setup.parties]
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    with read_ledger(path).open() as ledger:
        return {
            "configuration": str(path.absolute()),
            "password_file": None if setup.login is None else str(setup.login.file.absolute()),
            "declarations": [str(folder) for folder in folders],
            "ledger": ledger.location,
            "new_ledger": ledger.new,
        }
