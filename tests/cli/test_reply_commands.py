"""`reply list`, `reply show`, `list`, and `redeliver` of what was delivered."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest
from agents import declaration
from databases import new_ledger

from htpoort import DMS, Objection, Outcome, PartyId, Router
from htpoort.ledger import Ledger

Run = Callable[..., Any]

PARTY, CLIENT = "NL123456789.02.05", "NL123456789.03.05"
CONFIG = f'parties = ["{PARTY}", "{CLIENT}"]\n[ledger]\nurl = "sqlite:///htpoort.db"\n'
NOON = datetime(2026, 1, 5, 12, 0, 0, tzinfo=UTC)
BASE64 = "Content-Type: application/xml\r\nContent-Transfer-Encoding: base64\r\n"
TWO_PARTS = "Content-Type: multipart/mixed; boundary=x\r\n"
TWO_BODIES = (
    "--x\r\nContent-Type: text/plain\r\n\r\nSee the attachment.\r\n"
    "--x\r\nContent-Type: application/xml\r\nContent-Disposition: attachment; filename=answer.xml\r\n"
    "Content-Transfer-Encoding: base64\r\n\r\nPFJlc3BvbnNlLz4=\r\n--x--\r\n"
)


def response(reference: str, *, party: str = PARTY, headers: str = "", body: str = "<Response/>\r\n") -> bytes:
    """Write a reply of DMS."""
    subject = f"[V= DMS4.NL][A= {party}][K={reference}][S=0]"
    return f"From: {DMS.mailbox}\r\nSubject: {subject}\r\n{headers}\r\n{body}".encode()


@attrs.frozen
class Office:
    """A ledger, and ways to fill it."""

    ledger: Ledger

    def take(self, raw: bytes, at: datetime = NOON, *, delivered: bool = False) -> int:
        """Take a message in; return its number."""
        key = self.ledger.replies.take_in(Router(parties=[PARTY, CLIENT]), raw, mail_from=None, at=at).key
        if delivered:
            self.ledger.replies.mark_delivered(key, at=at)
        return key

    def queue(self, reference: str, *, party: str = PARTY, at: datetime = NOON) -> None:
        """Put a declaration in."""
        self.ledger.exchanges.queue(declaration(reference, party=party), at=at)


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Office]:
    """Give an empty ledger, and its configuration where the command looks for it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HTPOORT_CONFIG", raising=False)
    (tmp_path / "htpoort.toml").write_text(CONFIG)
    with Ledger.open(new_ledger(tmp_path / "htpoort.db")) as ledger:
        yield Office(ledger)


