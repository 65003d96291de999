"""
The arguments and options that several commands share, and how what they name is read.

Nothing is guessed: what cannot be read is an error that names the option, or the file and its key.
"""

from __future__ import annotations

import contextlib
import enum
import errno
import gc
import hashlib
import os
import re
import socket
from collections.abc import Generator, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, TypeVar, cast, final

import attrs
import typer

from htpoort import _clock
from htpoort.cli import _show
from htpoort.core import toml_reader
from htpoort.core.directory import HTPOORT, Directory, read_systems
from htpoort.core.errors import InputError, Problem, UnknownError
from htpoort.core.message import Submission, TransferEncoding, build
from htpoort.core.text import unreadable

if TYPE_CHECKING:
    from htpoort.config import AgentConfig, LedgerConfig
    from htpoort.ledger import Ledger

E = TypeVar("E", bound=Exception)

_OLDEST_YEAR: Final = 1900
LARGEST_NUMBER: Final = 2**63 - 1
"""The largest number of a row of a database."""


class LayoutChoice(enum.Enum):
    """How a payload is carried."""

    BODY = "body"
    ATTACHMENT = "attachment"


class TransferEncodingChoice(enum.Enum):
    """How a payload is encoded."""

    SEVEN_BIT = "7bit"
    QUOTED_PRINTABLE = "quoted-printable"
    BASE64 = "base64"


def group(name: str | None = None, help_text: str | None = None) -> typer.Typer:
    """Make the group that a module adds its commands to; brackets in its help texts are brackets."""
    return typer.Typer(name=name, help=help_text, no_args_is_help=True, add_completion=False, rich_markup_mode=None)


# ── options ──────────────────────────────────────────────────────────────────

Json = Annotated[bool, typer.Option("--json", help="Print the result as one JSON document.")]
Csv = Annotated[bool, typer.Option("--csv", help="Print comma-separated values.")]
Systems = Annotated[
    str | None, typer.Option("--systems", metavar="FILE", help="TOML file with more systems, as [systems.NAME].")
]
Payload = Annotated[str, typer.Argument(metavar="PAYLOAD", help="File with the declaration; - is standard input.")]
System = Annotated[str, typer.Option(help="Declaration system: AGS, DMS, or one of --systems.")]
Party = Annotated[str, typer.Option(help="Party ID of the declarant (V), for example NL123456789.02.05.")]
Mailbox = Annotated[str, typer.Option(help="The declarant's own mailbox, where replies arrive.")]
Reference = Annotated[str, typer.Option(help="Reference (K): 1 to 35 letters and digits, new for each declaration.")]
LayoutOption = Annotated[
    LayoutChoice, typer.Option("--layout", help="Carry the payload as the body or as an attachment.")
]
TransferEncodingOption = Annotated[
    TransferEncodingChoice | None,
    typer.Option(
        "--transfer-encoding", help="Encode the payload like this; by default base64 if mail servers may change it."
    ),
]
FileName = Annotated[str | None, typer.Option(help="Name of the attachment.")]
ContentType = Annotated[str | None, typer.Option(help="Content-Type of the payload; by default guessed from it.")]
Date = Annotated[str | None, typer.Option(help="Date of the message, ISO 8601 with a time zone; by default now.")]
MessageId = Annotated[str | None, typer.Option(help="Message-ID, as <unique@forwarder.example>; by default a new one.")]
Sha256 = Annotated[
    str | None, typer.Option("--sha256", metavar="HEX", help="SHA-256 that PAYLOAD must have; refused otherwise.")
]
Config = Annotated[
    Path,
    typer.Option("--config", metavar="FILE", envvar="HTPOORT_CONFIG", show_envvar=True, help="Configuration file."),
]
CONFIG: Final = Path("htpoort.toml")
Limit = Annotated[
    int, typer.Option("--limit", metavar="NUMBER", min=1, help="Most lines in the table; JSON and CSV have all.")
]
LIMIT: Final = 500
REST: Final = "Give --limit NUMBER for more; --json has all."
ReferenceArgument = Annotated[str, typer.Argument(metavar="K", help="Reference of the exchange.")]
WhichParty = Annotated[str | None, typer.Option("--party", help="Party ID (V), if several parties used the same K.")]
MessageNumber = Annotated[
    int, typer.Argument(metavar="NUMBER", min=1, max=LARGEST_NUMBER, help="Number of the message in quarantine.")
]

