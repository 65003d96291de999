"""`status`, `show`, `unanswered`, `resolve`, `export`, `prune` and `quarantine` on a ledger."""

from __future__ import annotations

import base64
import csv
import io
import itertools
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest
import sqlalchemy as sa
from agents import declaration
from databases import new_ledger
from wall_clock import in_amsterdam

from htpoort import AGS, DMS, DeclarationSystem, Outcome, Router, State
from htpoort._clock import now
from htpoort.cli import _show
from htpoort.ledger import Ledger, Reply

Run = Callable[..., Any]

MESSAGE = "INSERT INTO htpoort_messages (id, raw) VALUES (:number, :raw)"
STRANGER = (
    "INSERT INTO htpoort_quarantine (received, reason, problems, subject, state, copies, message_sha256, message)"
    " VALUES (0, 'bad-subject', '[]', '[V=1][A=1][K=1][S=0]', 'held', 1, :number, :number)"
)
ACCEPTED = (
    "INSERT INTO htpoort_exchanges (system, party, party_key, reference, state, attempts, due, mail_from, rcpt_to,"
    " message_id, created, changed, begun, early)"
    " VALUES ('DMS', 'NL123456789.02.05', 'nl123456789.02.05', 'K' || :number, 'accepted',"
    " 1, 0, '', '', '', 0, 0, 2, 0)"
)

PARTY, CLIENT = "NL123456789.02.05", "NL123456789.03.05"
CONFIG = f'parties = ["{PARTY}", "{CLIENT}"]\n[ledger]\nurl = "sqlite:///htpoort.db"\nretention_days = 30\n'
NOON = datetime(2026, 1, 5, 12, 0, 0, tzinfo=UTC)
AT = "2026-01-05T12:00:00+00:00"
LOCAL = ("2026-01-05", "13:00:00")
"""The same, as the clock on the wall shows it."""


def response(reference: str, system: DeclarationSystem = DMS, party: str = PARTY, body: str = "<Response/>") -> bytes:
    """Write a reply."""
    subject = f"[V= {system.process_id}][A= {party}][K={reference}][S=0]"
    return f"From: {system.mailbox}\r\nSubject: {subject}\r\n\r\n{body}\r\n".encode()


