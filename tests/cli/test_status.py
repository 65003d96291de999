"""`htpoort status`: what is wrong, since when, why, and the command to type next; for a person and for monitoring."""

from __future__ import annotations

import contextlib
import os
import pty
import subprocess  # noqa: S404 - a terminal is only seen by a process of its own
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest
from agents import declaration
from databases import new_ledger
from wall_clock import ahead, in_amsterdam

from htpoort import DMS, Objection, Outcome, PartyId, Router
from htpoort._clock import now
from htpoort.ledger import Ledger

PARTY = "NL123456789.02.05"
BASE = f'parties = ["{PARTY}", "NL123456789.03.05"]\n[ledger]\nurl = "sqlite:///htpoort.db"\n'
OUTBOX = '[[outbox]]\nserver = "127.0.0.1"\nsecurity = "plain"\nsystems = ["{}"]\n'
DELIVERY = '[[delivery]]\nsystem = "DMS"\ndirectory = "replies"\n'
NOON = datetime(2026, 1, 5, 12, 0, 0, tzinfo=UTC)
SMTP = "SMTP smtp.forwarder.example:587 as edi"
NUMBERS = (
    "unknown={} refused={} failed={} held=0 too_old=0 open={} undelivered={} quarantined={} early={} paused={} "
    "files_waiting=0 files_refused=0 files_left_alone=0"
)