class TestReplyList:
    """`htpoort reply list` lists replies, delivered or not."""

    @pytest.fixture
    def three(self, office: Office) -> list[int]:
        """Give a delivered reply of noon, one a day later, and one for the client two days later."""
        return [
            office.take(response("K1"), delivered=True),
            office.take(response("K2"), NOON + timedelta(days=1)),
            office.take(response("K3", party=CLIENT), NOON + timedelta(days=2)),
        ]

    def test_facts(self, htpoort: Run, three: list[int]) -> None:
        """Each reply has the fields of an export, without its content."""
        first, *_ = htpoort("reply", "list", "--json").facts

        assert first == {
            "key": three[0],
            "system": "DMS",
            "mailbox": "dms@htpoort.nl",
            "process_id": "DMS4.NL",
            "party": PARTY,
            "reference": "K1",
            "correlation": "unknown-reference",
            "copies": 1,
            "received": "2026-01-05T12:00:00+00:00",
            "delivered": "2026-01-05T12:00:00+00:00",
            "attempts": 0,
            "redeliveries": 0,
            "trouble": "",
        }

    @pytest.mark.parametrize(
        ("options", "expected"),
        [
            ((), ["K1", "K2", "K3"]),
            (("--system", "dms"), ["K1", "K2", "K3"]),
            (("--system", "AGS"), []),
            (("--party", CLIENT.lower()), ["K3"]),
            (("--since", "2026-01-06T12:00:00+00:00"), ["K2", "K3"]),
            (("--since", "2026-01-08"), []),
            (("--undelivered", "--party", PARTY), ["K2"]),
        ],
    )
    def test_narrowed(self, htpoort: Run, three: list[int], options: tuple[str, ...], expected: list[str]) -> None:
        """System, party, time, and whether it waits for delivery narrow the list, in each form."""
        del three
        lines = csv.DictReader(io.StringIO(htpoort("reply", "list", *options, "--csv").text))

        assert expected == [line["reference"] for line in lines]
        assert expected == [one["reference"] for one in htpoort("reply", "list", *options, "--json").facts]

    def test_a_table(self, htpoort: Run, three: list[int]) -> None:
        """A person gets a table, with a limit; an empty one is a sentence."""
        del three
        printed = htpoort("reply", "list", "--limit", "2").text

        assert (1, 1, 0, 1) == tuple(printed.count(text) for text in ("K1", "K2", "K3", "there are more"))
        assert "No replies.\n" == htpoort("reply", "list", "--system", "AGS").text

    def test_a_party_that_is_not_known(self, htpoort: Run, three: list[int]) -> None:
        """A misspelled party is not taken for one without replies."""
        del three

        assert 2 == htpoort("reply", "list", "--party", "NL123456789.99.05").code

    def test_one_form(self, htpoort: Run, office: Office) -> None:
        """Two forms at once are bad usage."""
        del office

        assert 2 == htpoort("reply", "list", "--csv", "--json").code


