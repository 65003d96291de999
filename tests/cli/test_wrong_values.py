"""Whatever is given wrongly to a command, the answer speaks of the option or the file's key, and not of Python."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest
import typer
from command_options import build_options
from databases import new_ledger

import htpoort as core
from htpoort import DMS, Router, agent, build, config, delivery, ledger, simulator, transport
from htpoort.cli import _app
from htpoort.ledger import Ledger, NoticeForm

Run = Callable[..., Any]

PARTY: Final = "NL123456789.02.05"
CLIENT: Final = "NL123456789.03.05"
NOON: Final = datetime(2026, 1, 5, 12, 0, 0, tzinfo=UTC)
FILE: Final = f'parties = ["{PARTY}", "{CLIENT}"]\n[ledger]\nurl = "sqlite:///htpoort.db"\n'
PLAN: Final = f"""
[cutover]
mode = "shadow"
shadow_system = "DMS"

[[cutover.move]]
party = "{PARTY}"
system = "DMS"
since = 2030-01-01
"""
NOTICE: Final = """
zone = "UTC"
[[windows]]
system = "DMS"
start = "2026-01-05T10:00"
end = "2026-01-05T11:00"
behaviour = "queued"
"""
STRANGER: Final = b"From: x@elsewhere.example\r\nSubject: [V=DMS4.NL][A=NL123456789.02.05][K=K9][S=0]\r\n\r\n-\r\n"

_DECLARATION: Final = {"--system": "DMS", "--party": PARTY, "--mailbox": "edi@forwarder.example", "--reference": "K2"}
RIGHT: Final[dict[str, dict[str, str]]] = {
    "parse": {},
    "build": _DECLARATION,
    "route": {"--party": PARTY},
    "send": {**_DECLARATION, "--server": "127.0.0.1", "--port": "9", "--security": "plain"},
    "init": {
        "--config": "new.toml",
        "--party": PARTY,
        "--mailbox": "edi@forwarder.example",
        "--server": "smtp.forwarder.example",
    },
    "check": {},
    "queue": _DECLARATION,
    "run": {},
    "fetch": {},
    "status": {},
    "report": {"--html": "report.html"},
    "resume": {},
    "show": {"K": "K1"},
    "list": {},
    "reply list": {},
    "reply show": {"NUMBER": "1"},
    "unanswered": {},
    "recover": {"NOTICE": "1"},
    "resolve": {"K": "K1"},
    "redeliver": {},
    "export": {},
    "prune": {"--older-than": "3000"},
    "quarantine list": {},
    "quarantine show": {"NUMBER": "1"},
    "quarantine release": {"NUMBER": "1", "--system": "DMS", "--party": PARTY},
    "quarantine discard": {"NUMBER": "1", "--why": "spam"},
    "quarantine withdraw": {"NUMBER": "1", "--why": "wrong K"},
    "windows read": {"FILE": "-"},
    "windows add": {"FILE": "own.toml"},
    "windows list": {},
    "windows what-now": {"SYSTEM": "DMS"},
    "windows timeline": {},
    "cutover preview": {"--on": "2030-01-01"},
    "cutover status": {},
    "cutover shadows": {},
    "cutover rehearse": {},
    "simulate": {},
    "demo": {},
}
"""What each command needs, given rightly."""
FLAGS: Final = {
    "resolve": ["--close"],
    "init": ["--yes"],
    "reply show": ["--payload"],
    "quarantine show": ["--payload"],
}
"""What it needs that has no value."""

_OF_A_MESSAGE: Final = [
    ("--party", "Jansen BV", "--party"),
    ("--party", "", "--party"),
    ("--system", "DSM", "--system 'DSM' is not in the published systems or "),
    ("--system", "", "--system '' is not"),
    ("--mailbox", "edi", "--mailbox is 'edi', not a plain mailbox, name@domain."),
    ("--mailbox", "", "--mailbox is '', not a plain mailbox, name@domain."),
    ("--reference", "a b", "--reference is 'a b'; give 1 to 35 letters and digits."),
    ("--reference", "", "--reference is ''"),
    ("--layout", "inline", "--layout is 'inline'; give body or attachment."),
    ("--transfer-encoding", "8bit", "--transfer-encoding is '8bit'; give 7bit, quoted-printable or base64."),
    ("--file-name", "a.xml", "--file-name names an attachment; add --layout attachment, or leave it out."),
    ("--content-type", "xml", "--content-type is 'xml'"),
    ("--date", "yesterday", "--date is 'yesterday'; give ISO 8601"),
    ("--date", "2026-11-02T09:05:07", "--date is '2026-11-02T09:05:07', without a time zone"),
    ("--date", "1800-01-01T00:00:00+00:00", "--date is in the year 1800"),
    ("--message-id", "1", "--message-id is '1'"),
    ("PAYLOAD", "nowhere", "PAYLOAD: nowhere cannot be read: No such file or directory."),
    ("PAYLOAD", "empty", "PAYLOAD is empty"),
]
_A_FOLDER: Final = [("PAYLOAD", "folder", "PAYLOAD: folder cannot be read: Is a directory.")]
_SYSTEMS: Final = [
    ("--systems", "nowhere", "--systems: nowhere cannot be read"),
    ("--systems", "bad.toml", "bad.toml:1: colour: there is no such setting"),
    ("--systems", "broken.toml", "--systems: broken.toml:2: This is not TOML"),
]
_CONFIG: Final = [
    ("--config", "nowhere", "--config: nowhere cannot be read: No such file or directory. Give the file by --config"),
    ("--config", "folder", "--config: folder cannot be read: Is a directory."),
    ("--config", "bad.toml", "bad.toml:1: colour: there is no such setting"),
    ("--config", "broken.toml", "--config: broken.toml:2: This is not TOML"),
]
_LIMIT: Final = [
    ("--limit", "0", "--limit is '0'; give a whole number, 1 or more."),
    ("--limit", "many", "--limit is 'many'; give a whole number, 1 or more."),
]
_A_SYSTEM: Final = [("--system", "DSM", "[systems] of htpoort.toml; did you mean DMS?")]
_ONE_PARTY: Final = [("--party", "Jansen BV", "--party")]
_SINCE: Final = [
    ("--since", "yesterday", "--since is 'yesterday'; give a day such as 2026-11-30, or a time such as"),
    ("--since", "1800-01-01", "--since is '1800-01-01'; give a day"),
    ("--since", "2026-11-02T09:05:07", "--since is '2026-11-02T09:05:07'; give a day"),
]
_HTML: Final = [
    ("--html", "folder", "--html: folder cannot be written: Is a directory."),
    ("--html", "gone/report.html", "--html: gone/report.html cannot be written: No such file or directory."),
]
_PART: Final = [
    ("--part", "0", "--part is '0'; give a whole number, 1 or more."),
    ("--part", "first", "--part is 'first'; give a whole number, 1 or more."),
]
_NUMBER: Final = [
    ("NUMBER", "99", "is not in the quarantine (see htpoort quarantine list --all)"),
    ("NUMBER", "first", "NUMBER is 'first'; give a number such as 17."),
    ("NUMBER", "0", "NUMBER is '0'; give a number such as 17."),
]
_OF_NOTICES: Final = [
    ("--known-at", "soon", "--known-at is 'soon'; give a time such as 2026-11-30T21:00, or"),
    ("--notices", "nowhere", "--notices: nowhere cannot be read"),
    ("--notices", "bad.toml", "bad.toml:1: colour: there is no such setting"),
    ("--notices", "empty", "--notices: empty: The text is empty."),
    ("--access", "fax", "--access is 'fax'; give file, online or any."),
    ("FILE", "empty", "'empty' is one argument too many; files follow --notices."),
]
_SHA256: Final = [
    ("--sha256", "00", "--sha256 is '00'; give 64 hexadecimal digits."),
    ("--sha256", "0" * 64, "not the one given by --sha256"),
]

WRONG: Final[dict[str, list[tuple[str, str, str]]]] = {
    "init": [
        ("--config", "htpoort.toml", "--config: htpoort.toml exists, and nothing was written."),
        ("--config", "gone/htpoort.toml", "--config: there is no folder gone, and nothing was written."),
        ("--interface", "vpn", "--interface is 'vpn'; give msa or mta."),
        ("--system", "DSM", "--system is 'DSM'; give AGS or DMS."),
        ("--party", "Jansen BV", "--party is 'Jansen', not a party ID;"),
        ("--mailbox", "edi", "--mailbox is 'edi', not a plain mailbox, name@domain."),
        ("--server", "a b", "--server is 'a b'; give the name or address of a host."),
        ("--port", "0", "--port is '0'; give a whole number, 1 to 65535."),
        ("--username", "a\nb", "--username is empty, or holds a character that no login can carry."),
        ("--password-file", "gone/a", "--password-file is gone/a, and there is no folder gone; create it, or"),
        ("--pop3-server", "a/b", "--pop3-server is 'a/b'; give the name or address of a host."),
        ("--pop3-port", "x", "--pop3-port is 'x'; give a whole number, 1 to 65535."),
        ("--listen-port", "0", "--listen-port is '0'; give a whole number, 1 to 65535."),
        ("--security", "ssl", "--security is 'ssl'; give starttls, implicit or plain."),
    ],
    "check": [
        *_CONFIG,
        ("--silence", "0", "--silence is '0'; give a whole number, 1 or more."),
        ("--silence", "x", "--silence is 'x'; give a whole number, 1 or more."),
    ],
    "parse": [("--file", "nowhere", "--file: nowhere cannot be read")],
    "build": [
        *_OF_A_MESSAGE,
        *_A_FOLDER,
        *_SYSTEMS,
        ("--output", "folder", "--output: folder cannot be written: Is a directory."),
    ],
    "route": [
        ("MESSAGE", "nowhere", "MESSAGE: nowhere cannot be read"),
        ("--party", "Jansen BV", "--party: 'Jansen BV'"),
        ("--mailbox", "dms@htpoort.nl", "Give --mailbox and --subject together, or MESSAGE."),
        ("--subject", "x", "Give --mailbox and --subject together, or MESSAGE."),
        ("--sent", "nowhere", "--sent: nowhere cannot be read"),
        ("--sent", "bad.toml", "--sent: bad.toml, line 1: "),
        *_SYSTEMS,
    ],
    "send": [
        *_OF_A_MESSAGE,
        *_A_FOLDER,
        *_SYSTEMS,
        *_SHA256,
        ("--server", "", "--server is ''"),
        ("--server", "a b", "--server is 'a b'"),
        ("--port", "0", "--port is '0'; give a whole number, "),
        ("--port", "smtp", "--port is 'smtp'; give a whole number, "),
        ("--security", "tls", "--security is 'tls'; give starttls, implicit or plain."),
        ("--username", "edi", "--password is missing"),
        ("--password", "secret", "--username is missing"),
        ("--key", "nowhere", "--key needs --certificate."),
        ("--key-password", "secret", "--key-password needs --certificate."),
        ("--timeout", "0", "--timeout is '0'; give a number, 0.1 or more."),
        ("--timeout", "soon", "--timeout is 'soon'; give a number, 0.1 or more."),
    ],
    "queue": [
        *_OF_A_MESSAGE,
        # A folder and a form of names are for many declarations, which have no K in common.
        ("PAYLOAD", "folder", "--reference K2 is the K of one declaration; give auto, or --pattern to take K"),
        ("--pattern", "{K}", "--reference K2 is the K of one declaration; give auto, or --pattern to take K"),
        *_SHA256,
        *_CONFIG,
        ("--kind", "", "--kind is ''; give a kind as [cutover] names it, or leave it out."),
        ("--business-reference", "", "--business-reference is empty"),
        ("--business-reference", "a\nb", "--business-reference is empty or contains a control character"),
        ("--system", "MANIFEST", "--system 'MANIFEST' is not in the published systems or [systems] of"),
    ],
    "run": _CONFIG,
    "fetch": _CONFIG,
    "status": _CONFIG,
    "report": [
        *_CONFIG,
        *_ONE_PARTY,
        *_SINCE,
        ("--until", "yesterday", "--until is 'yesterday'; give a day such as 2026-11-30, or a time such as"),
        ("--until", "2026-11-02T09:05:07", "--until is '2026-11-02T09:05:07'; give a day"),
        *_HTML,
    ],
    "resume": [
        *_CONFIG,
        ("SERVER", "smtp.absent.example", "SERVER: no server that is paused has 'smtp.absent.example'"),
    ],
    "show": [
        *_CONFIG,
        ("K", "K7", "K 'K7': no exchange"),
        ("--party", "Jansen BV", "--party 'Jansen BV' is not in htpoort.toml (parties). Known: "),
    ],
    "list": [
        *_CONFIG,
        *_LIMIT,
        *_A_SYSTEM,
        *_SINCE,
        *_ONE_PARTY,
        ("--state", "lost", "--state is 'lost'; give queued, held, sending, "),
    ],
    "reply list": [*_CONFIG, *_LIMIT, *_A_SYSTEM, *_SINCE, *_ONE_PARTY],
    "reply show": [
        *_CONFIG,
        *_PART,
        ("NUMBER", "99", "reply '99' is not in the ledger; htpoort reply list lists all numbers."),
        ("NUMBER", "first", "NUMBER is 'first'; give a number such as 17."),
    ],
    "unanswered": [
        *_CONFIG,
        *_LIMIT,
        *_A_SYSTEM,
        ("--older-than", "-1", "--older-than is '-1'; give a whole number, 0 to"),
        ("--party", "Jansen BV", "--party"),
        ("--too-old", "soon", "--too-old is 'soon'; give hours such as 24 or 0.5, or DMS=4 for one system."),
        (
            "--too-old",
            "DSM=1",
            "--too-old 'DSM' is not in the published systems or [systems] of htpoort.toml; did you mean",
        ),
        ("--every", "0", "--every is '0'; give a whole number"),
    ],
    "recover": [
        *_CONFIG,
        *_LIMIT,
        *_ONE_PARTY,
        ("NOTICE", "N9", "notice 'N9' is not in the ledger"),
        ("K", "K7", "K 'K7': no exchange"),
        ("--despite", " ", "--despite is blank; give a reason for the log."),
        ("--declaration", "nowhere", "--declaration: nowhere cannot be read"),
        ("--lrn", "LRN9", "--declaration and --lrn go with --do new-reference"),
        ("--new-reference", "K9", "--new-reference is the K of one exchange"),
        ("--do", "resend", "--do is 'resend'; give wait, same-reference, "),
    ],
    "resolve": [
        *_CONFIG,
        ("K", "K7", "K 'K7': no exchange"),
        ("--party", "Jansen BV", "--party 'Jansen BV' is not in htpoort.toml (parties). Known: "),
        ("--state", "lost", "--state is 'lost'; give queued, held, sending, "),
        ("--despite", " ", "--despite is the reason of --resend"),
        ("--state", "queued", "--state, --system, --since and --yes choose many; leave out K, or them."),
        ("--system", "DSM", "--state, --system, --since and --yes choose many; leave out K, or them."),
        ("--since", "yesterday", "--state, --system, --since and --yes choose many; leave out K, or them."),
    ],
    "redeliver": [
        *_CONFIG,
        *_A_SYSTEM,
        *_SINCE,
        *_ONE_PARTY,
        ("NUMBER", "99", "number 99"),
        ("NUMBER", "first", "NUMBER is 'first'; give a number such as 17."),
    ],
    "export": [*_CONFIG, ("--state", "lost", "--state is 'lost'; give queued, held, sending, ")],
    "prune": [
        *_CONFIG,
        ("--older-than", "-1", "--older-than is '-1'; give a whole number, 0 to"),
        ("--older-than", "all", "--older-than is 'all'; give a whole number, 0 to"),
        ("--older-than", "1", "--older-than is 1; [ledger] retention_days keeps 2557 days, so give at least 2557."),
    ],
    "quarantine list": [*_CONFIG, *_LIMIT],
    "quarantine show": [*_CONFIG, *_NUMBER, *_PART],
    "quarantine release": [
        *_CONFIG,
        *_NUMBER,
        *_A_SYSTEM,
        *_ONE_PARTY,
        ("NUMBER", "2", "--reference is missing"),
        (
            "--system",
            "AGS",
            "or release it despite other-system, with a reason. Add --despite other-system --why REASON.",
        ),
        (
            "--party",
            CLIENT,
            "or release it despite other-party, with a reason. Add --despite other-party --why REASON.",
        ),
        ("--reference", "a b", "--reference is 'a b'"),
        ("--reference", "", "--reference is ''"),
        (
            "--despite",
            "the helpdesk says so",
            "--despite is 'the helpdesk says so'; give other-party, other-system or other-upload.",
        ),
        ("--despite", "other-party", "--why is blank"),
        ("--why", " ", "--why is blank"),
    ],
    "quarantine discard": [*_CONFIG, *_NUMBER, ("--why", " ", "--why is blank")],
    "quarantine withdraw": [
        *_CONFIG,
        *_NUMBER,
        ("--why", " ", "--why is blank"),
        ("NUMBER", "1", "Message 1 is held, so there is no release to take back."),
    ],
    "windows read": [
        *_CONFIG,
        ("FILE", "nowhere", "FILE: nowhere cannot be read"),
        ("FILE", "bad.toml", "FILE: bad.toml is a notice of your own; store it with htpoort windows add bad.toml."),
        ("--authority", "duane", "--authority is 'duane', which is not known; did you mean douane?"),
    ],
    "windows add": [
        *_CONFIG,
        ("FILE", "nowhere", "FILE: nowhere cannot be read"),
        ("FILE", "bad.toml", "bad.toml:1: colour: there is no such setting"),
        ("FILE", "broken.toml", "FILE: broken.toml:2: This is not TOML"),
    ],
    "windows list": _CONFIG,
    "windows what-now": [
        *_CONFIG,
        *_OF_NOTICES,
        ("--at", "soon", "--at is 'soon'; give a time such as 2026-11-30T21:00, or"),
    ],
    "windows timeline": [
        *_CONFIG,
        *_OF_NOTICES,
        ("--system", "DSM", "--system 'DSM' is not in the notices; did you mean DMS?"),
        ("--from", "soon", "--from is 'soon'; give a time such as"),
        ("--until", "soon", "--until is 'soon'; give a time such as"),
        ("--svg", "folder", "--svg: folder cannot be written: Is a directory."),
    ],
    "cutover preview": [
        *_CONFIG,
        *_ONE_PARTY,
        ("--on", "soon", "--on is 'soon'; give a day such as 2026-12-01"),
        ("--on", "1800-01-01", "--on is '1800-01-01'"),
    ],
    "cutover status": [*_CONFIG, *_ONE_PARTY, *_HTML],
    "cutover shadows": [*_CONFIG, *_ONE_PARTY, *_LIMIT],
    "cutover rehearse": [
        *_CONFIG,
        *_HTML,
        ("--scenario", "nowhere", "--scenario: nowhere cannot be read"),
        ("--scenario", "bad.toml", "bad.toml:1: colour: there is no such setting"),
    ],
    "simulate": [
        *_SYSTEMS,
        ("--scenario", "nowhere", "--scenario: nowhere cannot be read"),
        ("--scenario", "bad.toml", "bad.toml:1: colour: there is no such setting"),
        ("--record", "empty", "--record empty: it is a file; give a folder"),
        ("--notices", "nowhere", "--notices: nowhere cannot be read"),
        ("--notice-name", "DMS", "--notice-name is 'DMS'; give NAME=SYSTEM, such as 'DMS Invoer=DMS'."),
        ("--declarant", "", "--declarant: '' is not a declarant; give MAILBOX=HOST:PORT"),
        ("--declarant", "edi", "--declarant: mailbox is 'edi'"),
        (
            "--declarant",
            "edi@a.example:geheim=127.0.0.1:25",
            "=127.0.0.1:25' is not a declarant; give MAILBOX=HOST:PORT",
        ),
        ("--declarant", "edi@forwarder.example=mx:99999", "--declarant: port is 99999"),
        ("--declarant", "edi@forwarder.example=192.0.2.1:25", "--beyond-loopback"),
        ("--port", "smtp", "--port is 'smtp'; give a whole number, "),
        ("--tls-port", "2525", "--tls-port needs --tls."),
        ("--pop3-port", "1110", "--pop3-port and --pop3s-port need a --declarant that fetches its replies."),
        ("--pop3s-port", "1995", "--pop3s-port needs --tls."),
        ("--tls-port", "-1", "--tls-port is '-1'; give a whole number, "),
        ("--pop3-port", "65536", "--pop3-port is '65536'; give a whole number, "),
        ("--pop3s-port", "x", "--pop3s-port is 'x'; give a whole number, "),
        ("--web-port", "8025", "--web-port needs --web."),
        ("--web-port", "65536", "--web-port is '65536'; give a whole number, "),
        ("--certificates", "folder", "--certificates needs --tls or --ftps."),
        ("--ftps-user", "CVR_12345678_UI_12345678", "--ftps-user needs --ftps."),
        ("--ftps-port", "6381", "--ftps-port needs --ftps."),
        ("--ftps-tls-port", "6990", "--ftps-tls-port needs --ftps."),
        ("--client-certificate", "maybe", "--client-certificate is 'maybe'; give none, optional or required."),
        ("--host", "192.0.2.1", "--host: '192.0.2.1' is not an address of this machine"),
    ],
    "demo": [],
}
"""The option or argument, a value that is wrong, and what the answer must have."""

FREE: Final = {
    "SUBJECT",  # it is what parse judges
    "SYSTEM",  # the advice for a name that no notice has is that it is unclear
    "--mail-from",  # a reply that it does not fit is quarantined, and that is the result
    "--kind",  # a label that no move has is the kind of all others; tests/cli/test_cutover_commands.py has the others
    "--shadow-payload",  # read where there is a shadow; tests/cli/test_cutover_commands.py
    "--ca-file",  # read when the connection is made; tests/wire/test_tls.py
    "--certificate",  # the same
}
"""Arguments and options of which any text can be right, or whose values another test has."""

PYTHON: Final = re.compile(
    r"Traceback|\b[A-Z]\w*(?:Error|Exception)\b|\b(?:None|True|False|datetime|str|bytes|int|dict|tuple)\b"
    r"|\b[a-z_]+=(?!\")|\bpass \w+=|\[Errno|object at 0x|in Python"
)


def classes() -> Iterator[str]:
    """Give the names of the classes that a caller of the library knows, unless they are words that a user types."""
    for room in (core, agent, config, delivery, ledger, simulator, transport):
        for name in room.__all__:
            if inspect.isclass(getattr(room, name)) and not re.fullmatch(r"[A-Z][a-z]+", name):
                yield name


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a configuration with a plan, a ledger with an exchange and a message in quarantine, and files."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HTPOORT_CONFIG", raising=False)
    (tmp_path / "htpoort.toml").write_text(FILE + PLAN)
    (tmp_path / "bad.toml").write_text('colour = "red"\n')
    (tmp_path / "broken.toml").write_text("parties = [\n")
    (tmp_path / "own.toml").write_text(NOTICE)
    (tmp_path / "empty").touch()
    (tmp_path / "folder").mkdir()
    with Ledger.open(new_ledger(tmp_path / "htpoort.db")) as opened:
        for raw in (STRANGER, b"From: x@elsewhere.example\r\n\r\n-\r\n"):
            opened.replies.take_in(Router(parties=[PARTY]), raw, mail_from=None, at=NOON)
        message = build(
            system=DMS,
            party=PARTY,
            mailbox="edi@forwarder.example",
            reference="K1",
            payload=b"<MetaData/>",
            date=NOON,
            message_id="<1@forwarder.example>",
        )
        opened.exchanges.queue(message, at=NOON)
        opened.notices.add(NOTICE, at=NOON, form=NoticeForm.OWN)
    return tmp_path


def command_line(command: str, option: str, value: str) -> list[str]:
    """Write a command with one value that is wrong."""
    given = {**RIGHT[command], option: value}
    options = [part for name, text in given.items() if name.startswith("-") for part in (name, text)]
    return [
        *command.split(),
        *FLAGS.get(command, []),
        *options,
        *(text for name, text in given.items() if not name.startswith("-")),
    ]


@pytest.mark.parametrize(("command", "case"), [(command, case) for command, cases in WRONG.items() for case in cases])
def test_the_answer_names_what_is_wrong(htpoort: Run, office: Path, command: str, case: tuple[str, str, str]) -> None:
    """The option or the file's key is named; no class, argument or traceback of Python is."""
    del office
    option, value, expected = case
    result = htpoort(*command_line(command, option, value), stdin=b"<MetaData/>")
    # What the user typed may be repeated.
    printed = result.err.replace(repr(value), "")

    assert result.code in {1, 2}
    assert expected in result.err
    assert [] == PYTHON.findall(printed)
    assert [] == [name for name in classes() if re.search(rf"\b{name}\b", printed)]


