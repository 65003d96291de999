"""`windows read`, `add`, `list`, `what-now` and `timeline`, as users run them."""

from __future__ import annotations

import json
import os
import subprocess  # noqa: S404 - commands run as their users start them
import sys
from datetime import UTC, datetime
from itertools import starmap
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET  # noqa: S405 - reads what we wrote

import pytest
from databases import new_ledger
from notice_builders import THREE_TEXTS

from htpoort.ledger import Ledger

pytestmark = pytest.mark.usefixtures("folder")

NOTICE = "Notice WO0000001421830 of 2025-06-07 21:31"
PERIOD = "from 2025-06-06 21:00 until 2025-06-07 23:59 (Europe/Copenhagen)"
NOT_STORED = b"htpoort: Nothing was stored, because there is no htpoort.toml here.\n"
NO_ZONE = "and the notices do not have one zone"
CONFIG = """\
parties = ["NL123456789.02.05"]
[ledger]
url = "sqlite:///htpoort.db"
[[notices.name]]
name = "DMS Import"
system = "DMS"
authority = "toldstyrelsen"
"""
OUTAGE = """\
authority = "douane"
kind = "incident"
references = ["OWN-1"]
state = "in-force"

[[windows]]
system = "AGS"
access = "file"
start = "2025-11-30T21:00"
behaviour = "rejected"
recovery = "same-reference"
fallback = "as-needed"
"""
ENDED = """\
authority = "douane"
references = ["OWN-1"]
revisions = ["2025-11-30T23:00"]
state = "ended"

[[windows]]
system = "AGS"
start = "2025-11-30T21:00"
end = "2025-11-30T22:30"
behaviour = "rejected"
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a folder that commands start in, with notices and without a configuration."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HTPOORT_CONFIG", raising=False)
    (tmp_path / "three.txt").write_text(THREE_TEXTS, encoding="utf-8")
    (tmp_path / "outage.toml").write_text(OUTAGE)
    (tmp_path / "ended.toml").write_text(ENDED)
    (tmp_path / "lisbon.toml").write_text(OUTAGE.replace('authority = "douane"', 'zone = "Europe/Lisbon"'))
    (tmp_path / "letter.txt").write_text("Dear customer, we are open until five.")
    return tmp_path


@pytest.fixture
def office(folder: Path) -> Path:
    """Add a configuration and an empty ledger."""
    (folder / "htpoort.toml").write_text(CONFIG)
    with Ledger.open(new_ledger(folder / "htpoort.db")):
        pass
    return folder


def run(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run a command of the group in a process of its own."""
    command = [sys.executable, "-m", "htpoort", "windows", *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, check=False)  # noqa: S603 - our own


def what_now(*arguments: str) -> dict[str, Any]:
    """Ask, and return the facts."""
    done = run("what-now", *arguments, "--json")
    assert (0, b"") == (done.returncode, done.stderr)
    facts: dict[str, Any] = json.loads(done.stdout)
    return facts


# ── read ─────────────────────────────────────────────────────────────────────


def test_read_gives_one_object_for_each_text(folder: Path) -> None:
    """Several files, one of them from standard input, make a list in their order, each with the same keys."""
    done = run("read", "three.txt", "-", "--json", stdin=b"Dear customer, we are open until five.")
    facts = json.loads(done.stdout)

    keys = ["authority", "language", "kind", "references", "zone", "revisions", "state", "windows", "problems"]
    assert [[*keys, "older_windows", "complete", "unread"]] * 2 == [list(each) for each in facts]
    assert (2, NOT_STORED) == (done.returncode, done.stderr)
    assert [["WO0000001421830"], []] == [each["references"] for each in facts]
    assert [["2025-05-25T12:15:48", "2025-06-02T11:08:44", "2025-06-07T21:31"], []] == [
        each["revisions"] for each in facts
    ]
    assert {
        "system": "Manifest",
        "access": "file",
        "messages": [],
        "start": "2025-06-06T21:00",
        "end": "2025-06-07T23:59",
        "end_kind": "expected",
        "behaviour": "rejected",
        "recovery": "unstated",
        "fallback": "allowed",
    } in facts[0]["windows"]
    assert [] == list(folder.glob("*.db"))


TOP = {
    "authority",
    "language",
    "kind",
    "references",
    "zone",
    "revisions",
    "state",
    "windows",
    "problems",
    "older_windows",
    "complete",
    "unread",
}
ROW = {"system", "access", "messages", "start", "end", "end_kind", "behaviour", "recovery", "fallback"}


