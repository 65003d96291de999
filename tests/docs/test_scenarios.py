"""`docs/reference/scenarios.md` lists everything that a script can contain."""

from __future__ import annotations

import enum
import re
from collections.abc import Callable
from typing import Any

import attrs
import pytest

from htpoort import Correlation, Reason
from htpoort.simulator import (
    FaultAction,
    FtpsStep,
    Kept,
    OutKind,
    ReplyFault,
    ReplyForm,
    ReplyKind,
    SmtpStep,
    script,
)

PAGE = "docs/reference/scenarios.md"


@pytest.mark.parametrize(
    ("heading", "table"),
    [
        ("## Top", script.ScriptTable),
        ("## `[[scenario]]`", script.ScenarioTable),
        ("## `[[fault]]`", script.FaultTable),
        ("## `[[pop3_fault]]`", script.Pop3FaultTable),
        ("## `[[window]]`", script.WindowTable),
        ("## `[[scenario.reply]]`", script.ReplyTable),
        ("## `[files]`", script.FilesTable),
        ("## `[[files.scenario]]`", script.FileScenarioTable),
        ("## `[[files.scenario.out]]`", script.OutTable),
        ("## `[[files.fault]]`", script.FtpsFaultTable),
        ("## `[[files.away]]`", script.AwayTable),
    ],
)
def test_every_key_is_listed(
    page: Callable[[str], Any], in_backticks: Callable[[str], list[str]], heading: str, table: type[Any]
) -> None:
    """Each table lists the keys that the reader accepts, and marks exactly the required ones."""
    rows = [row for row in page(PAGE).rows(heading) if len(row) == 4]
    fields = {field.name: field.default is attrs.NOTHING for field in attrs.fields(table)}

    assert fields == {in_backticks(row[0])[0]: row[2] == "needed" for row in rows}


@pytest.mark.parametrize(
    ("heading", "kind"),
    [
        ("### Kinds", ReplyKind),
        ("### Forms", ReplyForm),
        ("### Faults of a reply", ReplyFault),
        ("### Actions", FaultAction),
        ("### Kinds of files", OutKind),
        ("### What is kept", Kept),
    ],
)
def test_every_member_is_listed(
    page: Callable[[str], Any], in_backticks: Callable[[str], list[str]], heading: str, kind: type[enum.StrEnum]
) -> None:
    """Each enum has its values in its table, in the order of the code."""
    assert [one.value for one in kind] == [in_backticks(row[0])[0] for row in page(PAGE).rows(heading)]


def test_every_place_is_listed(page: Callable[[str], Any], in_backticks: Callable[[str], list[str]]) -> None:
    """The places of a fault are listed in the order of the dialogue."""
    assert [one.value for one in SmtpStep] == in_backticks(page(PAGE).section("### Places"))
    assert [one.value for one in FtpsStep] == in_backticks(page(PAGE).section("### Steps"))


def test_what_the_router_makes_of_it_is_a_reason(page: Callable[[str], Any]) -> None:
    """Reasons and correlations in the table are those of the router."""
    said = {word for row in page(PAGE).rows("### Faults of a reply") for word in re.findall(r"`([A-Z_]+)`", row[2])}

    assert said <= {*Reason.__members__, *Correlation.__members__}
