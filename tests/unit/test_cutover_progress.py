"""What a move changes, and how far it has come."""

from __future__ import annotations

import copy
import pickle
from datetime import UTC, date, datetime, timedelta

import attrs
import pytest

from htpoort import (
    AGS,
    DMS,
    HTPOORT,
    CutoverPlan,
    DeclarationSystem,
    Directory,
    Move,
    MovePreview,
    MoveStage,
    OldSystemFacts,
    PartyId,
    PartyTotals,
    SettingChange,
    UnknownError,
    decide_switch_off,
    move_progress,
    preview_moves,
)

PARTY = PartyId.parse("NL123456789.02.05")
CLIENT = PartyId.parse("NL123456789.03.05")
DECEMBER = date(2026, 12, 1)
NOON = datetime(2026, 12, 10, 12, tzinfo=UTC)
DAY = timedelta(days=1)
PLAN = CutoverPlan(moves=[Move(party=PARTY, system="DMS", since=DECEMBER)])
OWN = Directory((
    DeclarationSystem(name="AGS", mailbox="ags@forwarder.example", process_id="DMS.NL"),
    DeclarationSystem(name="DMS", mailbox="dms@forwarder.example", process_id="DMS4.NL"),
))
BUSY = PartyTotals(sent=9, open=2, oldest=datetime(2026, 11, 20, 9, tzinfo=UTC), replies=7, last_reply=NOON - 3 * DAY)


class TestPreview:
    """A preview of a day lists what changes, what stays open, and what is tried for the first time."""

    def test_a_move(self) -> None:
        """Mailbox and process ID change; what is open at the old system stays there."""
        (found,) = preview_moves(
            PLAN, on=DECEMBER, parties=[PARTY, CLIENT], totals={("nl123456789.02.05", "AGS"): BUSY}
        )
        assert found == MovePreview(
            party=PARTY,
            kind=None,
            before=AGS,
            after=DMS,
            at_old_system=BUSY,
            changes=(
                SettingChange(what="mailbox", before="ags@htpoort.nl", after="dms@htpoort.nl"),
                SettingChange(what="process ID", before="DMS.NL", after="DMS4.NL"),
                SettingChange(what="replies as", before="DMS.NL", after="DMS4.NL"),
            ),
            untested=(
                "NL123456789.02.05 has never sent to DMS.",
                "NL123456789.02.05 has never had a reply from DMS.",
            ),
        )

    @pytest.mark.parametrize("on", [date(2026, 11, 30), date(2026, 12, 2), datetime(2026, 11, 30, 22, tzinfo=UTC)])
    def test_nothing_on_other_days(self, on: date) -> None:
        """Only the day of a move has a preview, in the days of Customs."""
        assert preview_moves(PLAN, on=on, parties=[PARTY], totals={}) == ()

    def test_settings(self) -> None:
        """Settings of a configuration are compared too, and those that the new system lacks are listed."""

        def settings(system: DeclarationSystem) -> dict[str, str]:
            return {"mail server": "smtp.forwarder.example", "delivery": "replies/ags" if system is AGS else ""}

        tested = {("nl123456789.02.05", "DMS"): PartyTotals(sent=1, replies=1)}
        moment = datetime(2026, 11, 30, 23, tzinfo=UTC)
        (found,) = preview_moves(PLAN, on=moment, parties=[PARTY], totals=tested, settings=settings)
        assert found.changes[-1] == SettingChange(what="delivery", before="replies/ags", after="")
        assert "mail server" not in [change.what for change in found.changes]
        assert found.untested == ("DMS has no delivery.",)
        assert found.at_old_system == PartyTotals()

    def test_kinds_and_roll_backs(self) -> None:
        """Each kind that moves has a preview; so has the way back."""
        plan = CutoverPlan(
            moves=[
                Move(party=PARTY, system="DMS", since=DECEMBER, kind="import"),
                Move(party=PARTY, system="AGS", since=DECEMBER + DAY, kind="import"),
            ]
        )
        found = [preview_moves(plan, on=day, parties=[PARTY], totals={}) for day in (DECEMBER, DECEMBER + DAY)]
        assert [[(one.kind, one.before.name, one.after.name) for one in ones] for ones in found] == [
            [("import", "AGS", "DMS")],
            [("import", "DMS", "AGS")],
        ]