@attrs.frozen
class Office:
    """A ledger, and ways to fill it."""

    ledger: Ledger

    def queue(
        self, reference: str, *, system: DeclarationSystem = DMS, party: str = PARTY, at: datetime = NOON, lrn: str = ""
    ) -> None:
        """Put a declaration in."""
        message = declaration(reference, system, party=party)
        self.ledger.exchanges.queue(message, at=at, business_reference=lrn or None)

    def settle(self, outcome: Outcome, at: datetime = NOON) -> None:
        """Let one attempt of everything that is due end."""
        systems = [AGS.name, DMS.name]
        claim = self.ledger.exchanges.claim_soon(systems, owner="a", most=99, at=at, lease=timedelta(minutes=2))
        for one in claim.result():
            self.ledger.exchanges.settle_soon(one, outcome, at=at).result()

    def take(self, raw: bytes, at: datetime = NOON) -> int:
        """Take a message in; returns its number."""
        router = Router(parties=[PARTY, CLIENT])
        return self.ledger.replies.take_in(router, raw, mail_from=None, at=at).key

    def replies(self) -> list[Reply]:
        """Give every reply."""
        return list(self.ledger.replies.listed())

    def state(self, reference: str) -> State:
        """Return the state of an exchange."""
        return self.ledger.story(reference)[0].exchange.state


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Office]:
    """Give an empty ledger, and its configuration where the command looks for it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HTPOORT_CONFIG", raising=False)
    (tmp_path / "htpoort.toml").write_text(CONFIG)
    with in_amsterdam(), Ledger.open(new_ledger(tmp_path / "htpoort.db")) as ledger:
        yield Office(ledger)


@pytest.fixture
def busy(office: Office) -> Office:
    """Give a ledger with something of every kind."""
    office.queue("K1", lrn="LRN1")
    office.queue("K2", system=AGS)
    office.settle(Outcome.ACCEPTED)
    office.queue("K3")
    office.settle(Outcome.UNKNOWN)
    office.queue("K4", party=CLIENT, at=NOON + timedelta(hours=1))
    office.take(response("K1"), at=NOON + timedelta(minutes=1))
    office.take(response("K1", system=AGS), at=NOON + timedelta(minutes=2))
    return office


class TestStatus:
    """`htpoort status` counts what the ledger holds."""

    def test_tells_a_program(self, htpoort: Run, busy: Office) -> None:
        """Counts by system and state, the oldest open exchange, undelivered replies, what needs attention."""
        del busy

        assert {
            "exchanges": {"AGS": {"accepted": 1}, "DMS": {"answered": 1, "queued": 1, "unknown": 1}},
            "oldest_open": {"AGS": AT, "DMS": AT},
            "undelivered": {"DMS": 1},
            "quarantined": 1,
            "asks": [{"system": "DMS", "party": PARTY, "reference": "K3", "state": "unknown", "since": AT}],
            "paused": [],
            "held": [],
            "early": 0,
            "early_replies": [],
            "too_old": {},
            "folders": [],
        } == {name: value for name, value in htpoort("status", "--json").facts.items() if name != "attention"}

    def test_servers_that_rest(self, htpoort: Run, busy: Office) -> None:
        """A server that pauses after a failure is shown once: since when, why, and when it is tried again."""
        name, why = "POP3 pop.forwarder.example:995 as edi", "login: no."
        at, later = datetime.fromisoformat(AT), datetime.fromisoformat(AT) + timedelta(minutes=15)
        busy.ledger.servers.record_pause_soon(name, since=at, next_try=later, why=why).result()
        result = htpoort("status")

        expected = {"server": name, "since": AT, "next_try": later.isoformat(), "why": why}
        assert [expected] == htpoort("status", "--json").facts["paused"]
        assert (0, 1) == (result.code, result.text.count(f"{name} has failed since "))

    def test_tells_a_person(self, htpoort: Run, busy: Office) -> None:
        """The same as a table, with exit code 0."""
        del busy
        result = htpoort("status")
        words = [line.replace("│", " ").split() for line in result.text.splitlines()]

        assert 0 == result.code
        assert ["DMS", "unknown", "1"] in words
        assert ["oldest", "open", "of", "AGS", *LOCAL, "CET"] in words
        assert ["undelivered", "of", "DMS", "1"] in words
        assert ["in", "quarantine", "1"] in words
        assert ["DMS", PARTY, "K3", "unknown", *LOCAL] in words
        assert "more" not in result.text

    def test_whom_nobody_waits_for(self, htpoort: Run, office: Office) -> None:
        """If no exchange needs attention, none is listed."""
        office.queue("K1")

        assert [] == htpoort("status", "--json").facts["asks"]
        assert "Needs attention\n" not in htpoort("status").text

    def test_what_waits_for_a_person(self, htpoort: Run, office: Office) -> None:
        """Unknown, refused and failed: the twenty that were queued first are listed, and how to list the others."""
        hour = timedelta(hours=1)
        for number in range(12):
            office.queue(f"R{number}", at=NOON + number * hour)
        office.settle(Outcome.REFUSED, NOON + 50 * hour)
        for number in range(10):
            office.queue(f"U{number}", system=AGS, party=CLIENT, at=NOON - (number + 1) * hour)
        office.settle(Outcome.UNKNOWN, NOON + 51 * hour)
        result = htpoort("status")
        words = [line.replace("│", " ").split() for line in result.text.splitlines()]
        reported = [f"U{number}" for number in reversed(range(10))] + [f"R{number}" for number in range(10)]

        assert reported == [one["reference"] for one in htpoort("status", "--json").facts["asks"]]
        assert reported == [row[2] for row in words if len(row) == 6 and row[3] in {"unknown", "refused"}]
        assert ["AGS", CLIENT, "U9", "unknown", "2026-01-07", "16:00:00"] in words
        assert "and 2 more; list them with: htpoort list --state refused --state unknown" in result.text.splitlines()

    def test_replies_to_what_was_not_sent(self, htpoort: Run, office: Office) -> None:
        """The exchange is listed until it is answered; the reply is marked wherever it is shown."""
        office.queue("K1")
        office.take(response("K1"))
        facts, result = htpoort("status", "--json").facts, htpoort("status")
        (story,) = htpoort("show", "K1", "--json").facts
        *_, exported = (json.loads(line) for line in htpoort("export").text.splitlines())
        words = [line.replace("│", " ").split() for line in result.text.splitlines()]

        assert (1, [{"system": "DMS", "party": PARTY, "reference": "K1", "state": "queued", "since": AT}]) == (
            facts["early"],
            facts["early_replies"],
        )
        assert ["DMS", PARTY, "K1", "queued", *LOCAL] in words
        assert "A reply arrived before the declaration was sent, so it cannot be its answer;" in result.text
        assert ("queued", False, "not-sent") == (
            story["exchange"]["state"],
            story["exchange"]["content_begun"],
            story["replies"][0]["correlation"],
        )
        assert "not-sent" == exported["correlation"]

    def test_many_replies_to_what_was_not_sent(self, htpoort: Run, office: Office) -> None:
        """The twenty exchanges that were queued first are listed, and how many more there are."""
        for number in range(22):
            office.queue(f"K{number}", at=NOON + timedelta(hours=number))
            office.take(response(f"K{number}"))
        named = [one["reference"] for one in htpoort("status", "--json").facts["early_replies"]]

        assert [f"K{number}" for number in range(20)] == named
        assert "and 2 more" in htpoort("status").text.splitlines()

    def test_the_configuration_is_named(
        self, htpoort: Run, office: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The file comes from --config, else from HTPOORT_CONFIG, else it is htpoort.toml."""
        del office
        (tmp_path / "other.toml").write_text("a = 1\n")
        named = htpoort("status", "--config", "other.toml")
        monkeypatch.setenv("HTPOORT_CONFIG", "other.toml")
        from_environment = htpoort("status")

        assert (2, 2) == (named.code, from_environment.code)
        assert named.err.startswith("htpoort: other.toml:1: a: there is no such setting. ")
        assert named.err == from_environment.err

    def test_every_mistake_of_the_configuration(self, htpoort: Run, tmp_path: Path) -> None:
        """A program gets each mistake in the file separately; no ledger is created."""
        file = tmp_path / "htpoort.toml"
        file.write_text('parties = []\n[ledger]\nurl = "sqlite:///new.db"\ndays = 1\n')
        result = htpoort("status", "--config", str(file), "--json")

        assert (2, "input") == (result.code, result.facts["error"])
        assert ["toml.type", "toml.unknown-key"] == [problem["code"] for problem in result.facts["problems"]]
        assert not (tmp_path / "new.db").exists()

    def test_a_ledger_that_cannot_be_opened(self, htpoort: Run, tmp_path: Path) -> None:
        """An error of the ledger gives exit code 1."""
        file = tmp_path / "htpoort.toml"
        file.write_text(CONFIG.replace("htpoort.db", "absent/htpoort.db"))
        result = htpoort("status", "--config", str(file), "--json")

        assert (1, "ledger") == (result.code, result.facts["error"])