def test_a_file_without_a_certificate(htpoort: Run, office: Path) -> None:
    """The option and the file are named in one sentence, without a caret below it."""
    del office
    given = {**RIGHT["send"], "--security": "starttls", "--certificate": "bad.toml"}
    result = htpoort("send", *(part for pair in given.items() for part in pair), stdin=b"<MetaData/>")

    assert (2, 1) == (result.code, len(result.err.splitlines()))
    assert result.err.startswith("htpoort: --certificate bad.toml cannot be used: it holds no certificate in PEM form.")


@pytest.mark.parametrize("command", ["build", "send", "queue"])
def test_a_wrong_date_hides_nothing(htpoort: Run, office: Path, command: str) -> None:
    """All that is wrong with a message is listed at once, and nothing is queued."""
    wrong = {**RIGHT[command], "--reference": "a b", "--mailbox": "edi", "--date": "yesterday"}
    options = [part for name, text in wrong.items() if name.startswith("-") for part in (name, text)]
    result = htpoort(command, *options, "--json", stdin=b"<MetaData/>")

    with Ledger.open(f"sqlite:///{office}/htpoort.db") as opened:
        queued = [exchange.reference for exchange in opened.exchanges.listed()]
    assert (2, ["K1"]) == (result.code, queued)
    named = [problem["message"].split()[0] for problem in result.facts["problems"]]
    assert ["--reference", "--mailbox", "--date"] == named