class TestReplyShow:
    """`htpoort reply show NUMBER` shows a reply, or writes its message or what it carries."""

    def test_facts(self, htpoort: Run, office: Office) -> None:
        """The facts of the reply, and each part of what it carries, without its content."""
        key = office.take(response("K1", headers=BASE64, body="PFJlc3BvbnNlLz4="))
        facts = htpoort("reply", "show", str(key), "--json").facts

        assert ("K1", 162) == (facts["reference"], facts["octets"])
        assert facts["payload"] == {
            "parts": [
                {
                    "part": 1,
                    "content_type": "application/xml",
                    "charset": None,
                    "file_name": None,
                    "ending": "xml",
                    "octets": 11,
                }
            ],
            "problems": [],
        }

    def test_a_person(self, htpoort: Run, office: Office) -> None:
        """A person reads the same, with what is wrong with the payload."""
        key = office.take(response("K1", headers=BASE64, body="PFJlc3BvbnNlLz4"))
        printed = htpoort("reply", "show", str(key)).text

        assert ("reference     K1" in printed, "application/xml" in printed) == (True, True)
        assert "payload problem  The base64 has no padding at its end; check that the payload is whole." in printed

    def test_octets(self, htpoort: Run, office: Office) -> None:
        """The message comes as it arrived, the payload decoded; nothing else is on standard output."""
        raw = response("K1", headers=BASE64, body="PFJlc3BvbnNlLz4=")
        key = str(office.take(raw))
        message, payload = htpoort("reply", "show", key, "--raw"), htpoort("reply", "show", key, "--payload")

        assert ((0, raw, ""), (0, b"<Response/>", "")) == (
            (message.code, message.out, message.err),
            (payload.code, payload.out, payload.err),
        )

    def test_several_parts(self, htpoort: Run, office: Office) -> None:
        """None of several parts is chosen by htpoort; the user names one."""
        key = str(office.take(response("K1", headers=TWO_PARTS, body=TWO_BODIES)))
        unnamed, third = (
            htpoort("reply", "show", key, "--payload"),
            htpoort(*("reply", "show", key, "--payload", "--part", "3")),
        )
        first, second = (htpoort("reply", "show", key, "--payload", "--part", number) for number in "12")

        shown = htpoort("reply", "show", key).text.splitlines()
        sentence = "There are 2 parts that may be the payload; choose one with --payload --part NUMBER."

        assert f"payload problem  {sentence}" in shown
        assert (2, b"", 2) == (unnamed.code, unnamed.out, third.code)
        assert "htpoort: --part is missing: 2 parts may be the payload; give --part 1 to 2.\n" == unnamed.err
        assert "htpoort: --part is 3; the message has 2 parts.\n" == third.err
        assert (b"See the attachment.", b"<Response/>") == (first.out, second.out)

    def test_only_one_part(self, htpoort: Run, office: Office) -> None:
        """A part beyond the only one is an error; the first can be named."""
        key = str(office.take(response("K1")))
        first, second = (htpoort("reply", "show", key, "--payload", "--part", number) for number in "12")

        assert (b"<Response/>\r\n", 2) == (first.out, second.code)
        assert "htpoort: --part is 2; the message has only one part.\n" == second.err

    def test_a_payload_that_is_not_sure(self, htpoort: Run, office: Office) -> None:
        """What cannot be decoded for sure is not guessed; what is only doubtful is written, with a warning."""
        broken = htpoort("reply", "show", str(office.take(response("K1", headers=BASE64, body="!"))), "--payload")
        doubtful = htpoort(*(
            "reply",
            "show",
            str(office.take(response("K2", headers=BASE64, body="PFJlc3BvbnNlLz4"))),
            "--payload",
        ))

        assert (2, b"") == (broken.code, broken.out)
        assert broken.err == (
            "htpoort: The part is declared as base64, but is not; decode it by hand, or have it sent again. --raw "
            "writes the whole message.\n"
        )
        assert (0, b"<Response/>") == (doubtful.code, doubtful.out)
        assert "htpoort: The base64 has no padding at its end; check that the payload is whole.\n" == doubtful.err

    def test_an_unknown_number(self, htpoort: Run, office: Office) -> None:
        """A number that no reply has is bad input; the error says how to list them."""
        del office
        result = htpoort("reply", "show", "7")

        expected = "htpoort: reply '7' is not in the ledger; htpoort reply list lists all numbers.\n"
        assert (2, expected) == (result.code, result.err)

    @pytest.mark.parametrize(
        "options", [["--raw", "--json"], ["--payload", "--raw"], ["--payload", "--json"], ["--part", "1"]]
    )
    def test_one_form(self, htpoort: Run, office: Office, options: list[str]) -> None:
        """Two forms at once, and a part without --payload, are bad usage."""
        key = str(office.take(response("K1")))

        assert 2 == htpoort("reply", "show", key, *options).code


class TestQuarantineShow:
    """`htpoort quarantine show` decodes too, so that a person can decide by what a message carries."""

    def test_payload(self, htpoort: Run, office: Office) -> None:
        """The payload of a message in quarantine is described, and written decoded."""
        key = str(office.take(response("K1", party="NL9", headers=BASE64, body="PFJlc3BvbnNlLz4=")))
        facts = htpoort("quarantine", "show", key, "--json").facts
        text, payload = htpoort("quarantine", "show", key).text, htpoort("quarantine", "show", key, "--payload")

        assert ("application/xml", 11) == tuple(
            facts["payload"]["parts"][0][name] for name in ("content_type", "octets")
        )
        assert ("application/xml" in text, b"<Response/>") == (True, payload.out)

    def test_nothing_in_it(self, htpoort: Run, office: Office) -> None:
        """A message without any octet has no payload, and that is a sentence."""
        key = str(office.take(b""))
        shown, payload = htpoort("quarantine", "show", key), htpoort("quarantine", "show", key, "--payload")

        assert (0, 2) == (shown.code, payload.code)
        assert "htpoort: The message is empty, so it has no payload.\n" == payload.err


