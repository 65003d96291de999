"""`htpoort unanswered` and `recover`: what has no answer, for how long, and what a notice says to do about it."""

from __future__ import annotations

import subprocess  # noqa: S404 - the test is about a command that goes on
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from databases import new_ledger
from wall_clock import in_amsterdam

from htpoort import AGS, DMS, DeclarationSystem, Outcome, State, build
from htpoort.ledger import Ledger, NoticeForm
from htpoort.notices import NoticeName

Run = Callable[..., Any]

PARTY, CLIENT = "NL123456789.02.05", "NL123456789.03.05"
CONFIG = f"""
parties = ["{PARTY}", "{CLIENT}"]
[ledger]
url = "sqlite:///htpoort.db"
[unanswered]
after = "24h"
[[unanswered.system]]
system = "DMS"
after = "4h"
[[notices.name]]
name = "Invoer"
system = "DMS"
"""
INVOER = NoticeName(name="Invoer", system="DMS")
LEASE = timedelta(minutes=2)
OPEN = """
zone = "UTC"
references = ["N1"]
state = "in-force"
[[windows]]
system = "Invoer"
start = "2026-01-05T10:00"
behaviour = "rejected"
"""
ENDED = 'zone = "UTC"\nreferences = ["N1"]\nstate = "ended"\n'


def now() -> datetime:
    """Return the time of the machine."""
    return datetime.now(UTC)  # noqa: TID251 - the command asks the same clock


def own(  # noqa: PLR0913 - the parts of a notice
    *,
    start: datetime,
    end: datetime,
    reference: str = "N1",
    system: str = "Invoer",
    behaviour: str = "rejected",
    recovery: str = "resubmit",
    messages: str = "",
) -> str:
    """Write a notice of one's own, with its times in UTC."""
    return f"""
zone = "UTC"
references = ["{reference}"]
state = "ended"
[[windows]]
system = "{system}"
access = "file"
messages = [{messages}]
start = {start:%Y-%m-%dT%H:%M}:00
end = {end:%Y-%m-%dT%H:%M}:00
behaviour = "{behaviour}"
recovery = "{recovery}"
"""


class Office:
    """A ledger, and ways to fill it."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger

    def send(
        self,
        reference: str,
        *,
        hours: float,
        system: DeclarationSystem = DMS,
        outcome: Outcome = Outcome.ACCEPTED,
    ) -> None:
        """Let the server accept a declaration so many hours ago, or lose it."""
        at = now() - timedelta(hours=hours)
        self.queue(reference, system=system, at=at)
        (claimed,) = self.ledger.exchanges.claim([system.name], owner="a", most=1, at=at, lease=LEASE)
        self.ledger.exchanges.settle(claimed, outcome, at=at)

    def queue(self, reference: str, *, system: DeclarationSystem = DMS, at: datetime | None = None) -> None:
        """Queue a declaration, by default now."""
        at = at or now()
        message = build(
            system=system,
            party=PARTY,
            mailbox="edi@forwarder.example",
            reference=reference,
            payload=f"<MetaData>{reference}</MetaData>".encode(),
            date=at,
            message_id=f"<{reference}@forwarder.example>",
        )
        self.ledger.exchanges.queue(message, at=at, business_reference=f"LRN{reference}")

    def learn(self, *, begin: float, end: float, **parts: str) -> None:
        """Store a notice about a window from so many to so many hours ago."""
        start, stop = (now() - timedelta(hours=hours) for hours in (begin, end))
        self.ledger.notices.add(own(start=start, end=stop, **parts), at=now(), form=NoticeForm.OWN)

    def states(self) -> dict[str, State]:
        """Return the state of each exchange."""
        return {each.reference: each.state for each in self.ledger.exchanges.listed()}


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Office]:
    """Give an empty ledger, and its configuration where the command looks for it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HTPOORT_CONFIG", raising=False)
    (tmp_path / "htpoort.toml").write_text(CONFIG)
    url = new_ledger(tmp_path / "htpoort.db")
    with in_amsterdam(), Ledger.open(url, notice_names=[INVOER]) as ledger:
        yield Office(ledger)