class TestNoLedger:
    """A missing ledger is not an empty one: its disk may not be mounted, or its name may be mistyped."""

    @pytest.mark.parametrize(
        "arguments",
        [
            *("status", "show K1", "unanswered", "resolve K1 --close", "export", "prune --older-than 60"),
            *("quarantine list", "quarantine show 1", "quarantine discard 1 --why x"),
            f"quarantine release 1 --system DMS --party {PARTY}",
        ],
    )
    def test_is_reported(self, htpoort: Run, tmp_path: Path, arguments: str) -> None:
        """Exit code 1 and a sentence that says what to do; no file is made."""
        file = tmp_path / "htpoort.toml"
        file.write_text(CONFIG)
        result = htpoort(*arguments.split(), "--config", str(file))

        assert (1, "") == (result.code, result.text)
        assert "htpoort.db cannot be opened. There is no ledger; check its URL and that its disk is" in result.err
        assert result.err.endswith(f" [ledger] of {file} names this ledger.\n")
        assert [file] == list(tmp_path.iterdir())


class TestShow:
    """`htpoort show K` shows all that is known of a K."""

    def test_tells_a_program(self, htpoort: Run, busy: Office) -> None:
        """Its state, what happened, and its replies without their content."""
        del busy
        (story,) = htpoort("show", "K1", "--json").facts

        assert ("DMS", PARTY, "K1", "LRN1", "answered", 1) == tuple(
            story["exchange"][name]
            for name in ("system", "party", "reference", "business_reference", "state", "attempts")
        )
        assert [
            ("queued", "queued"),
            ("attempt-started", "sending"),
            ("accepted", "accepted"),
            ("reply-received", "answered"),
        ] == [(entry["event"], entry["state"]) for entry in story["timeline"]]
        assert [("dms@htpoort.nl", "DMS4.NL", "matched", "2026-01-05T12:01:00+00:00", None)] == [
            tuple(reply[name] for name in ("mailbox", "process_id", "correlation", "received", "delivered"))
            for reply in story["replies"]
        ]

    def test_tells_a_person(self, htpoort: Run, busy: Office) -> None:
        """The timeline is a table in order of time, with the replies below."""
        (reply,) = busy.replies()
        busy.ledger.replies.mark_failed_soon(reply.key, at=NOON, due=NOON, trouble="\x1b[2Jfull").result()
        result = htpoort("show", "K1")
        lines = [line for line in result.text.splitlines() if line.startswith("│ 2026")]
        events = [line.split("│")[2].strip() for line in lines]

        assert ["queued", "attempt-started", "accepted", "reply-received", "delivery-failed"] == events
        assert "matched" in result.text
        assert b"\x1b" not in result.out
        assert "\\x1b[2Jfull" in result.text

    def test_a_table_that_is_too_wide(self, htpoort: Run, busy: Office) -> None:
        """If a table does not fit, each of its lines is a block, and nothing is cut."""
        (reply,) = busy.replies()
        trouble = "x" * 500
        busy.ledger.replies.mark_failed_soon(reply.key, at=NOON, due=NOON, trouble=trouble).result()
        lines = [line.split() for line in htpoort("show", "K1").text.splitlines()]

        assert ["Timeline:"] in lines
        assert ["detail", trouble] in lines
        assert ["trouble", trouble] in lines

    def test_an_exchange_without_replies(self, htpoort: Run, busy: Office) -> None:
        """Without replies there is no table of replies."""
        del busy

        assert "Replies" not in htpoort("show", "K4").text

    def test_several_parties(self, htpoort: Run, busy: Office) -> None:
        """A K that two parties used is shown for both, or for one."""
        busy.queue("K1", party=CLIENT)

        assert [PARTY, CLIENT] == [one["exchange"]["party"] for one in htpoort("show", "K1", "--json").facts]
        assert [CLIENT] == [
            one["exchange"]["party"] for one in htpoort("show", "K1", "--party", CLIENT, "--json").facts
        ]

    def test_a_k_that_was_never_sent(self, htpoort: Run, office: Office) -> None:
        """Replies with a K that was not sent are shown, with what happened to them, and without an exchange."""
        office.take(response("K9"), at=NOON)
        (story,) = htpoort("show", "K9", "--json").facts
        lines = [line.split() for line in htpoort("show", "K9").text.splitlines()]

        assert (None, [{"at": AT, "event": "reply-received", "state": None, "detail": "unknown-reference"}]) == (
            story["exchange"],
            story["timeline"],
        )
        assert [("DMS", PARTY, "K9", "unknown-reference")] == [
            tuple(reply[name] for name in ("system", "party", "reference", "correlation")) for reply in story["replies"]
        ]
        assert [["system", "DMS"], ["party", PARTY], ["reference", "K9"], ["exchange", "none"]] == lines[:4]

    def test_an_unknown_k(self, htpoort: Run, office: Office) -> None:
        """An unused K is bad input, and the error says what to check."""
        office.queue("K1")
        result = htpoort("show", "K9")
        facts = htpoort("show", "K1", "--party", CLIENT, "--json").facts

        assert (2, "") == (result.code, result.text)
        assert result.err == (
            "htpoort: K 'K9': no exchange and no reply in this ledger has this reference. "
            "Check its spelling and case; it may be in another ledger, or of another party, "
            "or its reply may be in quarantine: htpoort quarantine list.\n"
        )
        assert ["ledger.unknown-reference"] == [problem["code"] for problem in facts["problems"]]
        assert f"K 'K1': no exchange and no reply of --party {CLIENT} in this ledger has" in facts["message"]