@pytest.mark.parametrize("option", ["--ca-file", "--certificate"])
def test_no_tls_option_is_ignored(htpoort: Run, office: Path, option: str) -> None:
    """An option for TLS beside --security plain is refused: the connection would not have it."""
    del office
    given = {**RIGHT["send"], "--security": "plain", option: "ca.pem"}
    options = [part for name, text in given.items() if name.startswith("-") for part in (name, text)]
    result = htpoort("send", *options, stdin=b"<MetaData/>")

    message = "htpoort: --security plain uses no TLS, so leave out --ca-file and --certificate.\n"
    assert (2, message) == (result.code, result.err)


@pytest.mark.parametrize("option", ["--mailbox", "--party", "--date"])
def test_one_mistake_is_one_sentence(htpoort: Run, option: str) -> None:
    """Nothing is said of a Message-ID or another value that the user never gave."""
    given = {**_DECLARATION, option: ""}
    result = htpoort("build", *(part for pair in given.items() for part in pair), stdin=b"<MetaData/>")

    assert (2, 1) == (result.code, len(result.err.splitlines()))


def test_every_option_is_tried() -> None:
    """Each argument and option of each command that takes a value has a wrong one above, or a reason why not."""
    group: Any = typer.main.get_command(_app.app)
    untried: list[str] = []
    for name, command in group.commands.items():
        for inner, one in getattr(command, "commands", {"": command}).items():
            full = f"{name} {inner}".strip()
            tried = {option for option, _, _ in WRONG[full]}
            for parameter in one.params:
                named = parameter.opts[0] if parameter.opts[0].startswith("-") else parameter.metavar or "SUBJECT"
                is_flag = getattr(parameter, "is_flag", False) or named == "--help"
                if not is_flag and named not in tried | FREE:
                    untried.append(f"{full} {named}")

    assert [] == untried