class TestAges:
    """The age of an answer is the time in which one could have come."""

    @pytest.mark.parametrize(
        ("options", "expected"),
        [
            ((), {"K1": True, "K2": False, "A1": False, "A2": True}),
            (("--too-old", "1"), {"K1": True, "K2": True, "A1": True, "A2": True}),
            (("--too-old", "DMS=1"), {"K1": True, "K2": True, "A1": False, "A2": True}),
            (("--too-old", "100", "--too-old", "ags=5"), {"K1": False, "K2": False, "A1": True, "A2": True}),
        ],
    )
    def test_limits(self, htpoort: Run, office: Office, options: tuple[str, ...], expected: dict[str, bool]) -> None:
        """Each system has a limit of its own; options take the place of those of the file."""
        for reference, hours, system in (("K1", 5, DMS), ("K2", 3, DMS), ("A1", 5, AGS), ("A2", 25, AGS)):
            office.send(reference, hours=hours, system=system)
        lines = htpoort("unanswered", *options, "--json").facts

        assert expected == {line["reference"]: line["too_old"] for line in lines}

    @pytest.mark.parametrize(
        ("behaviour", "age"), [("queued", 3.0), ("delayed", 3.0), ("rejected", 3.0), ("normal", 5.0)]
    )
    def test_a_window_pauses_the_clock(self, htpoort: Run, office: Office, behaviour: str, age: float) -> None:
        """Two hours of a window in which no answer could come do not count."""
        office.learn(begin=4, end=2, behaviour=behaviour)
        office.send("K1", hours=5)
        (line,) = htpoort("unanswered", "--json").facts

        assert (True, age >= 4) == (age <= line["age_hours"] < age + 0.1, line["too_old"])

    def test_an_age_shows_minutes(self, htpoort: Run, office: Office) -> None:
        """A limit below an hour can be checked with the age: it has the thousandth part of an hour, rounded down."""
        office.send("K1", hours=0.25)
        lines = [htpoort("unanswered", "--too-old", limit, "--json").facts[0] for limit in ("0.25", "0.35")]

        assert [True, False] == [line["too_old"] for line in lines]
        assert [True, True] == [0.25 <= line["age_hours"] < 0.35 for line in lines]
        assert {3} >= {len(str(line["age_hours"]).partition(".")[2]) for line in lines} - {1, 2}

    @pytest.mark.parametrize(
        "options",
        [
            ("--too-old", "x"),
            ("--too-old", "-1"),
            ("--too-old", "NCTS=1"),
            ("--too-old", "DMS=0.01", "--too-old", "dms=5"),
        ],
    )
    def test_bad_limits(self, htpoort: Run, office: Office, options: tuple[str, ...]) -> None:
        """A limit that is no number, is below zero or is for an unknown system is bad input."""
        del office

        assert htpoort("unanswered", *options).code == 2


