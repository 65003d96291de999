"""`htpoort init` and `check`: write a configuration, and check everything that one names. Nothing is sent."""

from __future__ import annotations

import asyncio
import enum
import sys
from collections.abc import Callable, Iterable
from datetime import timedelta
from json import dumps
from pathlib import Path
from typing import Annotated, Final, TextIO, cast, final

import attrs
import typer

from htpoort import _clock, config as configuration
from htpoort.cli import _input, _output, _show
from htpoort.cli._facts import Facts
from htpoort.cli._input import CONFIG, Config, Json
from htpoort.config import Finding, Verdict, read_agent_in_part, read_ledger
from htpoort.config.checking import SILENCE
from htpoort.core import address
from htpoort.core.directory import HTPOORT
from htpoort.core.errors import InputError, Problem, UnknownError
from htpoort.core.party import PartyId
from htpoort.transport import Security, hosts

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
        numbers = ", ".join(f"{number} {verdict.value}" for verdict, number in counts.items())
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
        typer.Option(help="Send with a login and fetch by POP3 (msa), or exchange mail between servers (mta)."),
    ] = None,
    system: Annotated[str | None, typer.Option(help="Declaration system, such as DMS.")] = None,
    party: Annotated[str | None, typer.Option(help="Your party ID (V), such as NL123456789.02.05.")] = None,
    mailbox: Annotated[str | None, typer.Option(help="Your own mailbox, where replies arrive.")] = None,
    server: Annotated[str | None, typer.Option(help="Mail server that declarations are sent to.")] = None,
    port: Annotated[
        int | None, typer.Option(min=1, max=65_535, help="Port of --server; by default the usual one.")
    ] = None,
    username: Annotated[str | None, typer.Option(help="User name of both logins; by default the mailbox.")] = None,
    pop3_server: Annotated[str | None, typer.Option(help="POP3 server; by default --server.", metavar="HOST")] = None,
    pop3_port: Annotated[
        int | None, typer.Option(min=1, max=65_535, help="Port of --pop3-server; by default the usual one.")
    ] = None,
    security: Annotated[
        Security | None, typer.Option(help="Security of all connections; by default the usual one.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Ask nothing; take what no option names by default.")] = False,
    json: Json = False,
) -> None:
    """Ask what you have, and write a configuration with comments, and a ledger; no file is replaced."""
    if config.exists():
        message = f"--config: {config} exists, and nothing was written. Check it with htpoort check, or name another."
        raise _input.refusal("input.usage", message)
    answers = _Answers(ask=not yes)
    kind = answers.get("--interface", interface and interface.value, _is_interface, default="msa")
    wanted = answers.get("--system", system, _is_system, default="DMS")
    whose = answers.get("--party", party, _is_party)
    ours = answers.get("--mailbox", mailbox, _is_mailbox)
    to = answers.get("--server", server, _is_host)
    outbox = _Server(to, port, security or (Security.STARTTLS if kind == "msa" else Security.PLAIN))
    name = pop3 = None
    if kind == "msa":
        name = answers.get("--username", username, _is_username, default=ours or None)
        host = answers.get("--pop3-server", pop3_server, _is_host, default=to or None)
        pop3 = _Server(host, pop3_port, security or Security.IMPLICIT)
    answers.finish()
    text = _text(system=HTPOORT.system(wanted).name, party=whose, mailbox=ours, outbox=outbox, pop3=pop3, username=name)
    facts = _write(config, text, whose)
    if json:
        _show.as_json(facts)
        return
    _show.rows(facts)
    if name is not None:
        _show.line("Put the passwords into HTPOORT_SMTP_PASSWORD and HTPOORT_POP3_PASSWORD.")
    _show.line("Then: htpoort check")


@final
class _Answers:
    """Take answers from options, and from the user if they may be asked."""

    def __init__(self, *, ask: bool) -> None:
        self._ask = ask
        self._problems: list[Problem] = []

    def get(
        self,
        option: str,
        given: str | None,
        problems: Callable[[str, str], Iterable[Problem]],
        *,
        default: str | None = None,
    ) -> str:
        """Return an answer; what is wrong with an option is kept, and a wrong answer is asked again."""
        if given is None and self._ask:
            return self._asked(option, problems, default)
        answer = default if given is None else given
        if answer is None:
            # With another answer missing or wrong, a default that follows from it is missing too.
            if option not in _DERIVED or not self._problems:
                self._problems.append(Problem("input.usage", f"{option} is missing; give it, or leave --yes out."))
            return ""
        self._problems += problems(option, answer)
        return answer

    @staticmethod
    def _asked(option: str, problems: Callable[[str, str], Iterable[Problem]], default: str | None) -> str:
        while True:
            # On standard error: standard output has the result.
            sys.stderr.write(f"{_QUESTIONS[option]}: " if default is None else f"{_QUESTIONS[option]} [{default}]: ")
            sys.stderr.flush()
            answer = _next_line().strip() or default or ""
            wrong = list(problems(_YOUR_ANSWER, answer))
            for problem in wrong:
                _show.failed(problem.message)
            if not wrong:
                return answer

    def finish(self) -> None:
        """
        End the questions.

        Raises:
            InputError: An option is missing or wrong; lists every one.
        """
        if self._problems:
            raise InputError("", tuple(self._problems))


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
    "--party": "Your party ID, such as NL123456789.02.05",
    "--mailbox": "Your own mailbox, where replies arrive",
    "--server": "The mail server that declarations are sent to",
    "--username": "The user name of the login",
    "--pop3-server": "The POP3 server that replies are fetched from",
}
_DERIVED: Final = frozenset({"--username", "--pop3-server"})
_YOUR_ANSWER: Final = "Your answer"