def test_the_options_are_right(htpoort: Run) -> None:
    """The values that are not wrong above are taken: nothing but the wrong one is answered."""
    assert 0 == htpoort("build", *build_options(), stdin=b"<MetaData/>").code


def test_a_choice_is_taken_in_any_case(htpoort: Run) -> None:
    """No value of a choice differs from another in its case alone, so that REFUSED is refused."""
    group: Any = typer.main.get_command(_app.app)
    commands = [one for top in group.commands.values() for one in getattr(top, "commands", {"": top}).values()]
    choices = [one for command in commands for one in command.params if one.type_descriptor.choices]
    built = htpoort(
        "build", *build_options(), "--layout", "BODY", "--transfer-encoding", "Base64", stdin=b"<MetaData/>"
    )

    assert [] != choices
    assert [] == [one.opts for one in choices if one.type_descriptor.parameter_info.case_sensitive]
    assert (0, True) == (built.code, "Content-Transfer-Encoding: base64" in built.text)


OTHER_TYPES: Final = re.compile(
    r"<(?:str|int|float|path|bool)\b|\b(?:int|float) range|list\[|Value error|Input should|\]\.\.\.\]|<=x"
)
"""How the libraries that read the command line speak of values."""


def test_help_names_values_in_plain_words(htpoort: Run) -> None:
    """The help of a command shows the name of each value, such as PORT, and no type of Python."""
    for command in [*RIGHT, "", "quarantine", "reply", "windows", "cutover"]:
        result = htpoort(*command.split(), "--help")

        assert (0, []) == (result.code, OTHER_TYPES.findall(result.text)), command