class TestProgress:
    """A system may be switched off when nothing goes there, nothing is open there, and it has been quiet."""

    def test_moving(self) -> None:
        """What is open, and a reply that came lately, each keep the old system."""
        (found,) = move_progress(
            PLAN, old_system=AGS, at=NOON, parties=[PARTY], totals={("nl123456789.02.05", "AGS"): BUSY}
        )
        assert (found.stage, found.now, found.at_old_system) == (MoveStage.MOVING, {None: DMS}, BUSY)
        assert found.totals == {"AGS": BUSY, "DMS": PartyTotals()}
        assert found.waits_for == (
            "Declarations that are open there: 2, the oldest from 2026-11-20.",
            "The last reply of AGS came on 2026-12-07, less than 150 days ago.",
        )

    def test_not_yet(self) -> None:
        """Before its day a party has not begun, and neither has one without a move."""
        plan = CutoverPlan(moves=[Move(party=PARTY, system="DMS", since=date(2027, 1, 4))])
        for found in move_progress(plan, old_system=AGS, at=NOON, parties=[PARTY, CLIENT], totals={}):
            assert (found.stage, found.waits_for) == (MoveStage.NOT_YET, ("Declarations still go to AGS.",))

    @pytest.mark.parametrize(
        ("quiet", "stage"),
        [(timedelta(days=150), MoveStage.MOVED), (timedelta(days=150, microseconds=-1), MoveStage.MOVING)],
    )
    def test_quiet_days(self, quiet: timedelta, stage: MoveStage) -> None:
        """The days without a reply are over after exactly so many days."""
        left = PartyTotals(sent=9, replies=9, last_reply=NOON - quiet)
        long_ago = CutoverPlan(moves=[Move(party=PARTY, system="DMS", since=date(2026, 1, 5))])
        (found,) = move_progress(
            long_ago, old_system=AGS, at=NOON, parties=[PARTY], totals={("nl123456789.02.05", "AGS"): left}
        )
        assert found.stage is stage
        assert bool(found.waits_for) is (stage is MoveStage.MOVING)

    @pytest.mark.parametrize(("today", "moved"), [(date(2027, 4, 29), False), (date(2027, 4, 30), True)])
    def test_quiet_days_after_the_last_kind(self, today: date, moved: object) -> None:
        """Silence counts from the day of the last kind that moved; before it, answers may be on their way."""
        plan = CutoverPlan(
            moves=[
                Move(party=PARTY, system="DMS", since=date(2026, 1, 5)),
                Move(party=PARTY, system="AGS", since=date(2026, 6, 1), kind="export"),
                Move(party=PARTY, system="DMS", since=DECEMBER, kind="export"),
                Move(party=PARTY, system="DMS", since=date.min, kind="transit"),
            ]
        )
        at = datetime(today.year, today.month, today.day, 12, tzinfo=UTC)
        (found,) = move_progress(plan, old_system=AGS, at=at, parties=[PARTY], totals={})
        told = "Its last move away from AGS was on 2026-12-01, less than 150 days ago."
        assert (found.stage, found.waits_for) == ((MoveStage.MOVED, ()) if moved else (MoveStage.MOVING, (told,)))

    def test_one_kind_first(self) -> None:
        """A party of which one kind has moved is moving, even if nothing is open."""
        plan = CutoverPlan(moves=[Move(party=PARTY, system="DMS", since=DECEMBER, kind="import")])
        (found,) = move_progress(plan, old_system=AGS, at=NOON, parties=[PARTY], totals={})
        assert (found.stage, found.waits_for) == (MoveStage.MOVING, ("Declarations still go to AGS.",))
        assert found.now == {None: AGS, "import": DMS}
        (other,) = move_progress(
            CutoverPlan(default="DMS", moves=[Move(party=PARTY, system="AGS", since=DECEMBER, kind="import")]),
            old_system=AGS,
            at=NOON,
            parties=[PARTY],
            totals={},
        )
        assert other.waits_for == ("Declarations of the kind import still go to AGS.",)

    def test_a_way_back_that_is_planned(self) -> None:
        """A system that will be used again is not switched off."""
        plan = CutoverPlan(
            moves=[
                Move(party=PARTY, system="DMS", since=date(2026, 1, 5)),
                Move(party=PARTY, system="ags", since=date(2027, 2, 1)),
            ]
        )
        (found,) = move_progress(plan, old_system=AGS, at=NOON, parties=[PARTY], totals={})
        assert (found.stage, found.waits_for) == (
            MoveStage.MOVING,
            ("Declarations go to AGS again from 2027-02-01.",),
        )

    def test_nothing_of_others(self) -> None:
        """What one party reads holds neither name nor number of another."""
        plan = CutoverPlan(moves=[Move(party=CLIENT, system="DMS", since=DECEMBER)])
        (found,) = move_progress(
            plan, old_system=AGS, at=NOON, parties=[PARTY], totals={("nl123456789.03.05", "AGS"): BUSY}
        )
        assert str(CLIENT) not in repr(found)
        assert (found.at_old_system, found.totals) == (PartyTotals(), {"AGS": PartyTotals(), "DMS": PartyTotals()})
        assert preview_moves(plan, on=DECEMBER, parties=[PARTY], totals={}) == ()

    def test_any_directory(self) -> None:
        """Each system of the plan's directory has its totals."""
        third = DeclarationSystem(name="EXIT", mailbox="exit@customs.example", process_id="EXIT.NL")
        plan = CutoverPlan(directory=HTPOORT.add(third), default="DMS")
        (found,) = move_progress(plan, old_system=AGS, at=NOON, parties=[PARTY], totals={})
        assert (found.stage, list(found.totals)) == (MoveStage.MOVED, ["AGS", "DMS", "EXIT"])

    @pytest.mark.parametrize(
        ("plan", "leaving"),
        [
            (copy.deepcopy(CutoverPlan()), AGS),
            (CutoverPlan(), pickle.loads(pickle.dumps(AGS))),  # noqa: S301 - our own octets
            (CutoverPlan(directory=OWN), AGS),
        ],
        ids=["copied plan", "pickled system", "own directory"],
    )
    def test_the_system_is_found_by_its_name(self, plan: CutoverPlan, leaving: DeclarationSystem) -> None:
        """A party that is wholly at AGS has not moved, whichever equal value is given for AGS."""
        (found,) = move_progress(plan, old_system=leaving, at=NOON, parties=[PARTY], totals={})
        assert (found.stage, found.waits_for) == (MoveStage.NOT_YET, ("Declarations still go to AGS.",))

    def test_a_system_that_the_plan_does_not_know(self) -> None:
        """A system that the plan does not know is refused, even without any party."""
        third = DeclarationSystem(name="EXIT", mailbox="exit@customs.example", process_id="EXIT.NL")
        with pytest.raises(UnknownError):
            move_progress(PLAN, old_system=third, at=NOON, parties=[], totals={})

    def test_any_number_of_days(self) -> None:
        """A number of days that no calendar holds is never over."""
        left = PartyTotals(sent=9, replies=9, last_reply=NOON - 3 * DAY)
        totals = {("nl123456789.02.05", "AGS"): left}
        (found,) = move_progress(PLAN, old_system=AGS, at=NOON, parties=[PARTY], totals=totals, quiet_days=10**10)
        assert found.stage is MoveStage.MOVING