class TestUnanswered:
    """`htpoort unanswered` is the list that Customs asks for after an outage."""

    @pytest.fixture
    def waiting(self, office: Office) -> Office:
        """Give three declarations that were accepted at different times, and one that was answered."""
        for reference, system, party, hours in (
            ("K1", DMS, PARTY, 5),
            ("K2", AGS, PARTY, 3),
            ("K3", DMS, CLIENT, 1),
            ("K4", DMS, PARTY, 4),
        ):
            at = now() - timedelta(hours=hours)
            office.queue(reference, system=system, party=party, at=at, lrn=f"LRN,{reference}")
            office.settle(Outcome.ACCEPTED, at)
        office.take(response("K4"))
        office.queue("K5")
        return office

    @pytest.mark.parametrize(
        ("options", "expected"),
        [
            ([], ["K1", "K2", "K3"]),
            (["--older-than", "2"], ["K1", "K2"]),
            (["--system", "dms"], ["K1", "K3"]),
            (["--party", CLIENT.lower()], ["K3"]),
            (["--system", "AGS", "--party", CLIENT], []),
        ],
    )
    def test_which(self, htpoort: Run, waiting: Office, options: list[str], expected: list[str]) -> None:
        """Accepted and without a reply; if asked for, only older ones, of one system, or of one party."""
        del waiting

        assert expected == [line["reference"] for line in htpoort("unanswered", *options, "--json").facts]

    def test_as_csv(self, htpoort: Run, waiting: Office) -> None:
        """Party, system, K, LRN, the time at which it was sent and the attempts, as a spreadsheet reads them."""
        lines = list(csv.DictReader(io.StringIO(htpoort("unanswered", "--older-than", "4", "--csv").text)))
        accepted = waiting.ledger.story("K1")[0].exchange.changed.isoformat(timespec="seconds")

        assert [
            {
                "party": PARTY,
                "system": "DMS",
                "reference": "K1",
                "business_reference": "LRN,K1",
                "sent": accepted,
                "attempts": "1",
                "age_hours": lines[0]["age_hours"],
                "too_old": "false",
                "accepted": accepted,
                "state": "accepted",
            }
        ] == lines
        assert 5.0 <= float(lines[0]["age_hours"]) < 5.1

    def test_what_may_have_been_sent(self, htpoort: Run, office: Office) -> None:
        """A declaration that Customs may or may not have is in the list, without a time of acceptance."""
        office.queue("K1", lrn="LRN1")
        office.settle(Outcome.UNKNOWN)
        (line,) = htpoort("unanswered", "--json").facts

        assert {
            "party": PARTY,
            "system": "DMS",
            "reference": "K1",
            "business_reference": "LRN1",
            "sent": AT,
            "attempts": 1,
            "age_hours": line["age_hours"],
            "too_old": False,
            "accepted": None,
            "state": "unknown",
        } == line

    def test_for_a_person(self, htpoort: Run, waiting: Office) -> None:
        """A table with the same columns."""
        del waiting
        rows = [line.split("│")[3].strip() for line in htpoort("unanswered").text.splitlines() if "│ 20" in line]

        assert ["K1", "K2", "K3"] == rows

    @pytest.mark.parametrize("options", [["--csv", "--json"], ["--system", "NCTS"], ["--older-than", "-1"]])
    def test_bad_usage(self, htpoort: Run, office: Office, options: list[str]) -> None:
        """Two forms at once, a system that is not known and a negative time are bad input."""
        del office

        assert 2 == htpoort("unanswered", *options).code


class TestResolve:
    """`htpoort resolve K` settles what cannot be known."""

    @pytest.mark.parametrize(
        ("order", "expected"), [("--sent", "accepted"), ("--resend", "queued"), ("--close", "closed")]
    )
    def test_orders(self, htpoort: Run, busy: Office, order: str, expected: str) -> None:
        """An unknown exchange is regarded as sent, sent again with its K, or closed."""
        result = htpoort("resolve", "K3", order, "--json")

        assert (0, "K3", expected) == (result.code, result.facts["reference"], result.facts["state"])
        assert State(expected) == busy.state("K3")

    @pytest.mark.parametrize("orders", [[], ["--sent", "--close"]])
    def test_one_order(self, htpoort: Run, busy: Office, orders: list[str]) -> None:
        """None, or two at once, are bad usage, and change nothing."""
        assert 2 == htpoort("resolve", "K3", *orders).code
        assert State.UNKNOWN == busy.state("K3")

    def test_what_the_table_forbids(self, htpoort: Run, busy: Office) -> None:
        """What the gateway has is not sent again under the same K."""
        result = htpoort("resolve", "K2", "--resend")

        assert (2, State.ACCEPTED) == (result.code, busy.state("K2"))
        assert result.err == (
            "htpoort: --resend: The gateway has it; a resubmission is a new exchange with a new K. "
            "Queue that one with a new --reference.\n"
        )

    def test_an_unknown_k(self, htpoort: Run, busy: Office) -> None:
        """A K that was never queued is bad input, even if replies have it; the error says what to check."""
        busy.take(response("K9"))
        result = htpoort("resolve", "K9", "--close", "--json")

        assert (2, ["ledger.unknown-reference"]) == (
            result.code,
            [problem["code"] for problem in result.facts["problems"]],
        )
        assert result.facts["message"].startswith("K 'K9': no exchange in this ledger has this reference. Check its ")

    def test_which_party(self, htpoort: Run, busy: Office) -> None:
        """If two parties used a K, one must be named."""
        busy.queue("K3", party=CLIENT)

        unnamed, named = (htpoort("resolve", "K3", "--close", *more) for more in ([], ["--party", CLIENT]))

        assert (2, 0) == (unnamed.code, named.code)
        named_in_error = f"{PARTY}, {CLIENT} used the reference K3; give one of them.\n"
        assert f"htpoort: --party is missing: {named_in_error}" == unnamed.err


