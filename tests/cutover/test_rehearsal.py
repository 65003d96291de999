"""The move of the how-to is rehearsed, and a wrong router is detected."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from htpoort import CutoverPlan, Directory, InputError, Move, PartyId, Router, SentLookup, SentRecord
from htpoort.cli import _app
from htpoort.rehearsal import Destination, Rehearsal, ReplyVerdict, rehearse
from htpoort.simulator import (
    Behaviour,
    FaultAction,
    ReplyFault,
    Scenario,
    Script,
    ScriptedReply,
    SmtpFault,
    SmtpStep,
    Window,
)

MOVES = "NL123456789.02.05"
STAYS = "NL123456789.03.05"
PARTIES = (PartyId.parse(MOVES), PartyId.parse(STAYS))
PAGES = Path(__file__).parents[2] / "docs" / "how-to"
WINTER = timezone(timedelta(hours=1))
EARLY, LATE = datetime(2026, 1, 1, tzinfo=WINTER), datetime(2030, 1, 1, tzinfo=WINTER)

# The plan of the how-to: to DMS, back for four weeks, and to DMS again.
PLAN = CutoverPlan(
    moves=[
        Move(party=MOVES, system="DMS", since=date(2026, 12, 1)),
        Move(party=MOVES, system="AGS", since=date(2026, 12, 8), note="roll-back"),
        Move(party=MOVES, system="DMS", since=date(2027, 1, 5)),
    ]
)
ONE_MOVE = CutoverPlan(moves=[Move(party=MOVES, system="DMS", since=date(2026, 12, 1))])


def wrong(found: Rehearsal) -> list[ReplyVerdict]:
    """List the replies that arrived elsewhere."""
    return [one for one in found.replies if not one.correct]


class TestTheDocumentedMove:
    """The plan of the how-to, with every fault that has one right outcome."""

    async def test_everything_goes_where_it_belongs(self) -> None:
        """Before, on and after each move and the roll-back, each reply reaches the process its K was sent to."""
        found = await rehearse(PLAN, parties=PARTIES)
        sent = {(one.at, str(one.party)): one.accepted_by for one in found.declarations}

        assert found.correct
        assert {
            datetime(2026, 11, 30, 23, 30, tzinfo=WINTER): "AGS",
            datetime(2026, 12, 1, 0, 30, tzinfo=WINTER): "DMS",
            datetime(2026, 12, 2, 12, tzinfo=WINTER): "DMS",
            datetime(2026, 12, 7, 23, 30, tzinfo=WINTER): "DMS",
            datetime(2026, 12, 8, 0, 30, tzinfo=WINTER): "AGS",
            datetime(2026, 12, 9, 12, tzinfo=WINTER): "AGS",
            datetime(2027, 1, 4, 23, 30, tzinfo=WINTER): "AGS",
            datetime(2027, 1, 5, 0, 30, tzinfo=WINTER): "DMS",
            datetime(2027, 1, 6, 12, tzinfo=WINTER): "DMS",
        } == {at: system for (at, party), system in sent.items() if party == MOVES}
        assert {"AGS"} == {system for (_, party), system in sent.items() if party == STAYS}
        assert Counter({
            ("duplicate", 2, Destination.PROCESS, "AGS"): 13,
            ("duplicate", 2, Destination.PROCESS, "DMS"): 5,
            ("out-of-order", 1, Destination.PROCESS, "AGS"): 13,
            ("out-of-order", 1, Destination.PROCESS, "DMS"): 5,
            ("genuine", 1, Destination.PROCESS, "AGS"): 26,
            ("genuine", 1, Destination.PROCESS, "DMS"): 10,
            ("other-k", 1, Destination.PROCESS, "AGS"): 13,
            ("other-k", 1, Destination.PROCESS, "DMS"): 5,
            ("other-system", 1, Destination.QUARANTINE, "other-system"): 18,
            ("wrong-process-id", 1, Destination.QUARANTINE, "mailbox-process-disagree"): 18,
            ("other-party", 1, Destination.QUARANTINE, "unknown-addressee"): 18,
            ("other-party", 1, Destination.QUARANTINE, "other-party"): 18,
        }) == Counter(
            (one.fault or "genuine", one.times, one.arrived[0].destination, one.arrived[0].name)
            for one in found.replies
        )

    async def test_late_replies_after_a_move_and_after_a_start(self) -> None:
        """Both systems reply after their party left them; what was sent before the restart is still known."""
        found = await rehearse(PLAN, parties=PARTIES)
        late = [one for one in found.replies if one.after_move and one.arrived[0].destination is Destination.PROCESS]
        before = [
            one.arrived[0].correlation
            for one in found.replies
            if one.declaration.at < found.restarted < one.at and one.fault is None
        ]

        assert datetime(2026, 12, 8, tzinfo=WINTER) == found.restarted
        assert {("AGS", "DMS"), ("DMS", "AGS")} == {(one.arrived[0].name, one.planned_then) for one in late}
        assert {"matched"} == set(before)

    async def test_kind_by_kind(self) -> None:
        """A kind with its own move is declared separately, on its own days and on those of all kinds."""
        plan = CutoverPlan(
            moves=[*ONE_MOVE.moves, Move(party=MOVES, system="DMS", since=date(2026, 11, 17), kind="import")]
        )
        found = await rehearse(plan, parties=PARTIES)

        assert found.correct
        assert {(None, "2026-11-30", "AGS"), ("import", "2026-11-16", "AGS"), ("import", "2026-11-30", "DMS")} <= {
            (one.kind, one.at.date().isoformat(), one.accepted_by) for one in found.declarations
        }

    async def test_kinds_in_any_case(self) -> None:
        """Two spellings of a kind are one kind, which declares on the days of both."""
        plan = CutoverPlan(
            moves=[
                Move(party=MOVES, system="DMS", since=date(2026, 11, 17), kind="Import"),
                Move(party=MOVES, system="AGS", since=date(2026, 11, 24), kind="import"),
            ]
        )
        found = await rehearse(plan, parties=PARTIES)

        assert found.correct
        assert {
            (None, "2026-11-17", "AGS"),
            ("Import", "2026-11-16", "AGS"),
            ("Import", "2026-11-17", "DMS"),
            ("Import", "2026-11-23", "DMS"),
            ("Import", "2026-11-24", "AGS"),
        } <= {(one.kind, one.at.date().isoformat(), one.accepted_by) for one in found.declarations}
        assert {None, "Import"} == {one.kind for one in found.declarations}

    @pytest.mark.parametrize(
        ("moving", "parties", "stands_in"),
        [
            ([MOVES], [], "NL123456789.98.05"),
            ([MOVES], [MOVES], "NL123456789.98.05"),
            (["NL123456789.98.05", "NL123456789.99.05"], [], "NL123456789.100.05"),
            ([MOVES], [MOVES, STAYS], STAYS),
        ],
    )
    async def test_one_that_does_not_move(self, moving: list[str], parties: list[str], stands_in: str) -> None:
        """A party that does not move takes part even if the program has none; no party declares twice."""
        plan = CutoverPlan(moves=[Move(party=party, system="DMS", since=date(2026, 12, 1)) for party in moving])
        found = await rehearse(plan, parties=[PartyId.parse(party) for party in parties])

        assert found.correct
        assert Counter(dict.fromkeys([*moving, stands_in], 3)) == Counter(str(one.party) for one in found.declarations)

    async def test_answers_for_the_wrong_party(self) -> None:
        """Replies to another party are sent for a stranger and for another party of the program; neither gets one."""
        found = await rehearse(ONE_MOVE, parties=PARTIES)

        assert Counter({
            (MOVES, "unknown-addressee"): 3,
            (MOVES, "other-party"): 3,
            (STAYS, "unknown-addressee"): 3,
            (STAYS, "other-party"): 3,
        }) == Counter(
            (str(one.declaration.party), one.arrived[0].name)
            for one in found.replies
            if one.fault is ReplyFault.OTHER_PARTY
        )
        assert [one.at for one in found.replies] == sorted(one.at for one in found.replies)

    def test_is_the_one_of_the_pages(self) -> None:
        """Both how-tos show this plan."""
        moves = [(str(move.party), move.system, move.since.isoformat()) for move in PLAN.moves]
        line = re.compile(r"'(NL[0-9.]+),([A-Z]+),(\d{4}-\d\d-\d\d),.*'")
        for page in ("move.md", "overstappen.md"):
            assert moves == line.findall((PAGES / page).read_text(encoding="utf-8"))


class TestWrongRouters:
    """The verdict uses neither the router nor the plan, so a wrong router is detected."""

    async def test_one_that_does_not_know_what_was_sent(self) -> None:
        """With an empty record, a reply of the other system reaches that system's process."""

        def forgetful(directory: Directory, parties: tuple[PartyId, ...], _: SentLookup) -> Router:
            return Router(directory=directory, parties=parties, sent=dict[str, SentRecord]().get)

        found = await rehearse(ONE_MOVE, parties=PARTIES, router=forgetful)

        assert not found.correct
        assert {("AGS", "DMS process"), ("DMS", "AGS process")} == {
            (one.declaration.planned, f"{one.arrived[0].name} {one.arrived[0].destination}")
            for one in wrong(found)
            if one.fault is ReplyFault.OTHER_SYSTEM
        }

    async def test_one_that_judges_by_the_plan(self) -> None:
        """A router that compares with a party's present system quarantines late replies of the system that it left."""

        def hasty(directory: Directory, parties: tuple[PartyId, ...], sent: SentLookup) -> Router:
            def moved(reference: str) -> SentRecord | None:
                records = sent(reference)
                first = next(iter(records or ()), None) if not isinstance(records, SentRecord) else records
                return first and SentRecord(system="DMS", party=first.party, reference=reference)

            return Router(directory=directory, parties=parties, sent=moved)

        found = await rehearse(ONE_MOVE, parties=PARTIES[:1], router=hasty)

        assert {"quarantine: other-system"} == {
            str(one.arrived[0]) for one in wrong(found) if one.fault is None and one.declaration.planned == "AGS"
        }

    async def test_one_that_does_not_ask_whose_k_it_is(self) -> None:
        """If every K counts as every party's, the reply to one party reaches another, whichever party moves."""

        def leaky(directory: Directory, parties: tuple[PartyId, ...], sent: SentLookup) -> Router:
            def everybodys(reference: str) -> list[SentRecord]:
                records = sent(reference)
                found = [records] if isinstance(records, SentRecord) else list(records or ())
                return [
                    SentRecord(system=one.system, party=str(party), reference=reference)
                    for one in found
                    for party in parties
                ]

            return Router(directory=directory, parties=parties, sent=everybodys)

        for parties in (PARTIES, PARTIES[:1]):
            found = await rehearse(ONE_MOVE, parties=parties, router=leaky)
            others = {str(one.party) for one in found.declarations}

            assert [ReplyFault.OTHER_PARTY] * 6 == [one.fault for one in wrong(found)]
            assert {"quarantine: other-party"} == {str(one.expected) for one in wrong(found)}
            assert {(party, other) for party in others for other in others - {party}} == {
                (str(one.declaration.party), one.arrived[0].party) for one in wrong(found)
            }

    async def test_one_that_fails_at_a_k_of_its_own(self) -> None:
        """A reply for another of the parties that the agent cannot store is lost; the one for a stranger is held."""

        def broken(directory: Directory, parties: tuple[PartyId, ...], _: SentLookup) -> Router:
            return Router(directory=directory, parties=parties, sent={}.__getitem__)

        script = Script(scenarios=(Scenario(replies=(ScriptedReply(fault=ReplyFault.OTHER_PARTY),)),))
        found = await rehearse(ONE_MOVE, script=script, router=broken)

        assert ["nowhere"] * 6 == [str(one.arrived[0]) for one in wrong(found)]
        assert 12 == len(found.replies)

    async def test_one_that_fails(self) -> None:
        """A reply that the agent cannot store is offered again and again, and is lost in the end."""

        def broken(directory: Directory, parties: tuple[PartyId, ...], _: SentLookup) -> Router:
            return Router(directory=directory, parties=parties, sent={}.__getitem__)

        found = await rehearse(ONE_MOVE, script=Script(), router=broken)

        assert {"nowhere"} == {str(place) for one in found.replies for place in one.arrived}
        assert not found.correct