QUIET = OldSystemFacts(
    system="AGS",
    at=NOON + 180 * DAY,
    parties=(PARTY,),
    totals={("nl123456789.02.05", "AGS"): PartyTotals(sent=9, replies=9, last_reply=NOON - 3 * DAY)},
    open=0,
    undelivered=0,
    last_reply=None,
    quarantined=0,
    known=True,
)


class TestSwitchOff:
    """The old system may be switched off when nothing in the plan and nothing in the whole ledger waits for it."""

    def test_nothing_waits(self) -> None:
        """All parties have moved and the ledger is quiet: it may."""
        found = decide_switch_off(PLAN, QUIET)

        assert (True, (), "AGS") == (found.may_be_switched_off, found.waits_for, found.system)
        assert [MoveStage.MOVED] == [one.stage for one in found.progress]

    @pytest.mark.parametrize(
        ("fact", "value", "expected"),
        [
            ("open", 2, "Open declarations of parties that are not configured: 2."),
            ("undelivered", 3, "Replies of AGS that wait for delivery: 3."),
            (
                "last_reply",
                datetime(2027, 2, 1, 9, tzinfo=UTC),
                "The last reply of AGS came on 2027-02-01, less than 150 days ago.",
            ),
            ("quarantined", 1, "Messages in quarantine that may be from AGS: 1; release or discard each."),
            (
                "known",
                False,
                (
                    "This ledger holds nothing of AGS; check that it is the right ledger. If it never worked with AGS, "
                    "it cannot answer."
                ),
            ),
        ],
    )
    def test_each_fact_of_the_ledger_is_a_reason(self, fact: str, value: object, expected: str) -> None:
        """Each fact that may still concern the system keeps it, with a reason."""
        found = decide_switch_off(PLAN, attrs.evolve(QUIET, **{fact: value}))

        assert (False, (expected,)) == (found.may_be_switched_off, found.waits_for)

    def test_a_party_that_waits(self) -> None:
        """What is open for a party is that party's reason, and is not counted as another's too."""
        found = decide_switch_off(
            PLAN, attrs.evolve(QUIET, totals={("nl123456789.02.05", "AGS"): BUSY}, open=2, quiet_days=1)
        )

        assert not found.may_be_switched_off
        assert ("Parties that may still need AGS: 1 of 1; each has its reasons.",) == found.waits_for
        assert ("Declarations that are open there: 2, the oldest from 2026-11-20.",) == found.progress[0].waits_for

    def test_a_party_of_the_plan_that_was_left_out(self) -> None:
        """A caller that forgets a party of the plan gets no permission; one that names a party twice counts it once."""
        plan = CutoverPlan(moves=[*PLAN.moves, Move(party=CLIENT, system="DMS", since=DECEMBER)])
        again = PartyId.parse("nl123456789.02.05")
        found = decide_switch_off(plan, attrs.evolve(QUIET, parties=(PARTY, again)))

        assert ("Parties of the plan were left out: NL123456789.03.05.",) == found.waits_for
        assert 1 == len(found.progress)

    def test_a_system_that_is_not_in_the_directory(self) -> None:
        """Facts of an unknown system are refused."""
        with pytest.raises(UnknownError):
            decide_switch_off(PLAN, attrs.evolve(QUIET, system="EXIT"))
