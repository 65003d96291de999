"""Scenarios as values: which declaration they fit, and in which order their answers leave."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from htpoort import InputError
from htpoort.simulator.faults import AnswerFault
from htpoort.simulator.scenarios import Answer, Kind, RepeatedK, Scenario, Script

DECLARATION = {"system": "DMS", "party": "NL123456789.02.05", "reference": "22096222734662"}
HOUR = timedelta(hours=1)


def test_the_usual_script_accepts() -> None:
    """Where nothing is said, every declaration is accepted at once and once, and nothing goes wrong."""
    script = Script()

    assert (Scenario(answers=(Answer(kind=Kind.ACCEPTANCE, after=timedelta(0)),)),) == script.scenarios
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
    """A scenario fits where all that it names is so; systems and parties compare in any case."""
    assert expected == Scenario(**wanted).fits(**DECLARATION)


def test_a_reference_fits_exactly() -> None:
    """K compares exactly, as everywhere."""
    assert not Scenario(reference="a1").fits(**DECLARATION | {"reference": "A1"})


def test_answers_leave_by_their_times() -> None:
    """Answers leave in the order of their times, those of one time in the order given."""
    late, first, second = Answer(after=HOUR), Answer(kind=Kind.CONTROL), Answer(kind=Kind.RELEASE)

    assert (first, second, late) == Scenario(answers=(late, first, second)).in_order


def test_an_answer_out_of_order_comes_behind_the_next() -> None:
    """An answer that is out of order leaves when the one that should follow it has left."""
    early = Answer(kind=Kind.CONTROL, fault=AnswerFault.OUT_OF_ORDER)
    last = Answer(kind=Kind.RELEASE, after=HOUR)

    assert [(Kind.RELEASE, HOUR), (Kind.CONTROL, HOUR)] == [
        (answer.kind, answer.after) for answer in Scenario(answers=(early, last)).in_order
    ]


def test_two_answers_out_of_order() -> None:
    """Each answer that is out of order comes behind the one that follows it when the rest is in order."""
    one = Answer(kind=Kind.ACCEPTANCE, fault=AnswerFault.OUT_OF_ORDER)
    two = Answer(kind=Kind.CONTROL, after=HOUR, fault=AnswerFault.OUT_OF_ORDER)
    three = Answer(kind=Kind.RELEASE, after=2 * HOUR)

    assert [Kind.RELEASE, Kind.ACCEPTANCE, Kind.CONTROL] == [
        answer.kind for answer in Scenario(answers=(one, two, three)).in_order
    ]


def test_no_answer_is_a_scenario() -> None:
    """A declaration may stay without an answer."""
    assert () == Scenario(answers=()).in_order


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (
            {"kind": "maybe"},
            (
                "kind is 'maybe'; give one of Kind.ACCEPTANCE, Kind.RELEASE, Kind.CONTROL, Kind.REJECTION,"
                " Kind.TECHNICAL_ERROR."
            ),
        ),
        (
            {"fault": "lost"},
            (
                "fault is 'lost'; give one of AnswerFault.DUPLICATE, AnswerFault.OUT_OF_ORDER,"
                " AnswerFault.WRONG_MAILBOX, AnswerFault.OTHER_SYSTEM, AnswerFault.WRONG_PROCESS_ID,"
                " AnswerFault.OTHER_PARTY, AnswerFault.OTHER_K, AnswerFault.NO_K, AnswerFault.LOWER_CASE,"
                " AnswerFault.FOLDED, AnswerFault.ENCODED_WORDS, AnswerFault.FORGED_FROM, AnswerFault.BOUNCE,"
                " AnswerFault.LARGE, or None."
            ),
        ),
        ({"after": timedelta(seconds=-1)}, "after is -1 day, 23:59:59; give 0 or more."),
        ({"body": b""}, "body is empty; give octets, or leave it out for a synthetic one."),
        (
            {"body": b"<a/>", "fault": AnswerFault.LARGE},
            "body is given, and the fault large has its own; leave it out.",
        ),
    ],
)
def test_refuses_an_answer(settings: dict[str, Any], expected: str) -> None:
    """What is no answer is told in a sentence that begins with the field."""
    with pytest.raises(InputError) as caught:
        Answer(**settings)

    assert [("simulator.answer", expected)] == [(one.code, one.message) for one in caught.value.problems]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"system": ""}, "system is empty; give it, or leave it out for any."),
        ({"times": 0}, "times is 0; give at least 1, or leave it out for any number."),
        (
            {"answers": (Answer(after=HOUR, fault=AnswerFault.OUT_OF_ORDER), Answer())},
            "answers end with one that is out of order; give one that it can come behind.",
        ),
    ],
)
def test_refuses_a_scenario(settings: dict[str, Any], expected: str) -> None:
    """What is no scenario is told in a sentence that begins with the field."""
    with pytest.raises(InputError) as caught:
        Scenario(**settings)

    assert [("simulator.scenario", expected)] == [(one.code, one.message) for one in caught.value.problems]


def test_refuses_everything_at_once() -> None:
    """Every problem of a scenario is told."""
    with pytest.raises(InputError) as caught:
        Scenario(party="", reference="", times=-1)

    assert ["party", "reference", "times"] == [one.message.split()[0] for one in caught.value.problems]


def test_refuses_no_message_an_hour() -> None:
    """A gateway that takes nothing is none."""
    with pytest.raises(InputError) as caught:
        Script(per_hour=0)

    assert ["per_hour is 0; give at least 1, or leave it out for any number."] == [
        one.message for one in caught.value.problems
    ]


def test_refuses_a_text_for_what_a_repeated_k_means() -> None:
    """A text in place of the enum would mean nothing, so it is refused, with everything else that is wrong."""
    with pytest.raises(InputError) as caught:
        Script(repeated="refuse", per_hour=0)  # type: ignore[arg-type]

    assert [
        ("simulator.script", "repeated is 'refuse'; give one of RepeatedK.ACCEPT, RepeatedK.REFUSE, RepeatedK.IGNORE."),
        ("simulator.script", "per_hour is 0; give at least 1, or leave it out for any number."),
    ] == [(one.code, one.message) for one in caught.value.problems]


def test_no_body_is_shown() -> None:
    """What an answer carries does not stand in its repr."""
    assert "geheim" not in repr(Scenario(answers=(Answer(body=b"geheim"),)))
