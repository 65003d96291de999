"""`htpoort report`, and `--html` of other commands: figures as other commands have them, and files that are whole."""

from __future__ import annotations

import operator
import os
import stat
import subprocess  # noqa: S404 - a library that is missing is seen by a process of its own
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import html_pages
import pytest
from agents import declaration, reply
from databases import new_ledger
from disk import failing_disk
from wall_clock import in_amsterdam, stopped

from htpoort import AGS, Outcome, Router, _disk
from htpoort.ledger import Ledger, NoticeForm

Run = Callable[..., Any]

PARTY: Final = "NL123456789.02.05"
CLIENT: Final = "NL123456789.03.05"
NOW: Final = datetime(2026, 1, 10, 12, tzinfo=UTC)
LEASE: Final = timedelta(minutes=2)
CONFIG: Final = f"""
parties = ["{PARTY}", "{CLIENT}"]
[ledger]
url = "sqlite:///htpoort.db"
[unanswered]
after = "40h"
[cutover]
[[cutover.move]]
party = "{PARTY}"
system = "DMS"
since = 2026-01-05
"""
NOTICE: Final = """
zone = "UTC"
references = ["N1"]
[[windows]]
system = "DMS"
start = "2026-01-09T00:00"
end = "2026-01-09T06:00"
behaviour = "queued"
"""


def names_in(folder: Path) -> list[str]:
    """List the files in a folder, also hidden ones."""
    return sorted(path.name for path in folder.iterdir())