class TestExport:
    """`htpoort export` writes every exchange and every reply."""

    def test_json_lines(self, htpoort: Run, busy: Office) -> None:
        """One document a line, exchanges first, with the times of both, without content."""
        del busy
        lines = [json.loads(line) for line in htpoort("export", "--json").text.splitlines()]

        assert [("exchange", f"K{number}") for number in range(1, 5)] + [("reply", "K1")] == [
            (line["kind"], line["reference"]) for line in lines
        ]
        assert (AT, "2026-01-05T12:01:00+00:00") == (lines[0]["created"], lines[-1]["received"])
        assert ["raw" in line for line in lines] == [False] * 5

    def test_with_content(self, htpoort: Run, busy: Office) -> None:
        """With --raw each has its message, octet for octet."""
        messages = [message for _, message in busy.ledger.exchanges.messages()]
        lines = [json.loads(line) for line in htpoort("export", "--raw").text.splitlines()]

        assert [*messages, response("K1")] == [base64.b64decode(line["raw"]) for line in lines]

    def test_pruned_content(self, htpoort: Run, office: Office) -> None:
        """A pruned message is null in JSON and empty in CSV; its exchange is still exported."""
        office.queue("K1", at=NOON)
        office.ledger.exchanges.close("K1", at=NOON)
        htpoort("prune", "--older-than", "31", "--yes")
        (line,) = csv.DictReader(io.StringIO(htpoort("export", "--raw", "--csv").text))

        assert ("K1", None) == tuple(htpoort("export", "--raw").facts[name] for name in ("reference", "raw"))
        assert ("K1", "") == (line["reference"], line["raw"])

    def test_fields(self, htpoort: Run, busy: Office) -> None:
        """The fields of each kind are those of the reference."""
        del busy
        first, *_, last = (json.loads(line) for line in htpoort("export", "--raw").text.splitlines())

        assert [
            *("kind", "system", "party", "reference", "business_reference", "state", "attempts"),
            *("due", "created", "changed", "message_id", "content_begun", "raw"),
        ] == list(first)
        assert [
            *("kind", "key", "system", "mailbox", "process_id", "party", "reference", "correlation"),
            *("copies", "received", "delivered", "attempts", "redeliveries", "trouble", "raw"),
        ] == list(last)

    @pytest.mark.parametrize("raw", [False, True])
    @pytest.mark.parametrize(
        ("states", "expected"),
        [(["unknown"], ["K3"]), (["accepted", "queued"], ["K2", "K4"]), (["failed"], []), (["answered"], ["K1"])],
    )
    def test_of_states(self, htpoort: Run, busy: Office, states: list[str], expected: list[str], *, raw: bool) -> None:
        """Exchanges in any of the states, and no replies, which have none."""
        del busy
        options = [part for state in states for part in ("--state", state)]
        found = [json.loads(line) for line in htpoort("export", *options, *["--raw"] * raw).text.splitlines()]

        assert [("exchange", reference) for reference in expected] == [
            (line["kind"], line["reference"]) for line in found
        ]
        assert {raw} >= {"raw" in line for line in found}

    def test_a_state_that_is_none(self, htpoort: Run, office: Office) -> None:
        """A mistyped state lists the valid ones, with exit code 2."""
        del office
        result = htpoort("export", "--state", "lost")

        states = "queued, held, sending, deferred, accepted, refused, failed, unknown, answered or closed"
        message = f"htpoort: --state is 'lost'; give {states}.\n"
        assert (2, "", message) == (result.code, result.text, result.err)

    @pytest.mark.parametrize("raw", [False, True])
    def test_csv(self, htpoort: Run, busy: Office, *, raw: bool) -> None:
        """One table for both kinds; a field that a kind lacks is empty; each record is one line of text."""
        (reply,) = busy.replies()
        busy.ledger.replies.mark_failed_soon(reply.key, at=NOON, due=NOON, trouble="two\nlines").result()
        text = htpoort("export", "--csv", *(["--raw"] if raw else [])).text
        lines = list(csv.DictReader(io.StringIO(text)))

        assert 6 == len(text.splitlines())
        assert [("exchange", "LRN1", ""), ("reply", "", "two\\x0alines")] == [
            (line["kind"], line["business_reference"], line["trouble"]) for line in (lines[0], lines[-1])
        ]
        assert raw == ("raw" in lines[0])

    def test_one_form(self, htpoort: Run, office: Office) -> None:
        """Two forms at once are bad usage."""
        del office

        assert 2 == htpoort("export", "--csv", "--json").code


class TestRedeliver:
    """`htpoort redeliver` delivers now what would wait for its next retry."""

    @pytest.fixture
    def failed(self, office: Office) -> list[int]:
        """Give two replies of DMS and one of AGS whose deliveries failed, and are due in an hour."""
        for number, system in enumerate((DMS, DMS, AGS)):
            office.take(response(f"K{number}", system=system))
        keys = [one.key for one in office.replies()]
        for key in keys:
            at = now()
            office.ledger.replies.mark_failed_soon(key, at=at, due=at + timedelta(hours=1), trouble="away").result()
        return keys

    def test_all(self, htpoort: Run, failed: list[int]) -> None:
        """Every one is due now, once."""
        first, second = htpoort("redeliver", "--yes", "--json"), htpoort("redeliver", "--yes")

        facts = {"result": "due now", "number": 3, "already_due": 0, "replies": failed}
        assert (0, facts) == (first.code, first.facts)
        assert (0, ["due now      0 replies", "already due  3 replies"]) == (second.code, second.text.splitlines())

    def test_some_were_due(self, htpoort: Run, failed: list[int]) -> None:
        """A reply that was already due is named as such, and not taken for one that this command made due."""
        htpoort("redeliver", str(failed[0]))
        shown = htpoort("redeliver").text.splitlines()[-3:]
        done = htpoort("redeliver", str(failed[0]), str(failed[1])).text.splitlines()

        assert [
            "would be due now  2 replies",
            "already due       1 reply",
            "Nothing has changed; add --yes to do it.",
        ] == shown
        assert [f"due now      1 reply: {failed[1]}", f"already due  1 reply: {failed[0]}"] == done

    def test_some(self, htpoort: Run, failed: list[int]) -> None:
        """Those of a system, or those that are named."""
        named, of_ags = (
            htpoort("redeliver", str(failed[1]), "--json"),
            htpoort("redeliver", "--system", "ags", "--yes", "--json"),
        )

        assert ([failed[1]], [failed[2]]) == (named.facts["replies"], of_ags.facts["replies"])

    def test_numbers_that_are_not_there(self, htpoort: Run, failed: list[int]) -> None:
        """Numbers that no reply has are bad input, all named at once, and nothing becomes due."""
        result = htpoort("redeliver", "999", str(failed[0]), "1000")
        rest = htpoort("redeliver", "--yes", "--json")

        assert (2, "") == (result.code, result.text)
        assert result.err == (
            "htpoort: No reply in this ledger has the number 999 or 1000, so no reply was made due; "
            "htpoort reply list lists them with their numbers as key.\n"
        )
        assert failed == rest.facts["replies"]

    @pytest.mark.parametrize("arguments", [["0"], ["x"], ["--system", "XYZ"]])
    def test_bad_usage(self, htpoort: Run, office: Office, arguments: list[str]) -> None:
        """An invalid number and an unknown system are bad input."""
        del office

        assert 2 == htpoort("redeliver", *arguments).code


