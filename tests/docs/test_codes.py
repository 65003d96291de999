"""`docs/reference/codes.md` lists every code, and no code that does not exist."""

from __future__ import annotations

import ast
import enum
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import htpoort
from htpoort import Correlation, Mark, Objection, Reason, SendError, SendFailure, State
from htpoort.cli import _app
from htpoort.core import routing
from htpoort.ledger import LedgerEvent, QuarantineState
from htpoort.transport import FetchFailure, FtpsFailure, Presence

PAGE = "docs/reference/codes.md"

# Codes that are computed; a new one raises a KeyError here.
MADE = {
    # An error that is raised again in other words keeps its code.
    "error.problems[0].code": [],
    "first.code": [],
    # What a rule reports has its code where the rule stands.
    "fact.code": [],
    **{
        f"f'{{self.protocol}}.{name}'": [f"smtp.{name}", f"pop3.{name}", f"ftps.{name}"]
        for name in ("host", "login", "login-in-the-clear", "port", "security", "timeout")
    },
    "f'{name.lower()}.missing'": ["from.missing", "subject.missing"],
    "f'{name.lower()}.repeated'": ["from.repeated", "subject.repeated"],
    "_code(objection)": ["release.other-party", "release.other-system", "release.other-upload"],
    "f'payload.{code}'": [
        "payload.encoding",
        "payload.content-type",
        "payload.eight-bit",
        "payload.base64",
        "payload.base64-padding",
        "payload.quoted-printable",
    ],
    "f'route.{reason.value}'": [
        "route.unknown-mailbox",
        "route.unknown-process",
        "route.mailbox-process-disagree",
        "route.unknown-addressee",
        "route.other-party",
        "route.other-system",
    ],
}
# Whether it is retryable without a code and after a 4xx, and the word for it.
AGAIN = {(True, True): "yes", (False, False): "no", (False, True): "after"}
# Functions that take the code of a problem, and at which place.
MAKERS = {"Problem": 0, "member_problems": 0, "Remark": 0, "refusal": 0, "report": 0, "WrongValue": 1, "_left": 1}


def codes_in_the_source() -> set[str]:
    """Return the code of every problem that the package can report."""
    found: set[str] = set()
    for path in Path(htpoort.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            maker = getattr(node.func, "id", getattr(node.func, "attr", "")) if isinstance(node, ast.Call) else ""
            if not isinstance(node, ast.Call) or maker not in MAKERS:
                continue
            if len(node.args) <= MAKERS[maker]:
                continue  # the code is the default one
            code = node.args[MAKERS[maker]]
            if isinstance(code, ast.Constant):
                found.add(str(code.value))
            elif not isinstance(code, ast.Name):  # a maker hands its own argument on
                found.update(MADE[ast.unparse(code)])
    return found


def test_every_problem_code_is_listed_once(
    page: Callable[[str], Any], in_backticks: Callable[[str], list[str]]
) -> None:
    """Each code that the package can report has one row, and each row is such a code."""
    listed = [in_backticks(row[0])[0] for row in page(PAGE).rows("## Problem codes")]

    assert sorted(codes_in_the_source()) == sorted(listed)


@pytest.mark.parametrize(
    ("heading", "kind"),
    [
        ("## Why a message was not sent", SendFailure),
        ("## Why replies were not fetched", FetchFailure),
        ("## Why a file was not exchanged", FtpsFailure),
        ("## Whether an uploaded file is there", Presence),
        ("## States", State),
        ("## States of the quarantine", QuarantineState),
        ("## Events of the ledger", LedgerEvent),
        ("## Correlation", Correlation),
        ("## Objections", Objection),
        ("## Reasons", Reason),
        ("## Marks", Mark),
    ],
)
def test_every_member_is_listed_with_its_value(
    page: Callable[[str], Any], in_backticks: Callable[[str], list[str]], heading: str, kind: type[enum.Enum]
) -> None:
    """Each enum has its members and stable values in its table, in the order of the code."""
    listed = [in_backticks(row[0]) + in_backticks(row[1]) for row in page(PAGE).rows(heading)]

    assert [[member.name, member.value] for member in kind] == listed


def test_the_codes_of_a_reason(page: Callable[[str], Any], in_backticks: Callable[[str], list[str]]) -> None:
    """The table maps problem codes to reasons as the router does."""
    listed = {
        code: row[0].strip("`")
        for row in page(PAGE).rows("## Reasons")
        for code in in_backticks(row[2])
        if code in routing._REASONS
    }

    assert {code: reason.name for code, reason in routing._REASONS.items()} == listed


@pytest.mark.parametrize("path", [PAGE, "docs/how-to/send.md"])
def test_what_may_be_sent_again(
    page: Callable[[str], Any], in_backticks: Callable[[str], list[str]], path: str
) -> None:
    """Both tables of failures agree with `retryable` of the error, without a code and after a 4xx."""
    heading, at = ("## Why a message was not sent", 2) if path == PAGE else ("## When it fails", 2)
    listed = {in_backticks(row[0])[0]: row[at].split()[0] for row in page(path).rows(heading)}
    said = {
        kind.name: AGAIN[SendError("", kind, None, "").retryable, SendError("", kind, 454, "").retryable]
        for kind in SendFailure
    }

    assert said == {name: "after" if word == "only" else word for name, word in listed.items()}


@pytest.mark.parametrize(
    ("path", "heading"), [(PAGE, "## Exit codes"), ("docs/how-to/any-language.md", "## Exit codes")]
)
def test_every_exit_code_is_listed(page: Callable[[str], Any], path: str, heading: str) -> None:
    """Both tables of exit codes list exactly those of the command."""
    listed = [int(row[0].strip("`")) for row in page(path).rows(heading)]

    assert [0, _app.FAILED, _app.BAD_INPUT, _app.QUARANTINED, _app.ATTENTION, _app.INTERRUPTED] == listed


def test_an_operator_finds_each_code(page: Callable[[str], Any], in_backticks: Callable[[str], list[str]]) -> None:
    """`docs/how-to/errors.md` has each code but those of tests, reason and failure, and none that does not exist."""
    every, text = page(PAGE), page("docs/how-to/errors.md")
    of_tests = {in_backticks(row[0])[0] for row in every.rows("### In tests with the fixtures")}
    codes = {in_backticks(row[0])[0] for row in every.rows("## Problem codes")}
    others = {one.value for kind in (SendFailure, FetchFailure, FtpsFailure, Reason) for one in kind}
    exits = {in_backticks(row[0])[0] for row in every.rows("## Exit codes")}
    first = {code for row in text.rows() for code in in_backticks(row[0])}
    reasons = set(in_backticks(text.section("## Reasons of the quarantine").partition(":")[0]))

    assert codes - of_tests | others | exits == first | reasons
    assert all(len(row) == 3 and all(row) for row in text.rows())
