"""PartyId: its forms, its comparison, and `covers`."""

from __future__ import annotations

import string

import pytest
from strategies import copies

from htpoort import InputError, PartyId

FORMS = [
    ("NL123456789.02.05", "NL", "123456789", ("02", "05")),
    ("NL123456789", "NL", "123456789", ()),
    ("nl1", "nl", "1", ()),
    ("BE0123456789.A1b2", "BE", string.digits, ("A1b2",)),
    ("NL123456789012345.1.2.3.4.5.6.7.8", "NL", "123456789012345", tuple("12345678")),
    ("NL1.abcdefghijklmnop", "NL", "1", ("abcdefghijklmnop",)),
]


@pytest.mark.parametrize(("text", "country", "number", "groups"), FORMS)
def test_forms(text: str, country: str, number: str, groups: tuple[str, ...]) -> None:
    """A party ID is a country, a number and up to eight groups; `str` gives it back as it was."""
    party = PartyId.parse(text)

    assert (country, number, groups) == (party.country, party.number, party.groups)
    assert text == str(party)
    assert party == PartyId(country=country, number=number, groups=groups)


REFUSED = [
    "",
    "NL",
    "123456789",
    "N1",
    "NLD1",
    "NL123456789.",
    "NL123456789..05",
    ".NL1",
    "NL1234567890123456",
    "NL1.1.2.3.4.5.6.7.8.9",
    "NL1.abcdefghijklmnopq",
    "NL123456789.02.05\n",
    " NL123456789",
    "NL123456789 ",
    "NL 123456789",
    "NL123-456",
    "NL1_0",
    "NL\uff11\uff12",
    "NL\u0661",
    "\u041dL1",
    "N\u212a1",
    "NL1.\u00e9",
    "NL1.0 2",
    "NL1.0]2",
]


@pytest.mark.parametrize("text", REFUSED)
def test_refused(text: str) -> None:
    """What has another form is refused, with the whole text marked."""
    with pytest.raises(InputError) as caught:
        PartyId.parse(text)

    (problem,) = caught.value.problems
    assert ("party.form", 0, len(text)) == (problem.code, problem.start, problem.stop)
    assert text == caught.value.text


@pytest.mark.parametrize(
    ("value", "message"), [(None, "text is NoneType; give a str."), (5, "text is int; give a str.")]
)
def test_not_text(value: object, message: str) -> None:
    """A value of another type is refused with the name of the argument."""
    with pytest.raises(InputError) as caught:
        PartyId.parse(value)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

    assert [("input.type", message)] == [(problem.code, problem.message) for problem in caught.value.problems]


def test_refusal_shows_the_form() -> None:
    """The error shows the form of a party ID."""
    with pytest.raises(InputError) as caught:
        PartyId.parse("NL-1")

    assert (
        "This is not a party ID; write two letters, digits and groups after dots, as in NL123456789.02.05.\n"
        "  NL-1\n"
        "  ^^^^"
    ) == str(caught.value)


PARTS = [
    {"country": "NL1", "number": "23"},
    {"country": "", "number": "NL23"},
    {"country": "N", "number": "L23"},
    {"country": "NL", "number": "1.02"},
    {"country": "NL", "number": "1", "groups": ("02.05",)},
    {"country": "NL", "number": "1", "groups": ["02"]},
    {"country": "NL", "number": "1", "groups": "0"},
    {"country": "NL", "number": "1", "groups": (2,)},
    {"country": "NL", "number": "1", "groups": None},
    {"country": "NL", "number": 1},
    {"country": None, "number": "1"},
]


@pytest.mark.parametrize("parts", PARTS, ids=repr)
def test_parts_must_be_parts(parts: dict[str, object]) -> None:
    """Parts that only make a party ID when written together, or are of another type, are refused."""
    with pytest.raises(InputError) as caught:
        PartyId(**parts)  # type: ignore[arg-type]

    assert ["party.form"] == [problem.code for problem in caught.value.problems]


SAME = [("NL123456789.02.05", "nl123456789.02.05"), ("NL1.ab", "Nl1.AB"), ("NL1", "NL1")]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_case_does_not_count(one: str, other: str) -> None:
    """Two party IDs that differ in the case of letters are equal and hash alike."""
    assert PartyId.parse(one) == PartyId.parse(other)
    assert hash(PartyId.parse(one)) == hash(PartyId.parse(other))


@pytest.mark.parametrize("other", ["NL123456789.02.04", "NL123456789.02", "NL123456788.02.05", "BE123456789.02.05"])
def test_everything_else_counts(other: str) -> None:
    """Two party IDs that differ in country, number or a group are not equal."""
    assert PartyId.parse("NL123456789.02.05") != PartyId.parse(other)


COVERS = [
    ("NL123456789.02.05", "NL123456789.02.05", True),
    ("NL123456789.02.05", "nl123456789.02.05", True),
    ("NL123456789.02.05", "NL123456789.02", True),
    ("NL123456789.02.05", "NL123456789", True),
    ("NL123456789.02.05", "NL123456789.02.05.01", True),
    ("NL123456789.ab", "NL123456789.AB.1", True),
    ("NL123456789", "NL123456789", True),
    ("NL123456789.02.05", "NL123456789.02.04", False),
    ("NL123456789.02.05", "NL123456789.03", False),
    ("NL123456789.02.05", "NL123456789.0", False),
    ("NL123456789.02.05", "NL123456789.05", False),
    ("NL123456789.02.05", "NL12345678", False),
    ("NL123456789.02.05", "NL1234567890.02.05", False),
    ("NL123456789.02.05", "BE123456789.02.05", False),
    ("NL123456789.02.05", "NL987654321.02.05", False),
]


@pytest.mark.parametrize(("one", "other", "expected"), COVERS)
def test_covers(one: str, other: str, *, expected: bool) -> None:
    """Two ids name the same party where the groups of one begin with those of the other; it holds both ways."""
    assert expected is PartyId.parse(one).covers(other)
    assert expected is PartyId.parse(other).covers(one)
    assert expected is PartyId.parse(one).covers(PartyId.parse(other))


@pytest.mark.parametrize("text", REFUSED)
def test_covers_no_party(text: str) -> None:
    """No party ID covers a text that is not one, and nothing is raised."""
    assert PartyId.parse("NL123456789.02.05").covers(text) is False


def test_pickle_and_copy() -> None:
    """A party ID survives pickle and copy as it was written."""
    party = PartyId.parse("nL123456789.aB")

    for other in copies(party):
        assert (party, "nL123456789.aB") == (other, str(other))