class TestQuarantineWithdraw:
    """`htpoort quarantine withdraw` takes a release back."""

    def test_a_wrong_release(self, htpoort: Run, office: Office) -> None:
        """The message waits again, and `show` says why; once its reply is delivered, it is refused."""
        key = str(office.take(response("K1", party="NL123456789")))
        release = ("quarantine", "release", key, "--system", "DMS", "--party", PARTY)
        withdraw = ("quarantine", "withdraw", key, "--why", "it was for the client")
        htpoort(*release)
        taken_back = htpoort(*withdraw, "--json")
        shown = htpoort("quarantine", "show", key, "--json").facts
        reply = htpoort(*release, "--json").facts["reply"]
        office.ledger.replies.mark_delivered(reply, at=NOON)
        refused = htpoort(*withdraw)

        assert (0, {"result": "withdrawn", "key": int(key)}) == (taken_back.code, taken_back.facts)
        assert ("held", ["quarantined", "released", "release-withdrawn"]) == (
            shown["state"],
            [entry["event"] for entry in shown["log"]],
        )
        assert "it is no longer reply 1: it was for the client" == shown["log"][-1]["detail"]
        since = NOON.astimezone().isoformat(" ", "seconds")
        why = f"Reply {reply}, which the message became, was delivered to DMS for {PARTY} under K1 at {since}"
        advice = "to take it back all the same and fetch back yourself what is there, add --delivered."
        assert (2, f"htpoort: {why}, so the release cannot be taken back; {advice}\n") == (refused.code, refused.err)

    @pytest.fixture
    def misled(self, office: Office) -> str:
        """Give the number of a message that was released and delivered to the client, though the K is the party's."""
        office.queue("K1")
        (claimed,) = office.ledger.exchanges.claim(["DMS"], owner="a", most=1, at=NOON, lease=timedelta(minutes=2))
        office.ledger.exchanges.settle(claimed, Outcome.ACCEPTED, at=NOON)
        key = office.take(response("K1").replace(b"DMS4.NL", b"DMS.NL"))
        for_client: dict[str, Any] = {"system": DMS, "party": PartyId.parse(CLIENT)}
        override: dict[str, Any] = {
            "despite": [Objection.OTHER_PARTY, Objection.OTHER_SYSTEM],
            "reason": "by telephone",
        }
        reply = office.ledger.quarantine.release(key, **for_client, **override, at=NOON).key
        office.ledger.replies.mark_delivered(reply, at=NOON)
        return str(key)

    @pytest.mark.parametrize(
        ("delivery", "expected"),
        [
            ('directory = "replies/{system}/{party}"\npayload = true', f"replies/DMS/{CLIENT}/K1-1.xml"),
            ('directory = "replies"', "replies/K1-1.eml"),
            (f'party = "{CLIENT}"\ndirectory = "client"', "client/K1-1.eml"),
            (f'party = "{PARTY}"\ndirectory = "party"', None),
            ('command = ["/usr/bin/true"]', None),
            (None, None),
        ],
    )
    def test_what_the_wrong_process_has(
        self, htpoort: Run, misled: str, delivery: str | None, expected: str | None
    ) -> None:
        """It is printed who has it since when, and the file, as the configuration is today."""
        with Path("htpoort.toml").open("a", encoding="utf-8") as file:
            file.write("" if delivery is None else f'[[delivery]]\nsystem = "DMS"\n{delivery}\n')
        facts = htpoort("quarantine", "withdraw", misled, "--why", "a slip", "--delivered", "--json").facts
        of_delivery = facts.pop("delivery")

        assert {
            "result": "withdrawn",
            "key": 1,
            "reply": 1,
            "system": "DMS",
            "party": CLIENT,
            "reference": "K1",
            "delivered": "2026-01-05T12:00:00+00:00",
            "file": None if expected is None else str(Path(expected).absolute()),
        } == facts
        assert (expected is not None or (delivery or "").startswith("command")) == (of_delivery is not None)

    def test_a_maildir(self, htpoort: Run, misled: str) -> None:
        """The file is where the delivery put it; a reader may have moved it."""
        with Path("htpoort.toml").open("a", encoding="utf-8") as file:
            file.write('[[delivery]]\nsystem = "DMS"\nmaildir = "mail"\n')
        facts = htpoort("quarantine", "withdraw", misled, "--why", "a slip", "--delivered", "--json").facts

        assert Path(facts["file"]).parent == Path("mail/new").absolute()
        assert Path(facts["file"]).name.startswith(f"{int(NOON.timestamp())}.K1H")

    def test_for_a_person(self, htpoort: Run, misled: str) -> None:
        """The facts are lines, then what is left to do; the message is in quarantine again, and status says so."""
        text = htpoort("quarantine", "withdraw", misled, "--why", "a slip", "--delivered").text
        status = htpoort("status").text
        shown = htpoort("quarantine", "show", misled).text
        (listed,) = htpoort("quarantine", "list", "--json").facts

        assert ["result", "key", "reply", "system", "party", "reference", "delivered", "Fetch"] == [
            line.split()[0] for line in text.splitlines()
        ]
        assert "In quarantine: 1 message" in status
        assert "Nothing needs attention" not in status
        assert "delivery-withdrawn" in shown
        assert ("held", 1) == (listed["state"], listed["wrong_deliveries"])

    def test_no_party_is_shown_another(self, htpoort: Run, misled: str) -> None:
        """Neither report nor lists of the wrong party name the right one, before and after; nor the reverse."""
        release = ("quarantine", "release", misled, "--system", "DMS", "--party", PARTY, "--despite", "other-system")

        def printed(party: str) -> str:
            Path("report.html").unlink(missing_ok=True)
            code = htpoort("report", "--html", "report.html", "--party", party).code
            assert 0 == code
            lists = [
                htpoort(*command, "--party", party, "--json").text
                for command in (("list",), ("reply", "list"), ("unanswered",), ("show", "K1"))
            ]
            return "".join([Path("report.html").read_text(encoding="utf-8"), *lists])

        pages = []
        htpoort("quarantine", "withdraw", misled, "--why", "a slip", "--delivered")
        pages.append((printed(CLIENT), printed(PARTY)))
        htpoort(*release, "--why", "the helpdesk confirms it")
        pages.append((printed(CLIENT), printed(PARTY)))

        for of_client, of_party in pages:
            assert PARTY not in of_client
            assert CLIENT not in of_party
        assert "after a process got it by mistake as reply 1" in pages[-1][1]