_OPTIONS: Final = {
    "payload": "PAYLOAD",
    **{
        name: f"--{name.replace('_', '-')}"
        for name in (
            "party",
            "mailbox",
            "reference",
            "system",
            "date",
            "message_id",
            "content_type",
            "file_name",
            "layout",
            "transfer_encoding",
            "business_reference",
            "kind",
            "port",
            "security",
            "username",
            "password",
            "ca_file",
            "certificate",
            "key",
            "key_password",
            "timeout",
            "host",
            "beyond_loopback",
        )
    },
}
"""The option of each argument of a function that a sentence about it begins with."""


def in_options(error: E, options: Mapping[str, str] = _OPTIONS) -> E:
    """
    Write an error about an argument of a function as one about the option that it came from.

    Args:
        error: Any; a sentence that does not begin with the name of an argument stays as it is.
        options: The option of each argument.

    Returns:
        The same error with other words.
    """
    if isinstance(error, UnknownError):
        return cast("E", attrs.evolve(error, kind=options.get(error.kind, error.kind)))
    if not isinstance(error, InputError):
        return error
    # The text is shown with a caret below it, which helps only if a part of it is meant.
    whole = all(problem.stop - problem.start == len(error.text) for problem in error.problems)
    value = f" {error.text}" if whole and error.text not in {"", *options} else ""
    text = "" if whole or error.text in options else error.text
    return cast("E", InputError(text, tuple(_in_options(problem, options, value) for problem in error.problems)))


def _in_options(problem: Problem, options: Mapping[str, str], value: str) -> Problem:
    name, blank, rest = problem.message.partition(" ")
    option = options.get(name.removesuffix(":"))
    if option is None:
        return problem
    shown = value if rest.startswith("cannot be used") else ""
    rest = re.sub(r"(?<=, and )\w+(?= )", lambda other: options.get(other[0], other[0]), rest)
    return attrs.evolve(problem, message=f"{option}{shown}{':' * name.endswith(':')}{blank}{rest}")


@contextlib.contextmanager
def naming(**options: str) -> Generator[None]:
    """Name options in the errors of a block whose arguments have other names than the options."""
    try:
        yield
    except InputError as error:
        raise in_options(error, options) from None


@contextlib.contextmanager
def about(option: str) -> Generator[None]:
    """Begin every error of a block with the option that the block reads."""
    try:
        yield
    except InputError as error:
        problems = (attrs.evolve(problem, message=f"{option}: {problem.message}") for problem in error.problems)
        raise InputError("", tuple(problems)) from None


@contextlib.contextmanager
def listening(names: Mapping[str, tuple[str, str]]) -> Generator[None]:
    """
    If a block cannot listen on an address, name the setting that is wrong.

    Args:
        names: By ``host:port``, the names of the settings of the port and of the host.
    """
    try:
        yield
    except OSError as error:
        address = str(error.filename)
        if address not in names:
            raise
        host, _, port = address.rpartition(":")
        of_port, of_host = names[address]
        wrong = {
            errno.EADDRINUSE: (of_port, f"{port} is in use on {host}; stop the other program, or give another port"),
            errno.EACCES: (of_port, f"this user may not listen on {port}; give a port from 1024 on"),
            errno.EADDRNOTAVAIL: (of_host, f"{host} is not an address of this machine; give one that is"),
        }
        # An unknown name, with a name server and without one.
        unknown = (of_host, f"{host} is not known; give an address of this machine")
        wrong |= dict.fromkeys((socket.EAI_NONAME, socket.EAI_AGAIN), unknown)
        if error.errno not in wrong:
            raise
        setting, reason = wrong[error.errno]
        raise OSError(error.errno, reason, setting) from None


def refusal(code: str, message: str) -> InputError:
    """Make the error of one problem."""
    return InputError("", (Problem(code, message),))


def check_one_form(*, csv: bool, json: bool) -> None:
    """
    Check that at most one form of the result is chosen.

    Raises:
        InputError: Both are given.
    """
    if csv and json:
        raise refusal("input.usage", "Give --csv or --json, not both.")


# ── files and standard input ─────────────────────────────────────────────────