def test_the_json_has_exactly_its_keys(folder: Path) -> None:
    """Whatever was read, and however well, each object at each level has all its keys, and no other one."""
    cut = THREE_TEXTS[: len(THREE_TEXTS) // 3]
    texts = {"three.txt": THREE_TEXTS, "cut.txt": cut, "odd.txt": f"{THREE_TEXTS}\nNobody knows why.\n", "none.txt": ""}
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    facts = json.loads(run("read", *texts, "letter.txt", "--json").stdout)
    rows = [row for each in facts for row in each["windows"]]
    older = [times for each in facts for times in each["older_windows"].values()]

    assert [TOP] * 5 == [set(each) for each in facts]
    assert (True, [ROW] * len(rows)) == (len(rows) > 20, [set(row) for row in rows])
    assert (True, [{"start", "end"}] * len(older)) == (len(older) > 0, [set(times) for times in older])
    lists = [each[key] for each in facts for key in ("references", "revisions", "problems", "unread")]
    assert {str, type(None)} >= {type(item) for items in lists for item in items}
    assert {str, type(None), list} >= {type(value) for row in rows for value in row.values()}
    assert {True, False} == {each["complete"] for each in facts}


def test_read_shows_a_person_what_was_read() -> None:
    """Without --json, the rows are a table, and it says whether all was understood."""
    done = run("read", "three.txt")
    text = done.stdout.decode()

    assert (0, NOT_STORED) == (done.returncode, done.stderr)
    assert "three.txt:\nauthority   toldstyrelsen\nreferences  WO0000001421830\n" in text
    assert "complete    yes\n" in text
    assert "DMS Forsendelse" in text
    assert "stored" not in text


@pytest.mark.parametrize(
    "octets",
    [b"", b"\x00\x01\x02" * 99, b"<html><body><p>Nothing to see.</p></body></html>", b"x" * 10_000_000],
    ids=["empty", "binary", "page", "10 MB"],
)
def test_a_text_that_is_no_notice_ends_with_2(octets: bytes) -> None:
    """What is no notice has no window and a problem, and the exit code says so."""
    done = run("read", "-", "--json", stdin=octets)
    (facts,) = json.loads(done.stdout)

    assert (2, NOT_STORED, [], False) == (done.returncode, done.stderr, facts["windows"], facts["complete"])
    assert 1 == len(facts["problems"])
    assert facts["problems"][0].partition(":")[0] in {"nothing-read", "too-long"}


def test_a_page_is_read_as_the_text_that_it_shows(folder: Path) -> None:
    """HTML and other encodings are read like the text."""
    body = "".join(f"<p>{line}</p>\n" for line in THREE_TEXTS.splitlines())
    page = f"<html><head><title>x</title></head><body>{body}</body></html>"
    (folder / "page.html").write_text(page, encoding="utf-8")
    (folder / "utf16.txt").write_text(THREE_TEXTS, encoding="utf-16")
    (folder / "windows.txt").write_text(THREE_TEXTS, encoding="cp1252")

    done = run("read", "three.txt", "page.html", "utf16.txt", "windows.txt", "--json")
    first, *others = (each["windows"] for each in json.loads(done.stdout))

    assert [first] * 3 == others


def test_a_file_that_is_missing_is_named() -> None:
    """A file that cannot be read ends with 2, before anything is shown."""
    done = run("read", "three.txt", "missing.txt")

    assert (2, b"", b"htpoort: FILE: missing.txt cannot be read: No such file or directory.\n") == (
        done.returncode,
        done.stdout,
        done.stderr,
    )


@pytest.mark.usefixtures("office")
def test_read_stores_what_it_read() -> None:
    """With a configuration, a notice is stored with the time at which it was read, once; what is no notice is not."""
    first, again = run("read", "three.txt", "letter.txt"), run("read", "three.txt")
    not_stored = run("read", "three.txt", "--no-store")
    as_json = run("read", "three.txt", "--json")
    (listed,) = json.loads(run("list", "--json").stdout)

    assert [2, 0, 0] == [done.returncode for done in (first, again, not_stored)]
    assert b"three.txt is stored as notice 1.\n" in first.stdout
    assert b"letter.txt is stored" not in first.stdout
    assert b"three.txt was stored already as notice 1.\n" in again.stdout
    assert (False, b"") == (b"stored" in not_stored.stdout, not_stored.stderr)
    assert as_json.stderr.startswith(b"three.txt was stored already as notice 1.\n")
    assert (1, "three.txt", ["WO0000001421830"]) == (listed["number"], listed["source"], listed["references"])


@pytest.mark.usefixtures("office")
@pytest.mark.parametrize("options", [[], ["--no-store"]])
def test_read_reads_each_text_once(options: list[str]) -> None:
    """Whether a text is stored or not, and stored already or not, the rules of the reader run over it once."""
    program = f"""
import cProfile, pstats, sys
from htpoort.cli import main
sys.argv = ["htpoort", "windows", "read", "three.txt", *{options!r}]
profile = cProfile.Profile()
try:
    profile.runcall(main)
except SystemExit:
    pass
calls = pstats.Stats(profile).stats
print([number for (_, _, name), (number, *_) in calls.items() if name == "read_notice"])
"""
    command = [sys.executable, "-c", program]
    first, again = (
        subprocess.run(command, capture_output=True, check=True).stdout.decode()  # noqa: S603 - our own
        for _ in range(2)
    )

    assert ["[1]", "[1]"] == [text.splitlines()[-1] for text in (first, again)]


def test_read_fits_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a terminal of 80 characters the rows are a table that is folded, without what the notice leaves open."""
    monkeypatch.setenv("COLUMNS", "80")
    lines = [line.rstrip() for line in run("read", "three.txt").stdout.decode().splitlines()]

    assert all(len(line) <= 80 for line in lines)
    first = lines.index("Windows") + 1
    assert [
        "All: start 2025-06-06 21:00, end 2025-06-07 23:59 expected, fallback allowed",
        "system                   ┃ behaviour   ┃ recovery",
    ] == lines[first : first + 2]
    assert "DMS Forsendelse (online) │ unavailable │ resubmit" in lines
    assert "Manifest (file)          │ rejected    │" in lines


@pytest.mark.usefixtures("office")
def test_a_notice_that_is_only_checked() -> None:
    """With --no-store a notice is checked and shown as it would be stored, and the ledger has none afterwards."""
    shown = run("add", "-", "--no-store", stdin=OUTAGE.encode())
    wrong = run("add", "-", "--no-store", stdin=b"kind = 1\n")
    before = json.loads(run("list", "--json").stdout)
    stored = run("add", "-", stdin=OUTAGE.encode())

    assert (0, 2, []) == (shown.returncode, wrong.returncode, before)
    assert shown.stdout.decode().splitlines()[:-1] == stored.stdout.decode().splitlines()[:-1]
    assert "Nothing was stored; leave out --no-store to store it." == shown.stdout.decode().splitlines()[-1]


@pytest.mark.usefixtures("office")
def test_add_prints_nothing_that_is_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    """A notice without a reference and without a time has no line for either; what it names is shown."""
    monkeypatch.setenv("COLUMNS", "160")
    text = OUTAGE.replace('references = ["OWN-1"]\n', "").replace('access = "file"', 'messages = ["IE015"]')
    lines = run("add", "-", stdin=text.encode()).stdout.decode().splitlines()

    assert [
        "standard input:",
        "authority  douane",
        "kind       incident",
        "state      in-force",
        "complete   yes",
        "Windows",
    ] == lines[:6]
    assert "│ AGS (IE015) │ 2025-11-30 21:00 │ not known │ rejected  │ same-reference │ as-needed │" in lines


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (
            ("three.txt", "outage.toml"),
            "FILE: outage.toml is a notice of your own; store it with htpoort windows add outage.toml.",
        ),
        (
            ("three.txt", "--authority", "duane"),
            "--authority is 'duane', which is not known; did you mean douane? Known: douane, toldstyrelsen.",
        ),
    ],
)
def test_read_explains_what_it_cannot_take(arguments: tuple[str, ...], expected: str) -> None:
    """A notice of one's own is not a published text, and an authority that is not known is a slip."""
    done = run("read", *arguments)

    assert (2, b"", f"htpoort: {expected}\n") == (done.returncode, done.stdout, done.stderr.decode())


def test_the_first_notice_makes_the_ledger(folder: Path) -> None:
    """A ledger that is not there yet is made, as by queue."""
    (folder / "htpoort.toml").write_text(CONFIG)

    assert b"three.txt is stored as notice 1.\n" in run("read", "three.txt").stdout


# ── what-now ─────────────────────────────────────────────────────────────────


def test_what_now_without_ledger_and_configuration() -> None:
    """The advice of a notice in a file has exactly the keys that are documented; times without a zone are local."""
    assert {
        "advice": "hold",
        "until": "2025-06-07T23:59:00+02:00",
        "reason": f"{NOTICE} says that DMS Import rejects what is sent {PERIOD}, an expected end.",
        "recovery": "resubmit",
        "fallback": "allowed",
        "notice": "WO0000001421830",
        "revision": "2025-06-07T21:31",
    } == what_now("DMS Import", "--at", "2025-06-07T22:30", "--notices", "three.txt")


@pytest.mark.parametrize(
    ("system", "at", "known_at", "expected"),
    [
        ("Manifest", "2025-06-06T20:59", "2025-06-07T21:31", ("send", None)),
        ("Manifest", "2025-06-06T21:00", "2025-06-01T00:00", ("send", None)),
        ("Manifest", "2025-06-06T19:00Z", "2025-06-02T09:08:44Z", ("hold", "2025-06-07T22:00:00+02:00")),
        ("Manifest", "2025-06-07T22:00", "2025-06-07T21:30", ("send", None)),
        ("manifest", "2025-06-07T23:59", "2025-06-07T21:31", ("hold", None)),
        ("Import", "2025-06-07T23:00", "2025-06-07T21:31", ("send-expect-late", "2025-06-07T23:59:00+02:00")),
    ],
)
def test_what_now_has_two_axes_of_time(system: str, at: str, known_at: str, expected: tuple[str, str | None]) -> None:
    """--at is when it would be sent, --known-at what was known."""
    facts = what_now(system, "--at", at, "--known-at", known_at, "--notices", "three.txt")

    assert expected == (facts["advice"], facts["until"])


def test_several_notices_contradict_each_other(folder: Path) -> None:
    """Files may follow --notices, or it may be repeated; a contradiction is unclear and names both."""
    (folder / "queued.toml").write_text(OUTAGE.replace("rejected", "queued").replace("OWN-1", "OWN-2"))
    at = ("AGS", "--at", "2025-11-30T21:30")

    together = what_now(*at, "--notices", "outage.toml", "queued.toml")
    repeated = what_now(*at, "--notices", "outage.toml", "--notices", "queued.toml")

    assert ("unclear", "OWN-1, OWN-2", "same-reference") == (
        together["advice"],
        together["notice"],
        together["recovery"],
    )
    assert together == repeated


def test_what_now_explains_a_system_that_is_not_known() -> None:
    """The advice is unclear; the reason lists the names, and shows how to map one."""
    facts = what_now("DMS", "--at", "2025-06-07T22:30", "--notices", "three.txt")

    assert ("unclear", None) == (facts["advice"], facts["notice"])
    assert "DMS Eksport, DMS Forsendelse, DMS Import, Import, Manifest" in facts["reason"]
    assert "add [[notices.name]]" in facts["reason"]


@pytest.mark.usefixtures("office")
def test_names_of_the_configuration_count_for_files() -> None:
    """With a configuration, the names in it say which system is meant."""
    assert "hold" == what_now("DMS", "--at", "2025-06-07T22:30", "--notices", "three.txt")["advice"]


def test_what_now_for_a_person() -> None:
    """Without --json, each fact has a line, and times have their zone."""
    done = run("what-now", "Import", "--at", "2025-06-07T22:30", "--notices", "three.txt")

    assert (
        "system    Import\n"
        "at        2025-06-07 22:30:00 CEST\n"
        "advice    send-expect-late\n"
        "until     2025-06-07 23:59:00 CEST\n"
        f"reason    {NOTICE} says that Import keeps what is sent and processes it afterwards {PERIOD}, "
        "an expected end.\n"
        "recovery  wait\n"
        "fallback  allowed\n"
        "notice    WO0000001421830\n"
        "revision  2025-06-07T21:31\n"
    ) == done.stdout.decode()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (
            ("AGS", "--at", "tonight", "--notices", "outage.toml"),
            "--at is 'tonight'; give a time such as 2026-11-30T21:00, or 2026-11-30T21:00:00+01:00.",
        ),
        (
            ("AGS", "--known-at", "2025-11-30T21:00", "--notices", "outage.toml", "three.txt", "--at", "now"),
            "--at is 'now'; give a time such as 2026-11-30T21:00, or 2026-11-30T21:00:00+01:00.",
        ),
        (
            ("DMS", "--at", "2025-11-30T21:00", "--notices", "lisbon.toml", "three.txt"),
            f"--at is '2025-11-30T21:00', without a time zone, {NO_ZONE}; give for example 2025-11-30T21:00+01:00.",
        ),
        (
            ("AGS", "--at", "9999-12-31T23:59:59-01:00", "--notices", "outage.toml"),
            "--at is '9999-12-31T23:59:59-01:00'; give a time such as 2026-11-30T21:00, or 2026-11-30T21:00:00+01:00.",
        ),
        (("AGS", "outage.toml"), "'outage.toml' is one argument too many; files follow --notices."),
        (("AGS", "--notices", "missing.txt"), "--notices: missing.txt cannot be read: No such file or directory."),
        (("AGS", "--notices", "letter.txt"), "--notices: letter.txt: This is no notice that can be read."),
    ],
)
def test_what_now_explains_what_it_cannot_take(arguments: tuple[str, ...], expected: str) -> None:
    """What is wrong is named with its option, and the exit code is 2."""
    done = run("what-now", *arguments)

    assert (2, b"", f"htpoort: {expected}\n") == (done.returncode, done.stdout, done.stderr.decode())