class TestScenarios:
    """Any scenario of the simulator can be played."""

    async def test_all_that_can_be_wrong(self) -> None:
        """A reply with each fault has one place where it belongs, and copies of a reply are delivered once."""
        faults = [fault for fault in ReplyFault if fault not in {ReplyFault.LARGE, ReplyFault.OUT_OF_ORDER}]
        script = Script(
            scenarios=(Scenario(replies=(ScriptedReply(), *(ScriptedReply(fault=fault) for fault in faults))),)
        )
        found = await rehearse(ONE_MOVE, parties=PARTIES, script=script)

        assert [] == wrong(found)
        assert {
            ("other-system", "quarantine: other-system"),
            ("wrong-process-id", "quarantine: mailbox-process-disagree"),
            ("other-party", "quarantine: unknown-addressee"),
            ("other-party", "quarantine: other-party"),
            ("no-k", "quarantine: bad-envelope"),
            ("forged-from", "quarantine: ambiguous-from"),
            ("bounce", "quarantine: no-envelope"),
            ("wrong-mailbox", "refused"),
        } == {
            (one.fault, str(one.arrived[0]))
            for one in found.replies
            if one.arrived[0].destination is not Destination.PROCESS
        }

    async def test_declarations_that_are_deferred_or_refused(self) -> None:
        """A declaration accepted late gets late replies; one that is not accepted is reported, and is no mistake."""
        faults = (
            SmtpFault(at=SmtpStep.RCPT, action=FaultAction.REFUSE),
            SmtpFault(at=SmtpStep.RCPT, action=FaultAction.DEFER),
        )
        found = await rehearse(ONE_MOVE, parties=PARTIES, script=Script(faults=faults))
        first, second = (one.reference for one in found.declarations[:2])

        assert found.correct
        assert None is found.declarations[0].accepted_by
        assert first not in {one.declaration.reference for one in found.replies}
        (reply,) = (one for one in found.replies if one.declaration.reference == second)
        assert timedelta(minutes=4) < reply.at - reply.declaration.at < timedelta(minutes=10)

    @pytest.mark.parametrize(("at", "taken"), [(SmtpStep.DOT, True), (SmtpStep.DOT, False), (SmtpStep.CONTENT, True)])
    async def test_a_stall(self, at: SmtpStep, taken: bool, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: FBT001 - a column
        """A gateway that stalls at the end of a message delays the rehearsal no longer than at any other step."""
        monkeypatch.setattr("htpoort.rehearsal._play._STALL_TIMEOUT", 1.0)
        script = Script(faults=(SmtpFault(at=at, action=FaultAction.STALL, accepted=taken),))
        async with asyncio.timeout(60):
            found = await rehearse(ONE_MOVE, parties=PARTIES, script=script)

        assert found.correct
        assert (["AGS"] if at is SmtpStep.DOT and taken else [None]) + ["AGS"] == [
            one.accepted_by for one in found.declarations[:2]
        ]

    @pytest.mark.parametrize(
        "script",
        [
            Script(scenarios=(Scenario(system="AGS"),)),
            Script(scenarios=(Scenario(system="DMS", replies=()), Scenario())),
            Script(windows=(Window(system="DMS", behaviour=Behaviour.REJECT, begins=EARLY, ends=LATE),)),
        ],
    )
    async def test_one_system_answers_nothing(self, script: Script) -> None:
        """A system that accepts nothing or sends no reply was not rehearsed: the rehearsal fails, and names it."""
        found = await rehearse(ONE_MOVE, parties=PARTIES, script=script)

        assert (("DMS",), [], False) == (found.without_reply, wrong(found), found.correct)
        assert {"AGS"} == {one.declaration.planned for one in found.replies}

    async def test_nothing_is_answered(self) -> None:
        """A rehearsal without a reply shows nothing, so it is not right."""
        found = await rehearse(ONE_MOVE, script=Script(scenarios=()))

        assert ((), ("AGS", "DMS"), False) == (found.replies, found.without_reply, found.correct)


async def test_what_cannot_be_rehearsed() -> None:
    """A plan without a move, or with one on a day outside of this century, is refused, with a problem for each."""
    early = [Move(party=MOVES, system="DMS", since=date(1999, 12, 31)), Move(party=STAYS, system="DMS", since=date.max)]
    with pytest.raises(InputError) as nothing:
        await rehearse(CutoverPlan())
    with pytest.raises(InputError) as outside:
        await rehearse(CutoverPlan(moves=early))

    assert ["cutover.empty"] == [problem.code for problem in nothing.value.problems]
    assert ["cutover.day", "cutover.day"] == [problem.code for problem in outside.value.problems]


class TestCommand:
    """`htpoort cutover rehearse` takes the plan of the configuration, and nothing else of it."""

    @pytest.fixture
    def config(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """Write a configuration with a ledger that cannot be opened and servers that do not exist."""
        path = tmp_path / "htpoort.toml"
        path.write_text(
            f'parties = ["{MOVES}", "{STAYS}"]\n[ledger]\nurl = "sqlite:///no/such/folder/htpoort.db"\n'
            '[[outbox]]\nserver = "smtp.forwarder.example"\nusername = "edi"\npassword_env = "NOT_SET"\n'
            f'[cutover]\n[[cutover.move]]\nparty = "{MOVES}"\nsystem = "DMS"\nsince = 2026-12-01\n'
        )
        monkeypatch.chdir(tmp_path)
        return path

    def test_right(self, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """The outcome is a table of declarations with a sum, and exit code 0; the configured ledger is not touched."""
        code = _app.run(["cutover", "rehearse"])
        out, err = capsys.readouterr()

        assert (0, "") == (code, err)
        assert "Everything went where it belongs." == out.splitlines()[-1]
        assert ["wrong", "0"] == out.splitlines()[-2].split()
        assert 6 == sum("REHEARSAL" in line for line in out.splitlines())
        assert [config] == list(config.parent.iterdir())

    def test_as_json(self, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """With --json each reply has where it belongs and where it arrived."""
        (config.parent / "scenario.toml").write_text(
            '[[scenario]]\n[[scenario.reply]]\nafter = "1d"\n[[scenario.reply]]\nfault = "other-system"\n'
        )
        code = _app.run(["cutover", "rehearse", "--json", "--scenario", "scenario.toml"])
        facts: Any = json.loads(capsys.readouterr().out)
        place = {"where": "process", "system": "AGS", "party": MOVES, "correlation": "matched", "reason": None}
        first = facts["declarations"][0]
        late = next(one for one in facts["replies"] if one["reference"] == first["reference"] and one["after_move"])

        assert (0, True, 12) == (code, facts["right"], facts["summary"]["replies"])
        assert ("2026-11-30T23:30:00+01:00", MOVES, "AGS") == (first["sent"], first["party"], first["taken_by"])
        assert ("2026-12-01T23:30:00+01:00", place, [place]) == (late["came"], late["belongs"], late["went"])
        assert {"other-system"} == {one["went"][0]["reason"] for one in facts["replies"] if one["fault"]}

    def test_something_went_elsewhere(self, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """A rehearsal that is not right is exit code 1."""
        (config.parent / "scenario.toml").write_text("[[scenario]]\nreply = []\n")
        code = _app.run(["cutover", "rehearse", "--scenario", "scenario.toml"])

        assert 1 == code
        assert "NOTHING WAS ANSWERED, so nothing was rehearsed." == capsys.readouterr().out.splitlines()[-1]

    @pytest.mark.parametrize(
        ("scenario", "told"),
        [
            ('[[scenario]]\nsystem = "AGS"\n', "DMS ANSWERED NOTHING, so its part was not rehearsed."),
            (
                (
                    '[[window]]\nsystem = "DMS"\nbehaviour = "reject"\nbegins = 2026-01-01T00:00:00+01:00\n'
                    "ends = 2030-01-01T00:00:00+01:00\n"
                ),
                "2 declarations were not taken, and DMS ANSWERED NOTHING, so its part was not rehearsed.",
            ),
        ],
    )
    def test_one_system_answers_nothing(
        self, config: Path, scenario: str, told: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """A system that accepts nothing or sends no reply gives exit code 1, and the last line names it."""
        (config.parent / "scenario.toml").write_text(scenario)
        code = _app.run(["cutover", "rehearse", "--scenario", "scenario.toml"])
        last = capsys.readouterr().out.splitlines()[-1]
        coded = _app.run(["cutover", "rehearse", "--json", "--scenario", "scenario.toml"])
        facts: Any = json.loads(capsys.readouterr().out)

        assert (1, told) == (code, last)
        assert (1, False, ["DMS"]) == (coded, facts["right"], facts["silent"])

    def test_a_declaration_is_not_taken(self, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """A declaration that a fault keeps out is reported, and is no mistake if its system replied to others."""
        (config.parent / "scenario.toml").write_text('[[fault]]\nat = "rcpt"\naction = "refuse"\n')
        code = _app.run(["cutover", "rehearse", "--scenario", "scenario.toml"])
        last = capsys.readouterr().out.splitlines()[-1]

        assert (0, "Everything that was taken went where it belongs; 1 declaration was not taken.") == (code, last)

    async def test_everything_is_wrong(self, capsys: pytest.CaptureFixture[str]) -> None:
        """If replies arrived elsewhere and systems were silent, both are reported."""
        from htpoort.cli.cutover import show_rehearsal

        script = Script(scenarios=(Scenario(system="AGS", replies=(ScriptedReply(fault=ReplyFault.OTHER_SYSTEM),)),))
        found = await rehearse(
            ONE_MOVE,
            parties=PARTIES,
            script=script,
            router=lambda directory, own, _: Router(directory=directory, parties=own, sent=dict[str, SentRecord]().get),
        )
        show_rehearsal(found)
        lines = capsys.readouterr().out.splitlines()

        assert [
            "SOMETHING WENT ELSEWHERE; see above.",
            "DMS ANSWERED NOTHING, so its part was not rehearsed.",
        ] == lines[-2:]

    async def test_what_is_wrong_is_shown(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Below the table of declarations is each reply that arrived elsewhere, with where it belongs."""
        from htpoort.cli.cutover import show_rehearsal

        found = await rehearse(
            ONE_MOVE,
            parties=PARTIES,
            router=lambda directory, own, _: Router(directory=directory, parties=own, sent=dict[str, SentRecord]().get),
        )
        show_rehearsal(found)
        out = capsys.readouterr().out

        assert "SOMETHING WENT ELSEWHERE; see above." == out.splitlines()[-1]
        assert any(
            "other-system" in line and "quarantine: other-system" in line and f"DMS process of {STAYS}" in line
            for line in out.partition("Wrong")[2].splitlines()
        )

    def test_without_a_plan(self, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """A configuration without a move is bad input, and the error says what to add."""
        text = config.read_text(encoding="utf-8")
        config.write_text(text.partition("[cutover]")[0], encoding="utf-8")
        code = _app.run(["cutover", "rehearse"])

        assert 2 == code
        assert "htpoort: htpoort.toml has no [cutover]; add it" in capsys.readouterr().err

    @pytest.mark.parametrize("json_option", [(), ("--json",)])
    def test_no_place_for_a_folder(
        self,
        config: Path,
        json_option: tuple[str, ...],
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        """If the temporary folder cannot be made, the exit code is 1, and the reason is reported."""
        monkeypatch.setattr("tempfile.tempdir", str(config.parent / "gone"))
        code = _app.run(["cutover", "rehearse", *json_option])
        out, err = capsys.readouterr()

        assert 1 == code
        assert "No such file or directory" in (json.loads(out)["message"] if json_option else err)