def octets(path: str, option: str) -> bytes:
    """
    Read a file, or standard input for ``-``.

    Args:
        path: The file.
        option: The argument or option that names it.

    Raises:
        InputError: The file cannot be read, or standard input is closed.
    """
    try:
        if path != "-":
            return Path(path).read_bytes()
        if (data := _show.standard_input(option)) is not None:
            return data
    except (OSError, ValueError) as error:  # a name with a null character is a ValueError
        name = "standard input" if path == "-" else path
        raise refusal("input.file", f"{option}: {unreadable(name, error)}") from None
    raise refusal("input.file", f"{option}: standard input is closed; give a file.")


def payload(path: str, sha256: str | None, option: str = "PAYLOAD") -> bytes:
    """
    Read a declaration. The end of a stream does not show that it is complete, so an empty one is refused.

    Args:
        path: A file, or ``-``.
        sha256: Its digest in hexadecimal, if the caller has one.
        option: The argument or option that names it.

    Raises:
        InputError: It cannot be read, is empty, or has another digest.
    """
    if sha256 is not None and not re.fullmatch(r"[0-9A-Fa-f]{64}", sha256.strip()):
        raise refusal("input.sha256", f"--sha256 is {sha256!r}; give 64 hexadecimal digits.")
    data = octets(path, option)
    if not data:
        message = f"{option} is empty; the program that should have written it may have failed. Nothing was done."
        raise refusal("input.empty", message)
    found = hashlib.sha256(data).hexdigest()
    if sha256 is not None and sha256.strip().lower() != found:
        message = f"{option} has {len(data)} octets and the SHA-256 {found}, not the one given by --sha256. "
        raise refusal("input.sha256", f"{message}It was cut off or changed on the way here. Nothing was done.")
    return data


def directory(path: str | None) -> Directory:
    """
    Give the published systems, and those of a TOML file; or its own alone, with ``published_systems = false``.

    Raises:
        InputError: The file cannot be read, or a system in it is invalid.
    """
    if path is None:
        return HTPOORT
    text = octets(path, "--systems").decode("utf-8", "replace")
    with file_of("--systems"):
        return read_systems(text, name="standard input" if path == "-" else path)


# ── values ───────────────────────────────────────────────────────────────────


def words(option: str, text: str) -> str:
    """
    Take a text as the user typed it, also in a locale whose encoding is not the terminal's.

    Args:
        option: The argument or option.
        text: As Python has it: octets that the locale's encoding lacks are half surrogates.

    Raises:
        InputError: It holds octets that are not UTF-8 either.
    """
    try:
        # Changes nothing but those octets: a text without half surrogates comes back as it is.
        return text.encode("utf-8", "surrogateescape").decode("utf-8")
    except UnicodeError:
        message = f"{option} holds octets that are not text in this locale's encoding; use a UTF-8 locale, or ASCII."
        raise refusal("input.value", message) from None


def day(text: str, option: str) -> date:
    """
    Read a day.

    Raises:
        InputError: The text is not a day, or is one before 1900.
    """
    found = toml_reader.parse_day(text)
    if found is None or found.year < _OLDEST_YEAR:
        message = f"{option} is {text!r}; give a day such as 2026-12-01 or 01-12-2026, from 1900 on."
        raise refusal("input.date", message)
    return found


def moment(text: str) -> datetime:
    """
    Read the value of --date.

    Raises:
        InputError: The text is not an ISO 8601 date and time with a time zone.
    """
    lacks = ""
    with contextlib.suppress(ValueError):
        found = datetime.fromisoformat(text)
        if found.utcoffset() is not None:
            return found
        lacks = ", without a time zone"
    message = f"--date is {text!r}{lacks}; give ISO 8601 with a time zone, such as 2026-11-02T09:05:07+01:00."
    raise refusal("input.date", message)


def date_problems(text: str) -> tuple[Problem, ...]:
    """List what is wrong with the value of --date."""
    try:
        moment(text)
    except InputError as error:
        return error.problems
    return ()


def check_layout(layout: LayoutChoice, file_name: str | None) -> None:
    """
    Check that a name of an attachment is given for an attachment.

    Raises:
        InputError: The payload is the body, which has no name.
    """
    if file_name is not None and layout is not LayoutChoice.ATTACHMENT:
        raise refusal("input.usage", "--file-name names an attachment; add --layout attachment, or leave it out.")