class TestList:
    """`htpoort list` lists exchanges."""

    @pytest.fixture
    def three(self, office: Office) -> Office:
        """Give an exchange of noon, a closed one of a day later, and one of the client two days later."""
        office.queue("K1")
        office.queue("K2", at=NOON + timedelta(days=1))
        office.ledger.exchanges.close("K2", at=NOON + timedelta(days=1))
        office.queue("K3", party=CLIENT, at=NOON + timedelta(days=2))
        return office

    @pytest.mark.parametrize(
        ("options", "expected"),
        [
            ((), ["K1", "K2", "K3"]),
            (("--state", "queued"), ["K1", "K3"]),
            (("--state", "queued", "--state", "closed", "--party", PARTY), ["K1", "K2"]),
            (("--system", "ags"), []),
            (("--since", "2026-01-06T12:00:00+00:00"), ["K2", "K3"]),
        ],
    )
    def test_narrowed(self, htpoort: Run, three: Office, options: tuple[str, ...], expected: list[str]) -> None:
        """State, system, party and time narrow the list, in each form; the fields are those of an export."""
        del three
        result = htpoort("list", *options, "--json").facts
        lines = csv.DictReader(io.StringIO(htpoort("list", *options, "--csv").text))

        assert expected == [one["reference"] for one in result]
        assert expected == [line["reference"] for line in lines]
        assert all(
            [
                *("system", "party", "reference", "business_reference", "state", "attempts"),
                *("due", "created", "changed", "message_id", "content_begun"),
            ]
            == list(one)
            for one in result
        )

    def test_a_table(self, htpoort: Run, three: Office) -> None:
        """A person gets a table, with a limit; an empty one is a sentence."""
        del three
        printed = htpoort("list", "--limit", "1").text

        assert (1, 0, 1) == tuple(printed.count(text) for text in ("K1", "K2", "there are more"))
        assert "No exchanges.\n" == htpoort("list", "--system", "AGS").text


