"""Mistakes in a configuration file: all of them at once, each with its path and its line."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from htpoort import InputError
from htpoort.config import read_agent, read_ledger

Refuse = Callable[..., list[str]]

SMALL = 'parties = ["NL123456789.02.05"]\n[ledger]\nurl = "sqlite:///htpoort.db"\n'  # three lines
OUTBOX = '[[outbox]]\nserver = "smtp.forwarder.example"\n'
SMTP = '[[smtp]]\nhostname = "mx.forwarder.example"\nmailboxes = ["edi@forwarder.example"]\nport = 0\n'
POP3 = '[[pop3]]\nserver = "pop.forwarder.example"\nusername = "edi"\n'
TIMES = 'above 0 such as "30s", "5m" or "1h30m"'
CLEAR = "is plain, so the password could be read on the way; use starttls or implicit."
TIMING = "delivery, grace, lease, pause, pause_login, poll, redeliver, release, retry_delay"
TABLES = (
    "cutover, delivery, folder, gateway, ledger, metrics, notices, outbox, parties, pop3, published_systems, "
    "smtp, systems, timing, unanswered"
)
NCTS = "system 'NCTS' is neither published nor in [systems.NAME]. Known: AGS, DMS."
CHECK = "check the path and the permissions of its folders"
RUN = "check the path, and chmod +x the file."
LITERAL_URL = (
    'do not write a password into this file; put the URL into an environment variable, and give url_env = "NAME".'
)
FOLDER = '[[folder]]\npath = "."\nmailbox = "edi@forwarder.example"\n'
DELIVERY = 'write [[delivery]], with a key such as system = "DMS".'
WHOLE = "a Maildir holds whole messages; give directory in place of maildir, or leave payload out."
NO_FOLDER = "FOLDER/htpoort.toml is not a folder; name another."
TARGETS = "a delivery has directory, maildir or command; give"
FIRST = "which ends a delivery first; give less here, or more there."
LITERAL = 'do not write a password into this file; give {0}_env = "NAME" or {0}_file = "path".'


@pytest.mark.parametrize(
    ("added", "expected"),
    [
        # outbox
        ("[[outbox]]\n", "4: outbox[0].server: this setting is needed."),
        ('[outbox]\nserver = "a.example"\n', "4: outbox: write [[outbox]]; there may be several."),
        ("[[outbox]]\nserver = 1\n", "5: outbox[0].server: give a string."),
        (
            '[[outbox]]\nserver = "a b"\n',
            "5: outbox[0].server is 'a b'; give the name or address of a host.",
        ),
        (f"{OUTBOX}port = 70000\n", "6: outbox[0].port is 70000; give a number from 1 to 65535."),
        (f"{OUTBOX}port = true\n", "6: outbox[0].port: give a whole number."),
        (f'{OUTBOX}port = "25"\n', "6: outbox[0].port: give a whole number."),
        (f'{OUTBOX}security = "tls"\n', "6: outbox[0].security: give one of starttls, implicit, plain."),
        (f"{OUTBOX}security = 1\n", "6: outbox[0].security: give one of starttls, implicit, plain."),
        (f'{OUTBOX}password = "geheim"\nusername = "edi"\n', f"6: outbox[0].password: {LITERAL.format('password')}"),
        (
            f'{OUTBOX}username = "edi"\n',
            "4: outbox[0].password: give it by password_env or password_file.",
        ),
        (
            f'{OUTBOX}password_env = "SET"\n',
            "4: outbox[0].username: this setting is needed with a password.",
        ),
        (
            f'{OUTBOX}username = "edi"\npassword_env = "UNSET"\n',
            "7: outbox[0].password_env: the environment variable UNSET is not set, or is empty.",
        ),
        (
            f'{OUTBOX}username = "edi"\npassword_env = "EMPTY"\n',
            "7: outbox[0].password_env: the environment variable EMPTY is not set, or is empty.",
        ),
        (
            f'{OUTBOX}username = "edi"\npassword_env = "SET"\npassword_file = "x"\n',
            "8: outbox[0].password_file: give password_env or password_file, not both.",
        ),
        (
            f'{OUTBOX}username = "edi"\npassword_env = "SET"\nsecurity = "plain"\n',
            f"8: outbox[0].security {CLEAR}",
        ),
        (f"{OUTBOX}connections = 65\n", "6: outbox[0].connections is 65; give 1 to 64."),
        (f"{OUTBOX}per_hour = 0\n", "6: outbox[0].per_hour is 0; give at least 1, or leave it out."),
        (f'{OUTBOX}key = "own.key"\n', "6: outbox[0].key is set and certificate is not; give both."),
        (f'{OUTBOX}systems = ["DMS", "NCTS"]\n', f"6: outbox[0].systems[1]: {NCTS}"),
        (
            f'{OUTBOX}systems = ["DMS"]\n{OUTBOX}systems = ["AGS", "dms"]\n',
            "9: outbox[1].systems[1]: DMS is already in outbox[0]; a system has one outbox.",
        ),
        (f'{OUTBOX}systems = "DMS"\n', "6: outbox[0].systems: give an array of strings."),
        (f'{OUTBOX}systems = ["DMS", 1]\n', "6: outbox[0].systems[1]: give a string."),
        (
            f'{OUTBOX}retry = ["5m", "soon", "7m"]\n',
            f"6: outbox[0].retry[1]: give a time {TIMES}.",
        ),
        (f'{OUTBOX}retry = "5m"\n', '6: outbox[0].retry: give an array of times such as ["30s", "5m"].'),
        # smtp
        (
            "[[smtp]]\nport = 0\nhostname = 'a.example'\n",
            "4: smtp[0].mailboxes: this setting is needed.",
        ),
        (
            SMTP.replace('["edi@forwarder.example"]', "[]"),
            "6: smtp[0].mailboxes is empty; give at least one, or every message is refused.",
        ),
        (
            f'{SMTP}networks = ["everywhere"]\n',
            "8: smtp[0].networks holds 'everywhere'; give an address with a prefix, such as 192.0.2.0/24.",
        ),
        (
            f'{SMTP}mail_from_rewritten_by = ["192.0.2.10/32"]\n',
            (
                "8: smtp[0].mail_from_rewritten_by holds '192.0.2.10/32', which is not within"
                " networks, so it cannot connect. Add it to networks."
            ),
        ),
        (
            f'{SMTP}networks = ["192.0.2.0"]\nmail_from_rewritten_by = ["own.example"]\n',
            (
                "9: smtp[0].mail_from_rewritten_by holds 'own.example'; give an address with a"
                " prefix, such as 192.0.2.10/32."
            ),
        ),
        (
            f'{SMTP}mail_from_rewritten_by = ["192.0.2.10/32"]\nnetworks = ["everywhere"]\n',
            "9: smtp[0].networks holds 'everywhere'; give an address with a prefix, such as 192.0.2.0/24.",
        ),
        (
            SMTP.replace("port = 0", "port = 2525") * 2,
            "11: smtp[1].port: 127.0.0.1:2525 is already listed.",
        ),
        (f"{SMTP}size_limit = 0\n", "8: smtp[0].size_limit is 0; give octets above 0."),
        (f"{SMTP}connections = 0\n", "8: smtp[0].connections is 0; give a whole number above 0."),
        (
            f"{SMTP}held_limit = 1000\n",
            (
                "8: smtp[0].held_limit is 1000, so no message of size_limit 52428800 would fit. "
                "Give a higher held_limit or a lower size_limit."
            ),
        ),
        (f"{SMTP}require_tls = 1\n", "8: smtp[0].require_tls: give true or false."),
        (
            f"{SMTP}require_tls = true\n",
            "8: smtp[0].require_tls: it needs certificate; give both, or neither.",
        ),
        (
            f'{SMTP}certificate = "absent.pem"\nrequire_tls = true\n',
            (
                "8: smtp[0].certificate cannot be used: No such file or directory. "
                "Give a readable PEM file with the certificate and its chain."
            ),
        ),
        (f'{SMTP}ca_file = "x"\n', "8: smtp[0].ca_file: it needs certificate; give both, or neither."),
        # pop3
        (
            '[[pop3]]\nserver = "a.example"\npassword_env = "SET"\n',
            "4: pop3[0].username: this setting is needed with a password.",
        ),
        (
            '[[pop3]]\nserver = "a.example"\nusername = ""\npassword_env = "SET"\n',
            "6: pop3[0].username is empty, or holds a character that no login can carry.",
        ),
        (POP3, "4: pop3[0].password: give it by password_env or password_file."),
        (
            f'{POP3}password_file = "absent"\n',
            "7: pop3[0].password_file: FOLDER/absent cannot be read: No such file or directory.",
        ),
        (f'{POP3}password_file = "binary"\n', "7: pop3[0].password_file: FOLDER/binary is not UTF-8."),
        (
            f'{POP3}password_file = "empty"\n',
            "7: pop3[0].password_file: FOLDER/empty is empty; write the password into it.",
        ),
        (f'{POP3}password_env = "SET"\nport = 0\n', "8: pop3[0].port is 0; give a number from 1 to 65535."),
        (
            f'{POP3}password_env = "SET"\nmail_limit = 0\n',
            "8: pop3[0].mail_limit is 0; give octets above 0.",
        ),
        (f'{POP3}password_env = "SET"\npoll = "0s"\n', f"8: pop3[0].poll: give a time {TIMES}."),
        (
            f'{POP3}password_env = "SET"\nca_file = "own.txt"\n',
            (
                "8: pop3[0].ca_file cannot be used: No such file or directory. "
                "Give a readable PEM file with the certificates of the authorities."
            ),
        ),
        (
            f'{POP3}password_env = "SET"\n{POP3}password_env = "SET"\n',
            "8: pop3[1]: pop.forwarder.example:995 as edi is already listed.",
        ),
        # delivery
        ('[[delivery]]\nsystem = "NCTS"\nmaildir = "m"\n', f"5: delivery[0].system: {NCTS}"),
        ("[delivery]\nDMS = 1\n", f"4: delivery: {DELIVERY}"),
        ('[delivery.DMS]\nmaildir = "m"\n', f"4: delivery: {DELIVERY}"),
        ('[[delivery]]\nmaildir = "m"\n', "4: delivery[0].system: this setting is needed."),
        (
            '[[delivery]]\nsystem = "DMS"\ncommand = ["true"]\ntimeout = "5m"\n',
            f"7: delivery[0].timeout: 300 s is not below the 300 s of timing.delivery, {FIRST}",
        ),
        (
            '[timing]\ndelivery = "1m"\n[[delivery]]\nsystem = "DMS"\nmaildir = "m"\n',
            f"6: delivery[0]: timeout, by default 60 s, is not below the 60 s of timing.delivery, {FIRST}",
        ),
        ("[[delivery]]\nsystem = 'DMS'\n", f"4: delivery[0]: {TARGETS} one of them."),
        (
            '[[delivery]]\nsystem = "DMS"\nmaildir = "m"\ncommand = ["true"]\n',
            f"4: delivery[0]: {TARGETS} only one of them, not maildir and command.",
        ),
        (
            '[[delivery]]\nsystem = "DMS"\nmaildir = "m"\npayload = true\n',
            f"7: delivery[0].payload: {WHOLE}",
        ),
        (
            '[[delivery]]\nsystem = "DMS"\ndirectory = "in/{K}"\n',
            "6: delivery[0].directory has the placeholder {K}; only {system} and {party} can be filled in.",
        ),
        (
            '[[delivery]]\nsystem = "DMS"\ndirectory = "htpoort.toml/{party}"\n',
            f"6: delivery[0].directory: FOLDER/htpoort.toml/{{party}} cannot be written: {NO_FOLDER}",
        ),
        (
            '[[delivery]]\nsystem = "DMS"\nparty = "NL123456789.02.06"\nmaildir = "m"\n',
            "6: delivery[0].party: 'NL123456789.02.06' is not in parties; check its spelling, or add it there.",
        ),
        (
            '[[delivery]]\nsystem = "DMS"\nparty = "nl123456789.02.05"\nmaildir = "m"\n' * 2,
            "8: delivery[1]: replies of DMS for NL123456789.02.05 already have a delivery.",
        ),
        (
            '[[delivery]]\nsystem = "DMS"\nmaildir = "htpoort.toml/m"\n',
            f"6: delivery[0].maildir: FOLDER/htpoort.toml/m cannot be written: Not a directory; {CHECK}.",
        ),
        ("[[delivery]]\nsystem = 'DMS'\ncommand = []\n", "6: delivery[0].command: give the program and its arguments."),
        (
            '[[delivery]]\nsystem = "DMS"\ncommand = [""]\n',
            "6: delivery[0].command: give the program and its arguments.",
        ),
        (
            '[[delivery]]\nsystem = "DMS"\ncommand = ["no-such-program"]\n',
            f"6: delivery[0].command[0]: there is no program no-such-program that this user can run; {RUN}",
        ),
        (
            '[[delivery]]\nsystem = "DMS"\ncommand = ["./htpoort.toml"]\n',
            f"6: delivery[0].command[0]: there is no program FOLDER/htpoort.toml that this user can run; {RUN}",
        ),
        (
            '[[delivery]]\nsystem = "DMS"\nmaildir = "m"\n[[delivery]]\nsystem = "dms"\nmaildir = "m"\n',
            "7: delivery[1]: replies of DMS already have a delivery.",
        ),
        # folder
        (
            '[[folder]]\nmailbox = "edi@forwarder.example"\npattern = "{party}"\n',
            "4: folder[0].path: this setting is needed.",
        ),
        (
            f'{FOLDER}party = "NL1"\n',
            "7: folder[0].party: 'NL1' is not in parties; check its spelling, or add it there.",
        ),
        (f'{FOLDER}party = "NL123456789.02.05"\nsystem = "NCTS"\n', f"8: folder[0].system: {NCTS}"),
        (FOLDER, "4: folder[0]: party is not given, and pattern has no {party}; give the party ID of all files."),
        (
            f'{FOLDER}pattern = "{{K}}_{{party}}"\n',
            "7: folder[0].pattern has the placeholder {K}; only {reference}, {party} and {system} are known.",
        ),
        (
            f'{FOLDER}pattern = "{{party}}"\nlayout = "zip"\n',
            "8: folder[0].layout: give one of body, attachment.",
        ),
        (
            '[[folder]]\npath = "absent"\nmailbox = "edi@forwarder.example"\npattern = "{party}"\n',
            "5: folder[0].path: there is no folder FOLDER/absent; create it.",
        ),
        (
            f'{FOLDER}pattern = "{{party}}"\n' * 2,
            "9: folder[1].path: FOLDER is already a [[folder]].",
        ),
        # systems
        (
            '[systems.EXIT]\nprocess_id = "EXIT.NL"\n[[delivery]]\nsystem = "exit"\nmaildir = "m"\n',
            "4: systems.EXIT.mailbox: this setting is needed.",
        ),
        (
            '[systems."A.B"]\nmailbox = "exit@customs.example"\nprocess_id = "EXIT.NL"\nport = 1\n',
            (
                '7: systems."A.B".port: there is no such setting. '
                "Known: closed, mailbox, mark, process_id, reply_ids, source, title."
            ),
        ),
        ("[systems]\nEXIT = 1\n", "5: systems.EXIT: give a table."),
        (
            '[systems.EXIT]\nmailbox = "exit@customs.example"\nprocess_id = "DMS.NL"\n',
            "4: systems.EXIT: The systems AGS and EXIT share the process ID DMS.NL; a reply could come from either.",
        ),
        # timing and the rest
        ("[timing]\npoll = 5\n", f"5: timing.poll: give a time {TIMES}."),
        (
            "[timing]\npause = []\n",
            "5: timing.pause is empty; give at least one pause: a server is tried until it works.",
        ),
        (
            "[timing]\nredeliver = []\n",
            "5: timing.redeliver is empty; give at least one delay: delivery is repeated until it succeeds.",
        ),
        (
            '[timing]\nsleep = "5s"\n',
            f"5: timing.sleep: there is no such setting. Known: {TIMING}.",
        ),
        (
            "[windows]\n",
            "4: windows: service windows are not in this file; store them with htpoort windows add, or read.",
        ),
        (
            '[notices]\n[[notices.name]]\nname = "Invoer"\nsystem = "NCTS"\n',
            f"7: notices.name[0].system: {NCTS}",
        ),
        (
            '[[notices.name]]\nname = "Invoer"\nsystem = "DMS"\n[[notices.name]]\nname = "invoer"\nsystem = "AGS"\n',
            "8: notices.name[1].name: invoer already means DMS; leave one of them out, or give each its authority.",
        ),
        (
            '[[notices.name]]\nname = "Invoer"\nsystem = ""\n[[notices.name]]\nname = "invoer"\nsystem = "AGS"\n',
            "8: notices.name[1].name: invoer already concerns none; leave one of them out, or give each its authority.",
        ),
        (
            '[[unanswered.system]]\nsystem = "DMS"\nafter = "4h"\n[[unanswered.system]]\nsystem = "dms"\nafter = "1h"',
            "8: unanswered.system[1].system: DMS has a time already.",
        ),
        (
            "[colours]\n",
            f"4: colours: there is no such setting. Known: {TABLES}.",
        ),
    ],
)
def test_each_mistake(folder: Path, refused: Refuse, added: str, expected: str) -> None:
    """A mistake is one sentence with the line, the path and what to give instead."""
    (folder / "binary").write_bytes(b"\xff")
    (folder / "empty").write_bytes(b"\n")

    assert [f"htpoort.toml:{expected.replace('FOLDER', str(folder))}"] == refused(
        SMALL + added, {"SET": "geheim", "EMPTY": ""}
    )


@pytest.mark.parametrize("setting", ['maildir = "a\\u0000b"', 'command = ["sh", "a\\u0000b"]'])
def test_what_no_system_call_takes(refused: Refuse, setting: str) -> None:
    """The delivery refuses a NUL in a path or an argument, and the problem has its line."""
    (message,) = refused(f"{SMALL}[[delivery]]\nsystem = 'DMS'\n{setting}\n")

    assert message.startswith(f"htpoort.toml:6: delivery[0].{setting.partition(' ')[0]} is ")


def test_a_literal_key_password(refused: Refuse, files: SimpleNamespace) -> None:
    """The password of a private key does not belong in the file either."""
    text = f'{SMALL}{OUTBOX}certificate = "{files.own}"\nkey_password = "geheim"\n'

    assert [f"htpoort.toml:7: outbox[0].key_password: {LITERAL.format('key_password')}"] == refused(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            'parties = [\n  "NL123456789.02.05",\n  "nl123456789.02.05",\n]',
            "3: parties[1]: nl123456789.02.05 is already listed.",
        ),
        ('parties = [\n  "NL123456789.02.05",\n  1,\n]', "3: parties[1]: give a string."),
        ("parties = []", '1: parties: give an array of party IDs, such as ["NL123456789.02.05"].'),
        ("parties = 1", '1: parties: give an array of party IDs, such as ["NL123456789.02.05"].'),
        ("", '1: parties: give an array of party IDs, such as ["NL123456789.02.05"].'),
    ],
)
def test_parties(refused: Refuse, text: str, expected: str) -> None:
    """There is at least one party, and no party appears twice."""
    assert [f"htpoort.toml:{expected}"] == refused(f'{text}\n[ledger]\nurl = "sqlite:///htpoort.db"\n')


def test_an_invalid_party(refused: Refuse) -> None:
    """The problem with an invalid party ID has its position in the list."""
    (message,) = refused(SMALL.replace("NL123456789.02.05", "nobody"))

    assert message.startswith("htpoort.toml:1: parties[0]: This is not a party ID; ")


@pytest.mark.parametrize(
    ("ledger", "expected"),
    [
        ("", "1: ledger: this table is needed."),
        ("[[ledger]]\n", "2: ledger: give a table."),
        ("[ledger]\n", "2: ledger: give url or url_env."),
        ('[ledger]\nurl = "sqlite:///x"\nurl_env = "URL"\n', "2: ledger: give url or url_env, not both."),
        ('[ledger]\nurl_env = "UNSET"\n', "3: ledger.url_env: the environment variable UNSET is not set, or is empty."),
        (
            '[ledger]\nurl = "ledger"\n',
            "3: ledger.url: give sqlite:///file.db or postgresql+psycopg://user@host/database.",
        ),
        (
            '[ledger]\nurl = "mysql://host/database"\n',
            "3: ledger.url: give sqlite:///file.db or postgresql+psycopg://user@host/database.",
        ),
        (
            '[ledger]\nurl = "sqlite://"\n',
            "3: ledger.url: a ledger in memory is lost when the process ends; name a file.",
        ),
        (
            '[ledger]\nurl_env = "ODD"\n',
            "3: ledger.url_env: give sqlite:///file.db or postgresql+psycopg://user@host/database.",
        ),
        (
            '[ledger]\nurl = "sqlite:///x.db?mode=ro"\n',
            "3: ledger.url: a SQLite URL takes no options; remove the ? and what follows it.",
        ),
        ('[ledger]\nurl = "sqlite:///a\\u0000b"\n', "3: ledger.url: the URL contains a NUL character; remove it."),
        (
            '[ledger]\nurl = "sqlite:///x"\nretention_days = -1\n',
            "4: ledger.retention_days: give a number of days, 0 or more.",
        ),
        (
            '[ledger]\nurl = "sqlite:///x"\ntransaction_timeout = "0s"\n',
            '4: ledger.transaction_timeout: give a time above 0 such as "30s", "5m" or "1h30m".',
        ),
    ]
    + [
        (
            f'[ledger]\nurl = "postgresql+psycopg://{url}"\n',
            f"3: ledger.url: {LITERAL_URL}",
        )
        for url in (
            "edi:geheim@db.example/htpoort",
            "db.example/htpoort?user=edi&password=geheim",
            "db.example/htpoort?sslkey=key.pem&sslPassword=geheim",
        )
    ],
)
def test_ledger(refused: Refuse, ledger: str, expected: str) -> None:
    """A ledger has one URL, of a database that htpoort supports, without a password."""
    odd = "postgresql+psycopg://db.example:port/htpoort"

    assert [f"htpoort.toml:{expected}"] == refused(f'parties = ["NL123456789.02.05"]\n{ledger}', {"ODD": odd})


@pytest.mark.parametrize(
    ("key", "advice"),
    [
        ("systems", "give a table for each system, [systems.NAME]."),
        ("delivery", "write [[delivery]]; there may be several."),
        ("folder", "write [[folder]]; there may be several."),
    ],
)
def test_a_key_in_the_place_of_tables(refused: Refuse, key: str, advice: str) -> None:
    """A value in the place of tables is one problem, and nothing follows from it."""
    text = f'{key} = 1\n{SMALL}[[outbox]]\nserver = "a.example"\nsystems = ["DMS"]\n'

    assert [f"htpoort.toml:1: {key}: {advice}"] == refused(text)


def test_a_wrong_system_hides_no_unknown_one(refused: Refuse) -> None:
    """A system whose table is wrong is reported there only; one without a table is reported where it is named."""
    text = f'{SMALL}[systems.EXIT]\nmailbox = 1\nprocess_id = "EXIT.NL"\n{OUTBOX}systems = ["EXIT", "NCTS"]\n'

    assert [
        "htpoort.toml:5: systems.EXIT.mailbox: give a string.",
        f"htpoort.toml:9: outbox[0].systems[1]: {NCTS.replace('DMS', 'DMS, EXIT')}",
    ] == refused(text)


@pytest.mark.parametrize("key", ["outbox", "smtp", "pop3"])
def test_a_value_in_the_place_of_a_table(refused: Refuse, key: str) -> None:
    """Each item of an array that is not a table is reported, and the tables beside it are checked."""
    text = f"{key} = [1, {{ colour = 1 }}]\n{SMALL}"
    messages = refused(text)

    assert f"htpoort.toml:1: {key}[0]: give a table." == messages[0]
    assert messages[1:]
    assert all(message.startswith(f"htpoort.toml:1: {key}[1]") for message in messages[1:])


def test_everything_at_once(refused: Refuse) -> None:
    """One error has all mistakes of a file, in the order of the lines; a wrong key hides no other mistake."""
    text = (
        'parties = ["NL123456789.02.05", "NL123456789.02.05"]\n'
        "colour = 1\n"
        "[[outbox]]\n"
        'server = "smtp.forwarder.example"\n'
        "port = 0\n"
        'usernane = "edi"\n'
        "connections = 0\n"
        "per_hour = 0\n"
        'systems = ["NCTS"]\n'
        "[[pop3]]\n"
        "port = 1\n"
        "[[delivery]]\n"
        "system = 'DMS'\n"
        'maildir = "htpoort.toml"\n'
        "[ledger]\n"
        'url = "ledger"\n'
    )
    found = [message.removeprefix("htpoort.toml:").partition(": ") for message in refused(text)]

    assert [
        ("1", "parties[1]"),
        ("2", "colour"),
        ("5", "outbox[0].port"),
        ("6", "outbox[0].usernane"),
        ("7", "outbox[0].connections"),
        ("8", "outbox[0].per_hour"),
        ("9", "outbox[0].systems[0]"),
        ("10", "pop3[0].server"),
        ("10", "pop3[0].username"),
        ("10", "pop3[0].password"),
        ("14", "delivery[0].maildir"),
        ("16", "ledger.url"),
    ] == [(line, re.split(r": | (?:is|holds|cannot) ", rest)[0]) for line, _, rest in found]


def test_what_is_missing_hides_nothing(refused: Refuse) -> None:
    """A table that lacks a required setting is still checked: correct every reported mistake, and the file is right."""
    text = (
        f'{SMALL}[[outbox]]\npassword = "geheim"\nusername = "edi"\nconnections = 0\nsystems = ["NCTS"]\n'
        '[[smtp]]\nnetworks = ["everywhere"]\nsize_limit = 0\ncertificate = "absent.pem"\n'
        '[[pop3]]\nusername = "edi"\npassword = "geheim"\nca_file = "absent.pem"\n'
    )
    found = [message.removeprefix("htpoort.toml:").partition(": ") for message in refused(text)]

    assert [
        ("4", "outbox[0].server"),
        ("5", "outbox[0].password"),
        ("7", "outbox[0].connections"),
        ("8", "outbox[0].systems[0]"),
        ("9", "smtp[0].hostname"),
        ("9", "smtp[0].mailboxes"),
        ("9", "smtp[0].port"),
        ("10", "smtp[0].networks"),
        ("11", "smtp[0].size_limit"),
        ("12", "smtp[0].certificate"),
        ("13", "pop3[0].server"),
        ("15", "pop3[0].password"),
        ("16", "pop3[0].ca_file"),
    ] == [(line, re.split(r": | (?:is|holds|cannot) ", rest)[0]) for line, _, rest in found]


@pytest.mark.parametrize(
    ("added", "expected"),
    [
        (
            f'{OUTBOX}systems = ["AGS"]\n{OUTBOX}systems = "DMS"\n',
            ["9: outbox[1].systems: give an array of strings."],
        ),
        (f'{OUTBOX}username = 1\npassword_env = "SET"\n', ["6: outbox[0].username: give a string."]),
        (f'{OUTBOX}username = "edi"\npassword_env = 1\n', ["7: outbox[0].password_env: give a string."]),
        (f'{OUTBOX}certificate = 1\nkey = "own.key"\n', ["6: outbox[0].certificate: give a string."]),
        (
            f'{OUTBOX}certificate = 1\nkey_password = "geheim"\n',
            [
                "6: outbox[0].certificate: give a string.",
                f"7: outbox[0].key_password: {LITERAL.format('key_password')}",
            ],
        ),
        (f"{SMTP}certificate = 1\nrequire_tls = true\n", ["8: smtp[0].certificate: give a string."]),
        (f'{SMTP}certificate = 1\nca_file = "x"\n', ["8: smtp[0].certificate: give a string."]),
        (
            '[[pop3]]\nusername = "edi"\npassword_env = "SET"\n' * 2,
            ["4: pop3[0].server: this setting is needed.", "7: pop3[1].server: this setting is needed."],
        ),
        (
            f'{POP3}password_env = "SET"\n{POP3}password_env = "SET"\nport = "110"\n',
            ["12: pop3[1].port: give a whole number."],
        ),
        ("[[delivery]]\nsystem = 'DMS'\nmaildir = 1\n", ["6: delivery[0].maildir: give a string."]),
        ('[[delivery]]\nsystem = "DMS"\ncommand = "true"\n', ["6: delivery[0].command: give an array of strings."]),
    ],
)
def test_nothing_false_follows_from_a_mistake(refused: Refuse, added: str, expected: list[str]) -> None:
    """No problem is reported about a stand-in for a setting that was refused, nor about settings compared with it."""
    assert [f"htpoort.toml:{one}" for one in expected] == refused(SMALL + added, {"SET": "geheim"})


@pytest.mark.parametrize("key", ["url", "url_env"])
def test_a_ledger_of_another_type(refused: Refuse, key: str) -> None:
    """A URL that is not a text is refused once, and is not reported as missing too."""
    text = f'parties = ["NL123456789.02.05"]\n[ledger]\n{key} = 1\n'

    assert [f"htpoort.toml:3: ledger.{key}: give a string."] == refused(text)


def test_a_maildir_that_cannot_be_examined(refused: Refuse, folder: Path) -> None:
    """A folder that cannot be examined is one problem with its line, beside the others."""
    (folder / "round").symlink_to("round")
    name = "a" * 256

    assert [
        f"htpoort.toml:6: delivery[0].maildir: {folder}/{name} cannot be written: File name too long; {CHECK}.",
        (
            f"htpoort.toml:9: delivery[1].maildir: {folder}/round/m cannot be written: "
            f"Too many levels of symbolic links; {CHECK}."
        ),
        "htpoort.toml:11: outbox[0].server: this setting is needed.",
    ] == refused(
        f'{SMALL}[[delivery]]\nsystem = "AGS"\nmaildir = "{name}"\n'
        '[[delivery]]\nsystem = "DMS"\nmaildir = "round/m"\n\n[[outbox]]\n'
    )


def test_a_password_file_that_is_no_path(refused: Refuse, folder: Path) -> None:
    """A NUL in the path of a password file is one problem with its line, beside the others."""
    text = f'{SMALL}{POP3}password_file = "a\\u0000b"\n[[outbox]]\n'

    assert [
        f"htpoort.toml:7: pop3[0].password_file: '{folder}/a\\x00b' is not a path.",
        "htpoort.toml:8: outbox[0].server: this setting is needed.",
    ] == refused(text)


def test_no_secret_is_shown(refused: Refuse, folder: Path) -> None:
    """No message shows a password, wherever it comes from and whatever is wrong with it."""
    (folder / "secret").write_text("geheim\x00")
    text = (
        f'{SMALL}{OUTBOX}username = "edi"\npassword = "geheim"\n'
        f'{POP3}password_file = "secret"\n{POP3}password_env = "SECRET"\n'
    ).replace("sqlite:///htpoort.db", "postgresql+psycopg://edi:geheim@db.example/htpoort")
    messages = refused(text, {"SECRET": "geheim\n"})

    assert (4, []) == (len(messages), [message for message in messages if "geheim" in message])


def test_a_ledger_command_checks_the_file_too(folder: Path) -> None:
    """A command on the ledger reports every mistake in the file, but none in the files that it names."""
    text = f'{SMALL}{OUTBOX}port = 0\nca_file = "absent"\nusername = "edi"\npassword_env = "UNSET"\n'
    (folder / "htpoort.toml").write_text(f'{text}[[delivery]]\nsystem = "DMS"\ncommand = ["absent"]\n')
    with pytest.raises(InputError) as caught:
        read_ledger("htpoort.toml", environ={})

    assert ["htpoort.toml:6: outbox[0].port is 0; give a number from 1 to 65535."] == [
        problem.message for problem in caught.value.problems
    ]


@pytest.mark.parametrize(
    ("octets", "expected"),
    [
        (b"a = 1\nb = \n", "htpoort.toml:2: This is not TOML: Invalid value."),
        (b"a = 1\nb = [1,\n", "htpoort.toml:3: This is not TOML: "),
        (b"a = 1\nb = '\xff'\n", "htpoort.toml:2: This is not UTF-8, so it is not TOML."),
        (b"a = " + b"9" * 5000, "htpoort.toml:1: This is not TOML: "),
        (b"a = " + b"[" * 5000, "htpoort.toml:1: This is not TOML: "),
    ],
)
def test_what_is_not_toml(folder: Path, octets: bytes, expected: str) -> None:
    """The error about a file that is not TOML has the line of the first mistake, and does not show the content."""
    (folder / "htpoort.toml").write_bytes(octets)
    with pytest.raises(InputError) as caught:
        read_agent("htpoort.toml")

    assert str(caught.value).startswith(expected)


def test_the_name_of_the_file_is_the_given_one(folder: Path, files: SimpleNamespace) -> None:
    """Messages name the file as the caller named it."""
    del files
    path = folder / "other.toml"
    path.write_text("a = 1\n" + SMALL)
    with pytest.raises(InputError) as caught:
        read_agent(path)

    assert str(caught.value).startswith(f"{path}:1: a: there is no such setting. ")