class TestPrune:
    """`htpoort prune` deletes finished exchanges older than the retention period."""

    @pytest.fixture
    def old(self, office: Office) -> Office:
        """Give an exchange that was answered, and one that is open, both of long ago."""
        at = now() - timedelta(days=60)
        office.queue("K1", at=at)
        office.settle(Outcome.ACCEPTED, at)
        office.take(response("K1"), at)
        (reply,) = office.replies()
        office.ledger.replies.mark_delivered_soon(reply.key, at=at).result()
        office.queue("K2", at=at)
        return office

    def test_says_what_would_go(self, htpoort: Run, old: Office) -> None:
        """Without --yes nothing is deleted."""
        facts = htpoort("prune", "--older-than", "45", "--json").facts

        assert ("would be removed", 1, 1) == (facts["result"], facts["replies"], facts["messages_of_exchanges"])
        assert 1 == len(old.replies())

    def test_removes(self, htpoort: Run, old: Office) -> None:
        """With --yes it is deleted; the used K is kept."""
        result = htpoort("prune", "--older-than", "45", "--yes")

        assert 0 == result.code
        assert ["result", "removed"] in [line.split() for line in result.text.splitlines()]
        assert ([], 1) == (old.replies(), len(old.ledger.sent("K1")))

    def test_keeps_the_retention(self, htpoort: Run, old: Office) -> None:
        """Nothing within the retention period is deleted."""
        result = htpoort("prune", "--older-than", "29", "--yes")

        assert (2, 1) == (result.code, len(old.replies()))
        assert "[ledger] retention_days keeps 30 days" in result.err


class TestManyLines:
    """A table for people ends after a limit, and says so; it is not held in memory."""

    @pytest.fixture
    def full(self, office: Office) -> Office:
        """Give a ledger with 501 messages in quarantine, and as many declarations without a reply."""
        engine = sa.create_engine("sqlite:///htpoort.db")
        with engine.begin() as connection:
            for number in range(501):
                connection.execute(sa.text(MESSAGE), {"number": number, "raw": b"12345"})
                connection.execute(sa.text(STRANGER), {"number": number})
                connection.execute(sa.text(ACCEPTED), {"number": number})
        engine.dispose()
        return office

    @pytest.mark.parametrize("command", [("quarantine", "list"), ("unanswered",)])
    def test_the_limit(self, htpoort: Run, full: Office, command: tuple[str, ...]) -> None:
        """500 lines, or as many as are asked for; JSON has all."""
        del full
        printed = [htpoort(*command, *more).text for more in ((), ("--limit", "3"), ("--limit", "501"))]
        cell = "[V=1]" if "list" in command else PARTY

        assert [500, 3, 501] == [text.count(cell) for text in printed]
        assert [True, True, False] == ["there are more" in text for text in printed]
        assert 501 == len(htpoort(*command, "--json").facts)

    def test_what_is_said(self, htpoort: Run, full: Office) -> None:
        """The last line says that there are more, and what shows them."""
        del full

        assert (
            "These are the first 3, and there are more. Give --limit NUMBER for more; --json has all."
            == htpoort("quarantine", "list", "--limit", "3").text.splitlines()[-1]
        )
        assert (
            "These are the first 3, and there are more. Give --limit NUMBER for more; --json has all. So has --csv."
            == htpoort("unanswered", "--limit", "3").text.splitlines()[-1]
        )

    def test_an_unknown_number(self, htpoort: Run, full: Office) -> None:
        """Ten numbers are named, and how many more there are."""
        del full
        place = "the quarantine (see htpoort quarantine list --all)"
        numbers = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 491 more"

        expected = f"htpoort: message '999999' is not in {place}. Known: {numbers}.\n"
        assert expected == htpoort("quarantine", "show", "999999").err

    def test_no_message_is_read_for_a_list(self, htpoort: Run, full: Office) -> None:
        """A list needs the length of each message alone, and gets it from the database."""
        with full.ledger as ledger:
            found = next(ledger.quarantine.listed())
            same = ledger.quarantine.get(found.key)

        assert (5, found) == (found.octets, same)
        assert not hasattr(found, "raw")
        assert 5 == htpoort("quarantine", "list", "--json").facts[0]["octets"]

    def test_no_more_is_read_than_is_printed(self, capsys: pytest.CaptureFixture[str]) -> None:
        """A table without an end is read to its limit and one line on."""
        endless = itertools.count()
        _show.table("Numbers", ("number",), ((number,) for number in endless), limit=450, rest="Count on.")
        printed = capsys.readouterr().out.splitlines()

        assert 451 == next(endless)
        assert ["│ 449    │", "└────────┘", "These are the first 450, and there are more. Count on."] == printed[-3:]

    @pytest.mark.parametrize("lines", [[], [{"a": "ü"}], [{"a": 1}, {"b": [{"c": None}]}]])
    def test_an_array_as_it_comes(self, capsys: pytest.CaptureFixture[str], lines: list[dict[str, Any]]) -> None:
        """A list that is printed piece by piece is the document that it was as a whole."""
        _show.json_array(iter(lines))

        assert json.dumps(lines, ensure_ascii=False, indent=2) + "\n" == capsys.readouterr().out

    def test_very_many_problems(self, htpoort: Run, office: Office, tmp_path: Path) -> None:
        """If every line of a file is wrong, a person gets a hundred problems, and a program all of them."""
        del office
        (tmp_path / "sent.jsonl").write_text("-\n" * 105)
        command = ("route", "--party", PARTY, "--sent", "sent.jsonl")
        lines = htpoort(*command, stdin=b"").err.splitlines()

        assert (101, "and 5 more problems; --json lists all of them.") == (len(lines), lines[-1])
        assert 105 == len(htpoort(*command, "--json", stdin=b"").facts["problems"])

    def test_very_many_problems_of_one_thing(self, capsys: pytest.CaptureFixture[str]) -> None:
        """The same holds for the problems of a mailbox or a message."""
        _show.rows({"account": "edi", "problems": [{"message": f"No. {number}"} for number in range(103)]})
        printed = capsys.readouterr().out.splitlines()

        assert (102, "problem  and 3 more") == (len(printed), printed[-1])