class TestResolveMany:
    """`htpoort resolve --state` gives one order for many exchanges, after a preview."""

    @pytest.fixture
    def four(self, office: Office) -> Office:
        """Give three exchanges that the mail server refused, one of them of the client, and one that it accepted."""
        for reference, party, outcome in (
            ("K1", PARTY, Outcome.REFUSED),
            ("K2", CLIENT, Outcome.REFUSED),
            ("K3", PARTY, Outcome.REFUSED),
            ("K4", PARTY, Outcome.ACCEPTED),
        ):
            office.queue(reference, party=party)
            claims = office.ledger.exchanges.claim_soon(["DMS"], owner="a", most=9, at=NOON, lease=timedelta(minutes=2))
            for claimed in claims.result():
                office.ledger.exchanges.settle_soon(claimed, outcome, at=NOON).result()
        return office

    @staticmethod
    def states(office: Office) -> list[str]:
        """List the state of each exchange."""
        return [exchange.state.value for exchange in office.ledger.exchanges.listed()]

    def test_a_preview(self, htpoort: Run, four: Office) -> None:
        """Without --yes, what each would become is listed, and nothing changes."""
        order = ("resolve", "--state", "refused", "--state", "accepted", "--party", PARTY, "--resend")
        facts, text = htpoort(*order, "--json").facts, htpoort(*order).text
        why = "The gateway has it; a resubmission is a new exchange with a new K."

        assert ("would be resolved", 2, 1) == (facts["result"], facts["number"], facts["refused"])
        assert [
            ("K1", "refused", "queued", None),
            ("K3", "refused", "queued", None),
            ("K4", "accepted", "accepted", why),
        ] == [(one["reference"], one["state"], one["after"], one["refused"]) for one in facts["exchanges"]]
        assert "Nothing has changed; add --yes to do it." == text.splitlines()[-1]
        assert ["refused", "refused", "refused", "accepted"] == self.states(four)

    def test_the_order(self, htpoort: Run, four: Office) -> None:
        """With --yes each gets the order by itself; what its state refuses stays, and is listed."""
        order = ("resolve", "--state", "refused", "--state", "accepted", "--system", "dms", "--resend", "--yes")
        result = htpoort(*order, "--json")

        assert (0, "resolved", 3, 1) == (result.code, *(result.facts[name] for name in ("result", "number", "refused")))
        assert [None, None, None, "K4"] == [
            one["reference"] if one["refused"] else None for one in result.facts["exchanges"]
        ]
        assert ["queued", "queued", "queued", "accepted"] == self.states(four)

    def test_nothing(self, htpoort: Run, four: Office) -> None:
        """If no exchange matches, nothing is done, and that is said; a misspelled party is an error."""
        del four
        order = ("resolve", "--state", "refused", "--close", "--yes")
        nothing, misspelled = htpoort(*order, "--since", "2026-01-06"), htpoort(*order, "--party", "NL123456789.99.05")

        assert ("resolved  0 exchanges\n", 2) == (nothing.text, misspelled.code)