def before(**ago: float) -> datetime:
    """Give a moment before now."""
    return NOW - timedelta(**ago)


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """
    Give a small ledger, in Amsterdam, at noon of a Saturday by UTC.

    Of one party, a declaration that is 48 hours old, less a window of six, one that was refused, and one that is
    answered, but not delivered; of the other, one that waits and one that may have been sent.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HTPOORT_CONFIG", raising=False)
    (tmp_path / "htpoort.toml").write_text(CONFIG)
    with Ledger.open(new_ledger(tmp_path / "htpoort.db")) as ledger:
        for reference, party, ago, outcome in (
            ("K1", PARTY, 48, Outcome.ACCEPTED),
            ("K2", PARTY, 30, Outcome.REFUSED),
            ("K3", PARTY, 20, Outcome.ACCEPTED),
            ("K4", CLIENT, 2.5, Outcome.UNKNOWN),
        ):
            ledger.exchanges.queue(declaration(reference, party=party), at=before(hours=ago))
            (one,) = ledger.exchanges.claim(["DMS"], owner="a", most=1, at=before(hours=ago), lease=LEASE)
            ledger.exchanges.settle(one, outcome, at=before(hours=ago), detail="550 no")
        ledger.exchanges.queue(declaration("K5", AGS, party=CLIENT), at=before(hours=1), business_reference="LRN5")
        router = Router(parties=[PARTY, CLIENT])
        key = ledger.replies.take_in(router, reply("K3"), mail_from=None, at=before(hours=19)).key
        ledger.replies.claim("DMS", owner="a", most=1, at=before(hours=18), lease=LEASE)
        ledger.replies.mark_failed(key, at=before(hours=18), due=before(hours=-1), trouble="disk full")
        raw = reply("K1").replace(b"dms@htpoort.nl", b"x@elsewhere.example")
        ledger.replies.take_in(router, raw, mail_from=None, at=before(hours=3))
        ledger.replies.take_in(
            router, b"From: a@b.example\r\nSubject: hello\r\n\r\n", mail_from=None, at=before(hours=2)
        )
        ledger.notices.add(NOTICE, at=before(hours=40), form=NoticeForm.OWN)
    with in_amsterdam(), stopped(NOW):
        yield tmp_path


@pytest.fixture
def page(htpoort: Run, office: Path) -> Callable[..., html_pages.Element]:
    """Return a function that writes a report, and reads it."""

    def make(*options: str) -> html_pages.Element:
        assert 0 == htpoort("report", "--html", "report.html", *options).code
        return html_pages.read((office / "report.html").read_bytes())

    return make


def figures(read: html_pages.Element, number: int = 0) -> dict[str, str]:
    """Give the numbers that sum up everything, or a party."""
    lists = [one for one in read.all("ul") if one.attributes.get("class") == "figures"]
    return {next(item.all("span")).text: next(item.all("strong")).text for item in lists[number].all("li")}


class TestFigures:
    """Every number and every line is what the command for it has."""

    def test_of_status(self, htpoort: Run, page: Callable[..., html_pages.Element]) -> None:
        """The counts by system and state, the oldest open ones, and what needs attention."""
        read, facts = page(), htpoort("status", "--json").facts

        assert {"AGS": {"queued": 1}, "DMS": {"accepted": 1, "answered": 1, "refused": 1, "unknown": 1}} == facts[
            "exchanges"
        ]
        assert [
            {
                "system": "AGS",
                "queued": "1",
                "accepted": "0",
                "refused": "0",
                "unknown": "0",
                "answered": "0",
                "oldest open": "2026-01-10 12:00",
                "undelivered replies": "0",
            },
            {
                "system": "DMS",
                "queued": "0",
                "accepted": "1",
                "refused": "1",
                "unknown": "1",
                "answered": "1",
                "oldest open": "2026-01-08 13:00",
                "undelivered replies": "1",
            },
        ] == html_pages.rows(read, "Exchanges by system and state")
        assert {"AGS": "2026-01-10T11:00:00+00:00", "DMS": "2026-01-08T12:00:00+00:00"} == facts["oldest_open"]
        assert ({"DMS": 1}, 2) == (facts["undelivered"], facts["quarantined"])
        (things,) = [one for one in read.all("ul") if one.attributes.get("class") == "attention"][:1]
        assert [one["what"] for one in facts["attention"]] == [next(one.all("bdi")).text for one in things.all("li")]
        assert {
            "open": "4",
            "unanswered": "2",
            "need a decision": "2",
            "deliveries that fail": "1",
            "in quarantine": "2",
        } == figures(read)

    def test_of_unanswered(self, htpoort: Run, page: Callable[..., html_pages.Element]) -> None:
        """The same lines, with the age less the time of service windows, and what is too old."""
        lines = htpoort("unanswered", "--json").facts

        assert [("K1", 42.0, True), ("K4", 2.5, False)] == [
            (line["reference"], line["age_hours"], line["too_old"]) for line in lines
        ]
        assert [
            {
                "K": "K1",
                "party": PARTY,
                "system": "DMS",
                "state": "accepted",
                "sent": "2026-01-08 13:00",
                "attempts": "1",
                "age": "42.0 h, too old",
            },
            {
                "K": "K4",
                "party": CLIENT,
                "system": "DMS",
                "state": "unknown",
                "sent": "2026-01-10 10:30",
                "attempts": "1",
                "age": "2.5 h",
            },
        ] == html_pages.rows(page(), "Declarations that were sent")

    def test_of_quarantine_list(self, htpoort: Run, page: Callable[..., html_pages.Element]) -> None:
        """The same messages, with everything that is wrong with each."""
        lines = htpoort("quarantine", "list", "--json").facts
        subject = f"[V=DMS4.NL][A={PARTY}][K=K1][S=0]"

        assert [(1, "unknown-mailbox"), (2, "no-envelope")] == [(line["key"], line["reason"]) for line in lines]
        assert [
            {
                "number": "1",
                "received": "2026-01-10 10:00",
                "reason": "unknown-mailbox",
                "what is wrong": "No system answers from 'x@elsewhere.example'.",
                "from": "x@elsewhere.example",
                "subject": subject,
                "copies": "1",
            },
            {
                "number": "2",
                "received": "2026-01-10 11:00",
                "reason": "no-envelope",
                "what is wrong": "There is no [V=…][A=…][K=…][S=…] in this text.",
                "from": "a@b.example",
                "subject": "hello",
                "copies": "1",
            },
        ] == html_pages.rows(page(), "Messages that wait")

    def test_of_what_was_not_sent_or_delivered(self, page: Callable[..., html_pages.Element]) -> None:
        """What waits or was refused has its age since it was queued; a delivery that fails has its reason."""
        read = page()

        assert [("K2", "refused", "30.0 h"), ("K5", "queued", "1.0 h")] == [
            (line["K"], line["state"], line["age"]) for line in html_pages.rows(read, "Open declarations that no")
        ]
        assert [("K3", "1", "2026-01-10 14:00", "disk full")] == [
            (line["K"], line["attempts"], line["next attempt"], line["why"])
            for line in html_pages.rows(read, "Replies whose last delivery failed")
        ]
        assert [{"system": "AGS", "queued": "1", "deferred": "0", "sending": "0", "held": "0"}] == html_pages.rows(
            read, "What waits to be sent"
        )

    def test_of_each_party(self, page: Callable[..., html_pages.Element]) -> None:
        """Each party has its part, and the parts add up."""
        read = page()

        assert [
            (PARTY, "2", "1", "1", "1", "1"),
            (CLIENT, "2", "1", "0", "0", "0"),
        ] == [tuple(line.values()) for line in html_pages.rows(read, "Each party")]
        assert {**figures(read, 1)} == {
            "open": "2",
            "unanswered": "1",
            "need a decision": "1",
            "deliveries that fail": "1",
            "in quarantine": "1",
        }


class TestPeriod:
    """The period is that of the charts; what is open is shown however old it is."""

    @pytest.mark.parametrize(
        ("options", "bars"),
        [
            ((), ["2026-01-10", "2026-01-08", "2026-01-09", "2026-01-10"]),
            (("--since", "2026-01-09", "--until", "2026-01-09"), ["2026-01-09 07:00", "2026-01-09 17:00"]),
            (("--since", "2026-01-09T06:30:00Z", "--until", "2026-01-09T16:00:00Z"), []),
        ],
    )
    def test_bounds(self, page: Callable[..., html_pages.Element], options: tuple[str, ...], bars: list[str]) -> None:
        """By default the last 30 days; a day is whole, and in local time."""
        read = page(*options)
        found = [
            next(group.all("title")).text.partition(": ")[0]
            for group in read.all("g")
            if "shade" not in group.children[1].attributes["class"]
        ]

        assert bars == found[: len(found) // 2]
        assert 2 == len(html_pages.rows(read, "Declarations that were sent"))

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (("--since", "2026-01-11"), "--since is '2026-01-11', which is not before now; give an earlier time."),
            (
                ("--since", "2026-01-09", "--until", "2026-01-08"),
                "--since is '2026-01-09', which is not before --until; give an earlier time.",
            ),
        ],
    )
    def test_a_period_that_is_none(self, htpoort: Run, office: Path, options: tuple[str, ...], message: str) -> None:
        """It is refused, and nothing is written."""
        result = htpoort("report", "--html", "report.html", *options)

        assert (2, f"htpoort: {message}\n") == (result.code, result.err)
        assert not (office / "report.html").exists()


class TestFile:
    """The file is there as a whole or not at all, and only its owner can read it."""

    def test_it_is_private_and_replaced(self, htpoort: Run, office: Path) -> None:
        """The mode is 0600, also if a file was there with another; nothing else is left in the folder."""
        target = office / "report.html"
        target.write_text("old")
        target.chmod(0o644)
        before_ = names_in(office)
        result = htpoort("report", "--html", "report.html")

        assert (0, "Wrote report.html.\n") == (result.code, result.text)
        assert 0o600 == stat.S_IMODE(target.stat().st_mode)
        assert target.read_bytes().startswith(b"<!doctype html>\n")
        assert before_ == names_in(office)

    def test_a_link_stays_one(self, htpoort: Run, office: Path) -> None:
        """The file that a link leads to is replaced, and not the link."""
        (office / "pages").mkdir()
        (office / "latest.html").symlink_to("pages/report.html")

        assert 0 == htpoort("report", "--html", "latest.html").code
        assert (office / "latest.html").is_symlink()
        assert (office / "pages" / "report.html").is_file()

    def test_a_full_disk(self, tmp_path: Path) -> None:
        """If it cannot be written, the file that was there stays as it was, and nothing is left beside it."""
        target = tmp_path / "report.html"
        target.write_text("old")
        with failing_disk(), pytest.raises(OSError, match="File too large"):
            _disk.replace_private(target, b"new")

        assert ("old", ["report.html"]) == (target.read_text(), names_in(tmp_path))

    @pytest.mark.parametrize(
        ("target", "why"),
        [
            ("pipe", "it is not a file; give a file, or another place for the output"),
            ("gone/report.html", "No such file or directory"),
            ("a\0b", "embedded null byte"),
        ],
    )
    def test_what_is_no_file(self, htpoort: Run, office: Path, target: str, why: str) -> None:
        """A pipe, a device and a folder that is missing are refused, and stay what they are."""
        os.mkfifo(office / "pipe")
        result = htpoort("report", "--html", target)

        assert (2, f"htpoort: --html: {target} cannot be written: {why}.\n") == (result.code, result.err)
        assert stat.S_ISFIFO((office / "pipe").stat().st_mode)

    def test_standard_output(self, htpoort: Run, office: Path) -> None:
        """A minus writes the page there, and nothing else."""
        del office
        result = htpoort("report", "--html", "-")

        assert (0, "") == (result.code, result.err)
        assert result.out.startswith(b"<!doctype html>\n")
        assert result.out.endswith(b"</html>\n")


class TestOtherCommands:
    """A move and a rehearsal have pages too."""

    def test_beside_what_is_printed(self, htpoort: Run, office: Path) -> None:
        """With a file, the command prints what it prints without it, also as JSON."""
        plain = htpoort("cutover", "status", "--json")
        result = htpoort("cutover", "status", "--json", "--html", "move.html")
        read = html_pages.read((office / "move.html").read_bytes())

        assert plain.facts == result.facts
        assert ["AGS may not be switched off yet.", *plain.facts["waits_for"]] == [
            one.text for one in read.all("p") if list(one.all("bdi"))
        ]
        assert [(one["party"], one["stage"], str(one["open"])) for one in plain.facts["parties"]] == [
            (line["party"], line["stage"], line["open"]) for line in html_pages.rows(read, "How far each party")
        ]

    def test_of_a_rehearsal(self, htpoort: Run, office: Path) -> None:
        """The page has the totals and the line of each declaration; the exit code is that of the rehearsal."""
        result = htpoort("cutover", "rehearse", "--json", "--html", "rehearsal.html")
        read = html_pages.read((office / "rehearsal.html").read_bytes())
        summary = {
            next(one.all("dt")).text: next(one.all("dd")).text
            for one in next(each for each in read.all("dl") if each.attributes["class"] == "summary").children
        }

        assert 0 == result.code
        assert {name.replace("_", " "): str(value) for name, value in result.facts["summary"].items()} == summary
        assert [one["reference"] for one in result.facts["declarations"]] == [
            line["K"] for line in html_pages.rows(read, "Declarations, in the order")
        ]

    @pytest.mark.parametrize("command", ["status", "rehearse"])
    def test_alone(self, htpoort: Run, office: Path, command: str) -> None:
        """A minus writes the page alone, which cannot be mixed with JSON."""
        del office
        result = htpoort("cutover", command, "--html", "-")
        mixed = htpoort("cutover", command, "--html", "-", "--json")

        assert (0, b"<!doctype html>\n", b"</html>\n") == (result.code, result.out[:16], result.out[-8:])
        message = "Give --html - or --json, not both; --html FILE goes with either."
        assert (2, message) == (mixed.code, mixed.facts["message"])


@pytest.mark.parametrize(
    "command", [["report"], ["cutover", "status"], ["cutover", "rehearse"]], ids=operator.itemgetter(-1)
)
def test_the_library_is_missing(office: Path, command: list[str]) -> None:
    """The sentence names it, and how to install it; nothing else is done before."""
    arguments = [*command, "--html", "page.html"]
    code = f"import sys; sys.modules['jinja2'] = None; from htpoort.cli import _app; sys.exit(_app.run({arguments!r}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, text=True)  # noqa: S603

    begin = "htpoort: --html needs jinja2; install htpoort again as you installed it, with [report]: "
    assert (2, "", begin) == (done.returncode, done.stdout, done.stderr[: len(begin)])
    assert not (office / "page.html").exists()