class TestQuarantine:
    """`htpoort quarantine` is where the user decides."""

    def test_list(self, htpoort: Run, busy: Office) -> None:
        """Held messages are listed with reason and Subject, and without content."""
        del busy
        (held,) = htpoort("quarantine", "list", "--json").facts

        assert ("other-system", "ags@htpoort.nl", "held", 1) == tuple(
            held[name] for name in ("reason", "mailbox", "state", "copies")
        )
        assert f"[V=DMS.NL][A={PARTY}][K=K1][S=0]" == held["subject"]
        assert "other-system" in htpoort("quarantine", "list").text

    def test_sender_and_subject_of_what_has_none_for_sure(self, htpoort: Run, office: Office) -> None:
        """What was sent by whom is what a person needs: as it came, on one line that controls no terminal."""
        encoded = "=?utf-8?q?Caf=C3=A9_=1B=5B31m?="
        office.take(f"From: A <a@b.example>\r\nSubject: Hello,\r\n {encoded}\r\n\r\nx\r\n".encode())
        (held,) = htpoort("quarantine", "list", "--json").facts
        listed, shown = htpoort("quarantine", "list").text, htpoort("quarantine", "show", str(held["key"])).text

        assert ("A <a@b.example>", None, "Hello, Café \x1b[31m") == tuple(
            held[name] for name in ("from", "subject", "subject_text")
        )
        assert ("a@b.example" in listed, "Hello, Café \\x1b[31m" in listed) == (True, True)
        assert {"from                A <a@b.example>", "subject as it came  Hello, Café \\x1b[31m"} <= set(
            shown.splitlines()
        )

    def test_list_of_all(self, htpoort: Run, busy: Office) -> None:
        """Released and discarded messages are listed only on request."""
        del busy
        htpoort("quarantine", "discard", "1", "--why", "a test")

        assert [] == htpoort("quarantine", "list", "--json").facts
        assert ["discarded"] == [held["state"] for held in htpoort("quarantine", "list", "--all", "--json").facts]

    def test_show(self, htpoort: Run, busy: Office) -> None:
        """One message with everything that is wrong with it."""
        del busy
        facts = htpoort("quarantine", "show", "1", "--json").facts
        text = htpoort("quarantine", "show", "1").text

        assert ["The reference K1 was sent to DMS, but AGS answers."] == [one["message"] for one in facts["problems"]]
        assert "The reference K1 was sent to DMS, but AGS answers." in text

    def test_show_raw(self, htpoort: Run, busy: Office) -> None:
        """The message comes octet for octet."""
        del busy

        assert response("K1", system=AGS) == htpoort("quarantine", "show", "1", "--raw").out

    @pytest.mark.parametrize(
        "arguments",
        [
            ["show", "1", "--raw", "--json"],
            ["show", "9"],
            ["show", "0"],
            ["show", "9" * 20],
            ["discard", "1"],
            ["release", "1", "--system", "AGS"],
        ],
    )
    def test_bad_usage(self, htpoort: Run, busy: Office, arguments: list[str]) -> None:
        """An invalid number, two forms, and a decision without a reason are bad input."""
        del busy

        assert 2 == htpoort("quarantine", *arguments).code

    def test_discard(self, htpoort: Run, busy: Office) -> None:
        """A discarded message stays readable, and cannot be discarded twice."""
        first = htpoort("quarantine", "discard", "1", "--why", "a test", "--json")
        second = htpoort("quarantine", "discard", "1", "--why", "a test")

        assert (0, {"result": "discarded", "key": 1}, 2) == (first.code, first.facts, second.code)
        assert response("K1", system=AGS) == busy.ledger.quarantine.message(1)

    def test_release(self, htpoort: Run, office: Office) -> None:
        """A reply to another spelling of the party goes to the chosen process, and answers its exchange."""
        office.queue("K1")
        office.settle(Outcome.ACCEPTED)
        key = office.take(response("K1", party="NL123456789"))
        result = htpoort("quarantine", "release", str(key), "--system", "dms", "--party", PARTY.lower(), "--json")
        (reply,) = office.replies()

        assert {
            "result": "released",
            "key": key,
            "reply": reply.key,
            "repeated": False,
            "system": "DMS",
            "party": PARTY,
            "reference": "K1",
            "correlation": "matched",
            "despite": [],
        } == result.facts
        assert ("DMS", PARTY, "K1", "dms@htpoort.nl", "DMS4.NL") == (
            reply.system,
            reply.party,
            reply.reference,
            reply.mailbox,
            reply.process_id,
        )
        assert State.ANSWERED == office.state("K1")

    def test_release_without_an_envelope(self, htpoort: Run, office: Office) -> None:
        """A message without a reference gets one from the user, and the process ID of the chosen system."""
        office.queue("K1", system=AGS)
        office.settle(Outcome.ACCEPTED)
        key = str(office.take(b"Subject: reply\r\n\r\nbody\r\n"))
        chosen = ["quarantine", "release", key, "--system", "AGS", "--party", PARTY]
        refused, released = htpoort(*chosen), htpoort(*chosen, "--reference", "K1")
        (reply,) = office.replies()

        assert (2, 0) == (refused.code, released.code)
        assert "--reference is missing" in refused.err
        assert ("ags@htpoort.nl", "DMS.NL", "matched") == (reply.mailbox, reply.process_id, reply.correlation)

    def test_release_under_another_reference(self, htpoort: Run, office: Office) -> None:
        """The user's K replaces the message's own; one that was not sent is reported as such."""
        key = str(office.take(response("K1", party="NL123456789")))
        facts = htpoort(
            "quarantine", "release", key, "--system", "DMS", "--party", PARTY, "--reference", "K2", "--json"
        ).facts

        assert ("K2", "unknown-reference") == (facts["reference"], facts["correlation"])

    def test_no_release_to_another_system(self, htpoort: Run, busy: Office) -> None:
        """A reply never answers a declaration that went to another system, not even by order."""
        result = htpoort("quarantine", "release", "1", "--system", "AGS", "--party", PARTY)

        assert (2, 1) == (result.code, len(busy.replies()))
        assert "The reference K1 was sent to DMS, but AGS answers." in result.err

    def test_release_despite_what_is_known(self, htpoort: Run, busy: Office) -> None:
        """With its name and a reason the message is released; what is overridden and the reason are logged."""
        chosen = ["quarantine", "release", "1", "--system", "AGS", "--party", PARTY]
        override = ("--despite", "other-system", "--why", "Customs confirmed it")
        refused, alone = htpoort(*chosen, "--why", "Customs confirmed it"), htpoort(*chosen, *override[:2])
        result = htpoort(*chosen, *override, "--json")
        query = "SELECT detail FROM htpoort_events WHERE event = 'released'"
        logged = busy.ledger.write_soon(lambda connection: connection.exec_driver_sql(query).scalar_one()).result()

        assert (2, 2, 0) == (refused.code, alone.code, result.code)
        assert refused.err.endswith("with a reason. Add --despite other-system --why REASON.\n")
        assert "htpoort: --why is blank; give a reason for the log.\n" == alone.err
        assert ("unknown-reference", ["other-system"]) == (result.facts["correlation"], result.facts["despite"])
        detail = f"message 1 of the quarantine, by a person, to AGS for {PARTY} under K1"
        assert f"{detail}, despite release.other-system: Customs confirmed it" == logged
        assert State.ANSWERED == busy.state("K1")

    def test_a_reason_for_the_system_gives_it_to_no_other_party(self, htpoort: Run, office: Office) -> None:
        """A slip in --party stays refused, whatever is said of the system; what was overridden is printed."""
        office.queue("K1")
        office.settle(Outcome.ACCEPTED)
        office.take(response("K1").replace(b"DMS4.NL", b"DMS.NL"))
        chosen = ["quarantine", "release", "1", "--system", "DMS", "--party"]
        override = ["--despite", "other-system", "--why", "the helpdesk confirms it"]
        slip, right = htpoort(*chosen, CLIENT, *override), htpoort(*chosen, PARTY, *override)

        assert (2, 0) == (slip.code, right.code)
        assert f"other-party: The reference K1 was sent by another party than {CLIENT}." in slip.err
        assert f"other-party: It is addressed to {PARTY}, not to {CLIENT}." in slip.err
        assert "other-system" not in slip.err
        assert ("despite", "other-system") == tuple(right.text.splitlines()[-1].split())

    def test_the_reasons_can_be_read(self, htpoort: Run, office: Office) -> None:
        """A decision is shown with its reason, for the message and for the reply that it became."""
        office.queue("K1")
        office.settle(Outcome.ACCEPTED)
        apart = [office.take(response("K1", system=AGS)), office.take(b"Subject: hello\r\n\r\nx\r\n")]
        chosen = ["quarantine", "release", str(apart[0]), "--system", "AGS", "--party", PARTY]
        htpoort(*chosen, "--despite", "other-system", "--why", "Customs confirmed it")
        htpoort("quarantine", "discard", str(apart[1]), "--why", "advertising")
        released, discarded = (htpoort("quarantine", "show", str(key), "--json").facts["log"] for key in apart)
        text = htpoort("quarantine", "show", str(apart[1])).text
        (_, story) = htpoort("show", "K1", "--json").facts

        noon = "2026-01-05T12:00:00+00:00"
        detail = (
            f"message 1 of the quarantine, by a person, to AGS for {PARTY} under K1, "
            "despite release.other-system: Customs confirmed it"
        )
        assert {"at": noon, "event": "quarantined", "detail": "other-system"} == released[0]
        assert [("released", detail)] == [(entry["event"], entry["detail"]) for entry in released[1:]]
        assert [("quarantined", "ambiguous-from"), ("discarded", "advertising")] == [
            (entry["event"], entry["detail"]) for entry in discarded
        ]
        assert ["discarded", "advertising"] == [
            word for word in text.splitlines()[-2].replace("│", " ").split() if word in {"discarded", "advertising"}
        ]
        assert [("reply-received", "unknown-reference"), ("released", detail)] == [
            (entry["event"], entry["detail"]) for entry in story["timeline"]
        ]

    def test_no_release_to_a_stranger(self, htpoort: Run, busy: Office) -> None:
        """Only a party of the configuration can be chosen."""
        result = htpoort("quarantine", "release", "1", "--system", "DMS", "--party", "NL123456789.99.05")

        assert (2, 1) == (result.code, len(busy.replies()))
        assert f"Known: {PARTY}, {CLIENT}." in result.err