class TestWatching:
    """`--watch` waits until an answer is too old."""

    def test_it_ends_with_what_is_too_old(self, htpoort: Run, office: Office) -> None:
        """If something is too old already, it is listed at once, alone, and the exit code is 4."""
        for reference, hours in (("K1", 5), ("K2", 3)):
            office.send(reference, hours=hours)
        result = htpoort("unanswered", "--watch", "--json")

        assert (4, ["K1"]) == (result.code, [line["reference"] for line in result.facts])

    def test_it_waits(self, office: Office) -> None:
        """As long as nothing is too old, the command goes on; it ends when something is."""
        command = [sys.executable, "-m", "htpoort", "unanswered", "--watch", "--every", "1", "--csv"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as watching:  # noqa: S603 - our own
            office.send("K1", hours=5)
            out, _ = watching.communicate(timeout=60)

        assert (4, True) == (watching.returncode, f"{PARTY},DMS,K1,LRNK1," in out)

    def test_without_a_limit(self, htpoort: Run, office: Office) -> None:
        """Without a limit nothing is ever too old, so there is nothing to wait for."""
        del office
        Path("htpoort.toml").write_text(CONFIG.partition("[unanswered]")[0], encoding="utf-8")
        result = htpoort("unanswered", "--watch")

        assert result.code == 2
        assert "--too-old" in result.err


class TestPreview:
    """Without --yes, `recover` shows what the notice says and changes nothing."""

    def test_what_it_concerns(self, htpoort: Run, office: Office) -> None:
        """Each exchange that was sent in the window, with what to do, what is allowed and what would be done."""
        for reference, hours in (("K1", 5), ("K2", 3)):
            office.send(reference, hours=hours)
        office.learn(begin=4, end=2, recovery="same-reference")
        facts = htpoort("recover", "N1", "--json").facts

        assert {
            "notice": 1,
            "result": "would be ordered",
            "number": 1,
            "refused": 0,
            "ordered_before": 0,
            "complete": True,
            "exchanges": [
                {
                    "party": PARTY,
                    "system": "DMS",
                    "reference": "K2",
                    "business_reference": "LRNK2",
                    "sent": facts["exchanges"][0]["sent"],
                    "state": "accepted",
                    "presumed_rejected": True,
                    "recovery": "same-reference",
                    "to_do": "send it again with the same LRN",
                    "allowed": "wait, same-reference, report",
                    "ordered": "",
                    "result": "would be: same-reference",
                    "refused": "",
                }
            ],
        } == facts
        assert {"K1": State.ACCEPTED, "K2": State.ACCEPTED} == office.states()

    def test_a_choice_is_the_persons(self, htpoort: Run, office: Office) -> None:
        """Where the notice leaves a choice, nothing would be done without --do."""
        office.send("K1", hours=3)
        office.learn(begin=4, end=2)
        (line,) = htpoort("recover", "n1", "--json").facts["exchanges"]

        assert ("", True) == (line["result"], "--do is missing" in line["refused"])

    def test_for_a_person(self, htpoort: Run, office: Office) -> None:
        """A table, the numbers, and how to do it."""
        office.send("K1", hours=3)
        office.learn(begin=4, end=2)
        text = htpoort("recover", "1", "--do", "same-reference").text

        assert "would be: same-reference" in text
        assert "Nothing has changed; add --yes to do it." == text.splitlines()[-1]

    def test_a_notice_that_is_not_there(self, htpoort: Run, office: Office) -> None:
        """An unknown notice is bad input, and the error names those that are stored."""
        office.learn(begin=4, end=2)
        result = htpoort("recover", "N2")

        assert result.code == 2
        assert "N1" in result.err


class TestRecovering:
    """With --yes, `recover` does what the notice allows, for each exchange once."""

    def test_the_same_reference(self, htpoort: Run, office: Office) -> None:
        """Every declaration of the window goes out again under a new K; doing it again changes nothing."""
        for reference in ("K1", "K2"):
            office.send(reference, hours=3)
        office.learn(begin=4, end=2)
        first = htpoort("recover", "N1", "--do", "same-reference", "--yes", "--json").facts
        second = htpoort("recover", "N1", "--do", "same-reference", "--yes", "--json").facts

        assert (2, 0, 0) == (first["number"], first["refused"], second["number"])
        assert [State.CLOSED, State.CLOSED, State.QUEUED, State.QUEUED] == list(office.states().values())

    def test_only_some(self, htpoort: Run, office: Office) -> None:
        """Only the K that are named are ordered for; one that the notice does not concern is an error."""
        for reference in ("K1", "K2"):
            office.send(reference, hours=3)
        office.send("K3", hours=1)
        office.learn(begin=4, end=2, recovery="wait", behaviour="queued")
        done = htpoort("recover", "N1", "K2", "--yes", "--json").facts
        wrong = htpoort("recover", "N1", "K3", "--yes")

        assert [("K2", "wait")] == [(line["reference"], line["result"]) for line in done["exchanges"]]
        assert (2, True) == (wrong.code, "K 'K3'" in wrong.err)

    def test_what_the_notice_forbids(self, htpoort: Run, office: Office) -> None:
        """A refusal says why and how to do it all the same; with a reason it is done."""
        office.send("K1", hours=3)
        office.learn(begin=4, end=2, recovery="report-list", behaviour="unavailable")
        options = ("recover", "N1", "--do", "same-reference", "--yes")
        first = htpoort(*options, "--json")
        (refused,) = first.facts["exchanges"]
        before = office.states()
        (done,) = htpoort(*options, "--despite", "Customs asked for it", "--json").facts["exchanges"]

        assert (2, True) == (first.code, "--despite TEXT" in refused["refused"])
        assert {"K1": State.ACCEPTED} == before
        assert done["result"].startswith("same-reference as K")
        assert State.CLOSED == office.states()["K1"]

    def test_a_new_reference(self, htpoort: Run, office: Office, tmp_path: Path) -> None:
        """A declaration with a new LRN takes the place of one; it needs the file, the LRN and one K."""
        office.send("K1", hours=3)
        office.learn(begin=4, end=2, recovery="new-reference")
        (tmp_path / "new.xml").write_bytes(b"<MetaData>new</MetaData>")
        options = ("--do", "new-reference", "--declaration", "new.xml", "--lrn", "LRN9", "--yes", "--json")
        without = htpoort("recover", "N1", *options)
        (done,) = htpoort("recover", "N1", "K1", "--new-reference", "K9", *options).facts["exchanges"]

        assert without.code == 2
        assert "new-reference as K9" == done["result"]
        assert {"K1": State.CLOSED, "K9": State.QUEUED} == office.states()
        assert "LRN9" == office.ledger.exchanges.find("K9", party=PARTY).business_reference  # type: ignore[union-attr]

    @pytest.mark.parametrize(
        ("options", "named"),
        [
            (("--lrn", "LRN9"), "--lrn"),
            (("K1", "--do", "new-reference"), "--declaration"),
            (("K1", "--do", "new-reference", "--declaration", "none.xml"), "--declaration"),
            (("--do", "let-go"), "--despite"),
            (("--do", "invalidated"), "name each K"),
            (("--do", "invalidated", "--party", PARTY, "--despite", "by phone"), "name each K"),
            (("--do", "let-go", "--despite", "it works", "--party", PARTY), "name each K"),
            (("K7", "--do", "let-go", "--despite", "it works"), "K 'K7'"),
            (("--despite", " "), "--despite"),
            (("--new-reference", "K9"), "--new-reference"),
            (("--csv", "--json"), "--csv"),
        ],
    )
    def test_bad_usage(self, htpoort: Run, office: Office, options: tuple[str, ...], named: str) -> None:
        """Options that do not fit each other are bad input that names them, and nothing changes."""
        office.send("K1", hours=3)
        office.learn(begin=4, end=2, recovery="new-reference")
        result = htpoort("recover", "N1", *options, "--yes")

        assert (2, True) == (result.code, named in result.err + result.text)
        assert {"K1": State.ACCEPTED} == office.states()

    def test_a_notice_about_some_messages(self, htpoort: Run, office: Office) -> None:
        """If only some messages are affected, nothing is done for all at once: which K these are, a person knows."""
        office.send("K1", hours=3)
        office.learn(begin=4, end=2, recovery="same-reference", messages='"IE515"')
        (all_at_once,) = htpoort("recover", "N1", "--yes", "--json").facts["exchanges"]
        (named,) = htpoort("recover", "N1", "K1", "--yes", "--json").facts["exchanges"]

        assert "IE515" in all_at_once["refused"]
        assert named["result"].startswith("same-reference as K")

    def test_a_list_for_customs(self, htpoort: Run, office: Office) -> None:
        """The list is printed as CSV, and what is on it is recorded."""
        office.send("K1", hours=10)
        office.send("K2", hours=30)
        office.learn(begin=20, end=2, recovery="report-list", behaviour="unavailable")
        text = htpoort("recover", "N1", "--yes", "--csv").text
        (line,) = htpoort("recover", "N1", "--json").facts["exchanges"]

        assert f"{PARTY},DMS,K1,LRNK1," in text
        assert ("report", "accepted", "before: report") == (line["ordered"], line["state"], line["result"])

    def test_a_list_that_was_made_before(self, htpoort: Run, office: Office) -> None:
        """What was ordered before is not counted as ordered, neither in the preview nor when it is ordered again."""
        office.send("K1", hours=10)
        office.learn(begin=20, end=2, recovery="report-list", behaviour="unavailable")
        order = ("recover", "N1", "--do", "report", "--json")
        results = [htpoort(*order, *more) for more in ((), ("--yes",), (), ("--yes",))]
        entries = [entry.event for entry in office.ledger.story("K1")[0].entries]

        assert [
            (0, "would be ordered", 1, 0),
            (0, "ordered", 1, 0),
            (0, "ordered before", 0, 1),
            (0, "ordered before", 0, 1),
        ] == [
            (result.code, *(result.facts[key] for key in ("result", "number", "ordered_before"))) for result in results
        ]
        assert 1 == entries.count("recovery-ordered")

    def test_the_exit_code_of_a_preview(self, htpoort: Run, office: Office) -> None:
        """An order that is refused has the exit code 2 also if it is only shown; a look without an order has 0."""
        office.send("K1", hours=3)
        office.learn(begin=4, end=2, recovery="new-reference")
        look, refused, done = (
            htpoort("recover", "N1", *more, "--json")
            for more in ((), ("--do", "same-reference"), ("--do", "same-reference", "--yes"))
        )

        assert [0, 2, 2] == [result.code for result in (look, refused, done)]
        assert ["nothing would be ordered", "nothing would be ordered", "nothing ordered"] == [
            result.facts["result"] for result in (look, refused, done)
        ]

    def test_what_follows_invalidating(self, htpoort: Run, office: Office) -> None:
        """A look at what is to be invalidated says what comes after it."""
        office.send("K1", hours=3)
        office.learn(begin=4, end=2, recovery="invalidate-and-new", behaviour="unavailable")
        (line,) = htpoort("recover", "N1", "--json").facts["exchanges"]

        assert line["refused"].endswith("Give one of wait, report, invalidated. After invalidated comes new-reference.")

    def test_declared_anew_first(self, htpoort: Run, office: Office, tmp_path: Path) -> None:
        """A new declaration before the old one was invalidated is refused, in the preview and when it is ordered."""
        office.send("K1", hours=3)
        office.learn(begin=4, end=2, recovery="invalidate-and-new", behaviour="unavailable")
        (tmp_path / "new.xml").write_bytes(b"<MetaData>new</MetaData>")
        order = ("recover", "N1", "K1", "--do", "new-reference", "--declaration", "new.xml", "--lrn", "LRN9", "--json")
        results = [htpoort(*order, *more) for more in ((), ("--yes",), ("--despite", "by phone", "--yes"))]

        assert [2, 2, 0] == [result.code for result in results]
        assert [True, True, False] == [
            "order invalidated" in result.facts["exchanges"][0]["refused"] for result in results
        ]

    def test_invalidated_and_declared_anew(self, htpoort: Run, office: Office, tmp_path: Path) -> None:
        """What was invalidated is closed, and named by its K it is declared anew; then the new K is named."""
        office.send("K1", hours=3)
        office.learn(begin=4, end=2, recovery="invalidate-and-new", behaviour="unavailable")
        (tmp_path / "new.xml").write_bytes(b"<MetaData>new</MetaData>")
        options = ("--declaration", "new.xml", "--lrn", "LRN9", "--new-reference", "K9")
        first = htpoort("recover", "N1", "K1", "--do", "invalidated", "--yes")
        second = htpoort("recover", "N1", "K1", "--do", "new-reference", *options, "--yes", "--json")
        again = htpoort("recover", "N1", "K1", "--do", "new-reference", *options, "--yes", "--json")
        other = htpoort("recover", "N1", "K1", "--do", "wait", "--yes", "--json")

        assert [0, 0, 0, 2] == [result.code for result in (first, second, again, other)]
        assert {"K1": State.CLOSED, "K9": State.QUEUED} == office.states()
        assert ["new-reference as K9", "before: new-reference as K9", ""] == [
            result.facts["exchanges"][0]["result"] for result in (second, again, other)
        ]
        assert other.facts["exchanges"][0]["refused"].startswith("K9 took its place on ")
        assert ("nothing ordered", 0, 1) == tuple(other.facts[key] for key in ("result", "number", "refused"))

    def test_another_declaration(self, htpoort: Run, office: Office, tmp_path: Path) -> None:
        """A second declaration for what was replaced already is refused, in the preview too; the same is known."""
        office.send("K1", hours=3)
        office.learn(begin=4, end=2, recovery="new-reference")
        for name in ("new", "other"):
            (tmp_path / f"{name}.xml").write_bytes(f"<MetaData>{name}</MetaData>".encode())

        def order(name: str, lrn: str, *more: str) -> Any:
            options = ("--do", "new-reference", "--declaration", f"{name}.xml", "--lrn", lrn, "--json")
            return htpoort("recover", "N1", "K1", *options, *more)

        first = order("new", "LRN9", "--new-reference", "K9", "--yes")
        results = [order(*parts, *more) for parts in (("new", "LRN9"), ("other", "LRN8")) for more in ((), ("--yes",))]

        assert [0, 0, 0, 2, 2] == [result.code for result in (first, *results)]
        for result in results[:2]:
            assert "before: new-reference as K9" == result.facts["exchanges"][0]["result"]
        for result in results[2:]:
            refused = result.facts["exchanges"][0]["refused"]
            assert refused.startswith("K9 takes its place already, since ")
            assert "with LRN LRN8 (it has LRN9) and another declaration. See htpoort show K9." in refused
        assert {"K1": State.CLOSED, "K9": State.QUEUED} == office.states()

    def test_what_cannot_be_built(self, htpoort: Run, office: Office) -> None:
        """The preview is refused where the order would be, in the same words."""
        office.send("K1", hours=3)
        office.learn(begin=4, end=2, recovery="same-reference")
        options = ("recover", "N1", "K1", "--new-reference", "K1")
        preview, result = htpoort(*options), htpoort(*options, "--yes")

        assert (2, "htpoort: --new-reference is K1, the K that was used; give a new one.\n") == (
            preview.code,
            preview.err,
        )
        assert (preview.code, preview.err) == (result.code, result.err)
        assert {"K1": State.ACCEPTED} == office.states()

    def test_an_lrn_that_is_used(self, htpoort: Run, office: Office, tmp_path: Path) -> None:
        """An LRN that another declaration has is refused, and nothing changes."""
        office.send("K1", hours=3)
        office.queue("K2")
        office.learn(begin=4, end=2, recovery="new-reference")
        (tmp_path / "new.xml").write_bytes(b"<MetaData>new</MetaData>")
        options = ("--do", "new-reference", "--declaration", "new.xml", "--lrn", "LRNK2", "--despite", "by phone")
        preview = htpoort("recover", "N1", "K1", *options)
        result = htpoort("recover", "N1", "K1", *options, "--yes")

        assert (2, 2) == (preview.code, result.code)
        assert "--lrn is LRNK2, the LRN of K2, which is queued; give a new one." in result.err
        assert preview.err == result.err
        assert {"K1": State.ACCEPTED, "K2": State.QUEUED} == office.states()

    def test_a_declaration_for_two(self, htpoort: Run, office: Office, tmp_path: Path) -> None:
        """One new declaration for two exchanges is refused for the second, which stays as it is."""
        for reference in ("K1", "K2"):
            office.send(reference, hours=3)
        office.learn(begin=4, end=2, recovery="new-reference")
        (tmp_path / "new.xml").write_bytes(b"<MetaData>new</MetaData>")
        options = ("--do", "new-reference", "--declaration", "new.xml", "--lrn", "LRN9", "--yes")
        first = htpoort("recover", "N1", "K1", *options)
        preview = htpoort("recover", "N1", "K2", *options[:-1])
        second = htpoort("recover", "N1", "K2", *options)

        assert (0, 2, 2) == (first.code, preview.code, second.code)
        assert "takes the place of K1 already" in second.err
        assert preview.err == second.err
        assert [State.CLOSED, State.ACCEPTED, State.QUEUED] == list(office.states().values())


class TestLettingGo:
    """What a notice holds can be sent by an order that gives a reason."""

    def test_letting_go(self, htpoort: Run, office: Office) -> None:
        """The order is recorded with its reason; then nothing is held."""
        office.learn(begin=1, end=-1)
        for reference in ("K1", "K2"):
            office.queue(reference)
        before = office.ledger.windows.hold(["DMS"], at=now())
        preview = htpoort("recover", "N1", "--do", "let-go", "--despite", "it works", "--json").facts
        done = htpoort("recover", "N1", "--do", "let-go", "--despite", "it works", "--yes", "--json").facts
        entry = office.ledger.newest_entry()

        assert (["DMS"], "would be let go", "let go") == (list(before), preview["result"], done["result"])
        assert [("DMS", 2, "K1, K2")] * 2 == [
            (facts["systems"], facts["number"], facts["references"]) for facts in (preview, done)
        ]
        assert entry is not None
        assert "notice 1: it works" == entry.detail
        assert ["DMS"] == list(office.ledger.windows.review(["DMS"], at=now()).to_release)

    def test_letting_one_go(self, htpoort: Run, office: Office) -> None:
        """Only the named exchange is let go; the preview names it, and a repeated order says so."""
        office.learn(begin=1, end=-1)
        for reference in ("K1", "K2"):
            office.queue(reference)
        office.ledger.windows.hold(["DMS"], at=now())
        order = ("recover", "N1", "K1", "--do", "let-go", "--despite", "it works")
        preview = htpoort(*order)
        before = office.states()
        results = [htpoort(*order, *more, "--json") for more in ((), ("--yes",), ("--yes",))]
        shown = htpoort("show", "K1").text

        assert (0, True, True) == (preview.code, "K1" in preview.text, "K2" not in preview.text)
        assert {"K1": State.HELD, "K2": State.HELD} == before
        assert [(0, "would be let go", 1, "K1"), (0, "let go", 1, "K1"), (0, "let go before", 0, "")] == [
            (result.code, *(result.facts[key] for key in ("result", "number", "references"))) for result in results
        ]
        assert ("queued", "let go before") == tuple(
            results[2].facts["exchanges"][0][key] for key in ("state", "result")
        )
        assert {"K1": State.QUEUED, "K2": State.HELD} == office.states()
        assert ["K1"] == [
            each.reference
            for each in office.ledger.exchanges.claim(["DMS"], owner="a", most=9, at=now(), lease=timedelta(minutes=2))
        ]
        assert "by order: notice 1: it works" in shown

    def test_one_that_cannot_be_let_go(self, htpoort: Run, office: Office) -> None:
        """What is refused is listed with its reason, and the exit code is 2, in a preview too; the others are done."""
        office.send("K1", hours=3)
        office.learn(begin=1, end=-1)
        office.queue("K2")
        options = ("--do", "let-go", "--despite", "it works", "--json")
        alone = htpoort("recover", "N1", "K1", *options)
        both = [htpoort("recover", "N1", "K1", "K2", *options, *more) for more in ((), ("--yes",))]

        assert (2, "nothing would be let go", 0, 1) == (
            alone.code,
            *(alone.facts[key] for key in ("result", "number", "refused")),
        )
        nothing = htpoort("recover", "N1", "K1", "--do", "let-go", "--despite", "it works", "--yes")
        assert (2, False) == (nothing.code, "A running agent" in nothing.text)
        assert "accepted" in alone.facts["exchanges"][0]["refused"]
        assert [(2, 1, "K2")] * 2 == [(each.code, each.facts["refused"], each.facts["references"]) for each in both]

    def test_two_notices(self, htpoort: Run, office: Office) -> None:
        """What another notice holds as well waits for that one, and the answer names it."""
        office.learn(begin=1, end=-1)
        office.learn(begin=1, end=-2, reference="N2")
        office.queue("K1")
        office.ledger.windows.hold(["DMS"], at=now())
        (first,) = htpoort("recover", "N1", "K1", "--do", "let-go", "--despite", "it works", "--yes", "--json").facts[
            "exchanges"
        ]
        (second,) = htpoort("recover", "N2", "K1", "--do", "let-go", "--despite", "it works", "--yes", "--json").facts[
            "exchanges"
        ]

        assert [("let go; notice N2 holds it as well", "held"), ("let go", "queued")] == [
            (line["result"], line["state"]) for line in (first, second)
        ]


class TestStatus:
    """`htpoort status` shows what notices hold, and what they leave to a person."""

    def test_what_is_held(self, htpoort: Run, office: Office) -> None:
        """A system that is held until a known end is listed; without one, it needs attention."""
        office.learn(begin=1, end=-1)
        office.ledger.windows.hold(["DMS"], at=now())
        known = htpoort("status", "--json").facts
        office.ledger.notices.add(OPEN, at=now(), form=NoticeForm.OWN)
        office.ledger.windows.hold(["DMS"], at=now())
        unknown = htpoort("status", "--json").facts

        assert [("DMS", False), ("DMS", True)] == [
            (held["system"], held["until"] is None) for facts in (known, unknown) for held in facts["held"]
        ]
        assert [] == known["attention"]
        (one,) = unknown["attention"]
        assert ("warning", "Declarations to DMS are held without a known end") == (one["level"], one["what"])
        text = htpoort("status").text
        assert "Systems that are held because of a notice" in text
        assert all(len(line) <= 80 for line in text.splitlines() if line.startswith(("│", "┃")))
        assert "DMS is held  " in text

    def test_what_is_no_longer_held(self, htpoort: Run, office: Office) -> None:
        """When the end of a notice is stored, the list says that it is over, and no one is asked to store the end."""
        office.queue("K1")
        office.ledger.notices.add(OPEN, at=now(), form=NoticeForm.OWN)
        office.ledger.windows.hold(["DMS"], at=now())
        office.ledger.notices.add(ENDED, at=now(), form=NoticeForm.OWN)
        facts = htpoort("status", "--json").facts

        why = "Nothing holds it any more; an agent lets go of what was held."
        assert [("DMS", why)] == [(held["system"], held["why"]) for held in facts["held"]]
        assert ([], {"DMS": {"held": 1}}) == (facts["attention"], facts["exchanges"])

    def test_what_is_presumed_rejected(self, htpoort: Run, office: Office) -> None:
        """What was sent into a rejecting window needs attention until something is ordered for it."""
        office.send("K1", hours=3)
        office.learn(begin=4, end=2)
        (before,) = htpoort("status", "--json").facts["attention"]
        htpoort("recover", "N1", "--do", "same-reference", "--yes")
        after = htpoort("status", "--json").facts["attention"]

        assert "1 declaration is presumed rejected, sent in a window of notice N1, the first" == before["what"]
        assert "htpoort recover N1" == before["next"]
        assert [] == after

    def test_what_holds_nothing(self, htpoort: Run, office: Office) -> None:
        """A notice that would hold, about a name that is mapped to no system, needs attention until its end."""
        office.learn(begin=1, end=-1, system="AGS uitvoer", reference="A")
        office.learn(begin=3, end=2, system="AGS uitvoer", reference="B")
        (one,) = htpoort("status", "--json").facts["attention"]

        expected = "Notice A holds nothing until [[notices.name]] maps 'AGS uitvoer' to AGS or DMS."
        assert ("warning", f"{expected} Its first window is") == (one["level"], one["what"])
        assert "if it is a system that you send to, add [[notices.name]] with name = 'AGS uitvoer'" in one["next"]

    def test_what_concerns_none_of_our_systems(self, htpoort: Run, office: Office, tmp_path: Path) -> None:
        """A name that the file calls none of its systems needs no attention, also when its notice is stored."""
        office.learn(begin=1, end=-1, system="AGS uitvoer", reference="A")
        (tmp_path / "notice.toml").write_text(
            own(start=now(), end=now() + timedelta(hours=1), system="AGS uitvoer", reference="B")
        )
        (tmp_path / "htpoort.toml").write_text(f'{CONFIG}\n[[notices.name]]\nname = "AGS uitvoer"\nsystem = ""\n')
        added = htpoort("windows", "add", "notice.toml")

        assert [] == htpoort("status", "--json").facts["attention"]
        assert (0, False) == (added.code, "holds nothing" in added.err)

    def test_what_was_reported(self, htpoort: Run, office: Office) -> None:
        """What was put on the list for Customs stays listed, and is too old for nothing and nobody's attention."""
        for reference in ("K1", "K2"):
            office.send(reference, hours=30)
        office.learn(begin=31, end=29, recovery="report-list", behaviour="unavailable")
        before = htpoort("status", "--json").facts["too_old"]
        htpoort("recover", "N1", "K1", "--do", "report", "--yes")
        listed = htpoort("unanswered", "--json").facts

        assert ({"DMS": 2}, {"DMS": 1}) == (before, htpoort("status", "--json").facts["too_old"])
        assert [("K1", False), ("K2", True)] == [(each["reference"], each["too_old"]) for each in listed]
        assert "too_old=1" in htpoort("status", "--nagios").text

    def test_what_is_too_old(self, htpoort: Run, office: Office) -> None:
        """An answer that takes longer than the file allows is a warning, for each system with its own time."""
        office.send("K1", hours=3)
        office.send("A1", hours=23, system=AGS)
        none = htpoort("status", "--json").facts
        office.send("K2", hours=5)
        office.send("K3", hours=30, outcome=Outcome.UNKNOWN)
        office.send("A2", hours=25, system=AGS)
        late = htpoort("status", "--json").facts
        line = htpoort("status", "--nagios").text
        listed = [each["reference"] for each in htpoort("unanswered", "--json").facts if each["too_old"]]
        warnings = {one["what"]: (one["level"], one["next"]) for one in late["attention"] if one["level"] == "warning"}

        assert ({}, []) == (none["too_old"], none["attention"])
        assert {"AGS": 1, "DMS": 2} == late["too_old"]
        assert {
            "1 declaration to AGS has no answer, the first": (
                "warning",
                "htpoort unanswered --system AGS; then ask Customs",
            ),
            "2 declarations to DMS have no answer, the first": (
                "warning",
                "htpoort unanswered --system DMS; then ask Customs",
            ),
        } == warnings
        assert ["A2", "K2", "K3"] == sorted(listed)
        assert " too_old=3 " in line

    def test_too_old_counts_no_window(self, htpoort: Run, office: Office) -> None:
        """The time of a window does not count; what was sent before it does."""
        office.learn(begin=4.5, end=1, behaviour="queued", reference="A")
        office.send("K1", hours=5)
        within = htpoort("status", "--json").facts
        office.send("K2", hours=9)
        before = htpoort("status", "--json").facts

        assert ({}, {"DMS": 1}) == (within["too_old"], before["too_old"])

    def test_held_for_a_monitoring_system(self, htpoort: Run, office: Office) -> None:
        """The line for a monitoring system has the number of held declarations."""
        office.learn(begin=1, end=-1)
        for reference in ("K1", "K2"):
            office.queue(reference)
        office.ledger.windows.hold(["DMS"], at=now())
        result = htpoort("status", "--nagios")

        assert (0, True) == (result.code, " held=2 " in result.text)

    def test_files_that_cannot_be_read(self, htpoort: Run, office: Office, tmp_path: Path) -> None:
        """A file in the folder of notices that is none needs attention, and so does a folder that is missing."""
        del office
        config = CONFIG.replace("[[notices.name]]", '[notices]\nfolder = "notices"\n[[notices.name]]')
        (tmp_path / "htpoort.toml").write_text(config)
        (missing,) = htpoort("status", "--json").facts["attention"]
        (tmp_path / "notices").mkdir()
        (tmp_path / "notices" / "a.txt").write_text("Nothing of the kind.")
        (bad,) = htpoort("status", "--json").facts["attention"]

        assert "cannot be read" in missing["what"]
        assert bad["what"].endswith("cannot be read as a notice, the first a.txt")


class TestTwoNotices:
    """A reason is about the notice of the order, and about those that it names."""

    def test_the_preview_is_what_is_done(self, htpoort: Run, office: Office) -> None:
        """What another notice forbids is refused in the preview and in the order, in the same words."""
        office.send("K1", hours=3)
        office.learn(begin=4, end=2, recovery="wait", behaviour="unavailable")
        office.learn(begin=4, end=2, recovery="report-list", behaviour="unavailable", reference="N2")
        order = ("recover", "N1", "K1", "--do", "same-reference", "--json", "--despite")
        lines = [
            htpoort(*order, *more).facts["exchanges"][0]
            for more in (("N1 is over",), ("N1 is over", "--yes"), ("N2 is over",), ("N2 is over", "--yes"))
        ]

        assert lines[0]["refused"].endswith("name N2 in the reason, and give it by --despite TEXT.")
        assert lines[0]["refused"] == lines[1]["refused"]
        assert ["", "", "would be: same-reference"] == [line["result"] for line in lines[:3]]
        assert lines[3]["result"].startswith("same-reference as ")


class TestResending:
    """`resolve --resend` asks the notices too."""

    def test_a_reason(self, htpoort: Run, office: Office) -> None:
        """An unknown exchange is sent again despite a notice only with a reason."""
        office.send("K1", hours=3, outcome=Outcome.UNKNOWN)
        office.learn(begin=4, end=2, recovery="report-list", behaviour="unavailable")
        refused = htpoort("resolve", "K1", "--resend")
        alone = htpoort("resolve", "K1", "--close", "--despite", "because")
        done = htpoort("resolve", "K1", "--resend", "--despite", "Customs asked for it, whatever N1 says", "--json")

        assert (2, True) == (refused.code, "by --despite TEXT" in refused.err)
        assert (2, 0, "queued") == (alone.code, done.code, done.facts["state"])
