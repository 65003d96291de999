"""Scenarios as values: which declarations they fit, and in which order their replies are sent."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from htpoort import InputError
from htpoort.simulator import RepeatedK, ReplyFault, ReplyKind, Scenario, Script, ScriptedReply

DECLARATION = {"system": "DMS", "party": "NL123456789.02.05", "reference": "22096222734662"}
HOUR = timedelta(hours=1)


def test_the_usual_script_accepts() -> None:
    """By default every declaration gets one acceptance at once, without faults."""
    script = Script()

    assert (Scenario(replies=(ScriptedReply(kind=ReplyKind.ACCEPTANCE, after=timedelta(0)),)),) == script.scenarios
    assert ((), (), (), None, RepeatedK.ACCEPT) == (
        script.faults,
        script.pop3_faults,
        script.windows,
        script.per_hour,
        script.repeated,
    )


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({}, True),
        (DECLARATION, True),
        ({"system": "dms"}, True),
        ({"system": "AGS"}, False),
        ({"party": "nl123456789.02.05"}, True),
        ({"party": "NL123456789.03.05"}, False),
        ({"party": "NL123456789.02"}, False),
        ({"reference": "22096222734663"}, False),
        (DECLARATION | {"reference": "1"}, False),
    ],
)
def test_fits(wanted: dict[str, str], expected: bool) -> None:  # noqa: FBT001 - a table
    """A scenario fits if everything that it names is equal; systems and parties compare in any case."""
    assert expected == Scenario(**wanted).fits(**DECLARATION)


def test_a_reference_fits_exactly() -> None:
    """K compares exactly, as everywhere."""
    assert not Scenario(reference="a1").fits(**DECLARATION | {"reference": "A1"})


def test_answers_leave_by_their_times() -> None:
    """Replies are sent in the order of their times, those of one time in the order given."""
    late, first, second = (
        ScriptedReply(after=HOUR),
        ScriptedReply(kind=ReplyKind.CONTROL),
        ScriptedReply(kind=ReplyKind.RELEASE),
    )

    assert (first, second, late) == Scenario(replies=(late, first, second)).in_order


def test_an_answer_out_of_order_comes_behind_the_next() -> None:
    """A reply that is out of order is sent after the one that should follow it."""
    early = ScriptedReply(kind=ReplyKind.CONTROL, fault=ReplyFault.OUT_OF_ORDER)
    last = ScriptedReply(kind=ReplyKind.RELEASE, after=HOUR)

    assert [(ReplyKind.RELEASE, HOUR), (ReplyKind.CONTROL, HOUR)] == [
        (answer.kind, answer.after) for answer in Scenario(replies=(early, last)).in_order
    ]


def test_two_answers_out_of_order() -> None:
    """Each reply that is out of order is sent after the one that would follow it."""
    one = ScriptedReply(kind=ReplyKind.ACCEPTANCE, fault=ReplyFault.OUT_OF_ORDER)
    two = ScriptedReply(kind=ReplyKind.CONTROL, after=HOUR, fault=ReplyFault.OUT_OF_ORDER)
    three = ScriptedReply(kind=ReplyKind.RELEASE, after=2 * HOUR)

    assert [ReplyKind.RELEASE, ReplyKind.ACCEPTANCE, ReplyKind.CONTROL] == [
        answer.kind for answer in Scenario(replies=(one, two, three)).in_order
    ]


def test_no_answer_is_a_scenario() -> None:
    """A declaration may get no reply."""
    assert () == Scenario(replies=()).in_order


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (
            {"kind": "maybe"},
            ("kind is 'maybe'; give one of acceptance, release, control, rejection, technical-error."),
        ),
        (
            {"fault": "lost"},
            (
                "fault is 'lost'; give one of duplicate, out-of-order,"
                " wrong-mailbox, other-system, wrong-process-id,"
                " other-party, other-k, no-k, lower-case,"
                " folded, encoded-words, forged-from, bounce,"
                " large, or leave it out."
            ),
        ),
        (
            {"form": "base64"},
            (
                "form is 'base64'; give one of plain, base64, quoted-printable, attachment, attachment-base64,"
                " attachment-quoted-printable, every, or leave it out."
            ),
        ),
        ({"after": timedelta(seconds=-1)}, "after is -1 day, 23:59:59; give 0 or more."),
        ({"body": b""}, "body is empty; give a body, or leave it out for a synthetic one."),
        (
            {"body": b"<a/>", "fault": ReplyFault.LARGE},
            "body is given, but large has its own body; leave one of them out.",
        ),
    ],
)
def test_refuses_an_answer(settings: dict[str, Any], expected: str) -> None:
    """Invalid values of a reply give a sentence that begins with the field."""
    with pytest.raises(InputError) as caught:
        ScriptedReply(**settings)

    assert [("simulator.answer", expected)] == [(one.code, one.message) for one in caught.value.problems]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"system": ""}, "system is empty; give a value, or leave it out for any system."),
        ({"times": 0}, "times is 0; give at least 1, or leave it out for any number."),
        (
            {"replies": (ScriptedReply(after=HOUR, fault=ReplyFault.OUT_OF_ORDER), ScriptedReply())},
            "replies ends with one that is out of order; add a reply that it can follow.",
        ),
    ],
)
def test_refuses_a_scenario(settings: dict[str, Any], expected: str) -> None:
    """Invalid values of a scenario give a sentence that begins with the field."""
    with pytest.raises(InputError) as caught:
        Scenario(**settings)

    assert [("simulator.scenario", expected)] == [(one.code, one.message) for one in caught.value.problems]


def test_refuses_everything_at_once() -> None:
    """An error has every problem of a scenario."""
    with pytest.raises(InputError) as caught:
        Scenario(party="", reference="", times=-1)

    assert ["party", "reference", "times"] == [one.message.split()[0] for one in caught.value.problems]


def test_refuses_no_message_an_hour() -> None:
    """A rate below one is refused."""
    with pytest.raises(InputError) as caught:
        Script(per_hour=0)

    assert ["per_hour is 0; give at least 1, or leave it out for any number."] == [
        one.message for one in caught.value.problems
    ]


def test_refuses_a_text_for_what_a_repeated_k_means() -> None:
    """A text in place of the enum is refused, together with every other problem."""
    with pytest.raises(InputError) as caught:
        Script(repeated="refuse", per_hour=0)  # type: ignore[arg-type]

    assert [
        ("simulator.script", "repeated is 'refuse'; give one of accept, refuse, ignore."),
        ("simulator.script", "per_hour is 0; give at least 1, or leave it out for any number."),
    ] == [(one.code, one.message) for one in caught.value.problems]


def test_no_body_is_shown() -> None:
    """The repr of a reply does not show its body."""
    assert "geheim" not in repr(Scenario(replies=(ScriptedReply(body=b"geheim"),)))