# ── the ledger ───────────────────────────────────────────────────────────────


@pytest.mark.usefixtures("office")
def test_an_own_notice_is_stored_and_ended() -> None:
    """A notice that was typed counts at once, and a later one with its reference ends it."""
    added = run("add", "outage.toml")
    held = what_now("AGS", "--at", "2025-11-30T23:30")
    # Without a time of its own, each is of the moment at which it is stored.
    ended = run("add", "-", "--json", stdin=ENDED.replace('revisions = ["2025-11-30T23:00"]\n', "").encode())
    free = what_now("AGS", "--at", "2025-11-30T23:30")

    assert (0, b"") == (added.returncode, added.stderr)
    assert b"It is stored as notice 1.\n" in added.stdout
    assert ("hold", None, "same-reference", "OWN-1") == (
        held["advice"],
        held["until"],
        held["recovery"],
        held["notice"],
    )
    assert (2, False, True) == (
        json.loads(ended.stdout)["number"],
        json.loads(ended.stdout)["repeated"],
        json.loads(ended.stdout)["complete"],
    )
    assert "send" == free["advice"]


@pytest.mark.usefixtures("office")
@pytest.mark.parametrize("form", [(), ("--json",)])
def test_a_notice_that_holds_nothing_says_so(form: tuple[str, ...]) -> None:
    """A name that is mapped to no system is named when the notice is stored, with the lines to write."""
    added = run("add", "-", *form, stdin=OUTAGE.replace('"AGS"', '"AGS in- en uitvoer"').encode())
    read = run("read", "three.txt", *form)

    assert [0, 0] == [added.returncode, read.returncode]
    assert (
        "htpoort: Notice 1 holds nothing until [[notices.name]] maps 'AGS in- en uitvoer' to AGS or DMS.\n"
        "If it is a system that you send to, write into the configuration, for example:\n"
        '[[notices.name]]\nname = "AGS in- en uitvoer"\nsystem = "AGS"  # or DMS\nauthority = "douane"\n'
    ) == added.stderr.decode()
    assert "maps 'DMS Eksport', 'DMS Forsendelse', 'Import', 'Manifest' to AGS or DMS.\n" in read.stderr.decode()
    assert b"'DMS Import'" not in read.stderr