@final
@attrs.frozen(kw_only=True)
class MessageOptions:
    """The options of `build`, `send` and `queue` that describe a message, as the user typed them, without --system."""

    party: str
    mailbox: str
    reference: str
    layout: LayoutChoice
    transfer_encoding: TransferEncodingChoice | None
    file_name: str | None
    content_type: str | None
    date: str | None
    message_id: str | None

    @property
    def encoding(self) -> TransferEncoding | None:
        """The transfer encoding as `htpoort.build` takes it."""
        return None if self.transfer_encoding is None else self.transfer_encoding.value

    def build(self, payload: bytes, *, system: str, known: Directory) -> Submission:
        """
        Build the message.

        Args:
            payload: The declaration.
            system: The system that it is for.
            known: The systems that --system may name.

        Raises:
            InputError: Some values cannot be sent; the error lists every problem.
            UnknownError: There is no such system.
        """
        check_layout(self.layout, self.file_name)
        problems = () if self.date is None else date_problems(self.date)
        try:
            with systems_in("the file of --systems"):
                submission = build(
                    system=system,
                    party=self.party,
                    mailbox=self.mailbox,
                    reference=self.reference,
                    payload=payload,
                    # With another date in place of an invalid one, so that the other values are checked too.
                    date=_clock.now() if self.date is None or problems else moment(self.date),
                    message_id=_clock.message_id(self.mailbox) if self.message_id is None else self.message_id,
                    layout=self.layout.value,
                    transfer_encoding=self.encoding,
                    content_type=self.content_type,
                    file_name=self.file_name,
                    directory=known,
                )
        except InputError as error:
            raise InputError(error.text, (*error.problems, *problems)) from None
        if problems:
            raise InputError("", problems)
        return submission


@contextlib.contextmanager
def systems_in(place: str) -> Generator[None]:
    """Name the place, beside the library, where a system that a block does not find could be."""
    try:
        yield
    except UnknownError as error:
        if error.kind != "system":
            raise
        raise attrs.evolve(error, place=f"the published systems or {place}") from None


# ── the ledger of the configuration ──────────────────────────────────────────


@contextlib.contextmanager
def file_of(option: str, advice: str = "") -> Generator[None]:
    """If a block cannot read a file, or it is not TOML, name the option. What is in it has its place already."""
    try:
        yield
    except InputError as error:
        first = error.problems[0]
        # The cause is the error of the operating system.
        unread = isinstance(error.__cause__, OSError)
        if not unread and first.code != "toml.syntax":
            raise
        raise refusal(first.code, f"{option}: {first.message} {advice if unread else ''}".rstrip()) from None


def config_option(path: Path) -> str:
    """Return what names the configuration: the variable, or the option."""
    return "HTPOORT_CONFIG" if os.environ.get("HTPOORT_CONFIG") == str(path) else "--config"


def configured(path: Path) -> contextlib.AbstractContextManager[None]:
    """If a block cannot read the configuration, name the option and the variable."""
    return file_of(config_option(path), "Give the file by --config or HTPOORT_CONFIG; htpoort init writes one.")


@contextlib.contextmanager
def opened(path: Path, *, create: bool = False) -> Generator[tuple[LedgerConfig, Ledger]]:
    """Do as `opened_with_agent`, and yield only the settings that every command on a ledger needs."""
    with opened_with_agent(path, create=create) as (config, ledger):
        yield config.ledger, ledger


@contextlib.contextmanager
def opened_with_agent(path: Path, *, create: bool = False) -> Generator[tuple[AgentConfig, Ledger]]:
    """
    Read a configuration, without its passwords and certificates, and open its ledger; *create* one that is missing.

    Raises:
        InputError: Something in the file is invalid.
        LedgerError: The ledger cannot be opened.
    """
    # All that an import makes stays, so there is nothing to collect; searching it takes a tenth of the whole command.
    gc.disable()
    try:
        from htpoort.config import read_agent_without_secrets  # noqa: PLC0415 - SQLAlchemy would double the start of `parse`
    finally:
        gc.freeze()
        gc.enable()
    with configured(path):
        config = read_agent_without_secrets(path)
    with config.ledger.open(create=create) as ledger, systems_in(f"[systems] of {config.ledger.file}"):
        yield config, ledger