def _is_interface(option: str, text: str) -> Iterable[Problem]:
    if text not in {one.value for one in Interface}:
        yield Problem("input.usage", f"{option} is {text!r}; give msa or mta.")


def _is_system(option: str, text: str) -> Iterable[Problem]:
    try:
        HTPOORT.system(text)
    except UnknownError as error:
        yield Problem("input.usage", f"{option}: {error}")


def _is_party(option: str, text: str) -> Iterable[Problem]:
    try:
        PartyId.parse(text)
    except InputError as error:
        yield from (attrs.evolve(one, message=f"{option}: {text!r}: {one.message}") for one in error.problems)


def _is_mailbox(option: str, text: str) -> Iterable[Problem]:
    return address.mailbox_problems(option, text)


def _is_host(option: str, text: str) -> Iterable[Problem]:
    if not hosts.is_host(text):
        yield Problem("input.usage", f"{option} is {hosts.shown(text)}; give the name or address of a host.")


def _is_username(option: str, text: str) -> Iterable[Problem]:
    if not text or not text.isprintable():
        yield Problem("input.usage", f"{option} is empty, or holds a character that no login can carry.")


def _write(path: Path, text: str, party: str) -> Facts:
    """Write the configuration, and create the folder for declarations and the ledger; nothing is replaced."""
    try:
        # Also if the file has appeared since the first look.
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise OSError(error.errno, error.strerror, f"--config {path}") from None
    folder = path.absolute().parent / _FOLDER / party
    folder.mkdir(parents=True, exist_ok=True)
    with read_ledger(path).open() as ledger:
        return {
            "configuration": str(path.absolute()),
            "declarations": str(folder),
            "ledger": ledger.location,
            "new_ledger": ledger.new,
        }


# ── the text ─────────────────────────────────────────────────────────────────

_FOLDER: Final = "out"


@final
@attrs.frozen
class _Server:
    """A mail server; without a port, it has the usual one."""

    host: str
    port: int | None
    security: Security


def _lines(server: _Server, username: str | None, variable: str) -> str:
    """Write the keys of a server."""
    lines = [f"server = {dumps(server.host)}"]
    if server.port is not None:
        lines.append(f"port = {server.port}")
    lines.append(f'security = "{server.security.value}"')
    if username is not None:
        lines += [f"username = {dumps(username, ensure_ascii=False)}", f'password_env = "{variable}"']
    if server.security is not Security.PLAIN:
        lines.append(
            '# ca_file = "ca.pem"                # if this machine does not know the authority of its certificate'
        )
    return "\n".join(lines)


def _text(  # noqa: PLR0913 - an argument for each answer
    *, system: str, party: str, mailbox: str, outbox: _Server, pop3: _Server | None, username: str | None
) -> str:
    """Write the configuration."""
    if pop3 is None:
        replies = f"""\
[[smtp]]                            # replies: your mail server passes them on to this port
hostname = {dumps(mailbox.rpartition("@")[2])}
mailboxes = [{dumps(mailbox)}]
host = "127.0.0.1"                  # only this machine can connect; for others, give an address and networks
port = 2525"""
    else:
        replies = f"""\
[[pop3]]                            # replies: they are fetched from here
{_lines(pop3, username, "HTPOORT_POP3_PASSWORD")}"""
    return f"""\
# Configuration of htpoort, written by htpoort init. Check it with: htpoort check
# There is no password in this file: variables of the environment hold them, and password_env names these.

parties = [{dumps(party)}]    # your party IDs; a reply to any other is quarantined

[ledger]                            # what was sent and what came in
url = "sqlite:///htpoort.db"

[[folder]]                          # declarations: write each as a file, such as {_FOLDER}/{party}/22096222734662.xml
path = "{_FOLDER}"
mailbox = {dumps(mailbox)}
pattern = "{{party}}/{{reference}}.xml"
system = {dumps(system)}

[[outbox]]                          # they are sent to this mail server
{_lines(outbox, username, "HTPOORT_SMTP_PASSWORD")}
systems = [{dumps(system)}]

{replies}

[[delivery]]                        # each reply becomes a file, such as replies/{system}/{party}/22096222734662-1.xml
system = {dumps(system)}
directory = "replies/{{system}}/{{party}}"
payload = true                      # the XML alone; false for the whole mail
"""