@pytest.mark.usefixtures("office")
def test_an_end_of_what_is_not_stored_says_so() -> None:
    """A notice that ends a reference that no other one has names those that are stored."""
    alone = run("add", "ended.toml")
    run("add", "outage.toml")
    again = run("add", "-", stdin=ENDED.replace("23:00", "23:01").encode())
    slip = run("add", "-", stdin=ENDED.replace("OWN-1", "OWN-2").replace('"ended"', '"cancelled"').encode())
    why = "but no other stored notice has that reference, so nothing ends because of it"

    assert f"htpoort: Notice 1 says that OWN-1 is over, {why}.\n" == alone.stderr.decode()
    assert b"" == again.stderr
    assert (
        f"htpoort: Notice 4 says that OWN-2 is cancelled, {why}; did you mean OWN-1? Stored: OWN-1.\n"
        == slip.stderr.decode()
    )


@pytest.mark.usefixtures("office")
def test_a_reference_of_another_authority_says_so() -> None:
    """A notice with a reference that only another authority has names that authority, and ends nothing."""
    run("add", "outage.toml")
    slip = run("add", "-", stdin=ENDED.replace('"douane"', '"toldstyrelsen"').encode())

    assert (
        "htpoort: Notice 2 is of toldstyrelsen, but OWN-1 is a reference of douane (notice 1), so it changes and ends "
        'nothing of that; if it is about the same, store it with authority = "douane".\n'
    ) == slip.stderr.decode()
    assert "hold" == what_now("AGS", "--at", "2025-11-30T23:30+01:00")["advice"]


