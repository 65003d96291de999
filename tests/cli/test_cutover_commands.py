"""`cutover preview`, `status` and `shadows`, and `queue` with a plan in the configuration."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest
import sqlalchemy as sa
from command_options import build_options
from databases import new_ledger

from htpoort import AGS, DMS, DeclarationSystem, Outcome, Router, Submission, build, day_of
from htpoort._clock import now
from htpoort.ledger import Ledger

Run = Callable[..., Any]

PARTY, CLIENT = "NL123456789.02.05", "NL123456789.03.05"
SMALL = f'parties = ["{PARTY}", "{CLIENT}"]\n[ledger]\nurl = "sqlite:///htpoort.db"\n'
NOON = datetime(2026, 1, 5, 12, 0, 0, tzinfo=UTC)
PREVIEW = ("cutover", "preview", "--on", "2026-12-01")


def move(party: str = PARTY, system: str = "DMS", since: str = "2026-12-01", more: str = "") -> str:
    """Write one move."""
    return f'[[cutover.move]]\nparty = "{party}"\nsystem = "{system}"\nsince = {since}\n{more}'


def shadowed(of: str = "DMS") -> str:
    """Write a plan in shadow mode."""
    return f'[cutover]\nmode = "shadow"\nshadow_system = "{of}"\n'


@attrs.frozen
class Office:
    """A folder with a configuration and a ledger."""

    folder: Path
    ledger: Ledger

    def says(self, *parts: str) -> None:
        """Write the configuration."""
        (self.folder / "htpoort.toml").write_text(SMALL + "".join(parts))

    def declaration(
        self, reference: str, system: DeclarationSystem = AGS, party: str = PARTY, payload: bytes = b"<MetaData/>"
    ) -> Submission:
        """Build a declaration."""
        return build(
            system=system,
            party=party,
            mailbox="edi@forwarder.example",
            reference=reference,
            payload=payload,
            date=NOON,
            message_id=f"<{reference}@forwarder.example>",
        )

    def sent(self, reference: str, *, at: datetime, system: DeclarationSystem = AGS, party: str = PARTY) -> None:
        """Queue a declaration that the mail server accepts."""
        self.ledger.exchanges.queue(self.declaration(reference, system, party), at=at)
        claim = self.ledger.exchanges.claim_soon([system.name], owner="a", most=9, at=at, lease=timedelta(minutes=2))
        for one in claim.result():
            self.ledger.exchanges.settle_soon(one, Outcome.ACCEPTED, at=at).result()

    def reply(self, reference: str, *, at: datetime, system: DeclarationSystem = AGS, party: str = PARTY) -> None:
        """Take a reply in, and deliver it."""
        subject = f"[V= {system.process_id}][A= {party}][K={reference}][S=0]"
        raw = f"From: {system.mailbox}\r\nSubject: {subject}\r\n\r\n<Response/>\r\n".encode()
        router = Router(parties=[PARTY, CLIENT])
        key = self.ledger.replies.take_in(router, raw, mail_from=None, at=at).key
        claim = self.ledger.replies.claim_soon(system.name, owner="a", most=9, at=at, lease=timedelta(minutes=2))
        claim.result()
        self.ledger.replies.mark_delivered_soon(key, at=at).result()


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Give an empty ledger, and the configuration of one move where the command looks for it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HTPOORT_CONFIG", raising=False)
    with Ledger.open(new_ledger(tmp_path / "htpoort.db")) as ledger:
        made = Office(tmp_path, ledger)
        made.says(move())
        yield made


def lines(result: Any) -> list[dict[str, str]]:
    """Read comma-separated values."""
    return list(csv.DictReader(io.StringIO(result.text)))


def words(result: Any) -> list[list[str]]:
    """Read a table as the words of its lines."""
    return [line.replace("\u2502", " ").split() for line in result.text.splitlines()]


class TestNoLedger:
    """A missing ledger is not an empty one, in which nothing would be open."""

    @pytest.mark.parametrize("command", [PREVIEW, ("cutover", "status"), ("cutover", "shadows")])
    def test_is_reported(self, htpoort: Run, office: Office, command: tuple[str, ...]) -> None:
        """Exit code 1, and no file is made."""
        config = office.folder / "htpoort.toml"
        config.write_text(config.read_text().replace("htpoort.db", "absent.db"))
        result = htpoort(*command)

        assert (1, "", False) == (result.code, result.text, (office.folder / "absent.db").exists())
        assert "absent.db cannot be opened. There is no ledger; " in result.err


class TestNoPlan:
    """Without [cutover] there is nothing to report, and the error says what to add."""

    @pytest.mark.parametrize("command", [PREVIEW, ("cutover", "status"), ("cutover", "shadows")])
    def test_says_what_to_add(self, htpoort: Run, office: Office, command: tuple[str, ...]) -> None:
        """Exit code 2, and the names of the tables."""
        office.says()
        result = htpoort(*command)

        assert (2, "") == (result.code, result.text)
        assert result.err.startswith("htpoort: htpoort.toml has no [cutover]; add it, with a [[cutover.move]]")

    @pytest.mark.parametrize("command", [PREVIEW, ("cutover", "status"), ("cutover", "shadows")])
    def test_a_stranger_learns_no_name(self, htpoort: Run, office: Office, command: tuple[str, ...]) -> None:
        """An unknown party is reported as such, without the names of other parties."""
        del office
        result = htpoort(*command, "--party", "NL123456789.99.05")

        assert 2 == result.code
        assert "--party 'NL123456789.99.05' is not in htpoort.toml (parties)" in result.err
        assert PARTY not in result.err

    @pytest.mark.parametrize("command", [PREVIEW, ("cutover", "status"), ("cutover", "shadows")])
    def test_one_form(self, htpoort: Run, office: Office, command: tuple[str, ...]) -> None:
        """Either --csv or --json."""
        del office

        assert 2 == htpoort(*command, "--csv", "--json").code


class TestPreview:
    """`htpoort cutover preview` shows what a day changes."""

    def test_tells_a_program(self, htpoort: Run, office: Office) -> None:
        """Who moves, what is open at the old system and for how long, what changes, what was never tested."""
        office.sent("K1", at=now() - timedelta(days=10, hours=1))
        office.sent("K2", at=now() - timedelta(days=3))
        office.sent("K3", at=now(), party=CLIENT)
        facts = htpoort(*PREVIEW, "--json").facts
        (found,) = facts["moves"]

        assert "2026-12-01" == facts["on"]
        assert (PARTY, None, "AGS", "DMS", 2, 10) == tuple(
            found[name] for name in ("party", "kind", "before", "after", "open", "oldest_days")
        )
        assert {"what": "mailbox", "before": "ags@htpoort.nl", "after": "dms@htpoort.nl"} in found["changes"]
        assert {"what": "process ID", "before": "DMS.NL", "after": "DMS4.NL"} in found["changes"]
        assert f"{PARTY} has never sent to DMS." in found["untested"]
        assert "DMS has no mail server." in found["untested"]

    def test_settings_of_the_systems(self, htpoort: Run, office: Office) -> None:
        """Mail servers are compared without reading passwords and certificates, which this user may not have."""
        outboxes = "".join(
            f'[[outbox]]\nserver = "{name}.forwarder.example"\nusername = "edi"\npassword_env = "NOT_THERE"\n'
            f'certificate = "none.pem"\nkey = "none.key"\nsystems = ["{name.upper()}"]\n'
            for name in ("ags", "dms")
        )
        office.says(move(), outboxes)
        (found,) = htpoort(*PREVIEW, "--json").facts["moves"]

        assert {
            "what": "mail server",
            "before": "ags.forwarder.example:587",
            "after": "dms.forwarder.example:587",
        } in found["changes"]

    def test_as_csv(self, htpoort: Run, office: Office) -> None:
        """A line for each party and kind that moves; kinds apart."""
        office.says(move(), move(CLIENT, more='kind = "import"\n'), move(CLIENT, since="2026-12-02"))
        office.sent("K1", at=now())
        found = lines(htpoort(*PREVIEW[:3], "01-12-2026", "--csv"))

        assert [(PARTY, "", "AGS", "DMS", "1", "0"), (CLIENT, "import", "AGS", "DMS", "0", "")] == [
            tuple(line[name] for name in ("party", "kind", "before", "after", "open", "oldest_days")) for line in found
        ]
        assert "mailbox: ags@htpoort.nl -> dms@htpoort.nl" in found[0]["changes"]

    def test_tells_a_person(self, htpoort: Run, office: Office) -> None:
        """Three tables; what is the same for all parties is printed once."""
        office.says(move(), move(CLIENT))
        result = htpoort(*PREVIEW)

        assert 0 == result.code
        assert [PARTY, "AGS", "DMS", "0"] in words(result)
        assert [CLIENT, "AGS", "DMS", "0"] in words(result)
        assert 1 == words(result).count(["AGS", "DMS", "mailbox", "ags@htpoort.nl", "dms@htpoort.nl"])
        assert 1 == words(result).count(["DMS", "has", "no", "mail", "server."])

    def test_a_day_without_a_move(self, htpoort: Run, office: Office) -> None:
        """No party moves the day after; that is not an error."""
        del office
        reported, facts = (
            htpoort("cutover", "preview", "--on", "2026-12-02"),
            htpoort(*PREVIEW[:3], "2026-12-02", "--json"),
        )

        assert (0, "No party moves on 2026-12-02.\n") == (reported.code, reported.text)
        assert "None of these parties moves on 2026-12-01.\n" == htpoort(*PREVIEW, "--party", CLIENT).text
        assert {"on": "2026-12-02", "moves": []} == facts.facts

    @pytest.mark.parametrize("day", ["soon", "2026-02-29", "0001-01-01", "1899-12-31", ""])
    def test_no_day(self, htpoort: Run, office: Office, day: str) -> None:
        """A text that is not a day, or a day before 1900, is refused."""
        del office
        result = htpoort("cutover", "preview", "--on", day, "--json")

        assert (2, ["input.date"]) == (result.code, [problem["code"] for problem in result.facts["problems"]])


class TestStatus:
    """`htpoort cutover status` shows how far each party has moved."""

    def test_not_yet_moving_moved(self, htpoort: Run, office: Office) -> None:
        """One party has not begun; one has, and a late reply of AGS and an open declaration keep it from being done."""
        office.says("[cutover]\nquiet_days = 14\n", move(CLIENT, since="2020-01-01"))
        first, second = now() - timedelta(days=20), now() - timedelta(days=2)
        for reference in ("K1", "K2"):
            office.sent(reference, at=first, party=CLIENT)
        office.reply("K1", at=second, party=CLIENT)
        facts = htpoort("cutover", "status", "--json").facts
        own, client = facts["parties"]

        assert (PARTY, "not-yet", [{"kind": None, "system": "AGS"}], 0) == tuple(
            own[name] for name in ("party", "stage", "now", "open")
        )
        assert (CLIENT, "moving", [{"kind": None, "system": "DMS"}], 1) == tuple(
            client[name] for name in ("party", "stage", "now", "open")
        )
        assert {"AGS": second.isoformat(timespec="seconds"), "DMS": None} == client["last_reply"]
        assert first.isoformat(timespec="seconds") == client["oldest"]
        assert 2 == len(client["waits_for"])
        came = f"The last reply of AGS came on {day_of(second).isoformat()}, less than 14 days ago."
        assert ("AGS", False, ["Parties that may still need AGS: 2 of 2; each has its reasons.", came]) == tuple(
            facts[name] for name in ("leaving", "may_be_switched_off", "waits_for")
        )

    def test_may_be_switched_off(self, htpoort: Run, office: Office) -> None:
        """Nothing is open at AGS, and it has been quiet: then it may be switched off, and the last line says so."""
        office.says(move(since="2020-01-01"), move(CLIENT, since="2020-01-01"))
        long_ago = now() - timedelta(days=151)
        office.sent("K1", at=long_ago)
        office.reply("K1", at=long_ago)
        facts, reported = htpoort("cutover", "status", "--json").facts, htpoort("cutover", "status")

        assert (["moved", "moved"], True, []) == (
            [one["stage"] for one in facts["parties"]],
            facts["may_be_switched_off"],
            facts["waits_for"],
        )
        assert "AGS may be switched off." == reported.text.splitlines()[-1]

    def test_a_ledger_that_knows_nothing(self, htpoort: Run, office: Office) -> None:
        """If nothing of AGS was ever seen, silence proves nothing; nor does traffic of DMS."""
        office.says(move(since="2020-01-01"), move(CLIENT, since="2020-01-01"))
        office.sent("K1", at=now(), system=DMS)
        last = htpoort("cutover", "status").text.splitlines()[-1]

        assert last == (
            "AGS may not be switched off yet. This ledger holds nothing of AGS; check that it is the right ledger. "
            "If it never worked with AGS, it cannot answer."
        )

    def test_a_reply_is_enough(self, htpoort: Run, office: Office) -> None:
        """A reply of AGS that was delivered long ago shows that this ledger has listened."""
        office.says(move(since="2020-01-01"), move(CLIENT, since="2020-01-01"))
        office.reply("K9", at=now() - timedelta(days=199))

        assert "AGS may be switched off." == htpoort("cutover", "status").text.splitlines()[-1]

    def test_what_is_of_nobody_in_the_file(self, htpoort: Run, office: Office) -> None:
        """A party that left the file keeps AGS alive while its declarations are open; so do replies not delivered."""
        (office.folder / "htpoort.toml").write_text(SMALL.replace(f', "{CLIENT}"', "") + move(since="2020-01-01"))
        office.sent("K1", at=now(), party=CLIENT)
        raw = f"From: ags@htpoort.nl\r\nSubject: [V=DMS.NL][A={PARTY}][K=K9][S=0]\r\n\r\nx\r\n".encode()
        router = Router(parties=[PARTY])
        office.ledger.replies.take_in(router, raw, mail_from=None, at=now() - timedelta(days=199))
        reported = htpoort("cutover", "status").text

        assert reported.splitlines()[-1] == (
            "AGS may not be switched off yet. Open declarations of parties that are not configured: 1. "
            "Replies of AGS that wait for delivery: 1."
        )
        assert CLIENT not in reported

    def test_a_copy_keeps_it(self, htpoort: Run, office: Office) -> None:
        """AGS is not quiet while it sends again what came long ago."""
        office.says(move(since="2020-01-01"), move(CLIENT, since="2020-01-01"))
        office.sent("K1", at=now() - timedelta(days=200))
        office.reply("K1", at=now() - timedelta(days=200))
        before = htpoort("cutover", "status").text.splitlines()[-1]
        office.reply("K1", at=(again := now() - timedelta(days=1)))

        assert "AGS may be switched off." == before
        assert htpoort("cutover", "status").text.splitlines()[-1] == (
            f"AGS may not be switched off yet. The last reply of AGS came on {day_of(again).isoformat()}, "
            "less than 150 days ago."
        )

    @pytest.mark.parametrize(("days", "may"), [(149, False), (151, True)])
    def test_who_left_the_file_keeps_it(self, htpoort: Run, office: Office, days: int, may: object) -> None:
        """A reply to a party that left the file counts too; its party is not named."""
        office.sent("K1", at=now() - timedelta(days=200), party=CLIENT)
        office.reply("K1", at=now() - timedelta(days=days), party=CLIENT)
        (office.folder / "htpoort.toml").write_text(SMALL.replace(f', "{CLIENT}"', "") + move(since="2020-01-01"))
        result = htpoort("cutover", "status", "--json")

        assert (may, []) == (result.facts["may_be_switched_off"], result.facts["parties"][0]["waits_for"])
        assert CLIENT not in result.text

    @pytest.mark.parametrize(
        "raw",
        [
            f"From: ags@htpoort.nl, x@forwarder.example\r\nSubject: [V=DMS.NL][A={PARTY}][K=K1][S=0]\r\n\r\nx\r\n",
            f"From: ags@htpoort.nl\r\nSubject: [V=DMS.NL][A={PARTY}][K=K1]\r\n\r\nx\r\n",
            f"From: ags@htpoort.nl\r\nSubject: [V=DMS4.NL][A={PARTY}][K=K1][S=0]\r\n\r\nx\r\n",
            f"From: ags@customs.example\r\nSubject: [V=DMS.NL][A={PARTY}][K=K1][S=0]\r\n\r\nx\r\n",
        ],
        ids=["two mailboxes", "no S", "another process", "another mailbox"],
    )
    def test_quarantine_keeps_it(self, htpoort: Run, office: Office, raw: str) -> None:
        """A quarantined message may be from AGS, however old, until it is released or discarded."""
        office.says(move(since="2020-01-01"), move(CLIENT, since="2020-01-01"))
        router = Router(parties=[PARTY, CLIENT], sent=office.ledger.sent)
        at = now() - timedelta(days=200)
        office.reply("K9", at=at)
        key = office.ledger.replies.take_in(router, raw.encode(), mail_from=None, at=at).key
        held = htpoort("cutover", "status").text.splitlines()[-1]
        office.ledger.quarantine.discard(key, at=now(), reason="not ours")

        assert held == (
            "AGS may not be switched off yet. Messages in quarantine that may be from AGS: 1; release or discard each."
        )
        assert "AGS may be switched off." == htpoort("cutover", "status").text.splitlines()[-1]

    def test_as_csv(self, htpoort: Run, office: Office) -> None:
        """A line for each party, with a column for the last reply of each system."""
        office.says(move(since="2020-01-01"), move(system="AGS", since="2020-01-02", more='kind = "import"\n'))
        found = lines(htpoort("cutover", "status", "--csv"))

        assert ["party", "stage", "now", "open", "oldest", "last reply of AGS", "last reply of DMS", "waits_for"] == (
            list(found[0])
        )
        assert (PARTY, "moving", "DMS; import: AGS", "0", "Declarations of the kind import still go to AGS.") == tuple(
            found[0][name] for name in ("party", "stage", "now", "open", "waits_for")
        )
        assert (CLIENT, "not-yet", "AGS") == tuple(found[1][name] for name in ("party", "stage", "now"))


class TestShadows:
    """`htpoort cutover shadows` shows what would have been different."""

    def test_each_difference(self, htpoort: Run, office: Office) -> None:
        """Envelope, headers and body are compared; an exchange without a shadow is not listed."""
        office.ledger.exchanges.queue(
            office.declaration("K1"), at=NOON, shadow=office.declaration("K1", DMS, payload=b"<Other/>")
        )
        office.ledger.exchanges.queue(office.declaration("K2"), at=NOON)
        (facts,) = [json.loads(line) for line in htpoort("cutover", "shadows", "--json").text.splitlines()]
        found = lines(htpoort("cutover", "shadows", "--csv"))

        assert (PARTY, "K1", "AGS", "DMS") == tuple(
            facts[name] for name in ("party", "reference", "system", "shadow_system")
        )
        assert ["envelope.A", "header.To", "header.Subject", "body.octets", "body.sha256"] == [
            one["what"] for one in facts["differences"]
        ]
        assert facts["differences"] == [{name: line[name] for name in ("what", "sent", "shadow")} for line in found]
        assert {("K1", "AGS", "DMS")} == {(line["reference"], line["system"], line["shadow_system"]) for line in found}

    def test_tells_a_person(self, htpoort: Run, office: Office) -> None:
        """A row for each difference."""
        office.ledger.exchanges.queue(office.declaration("K1"), at=NOON, shadow=office.declaration("K1", DMS))
        result = htpoort("cutover", "shadows")

        assert 0 == result.code
        assert [PARTY, "K1", "AGS", "DMS", "envelope.A", "DMS.NL", "DMS4.NL"] in words(result)

    def test_no_difference_has_a_line(self, htpoort: Run, office: Office) -> None:
        """A shadow with an identical message has one empty line."""
        sent = office.declaration("K1")
        office.ledger.exchanges.queue(sent, at=NOON, shadow=attrs.evolve(sent, system="DMS"))
        (found,) = lines(htpoort("cutover", "shadows", "--csv"))

        assert (PARTY, "K1", "", "", "") == tuple(
            found[name] for name in ("party", "reference", "what", "sent", "shadow")
        )


class TestOneParty:
    """With --party no row of another party is read, and nothing of it is printed."""

    @pytest.mark.parametrize(
        "command",
        [
            (*form, *command)
            for command in ((), ("--json",), ("--csv",))
            for form in (PREVIEW, ("cutover", "status"), ("cutover", "shadows"))
        ],
        ids=" ".join,
    )
    def test_nothing_of_another(self, htpoort: Run, office: Office, command: tuple[str, ...]) -> None:
        """The report is the same, octet for octet, whatever is in the ledger of another party, even what is damaged."""
        office.says(move(), move(CLIENT))
        own = (office.declaration("K1"), office.declaration("K1", DMS))
        office.ledger.exchanges.queue(own[0], at=now(), shadow=own[1])
        before = htpoort(*command, "--party", PARTY.lower())
        for reference in ("K2", "K3"):
            shadow = office.declaration(reference, DMS, CLIENT)
            office.ledger.exchanges.queue(office.declaration(reference, AGS, CLIENT), at=NOON, shadow=shadow)
        office.reply("K2", at=now(), party=CLIENT)
        office.reply("K2", at=now(), party=CLIENT)
        router = Router(parties=[PARTY, CLIENT], sent=office.ledger.sent)
        office.ledger.replies.take_in(router, b"From: ags@htpoort.nl\r\n\r\nx\r\n", mail_from=None, at=now())

        def damage(connection: sa.Connection) -> None:
            damaged = "UPDATE htpoort_exchanges SET state = 'none', created = 'never' WHERE party_key = :party"
            connection.execute(sa.text(damaged), {"party": CLIENT.lower()})

        office.ledger.write_soon(damage).result()
        after = htpoort(*command, "--party", PARTY.lower())

        assert (0, before.text) == (after.code, after.text)
        assert CLIENT not in after.text
        assert PARTY in after.text
        assert "switched" not in after.text


class TestQueue:
    """`htpoort queue` follows the plan, unless a system is named."""

    @staticmethod
    def options(reference: str, **more: str) -> list[str]:
        """Give the options of `queue` that a declaration needs, without a system."""
        options = build_options(reference=reference, **more)
        return options if "system" in more else options[2:]

    @pytest.mark.parametrize(
        ("more", "expected"),
        [
            ({}, "DMS"),
            ({"system": "AGS"}, "AGS"),
            ({"system": "ags", "kind": "export"}, "AGS"),
            ({"kind": "import"}, "AGS"),
            ({"kind": "IMPORT"}, "AGS"),
            ({"kind": "export"}, "DMS"),
            ({"party": CLIENT}, "AGS"),
        ],
    )
    def test_which_system(self, htpoort: Run, office: Office, more: dict[str, str], expected: str) -> None:
        """The plan decides by party, kind and today's date; --system wins."""
        office.says(
            move(since="2020-01-01"),
            move(since="2020-01-02", system="AGS", more='kind = "Import"\n'),
            move(CLIENT, since="9999-12-31"),
        )
        result = htpoort("queue", *self.options("K1", **more), "--json", stdin=b"<MetaData/>")

        assert (0, expected) == (result.code, result.facts["system"])
        assert "shadow" not in result.facts

    def test_a_kind_that_no_move_has(self, htpoort: Run, office: Office) -> None:
        """A slip in --kind is reported, because it may choose the old system; not if --system chooses."""
        office.says(move(since="2020-01-01", more='kind = "import"\n'))
        found = [
            htpoort("queue", *self.options(reference, **more), "--json", stdin=b"<MetaData/>").facts
            for reference, more in (
                ("K1", {"kind": "imprt"}),
                ("K2", {"kind": "Import"}),
                ("K3", {"kind": "imprt", "system": "DMS"}),
            )
        ]

        note = "no move in [cutover] has the kind imprt, so only the moves without a kind count"
        assert [("AGS", note), ("DMS", None), ("DMS", None)] == [(one["system"], one.get("kind")) for one in found]

    @pytest.mark.parametrize("kind", ["", "import ", " import"])
    def test_no_kind(self, htpoort: Run, office: Office, kind: str) -> None:
        """A kind that no move can have is refused, and nothing is queued: it would go where all other kinds go."""
        office.says(move(since="2020-01-01", more='kind = "import"\n'))
        result = htpoort("queue", *self.options("K1", kind=kind), "--json", stdin=b"<MetaData/>")

        assert (2, ["cutover.kind"]) == (result.code, [problem["code"] for problem in result.facts["problems"]])
        assert {} == htpoort("status", "--json").facts["exchanges"]

    def test_no_plan(self, htpoort: Run, office: Office) -> None:
        """Without a plan, --system is needed."""
        office.says()
        result = htpoort("queue", *self.options("K1"), "--json", stdin=b"<MetaData/>")

        assert (2, ["input.usage"]) == (result.code, [problem["code"] for problem in result.facts["problems"]])
        assert "Give --system AGS or DMS, or write in [cutover]" in result.facts["message"]

    def test_repeated_after_the_move(self, htpoort: Run, office: Office) -> None:
        """A caller that repeats a declaration after the move means the first one: it is not declared twice."""
        made = self.options("K1")
        without = made[: made.index("--date")]
        office.says(shadowed(), move(since="9999-12-31"))
        first = htpoort("queue", *without, "--json", stdin=b"<MetaData/>")
        office.says(move(since="2020-01-01"))
        again = htpoort("queue", *without, "--json", stdin=b"<MetaData/>")
        other = htpoort("queue", *without, "--json", stdin=b"<Other/>")

        assert ("AGS", "AGS", True) == (first.facts["system"], again.facts["system"], again.facts["repeated"])
        assert (0, 0, 2) == (first.code, again.code, other.code)
        assert 1 == len(list(office.ledger.exchanges.listed()))

    def test_a_shadow(self, htpoort: Run, office: Office) -> None:
        """In shadow mode the same declaration is built for the other system too; it differs in the system alone."""
        office.says(shadowed())
        made = self.options("K1")
        without = made[: made.index("--date")]
        result = htpoort("queue", *without, "--json", stdin=b"<MetaData/>")
        (facts,) = [json.loads(line) for line in htpoort("cutover", "shadows", "--json").text.splitlines()]

        assert (0, "AGS", "DMS") == (result.code, result.facts["system"], result.facts["shadow"])
        assert ["envelope.A", "header.To", "header.Subject"] == [one["what"] for one in facts["differences"]]
        assert {"AGS": {"queued": 1}} == htpoort("status", "--json").facts["exchanges"]

    def test_a_shadow_of_another_payload(self, htpoort: Run, office: Office) -> None:
        """The other system's declaration may be another document, with its own content type."""
        office.says(shadowed())
        (office.folder / "dms.xml").write_bytes(b"<MetaData/>")
        result = htpoort("queue", *self.options("K1"), "--shadow-payload", "dms.xml", stdin=b"UNB+UNOC:3'")
        (found,) = office.ledger.exchanges.shadows()

        assert 0 == result.code
        assert (b"UNB+UNOC:3'", b"<MetaData/>") == (found.sent.split()[-1], found.raw.split()[-1])
        assert (True, True) == (b"application/EDIFACT" in found.sent, b"application/xml" in found.raw)

    def test_the_shadow_system_has_no_shadow(self, htpoort: Run, office: Office) -> None:
        """A declaration to the shadow system itself has no shadow, so a script may stay unchanged after the move."""
        office.says(shadowed())
        command = ("queue", *self.options("K1", system="dms"), "--shadow-payload", "none.xml")
        result = htpoort(*command, "--json", stdin=b"<MetaData/>")
        reported = htpoort(*(part.replace("K1", "K2") for part in command), stdin=b"<MetaData/>")
        why = "not used; the declaration itself goes to DMS, the shadow system"

        assert (0, "DMS", False) == (result.code, result.facts["system"], "shadow" in result.facts)
        assert (why, True) == (result.facts["shadow_payload"], why in reported.text)
        assert [] == list(office.ledger.exchanges.shadows())

    def test_no_shadow_payload(self, htpoort: Run, office: Office) -> None:
        """If no shadow payload was given, none is mentioned."""
        office.says(shadowed())
        result = htpoort("queue", *self.options("K1", system="dms"), "--json", stdin=b"<MetaData/>")

        assert (0, False) == (result.code, "shadow_payload" in result.facts)

    @pytest.mark.parametrize(
        ("says", "file", "reported"),
        [
            ("", "dms.xml", '--shadow-payload needs mode = "shadow"'),
            (move(), "dms.xml", '--shadow-payload needs mode = "shadow"'),
            (shadowed(), "-", "Standard input is PAYLOAD or --shadow-payload, not both."),
            (shadowed(), "none.xml", "none.xml cannot be read"),
        ],
    )
    def test_a_shadow_that_cannot_be(self, htpoort: Run, office: Office, says: str, file: str, reported: str) -> None:
        """What cannot be kept is refused, and nothing is queued."""
        office.says(says)
        (office.folder / "dms.xml").write_bytes(b"<MetaData/>")
        result = htpoort("queue", *self.options("K1"), "--system", "AGS", "--shadow-payload", file, stdin=b"<a/>")

        assert 2 == result.code
        assert reported in result.err
        assert {} == htpoort("status", "--json").facts["exchanges"]