def test_help_names_the_value_of_every_option() -> None:
    """No option that takes a value is shown without a name for it."""
    group: Any = typer.main.get_command(_app.app)
    commands = [inner for one in group.commands.values() for inner in getattr(one, "commands", {"": one}).values()]

    assert [] == [
        (command.name, parameter.opts)
        for command in commands
        for parameter in command.params
        if not getattr(parameter, "is_flag", False) and parameter.metavar is None
    ]


QUOTES: Final = "put a value that has spaces in quotes."


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("send --port abc", "--port is 'abc'; give a whole number, 1 to 65535."),
        ("send --port 0", "--port is '0'; give a whole number, 1 to 65535."),
        ("simulate --port 65536", "--port is '65536'; give a whole number, 0 to 65535."),
        ("simulate --ftps-port 65536", "--ftps-port is '65536'; give a whole number, 0 to 65535."),
        (
            "simulate --ftps --ftps-user edi",
            "--ftps-user: This is not the user of a file gateway; write it as in CVR_12345678_UI_12345678.",
        ),
        ("build --layout zip", "--layout is 'zip'; give body or attachment."),
        ("redeliver 1 first", "NUMBER is 'first'; give a number such as 17."),
        ("reply show 0", "NUMBER is '0'; give a number such as 17."),
        ("quarantine show x", "NUMBER is 'x'; give a number such as 17."),
        ("build", "--system is missing."),
        ("show", "K is missing."),
        ("resolve --close", "K is missing; give it, or --state for all exchanges in that state."),
        ("send --port", "--port needs a value after it."),
        ("fetch --json=1", "--json takes no value."),
        ("fetch extra", f"'extra' is too many for htpoort fetch; {QUOTES} For all arguments: htpoort fetch --help"),
        (
            "fetch --jsn",
            "--jsn is not an option of htpoort fetch; did you mean --json? For all options: htpoort fetch --help",
        ),
        ("fetch -x", "-x is not an option of htpoort fetch. For all options: htpoort fetch --help"),
        ("nix", "'nix' is not a command of htpoort. For all commands: htpoort --help"),
        (
            "quarantine nix",
            "'nix' is not a command of htpoort quarantine. For all commands: htpoort quarantine --help",
        ),
    ],
)
def test_usage_errors_have_one_form(htpoort: Run, arguments: str, expected: str) -> None:
    """A command line that cannot be read gets one line on standard error, in plain words, and exit code 2."""
    result = htpoort(*arguments.split())

    assert (2, b"", f"htpoort: {expected}\n") == (result.code, result.out, result.err)