@pytest.mark.usefixtures("office")
def test_a_zone_without_an_authority_is_shown() -> None:
    """The zone of a notice without an authority is that of its times."""
    done = run("add", "-", stdin=OUTAGE.replace('authority = "douane"', 'zone = "Europe/Lisbon"').encode())

    assert b"not known; times are those of Europe/Lisbon\n" in done.stdout


@pytest.mark.usefixtures("office")
def test_what_was_not_known_yet_holds_nothing() -> None:
    """A notice of the ledger is known from the moment at which it was stored, whatever time it bears."""
    run("read", "three.txt")

    before = what_now("Manifest", "--at", "2025-06-07T22:30", "--known-at", "2025-06-08T00:00")
    now = what_now("Manifest", "--at", "2025-06-07T22:30")

    assert ("send", "hold") == (before["advice"], now["advice"])


def test_an_own_notice_with_problems_is_not_stored(office: Path) -> None:
    """Every problem is shown with its line, the exit code is 2, and nothing is stored."""
    wrong = OUTAGE.replace('"rejected"', '"broken"').replace('"in-force"', '"over"').replace("douane", "duane")
    (office / "wrong.toml").write_text(wrong + 'end = "2025-11-30T20:00"\n')
    done = run("add", "wrong.toml")
    lines = done.stderr.decode().splitlines()

    assert (2, b"") == (done.returncode, done.stdout)
    assert ["wrong.toml:1: ", "wrong.toml:4: ", "wrong.toml:10: ", "wrong.toml:13: "] == [
        line.removeprefix("htpoort: ").partition(": ")[0] + ": " for line in lines
    ]
    assert b"[]\n" == run("list", "--json").stdout


@pytest.mark.usefixtures("office")
def test_a_notice_of_the_future_is_a_slip(folder: Path) -> None:
    """A text that is to be published later is refused with its line, unless --known-at is later still."""
    (folder / "later.toml").write_text(ENDED.replace("2025-11-30T23:00", "2926-11-30T23:00"))
    asked = ("AGS", "--at", "2025-11-30T22:00", "--notices", "outage.toml", "later.toml")
    added, now, then = run("add", "later.toml"), run("what-now", *asked), what_now(*asked, "--known-at", "2926-12-01")
    expected = "htpoort: later.toml:3: revisions[0]: 2926-11-30 23:00:00 is in the future; give when this text"

    assert [2, 2] == [added.returncode, now.returncode]
    assert [True, True] == [done.stderr.decode().startswith(expected) for done in (added, now)]
    assert "hold" == then["advice"]
    assert b"[]\n" == run("list", "--json").stdout


@pytest.mark.usefixtures("office")
def test_the_notices_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The list has a line for each notice, oldest first; below it stands what each says of which system, and when."""
    monkeypatch.setenv("COLUMNS", "160")
    run("read", "three.txt")
    run("add", "outage.toml")
    done = run("list")
    text = done.stdout.decode()
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in text.splitlines()]
    expected = ["2025-06-06 21:00", "2025-06-07 23:59 expected", "rejected", "resubmit", "allowed"]

    assert ["1", "DMS Import (file)", *expected] in cells
    assert ["2", "AGS (file)", "2025-11-30 21:00", "not known", "rejected", "same-reference", "as-needed"] in cells

    assert (0, b"") == (done.returncode, done.stderr)
    assert 0 < text.index("WO0000001421830") < text.index("OWN-1")


def test_no_configuration_is_an_error_where_a_ledger_is_needed() -> None:
    """Without a configuration, the commands on the ledger name the option."""
    outcome = list(starmap(run, (("list",), ("add", "outage.toml"), ("what-now", "AGS"), ("timeline",))))

    assert [2] * 4 == [done.returncode for done in outcome]
    assert [True] * 4 == [done.stderr.startswith(b"htpoort: --config: htpoort.toml cannot be read") for done in outcome]


def test_a_configuration_that_is_named_must_be_there() -> None:
    """A configuration that an option names is never passed over."""
    done = run("read", "three.txt", "--config", "elsewhere.toml")

    assert (2, True) == (done.returncode, done.stderr.startswith(b"htpoort: --config: elsewhere.toml cannot be read"))


def test_what_now_is_what_an_agent_does(office: Path) -> None:
    """Nothing more is sent from two minutes before a window; after an order to let go, it is sent."""
    run("add", "outage.toml")
    before = [what_now("AGS", "--at", f"2025-11-30T20:{minutes}") for minutes in ("57:59", "58:01")]
    with Ledger.open(f"sqlite:///{office / 'htpoort.db'}") as ledger:
        ledger.notices.overrule(1, reason="It answers.", at=datetime(2025, 11, 30, 20, tzinfo=UTC))
    ordered = what_now("AGS", "--at", "2025-11-30T21:30")

    assert ["send", "hold"] == [facts["advice"] for facts in before]
    assert before[1]["reason"].startswith(
        "Nothing more is sent from two minutes before a window begins. Notice OWN-1 says that AGS rejects"
    )
    assert "send" == ordered["advice"]
    assert ordered["reason"].startswith("Notice OWN-1 is not obeyed, by an order of 2025-11-30 ")
    assert ": It answers. No notice was known then." in ordered["reason"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), b"--notices: nothing would be played, since no name in them means AGS or DMS; give for example"),
        (("--notice-name", "DMS Import=DSM"), b"--notice-name 'DSM' is not in the systems that are played"),
    ],
)
def test_a_rehearsal_without_windows_is_refused(options: tuple[str, ...], expected: bytes) -> None:
    """A gateway that would play nothing of its notices does not start."""
    command = [sys.executable, "-m", "htpoort", "simulate", "--notices", "three.txt", *options]
    done = subprocess.run(command, capture_output=True, check=False)  # noqa: S603 - our own

    assert (2, True) == (done.returncode, expected in done.stderr)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (OUTAGE + 'end = "2025-11-30T23:00"\n', "Notice OWN-1: AGS is over."),
        (OUTAGE.replace("rejected", "limited"), "Notice OWN-1: AGS has a behaviour that is not played: limited."),
    ],
)
def test_a_rehearsal_that_would_play_nothing_is_refused(folder: Path, text: str, expected: str) -> None:
    """If the windows are over, or are not played, the gateway does not start, and each reason is given."""
    (folder / "none.toml").write_text(text)
    command = [sys.executable, "-m", "htpoort", "simulate", "--notices", "none.toml"]
    done = subprocess.run(command, capture_output=True, check=False)  # noqa: S603 - our own

    assert (2, f"htpoort: --notices: nothing would be played. {expected}\n") == (done.returncode, done.stderr.decode())


def test_a_rehearsal_lists_what_it_plays(folder: Path) -> None:
    """The gateway prints each window with its times, and on standard error what it leaves out of the notices."""
    rows = "".join(
        f"""