class TestRedeliver:
    """`htpoort redeliver` also delivers again what was delivered, if it is named."""

    @pytest.fixture
    def delivered(self, office: Office) -> list[int]:
        """Give three replies that were delivered: of noon, a day later, and two days later for the client."""
        raws = [response("K1"), response("K2"), response("K3", party=CLIENT)]
        return [office.take(raw, NOON + timedelta(days=day), delivered=True) for day, raw in enumerate(raws)]

    def test_named(self, htpoort: Run, office: Office, delivered: list[int]) -> None:
        """A number, or all that came since a time, with what narrows it."""
        first = htpoort("redeliver", str(delivered[0]), "--json").facts
        since = htpoort("redeliver", "--since", "2026-01-06", "--party", CLIENT, "--yes", "--json").facts

        assert (
            {"result": "due now", "number": 1, "already_due": 0, "replies": [delivered[0]]},
            {"result": "due now", "number": 1, "already_due": 0, "replies": [delivered[2]]},
        ) == (first, since)
        assert [1, 0, 1] == [reply.redeliveries for reply in office.ledger.replies.listed()]

    @pytest.mark.parametrize("options", [(), ("--system", "DMS"), ("--party", PARTY)])
    def test_not_named(self, htpoort: Run, delivered: list[int], options: tuple[str, ...]) -> None:
        """Without a number or a time, nothing that was delivered comes again."""
        del delivered

        assert [] == htpoort("redeliver", *options, "--yes", "--json").facts["replies"]

    def test_a_preview(self, htpoort: Run, office: Office, delivered: list[int]) -> None:
        """Without --yes, the same replies are only listed, and nothing changes."""
        order = ("redeliver", "--since", "2026-01-06")
        before = list(office.ledger.replies.listed())
        facts, lines = htpoort(*order, "--json").facts, htpoort(*order).text.splitlines()
        between = list(office.ledger.replies.listed())
        done = htpoort(*order, "--yes", "--json").facts

        counts = {"number": 2, "already_due": 0, "replies": delivered[1:]}
        assert (before, {"result": "would be due now", **counts}) == (between, facts)
        assert ["would be due now  2 replies", "Nothing has changed; add --yes to do it."] == lines[-2:]
        assert ["K2", "K3"] == [reference for line in lines for reference in ("K1", "K2", "K3") if reference in line]
        assert {"result": "due now", **counts} == done

    def test_nothing_to_do(self, htpoort: Run, delivered: list[int]) -> None:
        """A preview of nothing has no table, and asks for nothing."""
        del delivered

        assert "would be due now  0 replies\n" == htpoort("redeliver").text

    @pytest.mark.parametrize("options", [(), ("--yes",), ("--since", "2026-01-05")])
    def test_a_misspelled_party(self, htpoort: Run, delivered: list[int], options: tuple[str, ...]) -> None:
        """It is not taken for one without replies."""
        del delivered
        result = htpoort("redeliver", *options, "--party", "NL123456789.99.05")

        assert (2, "htpoort: --party 'NL123456789.99.05' is not in htpoort.toml (parties)") == (
            result.code,
            result.err.partition(";")[0].partition(". Known")[0],
        )


async def command(*arguments: str) -> tuple[int, bytes, str]:
    """Run a command in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "htpoort", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out, err.decode()


async def test_processes(tmp_path: Path, office: Office) -> None:
    """The process of a system gets a reply once, and once more by an order: with the same key, and a mark."""
    key = office.take(response("K1", headers=BASE64, body="PFJlc3BvbnNlLz4="))
    note = 'cat > /dev/null; echo "$HTPOORT_KEY $HTPOORT_REDELIVERIES" >> noted'
    with (tmp_path / "htpoort.toml").open("a", encoding="utf-8") as file:
        file.write(f'[[delivery]]\nsystem = "DMS"\ncommand = ["/bin/sh", "-c", {json.dumps(note)}]\n')
    async with asyncio.timeout(120):
        for arguments in (("run", "--once"), ("run", "--once"), ("redeliver", str(key)), ("run", "--once")):
            assert (0, "") == (await command(*arguments))[::2]
        listed = await command("reply", "list", "--undelivered", "--json")
        payload = await command("reply", "show", str(key), "--payload")
        exchanges = await command("list", "--json")

    assert f"{key} 0\n{key} 1\n" == (tmp_path / "noted").read_text()
    assert ((0, b"[]\n", ""), (0, b"<Response/>", ""), (0, b"[]\n", "")) == (listed, payload, exchanges)