@attrs.frozen
class Office:
    """A ledger, and ways to fill it."""

    ledger: Ledger

    def configure(self, more: str) -> None:
        """Add tables to the configuration."""
        Path("htpoort.toml").write_text(BASE + more, encoding="utf-8")

    def queue(self, reference: str, *, at: datetime = NOON) -> None:
        """Put a declaration in."""
        self.ledger.exchanges.queue(declaration(reference), at=at)

    def settle(self, outcome: Outcome, detail: str = "", *, at: datetime = NOON, due: datetime | None = None) -> None:
        """Let one attempt of everything that is due end."""
        claim = self.ledger.exchanges.claim_soon(["DMS"], owner="a", most=99, at=at, lease=timedelta(minutes=2))
        for one in claim.result():
            self.ledger.exchanges.settle_soon(one, outcome, at=at, detail=detail, due=due).result()

    def take(self, reference: str, *, party: str = PARTY, at: datetime = NOON) -> int:
        """Take a reply in; returns its number."""
        raw = f"From: dms@htpoort.nl\r\nSubject: [V=DMS4.NL][A={party}][K={reference}][S=0]\r\n\r\nx\r\n".encode()
        return self.ledger.replies.take_in(Router(parties=[PARTY]), raw, mail_from=None, at=at).key


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Office]:
    """Give an empty ledger, its configuration where the command looks for it, and the clock of Amsterdam."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HTPOORT_CONFIG", raising=False)
    (tmp_path / "htpoort.toml").write_text(BASE)
    with in_amsterdam(), Ledger.open(new_ledger(tmp_path / "htpoort.db")) as ledger:
        yield Office(ledger)


def attention(htpoort: Any) -> list[str]:
    """Give the lines about what needs attention."""
    lines: list[str] = htpoort("status").text.splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("  Next: "))
    return [line for line in lines[first - 1 :] if line]


class TestWhatNeedsAttention:
    """Each thing is a sentence with its start in local time and its reason, and the next command."""

    def test_nothing(self, htpoort: Any, office: Office) -> None:
        """An empty ledger is reported in words, and has no table."""
        del office
        result = htpoort("status")

        assert ["No declaration has been queued.", "in quarantine  0", "Nothing needs attention."] == (
            result.text.splitlines()
        )
        assert [] == htpoort("status", "--json").facts["attention"]

    def test_declarations_that_wait_for_a_decision(self, htpoort: Any, office: Office) -> None:
        """How many in each state, the first of them, why, and what may be decided."""
        office.queue("K1")
        office.queue("K2")
        office.settle(Outcome.UNKNOWN, "lost: after the final dot")
        office.queue("K3")
        office.settle(Outcome.REFUSED, "refused: 550 5.1.1 no such mailbox")

        assert [
            (
                "2 declarations are unknown (may or may not have been sent), the first since 2026-01-05 13:00:00 CET: "
                "lost: after the final dot"
            ),
            (
                f"  Next: htpoort show K1 --party {PARTY}; then htpoort resolve K1 --party {PARTY} with --sent, "
                "--resend or --close"
            ),
            (
                "1 declaration is refused (for good, by the mail server), the first since 2026-01-05 13:00:00 CET: "
                "550 5.1.1 no such mailbox"
            ),
            (
                f"  Next: htpoort show K3 --party {PARTY}; then htpoort resolve K3 --party {PARTY} with --resend or "
                "--close"
            ),
        ] == attention(htpoort)

    def test_a_server_that_fails(self, htpoort: Any, office: Office) -> None:
        """Since when, in the words of the server, when it is tried again, and how to try it now."""
        office.ledger.servers.record_pause(
            SMTP, since=NOON, next_try=NOON.replace(year=2999), why="login: 535 5.7.8 wrong"
        )

        assert [
            (
                f"{SMTP} has failed since 2026-01-05 13:00:00 CET: login: 535 5.7.8 wrong. It is tried again at "
                "2999-01-05 13:00:00 CET"
            ),
            f"  Next: mend the cause, then: htpoort resume '{SMTP}'",
        ] == attention(htpoort)
        (facts,) = htpoort("status", "--json").facts["attention"]
        assert ("critical", "2026-01-05T12:00:00+00:00") == (facts["level"], facts["since"])

    def test_no_agent(self, htpoort: Any, office: Office) -> None:
        """What waits for long without a failure has no agent that does it."""
        office.configure(OUTBOX.format("DMS") + DELIVERY)
        office.queue("K1")
        office.take("K9")

        assert [
            (
                "1 declaration to DMS waits, the first since 2026-01-05 13:00:00 CET: no agent runs, or none has an "
                "[[outbox]] for DMS"
            ),
            "  Next: htpoort run",
            (
                "1 reply of DMS waits for delivery, the first since 2026-01-05 13:00:00 CET: no agent runs, or none "
                "has a [[delivery]] for DMS"
            ),
            "  Next: htpoort run",
        ] == attention(htpoort)

    def test_no_table(self, htpoort: Any, office: Office) -> None:
        """Where the configuration cannot do what waits, the advice names the table that it lacks."""
        office.queue("K1")
        office.take("K9")

        assert [
            (
                "1 declaration to DMS waits, the first since 2026-01-05 13:00:00 CET: no agent runs, or none has an "
                "[[outbox]] for DMS; this configuration has none"
            ),
            (
                "  Next: add an [[outbox]] for DMS to this configuration, or start the agent that has one; then "
                "htpoort check"
            ),
            (
                "1 reply of DMS waits for delivery, the first since 2026-01-05 13:00:00 CET: no agent runs, or none "
                "has a [[delivery]] for DMS; this configuration has none"
            ),
            (
                "  Next: add a [[delivery]] for DMS to this configuration, or start the agent that has one; then "
                "htpoort check"
            ),
        ] == attention(htpoort)

    def test_no_delivery_for_its_party(self, htpoort: Any, office: Office) -> None:
        """Where other parties have a delivery, the advice names the party too."""
        office.configure(f'{DELIVERY}party = "NL123456789.03.05"\n')
        office.take("K9")

        assert attention(htpoort)[0].endswith(
            "none has a [[delivery]] for DMS and NL123456789.02.05; this configuration has none"
        )

    @pytest.mark.parametrize("own", [OUTBOX.format("AGS"), DELIVERY], ids=["for-another-system", "none"])
    def test_an_agent_that_never_sends_it(self, htpoort: Any, office: Office, own: str) -> None:
        """A ledger in a file has one agent: what it never sends needs a person at once."""
        office.configure(own)
        office.queue("K1", at=now())
        office.ledger.servers.record_pause(SMTP, since=now(), next_try=NOON.replace(year=2999), why="login: 535 no")
        told, code = htpoort("status", "--json").facts["attention"], htpoort("status", "--nagios").code

        assert [("critical", "there is no [[outbox]] for DMS", "add an [[outbox]] for DMS; then htpoort check")] == [
            (one["level"], one["why"], one["next"]) for one in told if one["what"].startswith("1 declaration to DMS ")
        ]
        assert 2 == code

    def test_what_was_just_queued_and_received(self, htpoort: Any, office: Office) -> None:
        """An agent may be about to take it."""
        office.queue("K1", at=now())
        office.take("K9", at=now())

        assert [] == htpoort("status", "--json").facts["attention"]

    def test_what_a_person_just_ordered(self, htpoort: Any, office: Office) -> None:
        """A reply that was released or ordered again now has not waited since it came: an agent may be about to act."""
        again = office.take("K9")
        office.ledger.replies.mark_delivered(again, at=NOON)
        office.ledger.replies.deliver_again_now(at=now(), keys=[again], delivered=True)
        held = office.take("K1", party="NL999999999.99.99")
        office.ledger.quarantine.release(
            held,
            system=DMS,
            party=PartyId.parse(PARTY),
            despite=[Objection.OTHER_PARTY],
            reason="by telephone",
            at=now(),
        )

        assert [] == htpoort("status", "--json").facts["attention"]

    def test_a_server_that_fails_is_the_reason(self, htpoort: Any, office: Office) -> None:
        """Declarations that wait for it are not listed a second time."""
        office.queue("K1")
        office.ledger.servers.record_pause(SMTP, since=NOON, next_try=NOON, why="connect: no route")

        assert [f"{SMTP} has failed"] == [one["what"] for one in htpoort("status", "--json").facts["attention"]]

    def test_a_delivery_that_fails(self, htpoort: Any, office: Office) -> None:
        """Why, and how to repeat it."""
        key = office.take("K9")
        office.ledger.replies.mark_failed_soon(
            key, at=NOON, due=NOON + timedelta(hours=1), trouble="replies: No space left on device"
        ).result()

        assert [
            (
                "1 reply of DMS waits for delivery, the first since 2026-01-05 13:00:00 CET: replies: No space left "
                "on device"
            ),
            "  Next: mend the cause, then: htpoort redeliver --system DMS --yes",
        ] == attention(htpoort)

    def test_the_quarantine(self, htpoort: Any, office: Office) -> None:
        """One message is shown; several are listed."""
        key = office.take("K1", party="NL999999999.99.99")
        one = attention(htpoort)
        office.take("K2", party="NL999999999.99.99")

        why = "The addressee 'NL999999999.99.99' is not one of the parties."
        since = f"the first since 2026-01-05 13:00:00 CET: {why}"
        assert [f"In quarantine: 1 message, {since}", f"  Next: htpoort quarantine show {key}"] == one
        assert [f"In quarantine: 2 messages, {since}", "  Next: htpoort quarantine list"] == attention(htpoort)

    def test_a_reply_to_what_was_not_sent(self, htpoort: Any, office: Office) -> None:
        """It cannot be an answer."""
        office.queue("K1", at=now())
        office.take("K1", at=now())
        what = "1 exchange has a reply from before it was sent, the first"

        (facts,) = htpoort("status", "--json").facts["attention"]
        assert ("warning", what, f"htpoort show K1 --party {PARTY}") == (facts["level"], facts["what"], facts["next"])

    def test_a_server_that_was_resumed(self, htpoort: Any, office: Office) -> None:
        """It is due, for an agent or the next run; it is not said to be tried at a time that is past."""
        office.ledger.servers.record_pause(SMTP, since=now(), next_try=NOON.replace(year=2999), why="login: 535 no")
        htpoort("resume")
        what, next_command = attention(htpoort)

        assert what.endswith(
            ": login: 535 no. It is due: an agent that runs tries it within seconds, otherwise the next htpoort run "
            "--once does"
        )
        assert "  Next: htpoort run --once, if neither an agent nor cron does it" == next_command
        assert ["warning"] == [one["level"] for one in htpoort("status", "--json").facts["attention"]]

    def test_a_server_that_no_agent_tries(self, htpoort: Any, office: Office) -> None:
        """Ten minutes after the next try, no agent runs: that is critical, although the failure is young."""
        at = now()
        office.ledger.servers.record_pause(SMTP, since=at, next_try=at, why="login: 535 no")
        with ahead(timedelta(minutes=11)):
            (facts,) = htpoort("status", "--json").facts["attention"]

        assert ("critical", "htpoort run, or htpoort run --once") == (facts["level"], facts["next"])
        assert facts["why"].endswith(", and no agent did")

    def test_declarations_to_be_tried_again(self, htpoort: Any, office: Office) -> None:
        """A deferred declaration whose time is past has no agent either."""
        office.queue("K1")
        office.settle(Outcome.DEFERRED, "refused: 450 later", due=NOON)

        (facts,) = htpoort("status", "--json").facts["attention"]
        assert ("critical", "1 declaration to DMS waits, the first") == (facts["level"], facts["what"])


class TestFolder:
    """What lies in a watched folder and is not sent is seen, also by a monitoring system."""

    @pytest.fixture
    def out(self, office: Office, tmp_path: Path) -> Path:
        """Configure a folder for declarations."""
        del office
        with (tmp_path / "htpoort.toml").open("a") as file:
            file.write('[[folder]]\npath = "out"\nmailbox = "edi@forwarder.example"\nsystem = "DMS"\n')
            file.write('pattern = "{party}/{reference}.xml"\n')
        (tmp_path / "out" / PARTY).mkdir(parents=True)
        return tmp_path / "out"

    def test_nothing(self, htpoort: Any, out: Path) -> None:
        """An empty folder, and a file that has just come, need no person."""
        (out / PARTY / "K1.xml").write_bytes(b"x")
        result = htpoort("status")

        assert f"files in {out}  1 waiting, 0 refused, 0 left alone" in result.text.splitlines()
        assert "Nothing needs attention." == result.text.splitlines()[-1]
        assert 0 == htpoort("status", "--nagios").code

    def test_refused(self, htpoort: Any, out: Path) -> None:
        """A declaration that was refused is not sent: critical, with the reason."""
        bad = out / "bad" / PARTY
        bad.mkdir(parents=True)
        (bad / "K 1.xml").write_bytes(b"x")
        (bad / "K 1.xml.reason.txt").write_text(
            "reference is 'K 1'; give 1 to 35 letters and digits.\nNothing was queued. Correct the file, its name or "
            "the configuration, and move it back into the folder.\n"
        )
        result = htpoort("status", "--nagios")
        (facts,) = htpoort("status", "--json").facts["attention"]

        assert 2 == result.code
        assert result.text.startswith(f"HTPOORT CRITICAL - 1 file was refused and is in {out}/bad, the first since ")
        assert " files_waiting=0 files_refused=1 files_left_alone=0\n" in result.text
        why = f"bad/{PARTY}/K 1.xml: reference is 'K 1'; give 1 to 35 letters and digits."
        assert ("critical", why) == (facts["level"], facts["why"])
        assert (
            f"read '{bad}/K 1.xml.reason.txt'; correct the file and move it back into {out}/{PARTY}, or remove it"
            == facts["next"]
        )

    def test_waiting(self, htpoort: Any, out: Path) -> None:
        """A file that waits for ten minutes has no agent that takes it: critical."""
        (out / PARTY / "K1.xml").write_bytes(b"x")
        with ahead(timedelta(minutes=9)):
            early = htpoort("status", "--nagios")
        with ahead(timedelta(minutes=11)):
            late = htpoort("status", "--nagios")
            facts = htpoort("status", "--json").facts

        assert (0, 2) == (early.code, late.code)
        assert late.text.startswith(f"HTPOORT CRITICAL - 1 file waits in {out}, the first since ")
        (one,) = facts["attention"]
        assert "no agent runs, or it cannot take what is there" == one["why"]
        assert "htpoort check; then htpoort run, or htpoort run --once" == one["next"]
        assert [{"path": str(out), "waiting": 1, "refused": 0, "left_alone": 0, "error": None}] == [
            {name: value for name, value in folder.items() if name != "waiting_since"} for folder in facts["folders"]
        ]

    def test_left_alone(self, htpoort: Any, out: Path) -> None:
        """Files that are never sent are a warning, once they are certainly not being written."""
        (out / PARTY / "K9.XML").write_bytes(b"x")
        (out / "K10.xml").write_bytes(b"x")
        early = htpoort("status", "--nagios")
        with ahead(timedelta(minutes=2)):
            late = htpoort("status", "--nagios")
            (facts,) = htpoort("status", "--json").facts["attention"]

        assert (0, 1) == (early.code, late.code)
        assert " files_left_alone=2\n" in late.text
        assert f"2 files in {out} are left alone" == facts["what"]
        form = "only files of the form {party}/{reference}.xml are sent; upper and lower case differ"
        assert f"{PARTY}/K9.XML, K10.xml: {form}" == facts["why"]

    def test_that_is_gone(self, htpoort: Any, out: Path) -> None:
        """A folder that cannot be read is not an empty one."""
        (out / PARTY).rmdir()
        out.rmdir()
        result = htpoort("status", "--nagios")

        assert 2 == result.code
        assert result.text.startswith(
            f"HTPOORT CRITICAL - The folder {out} cannot be read, so no declaration in it is sent | "
        )
        assert f"files in {out}  No such file or directory" in htpoort("status").text.splitlines()


class TestNagios:
    """--nagios prints one line, and ends with 0, 1, 2 or 3 as a plugin of Nagios does."""

    def test_ok(self, htpoort: Any, office: Office) -> None:
        """Nothing needs attention: 0."""
        office.queue("K1", at=now())
        result = htpoort("status", "--nagios")

        numbers = NUMBERS.format(0, 0, 0, 1, 0, 0, 0, 0)
        assert (0, f"HTPOORT OK - nothing needs attention | {numbers}\n") == (result.code, result.text)

    def test_warning(self, htpoort: Any, office: Office) -> None:
        """A message in quarantine can wait for a while, and so can a server that fails since some minutes: 1."""
        office.take("K1", party="NL999999999.99.99")
        result = htpoort("status", "--nagios")
        office.ledger.servers.record_pause("POP3 | x", since=now(), next_try=now(), why="no")
        both = htpoort("status", "--nagios")

        numbers = NUMBERS.format(0, 0, 0, 0, 0, 1, 0, 0)
        what = "In quarantine: 1 message, the first since 2026-01-05 13:00:00 CET"
        assert (1, f"HTPOORT WARNING - {what} | {numbers}\n") == (result.code, result.text)
        assert (1, 1) == (both.code, both.text.count("|"))
        assert both.text.startswith("HTPOORT WARNING - POP3 / x has failed since ")

    def test_critical(self, htpoort: Any, office: Office) -> None:
        """A declaration that waits for a decision comes first: 2."""
        office.take("K1", party="NL999999999.99.99")
        office.queue("K1")
        office.settle(Outcome.UNKNOWN)
        result = htpoort("status", "--nagios")

        assert 2 == result.code
        what = "HTPOORT CRITICAL - 1 declaration is unknown (may or may not have been sent), the first since "
        assert result.text.startswith(f"{what}2026-01-05 13:00:00 CET; In quarantine: 1 message, ")
        assert result.text.endswith(f" | {NUMBERS.format(1, 0, 0, 1, 0, 1, 0, 0)}\n")

    @pytest.mark.parametrize(
        ("arguments", "text"),
        [
            (("--config", "absent.toml"), "--config: absent.toml cannot be read: No such file or directory"),
            (("--colour",), "--colour is not an option of htpoort status"),
            (("--json",), "Give --nagios or --json, not both."),
        ],
    )
    def test_unknown(self, htpoort: Any, office: Office, arguments: tuple[str, ...], text: str) -> None:
        """If the state cannot be known, the line says why: 3."""
        del office
        result = htpoort("status", "--nagios", *arguments)

        assert (3, "", 1) == (result.code, result.err, result.text.count("\n"))
        assert result.text.startswith(f"HTPOORT UNKNOWN - {text}")

    def test_no_ledger(self, htpoort: Any, office: Office, tmp_path: Path) -> None:
        """A ledger that is not there is not an empty one."""
        del office
        other = tmp_path / "other.toml"
        other.write_text(f'parties = ["{PARTY}"]\n[ledger]\nurl = "sqlite:///absent.db"\n')
        result = htpoort("status", "--nagios", "--config", str(other))

        assert (3, True) == (result.code, result.text.startswith("HTPOORT UNKNOWN - The ledger sqlite:///"))


def in_terminal(*arguments: str, **environment: str) -> str:
    """Run a command in a terminal of 200 columns, and return what it wrote there."""
    ours, terminal = pty.openpty()
    env = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    command = [sys.executable, "-m", "htpoort", *arguments]
    env |= {"TERM": "xterm", "COLUMNS": "200", **environment}
    with subprocess.Popen(command, stdin=terminal, stdout=terminal, stderr=terminal, env=env):  # noqa: S603 - our own
        os.close(terminal)
        written = b""
        with contextlib.suppress(OSError):  # its end
            while piece := os.read(ours, 65_536):
                written += piece
    os.close(ours)
    return written.decode()


class TestColour:
    """In a terminal, states that need attention are red."""

    def test_in_a_terminal(self, office: Office) -> None:
        """In a table and in a list of facts; not elsewhere."""
        office.queue("K1")
        office.settle(Outcome.UNKNOWN)

        assert "\x1b[31munknown\x1b[0m" in in_terminal("status")
        assert "\x1b[31munknown\x1b[0m" in in_terminal("show", "K1")

    @pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
    def test_without(self, office: Office, environment: dict[str, str]) -> None:
        """NO_COLOR and a terminal that has none are respected."""
        office.queue("K1")
        office.settle(Outcome.UNKNOWN)

        assert "\x1b[31m" not in in_terminal("status", **environment) + in_terminal("show", "K1", **environment)