[[windows]]
system = "{system}"
start = "2926-11-30T21:00"
end = "2926-11-30T23:00"
behaviour = "queued"
"""
        for system in ("DMS Invoer", "NCTS")
    )
    (folder / "later.toml").write_text(OUTAGE + rows)
    asked = ("simulate", "--notices", "later.toml", "--notice-name", "DMS Invoer=DMS", "--json")
    with subprocess.Popen(  # noqa: S603 - our own
        [sys.executable, "-m", "htpoort", *asked], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        started = json.loads(running.stdout.readline())
        running.terminate()
        left_out = running.stderr.read().decode()

    assert [
        {"system": "AGS", "behaviour": "reject", "begins": "2025-11-30T20:00:00+00:00", "ends": None},
        {
            "system": "DMS",
            "behaviour": "queue",
            "begins": "2926-11-30T20:00:00+00:00",
            "ends": "2926-11-30T22:00:00+00:00",
        },
    ] == started["windows"]
    assert "htpoort: Not played: notice OWN-1: NCTS means none of AGS, DMS; say which by --notice-name.\n" == left_out


# ── timeline ─────────────────────────────────────────────────────────────────


def test_the_timeline_has_a_bar_for_each_system(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each system has a bar of signs, and below it the periods are listed, as a table where it fits."""
    monkeypatch.setenv("COLUMNS", "120")
    done = run("timeline", "--notices", "three.txt", "--from", "2025-06-06T18:00", "--until", "2025-06-08T18:00")
    lines = done.stdout.decode().splitlines()

    assert (0, b"") == (done.returncode, done.stderr)
    assert [
        "Europe/Copenhagen  2025-06-06 18:00                            2025-06-08 18:00",
        "DMS Eksport        ...##################################+++++++++++++++++++++++",
        "DMS Forsendelse    ...##################################+++++++++++++++++++++++",
        "DMS Import         ...##################################+++++++++++++++++++++++",
        "Import             ...~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~+++++++++++++++++++++++",
        "Manifest           ...##################################+++++++++++++++++++++++",
        "# hold  ? unclear  ~ expect late  - not affected  + not sure  . nothing stated",
        "Periods (Europe/Copenhagen)",
    ] == [line.rstrip() for line in lines[:8]]
    assert [
        ["Manifest", "hold", "2025-06-06 20:58", "2025-06-07 23:59", "WO0000001421830", "yes"],
        ["Manifest", "hold", "2025-06-07 23:59", "", "WO0000001421830", "no"],
    ] == [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines if line.startswith("│ Manifest")]
    assert "Not sure: no notice says that it is over, or the text leaves it in doubt; what-now says why." == lines[-1]


def test_a_timeline_draws_a_contradiction_as_unclear(folder: Path) -> None:
    """Where two notices contradict each other, the bar and the picture are what what-now says: unclear, by both."""
    rejected = OUTAGE + 'end = "2025-11-30T23:00"\n'
    queued = rejected.replace("rejected", "queued").replace("OWN-1", "OWN-2").replace("T21:00", "T22:00")
    (folder / "rejected.toml").write_text(rejected)
    (folder / "queued.toml").write_text(queued.replace("T23:00", "T23:30"))
    asked = ("--notices", "rejected.toml", "queued.toml", "--from", "2025-11-30T20:30", "--until", "2025-12-01T00:00")
    done = run("timeline", *asked, "--svg", "out.svg", "--json")
    text = run("timeline", *asked).stdout.decode()
    picture = ET.fromstring((folder / "out.svg").read_text(encoding="utf-8"))  # noqa: S314 - our own

    assert [
        ("AGS", "hold", "2025-11-30T20:58:00+01:00", "2025-11-30T22:00:00+01:00", "OWN-1", False),
        ("AGS", "unclear", "2025-11-30T22:00:00+01:00", "2025-11-30T23:00:00+01:00", "OWN-1, OWN-2", False),
        ("AGS", "send-expect-late", "2025-11-30T23:00:00+01:00", "2025-11-30T23:30:00+01:00", "OWN-2", False),
    ] == [
        tuple(each[key] for key in ("system", "advice", "from", "until", "notice", "assumed"))
        for each in json.loads(done.stdout)
    ]
    assert "AGS               ........#################?????????????????~~~~~~~~~.........\n" in text
    of = "{http://www.w3.org/2000/svg}"
    drawn = [each.attrib["class"] for each in picture.iter(f"{of}rect") if each.find(f"{of}title") is not None]
    assert ["hold", "unclear", "send-expect-late"] == drawn
    assert "Not sure" not in text