def test_a_group_without_a_command_shows_its_help(htpoort: Run) -> None:
    """What a group can do is shown on standard error, and the exit code is 2."""
    result = htpoort("quarantine")

    assert 2 == result.code
    assert result.err.startswith("Usage: htpoort quarantine")


def test_a_name_of_an_attachment_is_checked(htpoort: Run) -> None:
    """A name that could leave the folder of a receiver is refused."""
    options = (*build_options(), "--layout", "attachment", "--file-name", "a/b")
    result = htpoort("build", *options, stdin=b"<MetaData/>")

    assert 2 == result.code
    assert "--file-name is 'a/b'" in result.err


def test_a_reply_is_described_or_given(htpoort: Run) -> None:
    """A message beside --mailbox and --subject would be ignored, so it is refused."""
    described = ("--mailbox", "dms@htpoort.nl", "--subject", "x")
    result = htpoort("route", "message.eml", "--party", PARTY, *described)

    assert (2, "htpoort: Give --mailbox and --subject together, or MESSAGE.\n") == (result.code, result.err)


def test_fetch_without_a_mailbox_says_so(htpoort: Run, office: Path) -> None:
    """Where no POP3 mailbox is configured, a person reads it, and a program gets an empty list."""
    del office

    assert (0, "There is no [[pop3]] in htpoort.toml; nothing was fetched.\n") == (
        htpoort("fetch").code,
        htpoort("fetch").text,
    )
    assert [] == htpoort("fetch", "--json").facts


@pytest.mark.parametrize(
    ("command", "title"),
    [
        ("unanswered", "unanswered declarations"),
        ("reply list", "replies"),
        ("cutover shadows", "shadows"),
    ],
)
def test_an_empty_table_is_a_sentence(htpoort: Run, office: Path, command: str, title: str) -> None:
    """A table without lines has no frame."""
    del office

    assert f"No {title}.\n" == htpoort(*command.split()).text
