"""The switch of 7 October 2020 as a rehearsal: which plans pass, and what a wrong one costs."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import attrs
import pytest

from htpoort import InputError, State
from htpoort.files import MANIFEST_2020, FileName
from htpoort.rehearsal import FileRehearsal, GatewayPlan, RehearsedFile, rehearse_gateways

OPENS, CLOSES = MANIFEST_2020.opens, MANIFEST_2020.closes
NAMES = ["val_REHEARSAL_0001", *(f"REHEARSAL_{number:04}" for number in range(2, 9))]


@pytest.mark.long
@pytest.mark.parametrize("moves", [OPENS, OPENS + timedelta(minutes=30), CLOSES])
async def test_a_plan_that_moves_during_the_switch_passes(moves: datetime) -> None:
    """
    Nothing is lost, nothing is under two names, and nothing is deleted before it is stored.

    The old gateway is fetched from until it is empty, although connections are lost after an upload, in the middle of a
    fetch, and at a deletion.
    """
    result = await rehearse_gateways(GatewayPlan(moves=moves))

    assert result.correct
    assert NAMES == [str(file.name) for file in result.files]
    assert [1] * 8 == [len(file.processed) for file in result.files]
    assert ["old", "old", *["new"] * 6] == [gateway for file in result.files for gateway, _ in file.processed]
    assert [(2, 2, State.ANSWERED)] * 8 == [(one.responses, one.delivered, one.state) for one in result.files]
    assert ((), (), ()) == (result.left, result.deleted_unstored, result.refused)
    # Each upload brought a response and a status of a file that was never uploaded.
    assert 16 >= result.quarantined >= 14


@pytest.mark.long
@pytest.mark.parametrize(
    ("plan", "lost", "without_response", "left"),
    [
        # It goes on uploading to the old gateway; the responses to files of the switch are at the new one.
        (GatewayPlan(moves=None), NAMES[5:], NAMES[2:5], "new"),
        # It moves before the new gateway is open.
        (GatewayPlan(moves=OPENS - timedelta(hours=1)), NAMES[1:2], [], ""),
        # It forgets the old gateway.
        (GatewayPlan(keeps_old=False), [], NAMES[:2], "old"),
    ],
    ids=["never", "too early", "without the old one"],
)
async def test_a_wrong_plan_fails(plan: GatewayPlan, lost: list[str], without_response: list[str], left: str) -> None:
    """It is reported what is lost, what has no response, and on which gateway something is left."""
    result = await rehearse_gateways(plan)

    assert not result.correct
    assert lost == [str(file.name) for file in result.files if file.lost]
    assert without_response == [str(file.name) for file in result.incorrect if not file.lost]
    assert ({left} if left else set()) == {gateway for gateway, _ in result.left}
    assert not any(file.repeated for file in result.files)
    assert () == result.deleted_unstored


def rehearsed(**changes: Any) -> FileRehearsal:
    """Describe a rehearsal of one file, in which everything went well but what is named."""
    file = RehearsedFile(
        name=FileName("A1"),
        at=CLOSES,
        planned="new",
        processed=(("new", "A1"),),
        responses=1,
        delivered=1,
        state=State.ANSWERED,
    )
    own = {name: changes.pop(name) for name in tuple(changes) if name in attrs.fields_dict(RehearsedFile)}
    right = FileRehearsal(files=(attrs.evolve(file, **own),), left=(), deleted_unstored=(), quarantined=0, refused=())
    return attrs.evolve(right, **changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"processed": ()},
        {"processed": (("old", "A1"), ("new", "A1"))},
        {"processed": (("new", "A2"),)},
        {"delivered": 0},
        {"responses": 0, "delivered": 0},
        {"state": State.UNKNOWN},
        {"left": (("old", "status_Manifest_A1_1.xml"),)},
        {"deleted_unstored": (("old", "status_Manifest_A1_1.xml"),)},
    ],
)
def test_one_slip_is_enough(changes: dict[str, Any]) -> None:
    """A file that is lost, processed twice or under another name, unanswered or left, fails the rehearsal."""
    assert rehearsed().correct
    assert not rehearsed(**changes).correct


def test_a_moment_needs_a_time_zone() -> None:
    """Without one nothing is played."""
    with pytest.raises(InputError, match="moves is 2020-10-07T06:00:00, without a time zone; give a moment with one"):
        GatewayPlan(moves=datetime(2020, 10, 7, 6))  # noqa: DTZ001 - it is refused