def test_a_timeline_has_a_row_for_each_system_of_the_directory(office: Path) -> None:
    """Systems are named as in the configuration, whatever notices print; a name that means none of them is marked."""
    run("add", "outage.toml")
    run("read", "three.txt")
    bounds = ("--from", "2025-06-06T18:00+02:00", "--until", "2025-06-08T18:00+02:00")
    text = run("timeline", *bounds, "--svg", "out.svg").stdout.decode()
    facts = json.loads(run("timeline", *bounds, "--json").stdout)

    labels = [line.partition("  ")[0] for line in text.splitlines()[1:7]]
    assert [
        "AGS",
        "DMS",
        "DMS Eksport (not mapped)",
        "DMS Forsendelse (not mapped)",
        "Import (not mapped)",
        "Manifest (not mapped)",
    ] == labels
    assert {("DMS", True), ("DMS Eksport", False), ("Manifest", False)} < {
        (each["system"], each["mapped"]) for each in facts
    }
    assert ">Manifest (not mapped)</text>" in (office / "out.svg").read_text(encoding="utf-8")


def test_a_time_that_is_the_same_in_all_zones(folder: Path) -> None:
    """A time without a zone is taken where the notices have several zones in which it is the same moment."""
    notices = ("--notices", "outage.toml", "three.txt")
    drawn = run("timeline", *notices, "--from", "2025-11-30T21:30", "--system", "AGS", "--json")

    assert "hold" == what_now("AGS", "--at", "2025-11-30T20:58", *notices)["advice"]
    assert 0 == run("what-now", "DMS", "--at", "2025-11-30T21:00", *notices).returncode
    assert (0, 1) == (drawn.returncode, len(json.loads(drawn.stdout)))
    assert not (folder / "htpoort.db").exists()


def test_a_name_that_concerns_none_of_yours_says_so(office: Path) -> None:
    """A name that the configuration maps to no system is not called unmapped in a timeline."""
    with (office / "htpoort.toml").open("a", encoding="utf-8") as file:
        file.write('[[notices.name]]\nname = "Manifest"\nsystem = ""\n')
    run("read", "three.txt")
    drawn = run("timeline").stdout.decode()

    assert "Manifest (none of yours)  " in drawn
    assert "DMS Eksport (not mapped)  " in drawn


def test_a_short_window_does_not_disappear(folder: Path) -> None:
    """Each window has a sign of its own, on another line where there is no room, in the bar as in the picture."""
    minutes = "".join(
        f"""
[[windows]]
system = "AGS"
start = "2025-11-30T21:{minute:02}"
end = "2025-11-30T21:{minute + 1:02}"
behaviour = "{"queued" if minute == 15 else "rejected"}"
"""
        for minute in (0, 5, 10, 15, 20, 25)
    )
    head = 'authority = "douane"\nreferences = ["OWN-1"]\n'
    (folder / "minutes.toml").write_text(head + minutes)
    close = run("timeline", "--notices", "minutes.toml").stdout.decode().splitlines()
    wide = ("--from", "2025-11-30T12:00", "--until", "2025-12-01T12:00")
    day = run("timeline", "--notices", "minutes.toml", *wide, "--svg", "out.svg").stdout.decode().splitlines()
    picture = ET.fromstring((folder / "out.svg").read_text(encoding="utf-8"))  # noqa: S314 - our own
    of = "{http://www.w3.org/2000/svg}"
    drawn = [each.attrib for each in picture.iter(f"{of}rect") if each.find(f"{of}title") is not None]

    assert "AGS               ....#####....#####....######.......~~....#####....#####....." == close[1]
    assert ["#", "#", "#", "~", "#", "#"] == [line[18:].strip(".") for line in day[1:7]]
    assert {"AGS"} == {line[:18].strip() for line in day[1:7]} - {""}
    assert 6 == len({each["y"] for each in drawn})


def test_a_timeline_begins_a_hold_where_what_now_does(folder: Path) -> None:
    """What is held begins two minutes before its window, and ends what else is stated then; known-at shows windows."""
    rejected = OUTAGE + 'end = "2025-11-30T23:00"\n'
    queued = rejected.replace("rejected", "queued").replace("OWN-1", "OWN-2")
    (folder / "rejected.toml").write_text(rejected)
    for name, begin, end in (("long", "20:30", "21:00"), ("short", "20:58", "21:00")):
        (folder / f"{name}.toml").write_text(
            queued.replace("T21:00", f"T{begin}").replace("T23:00", f"T{end}").replace("OWN-2", name)
        )

    def periods(*asked: str) -> list[tuple[str, str]]:
        done = run("timeline", "--notices", *asked, "--json")
        return [(each["advice"], each["from"][11:16]) for each in json.loads(done.stdout)]

    assert [("send-expect-late", "20:30"), ("hold", "20:58")] == periods("long.toml", "rejected.toml")
    assert [("hold", "20:58")] == periods("short.toml", "rejected.toml")
    assert [("hold", "20:58")] == periods("rejected.toml", "--until", "2025-11-30T20:59")
    assert [] == periods("rejected.toml", "--until", "2025-11-30T20:58")
    assert [("hold", "21:00")] == periods("rejected.toml", "--known-at", "2025-12-01T00:00")
    assert ["send", "hold"] == [
        what_now("AGS", "--at", f"2025-11-30T20:{time}", "--notices", "rejected.toml")["advice"]
        for time in ("57:59.999999", "58:00")
    ]


def test_the_labels_of_a_picture_stand_at_their_times(folder: Path) -> None:
    """In a picture of some minutes each label stands where its time is."""
    bounds = ("--from", "2025-11-30T20:33", "--until", "2025-11-30T20:38")
    run("timeline", "--notices", "outage.toml", *bounds, "--svg", "out.svg")
    picture = ET.fromstring((folder / "out.svg").read_text(encoding="utf-8"))  # noqa: S314 - our own
    labels = [each for each in picture.iter("{http://www.w3.org/2000/svg}text") if "Nov" in (each.text or "")]

    # 124 for a minute.
    assert [
        ("30 Nov 20:33", "260.0"),
        ("30 Nov 20:34", "384.0"),
        ("30 Nov 20:36", "632.0"),
        ("30 Nov 20:37", "756.0"),
        ("30 Nov 20:38", "880.0"),
    ] == [(each.text, each.attrib["x"]) for each in labels]


@pytest.mark.usefixtures("office")
@pytest.mark.parametrize(
    ("name", "question", "system"),
    [
        ("DSM", "; did you mean DMS?", '"DMS"  # or AGS'),
        ("DMS Invoer", ".", '"DMS"  # or AGS'),
        ("ICS2", ".", '"..."  # one of AGS, DMS, or "" if it is none of yours'),
        ("DMS en AGS", ".", '"..."  # one of AGS, DMS, or "" if it is none of yours'),
    ],
)
def test_a_name_is_mapped_to_the_likely_system(name: str, question: str, system: str) -> None:
    """The lines to write name the system that the name is a slip of, or contains; otherwise none is chosen."""
    added = run("add", "-", stdin=OUTAGE.replace('"AGS"', f'"{name}"').encode()).stderr.decode().splitlines()

    assert f"htpoort: Notice 1 holds nothing until [[notices.name]] maps {name!r} to AGS or DMS{question}" == added[0]
    assert f"system = {system}" == added[4]


def test_the_picture_is_valid_xml_for_light_and_dark(folder: Path) -> None:
    """The SVG has a rectangle for each period, with its advice and its times, and a style for dark pages."""
    (folder / "odd.toml").write_text(OUTAGE.replace('"AGS"', '"A<&>\\u0001\\"GS"'), encoding="utf-8")
    done = run("timeline", "--notices", "three.txt", "odd.toml", "--svg", "out.svg", "--json")
    periods = json.loads(done.stdout)
    picture = ET.fromstring((folder / "out.svg").read_text(encoding="utf-8"))  # noqa: S314 - our own
    of = "{http://www.w3.org/2000/svg}"
    drawn = [each for each in picture.iter(f"{of}rect") if each.find(f"{of}title") is not None]

    assert 0 == done.returncode
    assert f"{of}svg" == picture.tag
    assert "prefers-color-scheme: dark" in (picture.findtext(f"{of}style") or "")
    assert len(periods) == len(drawn)
    assert {"hold", "hold assumed", "send-expect-late", "send-expect-late assumed"} == {
        each.attrib["class"] for each in drawn
    }
    assert "Manifest: hold from 2025-06-06 18:58 until 2025-06-07 21:59 (WO0000001421830)" in {
        each.findtext(f"{of}title") for each in drawn
    }
    assert {
        "system": "Manifest",
        "mapped": None,
        "advice": "hold",
        "from": "2025-06-06T18:58:00+00:00",
        "until": "2025-06-07T21:59:00+00:00",
        "notice": "WO0000001421830",
        "revision": "2025-06-07T21:31",
        "assumed": False,
    } in periods


def test_a_timeline_without_notices(office: Path) -> None:
    """An empty ledger has nothing to draw, which is no error; the picture is still one."""
    done = run("timeline", "--svg", "empty.svg")

    assert (0, b"No periods.\n") == (done.returncode, done.stdout)
    assert "svg" in ET.fromstring((office / "empty.svg").read_text(encoding="utf-8")).tag  # noqa: S314 - our own


def test_the_bounds_of_a_timeline_are_checked() -> None:
    """An end before the beginning, or a folder that is missing, is named with its option."""
    bounds = ("--from", "2025-11-30T21:00", "--until", "2025-11-30T20:00")
    reversed_bounds = run("timeline", "--notices", "outage.toml", *bounds)
    no_folder = run("timeline", "--notices", "outage.toml", "--svg", "no/where.svg")

    assert (2, b"htpoort: --until is not after --from.\n") == (reversed_bounds.returncode, reversed_bounds.stderr)
    assert (2, b"htpoort: --svg: no/where.svg cannot be written: No such file or directory.\n") == (
        no_folder.returncode,
        no_folder.stderr,
    )


def test_the_environment_names_the_configuration(office: Path, tmp_path: Path) -> None:
    """HTPOORT_CONFIG names the configuration from any folder."""
    command = [sys.executable, "-m", "htpoort", "windows", "read", str(office / "three.txt")]
    env = {**os.environ, "HTPOORT_CONFIG": str(office / "htpoort.toml")}
    done = subprocess.run(command, cwd=tmp_path.parent, env=env, capture_output=True, check=False)  # noqa: S603 - our own

    assert b"is stored as notice 1.\n" in done.stdout
