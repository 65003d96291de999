"""Tables of TOML: what a good one becomes, and everything that is wrong with a bad one."""

from __future__ import annotations

import enum
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Literal

import attrs
import pytest

from htpoort import InputError
from htpoort.core.toml_reader import Delay, Document, KeyPath, parse_day, refused_setting, required, show_path


class Colour(enum.Enum):
    """What a setting may be."""

    RED = "red"
    BLUE = "blue"


@attrs.frozen(kw_only=True)
class Table:
    """One setting of each type."""

    text: str = "usual"
    number: int | None = None
    switch: bool = False
    day: date | None = None
    moment: datetime | None = None
    time: timedelta = timedelta(minutes=1)
    delay: Delay | None = None
    colour: Colour = Colour.RED
    shape: Literal["round", "flat"] = "round"
    texts: tuple[str, ...] = ()
    times: tuple[timedelta, ...] = ()
    anything: object = None
    password: str | None = refused_setting()


@attrs.frozen(kw_only=True)
class Needed:
    """Settings that must be given, with and without a stand-in."""

    name: str = required("x")
    names: tuple[str, ...] = required(["x"])
    since: date = required("2026-01-01")


@attrs.frozen(kw_only=True)
class Bare:
    """A setting that nothing can stand in for."""

    name: str


def problems(text: str, kind: type = Table, path: KeyPath = ()) -> list[tuple[str, str]]:
    """Read a table; give the code and the sentence of every problem."""
    document = Document.parse(text)
    document.read(path, kind)
    return [(problem.code, problem.message) for problem in document.problems]


def test_every_type() -> None:
    """Each type takes its own values; a day may be written as a text, and a delay may be 0."""
    text = """
        text = "a"
        number = 7
        switch = true
        day = "01-12-2026"
        moment = 2026-11-02T18:00:00+01:00
        time = "1h30m"
        delay = "0s"
        colour = "blue"
        shape = "flat"
        texts = ["a", "b"]
        times = ["1d", "250ms"]
        anything = [1, { a = 2 }]
        password = "geheim"
    """
    assert Table(
        text="a",
        number=7,
        switch=True,
        day=date(2026, 12, 1),
        moment=datetime(2026, 11, 2, 17, tzinfo=UTC),
        time=timedelta(minutes=90),
        delay=Delay(timedelta(0)),
        colour=Colour.BLUE,
        shape="flat",
        texts=("a", "b"),
        times=(timedelta(days=1), timedelta(milliseconds=250)),
        anything=[1, {"a": 2}],
        password="geheim",
    ) == Document.parse(text).read((), Table)


def test_what_is_left_out_has_its_default() -> None:
    """An empty table is the table of the defaults."""
    assert Table() == Document.parse("").read((), Table)


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("text = 1", "toml.type", "text: give a string."),
        ("number = true", "toml.type", "number: give a whole number."),
        ("number = 1.0", "toml.type", "number: give a whole number."),
        ("switch = 1", "toml.type", "switch: give true or false."),
        ("day = 2026-12-01T00:00:00", "toml.value", "day: give a day such as 2026-12-01."),
        ('day = "tomorrow"', "toml.value", "day: give a day such as 2026-12-01."),
        (
            "moment = 2026-11-02T18:00:00",
            "toml.type",
            "moment: give a moment with its offset from UTC, such as 2026-11-02T18:00:00+01:00.",
        ),
        ('time = "0s"', "toml.type", 'time: give a time above 0 such as "30s", "5m" or "1h30m".'),
        ('time = ""', "toml.type", 'time: give a time above 0 such as "30s", "5m" or "1h30m".'),
        ("time = 5", "toml.type", 'time: give a time above 0 such as "30s", "5m" or "1h30m".'),
        ('delay = "soon"', "toml.type", 'delay: give a time such as "0s", "30s", "5m" or "1h30m".'),
        ('colour = "green"', "toml.value", "colour: give one of red, blue."),
        ("colour = 1", "toml.value", "colour: give one of red, blue."),
        ('shape = "square"', "toml.value", "shape: give one of round, flat."),
        ('texts = "a"', "toml.type", "texts: give an array of strings."),
        ('times = "5m"', "toml.type", 'times: give an array of times such as ["30s", "5m"].'),
        ('texts = ["a", 1]', "toml.type", "texts[1]: give a string."),
    ],
)
def test_each_mistake(text: str, code: str, message: str) -> None:
    """A value of another type is one problem, with its path and what to give."""
    assert [(code, message)] == problems(text)


def test_every_wrong_item_is_reported() -> None:
    """Each item of an array has a problem of its own."""
    assert [
        ("toml.type", 'times[0]: give a time above 0 such as "30s", "5m" or "1h30m".'),
        ("toml.type", 'times[2]: give a time above 0 such as "30s", "5m" or "1h30m".'),
    ] == problems('times = ["soon", "5m", 7]')


def test_an_unknown_key_lists_the_known_ones() -> None:
    """A misspelt key is answered with those that exist, without the ones that are always refused."""
    known = "anything, colour, day, delay, moment, number, shape, switch, text, texts, time, times"
    assert [("toml.unknown-key", f"tekst: there is no such setting; did you mean text? Known: {known}.")] == problems(
        'tekst = "a"'
    )


def test_stand_ins_let_the_rest_be_checked() -> None:
    """What is missing or wrong is reported, and replaced by its stand-in."""
    document = Document.parse("names = 1\n[other]\n")

    assert Needed(name="x", names=("x",), since=date(2026, 1, 1)) == document.read((), Needed)
    assert [
        "name: this setting is needed.",
        "names: give an array of strings.",
        "other: there is no such setting. Known: name, names, since.",
        "since: this setting is needed.",
    ] == sorted(problem.message for problem in document.problems)
    assert document.is_refused((), "name")
    assert not document.is_refused((), "text", "password")


@pytest.mark.parametrize("text", ["", "name = 1"])
def test_without_a_stand_in_there_is_no_value(text: str) -> None:
    """A setting that nothing can stand in for leaves no value to use."""
    assert Document.parse(text).read((), Bare) is None


@pytest.mark.parametrize("text", ["a = 1", "[[a]]", "b = 1"])
def test_something_else_in_the_place_of_a_table(text: str) -> None:
    """What is not a table is one problem."""
    assert [("toml.type", "a: give a table.")] == problems(text, path=("a",))


def test_tables_are_found_by_their_paths() -> None:
    """Arrays of tables and named tables give a path for each table, and values are found by their paths."""
    document = Document.parse("[[a]]\n[[a.b]]\nc = 1\n[[a.b]]\nc = 2\n[n.one]\n[n.two]\n")

    assert [("a", 0, "b", 0), ("a", 0, "b", 1)] == document.tables(("a", 0, "b"))
    assert [("n", "one"), ("n", "two")] == document.named_tables("n")
    assert 2 == document.value(("a", 0, "b", 1, "c"))
    assert [None] * 3 == [document.value(path) for path in [("a", 9), ("a", 0, "b", "c"), ("n", 0, "x")]]
    assert [] == document.tables(("none",)) == document.named_tables("none")
    assert () == document.problems


def test_a_value_in_the_place_of_tables() -> None:
    """Where tables belong, the problem shows how to write them."""
    document = Document.parse("a = 1\n[[b]]\nc = 2")

    assert [] == document.tables(("a",)) == document.tables(("b", 0, "c")) == document.named_tables("a")
    assert [
        "a: write [[a]]; there may be several.",
        "a: give a table for each system, [a.NAME].",
        "b[0].c: write [[b.c]]; there may be several.",
    ] == [problem.message for problem in document.problems]


FILE = '# a file\ntext = 1\n[sub]\nswitch = 2\n\n[[item]]\ntexts = [\n  "a",\n  7,\n]\n'


def test_a_file_that_is_read(tmp_path: Path) -> None:
    """A file is read when it is asked for; one that cannot be read is a problem that names it."""
    file = tmp_path / "a.toml"
    file.write_bytes(b"name = 'x'\n")

    assert {"name": "x"} == Document.of_file(file.read_bytes, name="a.toml").table
    with pytest.raises(InputError) as caught:
        Document.of_file((tmp_path / "b.toml").read_bytes, name="b.toml")
    assert [("config.file", "b.toml cannot be read: No such file or directory.")] == [
        (problem.code, problem.message) for problem in caught.value.problems
    ]


def test_a_file_has_lines() -> None:
    """Problems of a file have its name and their lines, in the order of the lines."""
    document = Document.parse(FILE.encode(), name="some.toml")
    document.report("a.b", (), "Odd.")
    document.read(("item", 0), Table)
    document.read(("sub",), Table)
    document.report("toml.missing", ("sub", "number"), "this setting is needed.")
    with pytest.raises(InputError) as caught:
        document.finish()

    assert [
        "some.toml:1: Odd.",
        "some.toml:3: sub.number: this setting is needed.",
        "some.toml:4: sub.switch: give true or false.",
        "some.toml:9: item[0].texts[1]: give a string.",
    ] == [problem.message for problem in caught.value.problems]


def test_a_whole_problem_of_a_text_has_no_place() -> None:
    """Without a file and a path there is only the sentence."""
    document = Document({})
    document.report("a.b", (), "Odd.")

    assert ["Odd."] == [problem.message for problem in document.problems]


def test_nothing_wrong() -> None:
    """A document without a problem ends without an error."""
    Document.parse("text = 'a'").finish()


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        ("a = ", "", "This is not TOML: Invalid value (at end of document)."),
        ("a = 1\nb = \n", "", "This is not TOML: Invalid value (at line 2, column 5)."),
        ("a = 1\nb = \n", "f.toml", "f.toml:2: This is not TOML: Invalid value."),
        ("[a]\n[a.b]\n[a.b]\n", "f.toml", "f.toml:3: [a.b] appears twice; put its settings together."),
        ("a = 1\nb = [", "f.toml", "f.toml:2: This is not TOML: Invalid value (at end of document)."),
        (b"a = 1\nb = '\xff'\n", "", "This is not UTF-8, so it is not TOML."),
        (b"a = 1\nb = '\xff'\n", "f.toml", "f.toml:2: This is not UTF-8, so it is not TOML."),
        ("a = 1\nb = '\udcff'\n", "f.toml", "f.toml:2: This is not UTF-8, so it is not TOML."),
    ],
)
def test_what_is_not_toml(text: str | bytes, name: str, message: str) -> None:
    """The first mistake is reported, with the line where there is a file."""
    with pytest.raises(InputError) as caught:
        Document.parse(text, name=name)

    assert [("toml.syntax", message)] == [(problem.code, problem.message) for problem in caught.value.problems]


@attrs.frozen
class Point:
    """A value that refuses numbers below 0."""

    x: int = 0
    y: int = 0

    def __attrs_post_init__(self) -> None:
        from htpoort import Problem

        fields = {"x": self.x, "y": self.y}
        wrong = [Problem("p.low", f"{name} is {value}.") for name, value in fields.items() if value < 0]
        if self.x + self.y > 9:
            wrong.append(Problem("p.high", "The sum is above 9."))
        if wrong:
            raise InputError("", tuple(wrong))


class TestBuild:
    """A value that is built from a table reports its problems by the keys of the table."""

    def test_a_good_one(self) -> None:
        """A value without a problem is returned."""
        document = Document.parse("x = 1")

        assert Point(1) == document.build((), lambda: Point(1), None)
        assert () == document.problems

    def test_fields_become_keys(self) -> None:
        """A problem gets the path of its key, and begins with the key where the field has another name."""
        document = Document.parse("[p]\nacross = -1\ny_env = 'Y'")

        assert Point() == document.build(("p",), lambda: Point(-1, -2), Point(), names={"x": "across"})
        assert ["p.across is -1.", "p.y_env: y is -2."] == [problem.message for problem in document.problems]

    def test_a_problem_with_the_whole(self) -> None:
        """A sentence that does not begin with a field is about the table."""
        document = Document.parse("[p]\nx = 9")

        assert document.build(("p",), lambda: Point(9, 9), None) is None
        assert ["p: The sum is above 9."] == [problem.message for problem in document.problems]

    def test_nothing_follows_from_a_mistake(self) -> None:
        """A problem with a setting that was refused before concerns its stand-in, and is dropped."""
        document = Document.parse("[p]\nx = 'a'")
        document.report("toml.type", ("p", "x"), "give a whole number.")

        assert document.build(("p",), lambda: Point(-1, -2), None) is None
        assert ["p: y is -2.", "p.x: give a whole number."] == [problem.message for problem in document.problems]


@pytest.mark.parametrize("text", ["2026-02-30", "1-12-26", "2026-1-1", "", "1/12/2026"])
def test_no_days(text: str) -> None:
    """A day that does not exist, or in another form, is not guessed."""
    assert parse_day(text) is None


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ((), ""),
        (("parties", 2), "parties[2]"),
        (("outbox", 0, "port"), "outbox[0].port"),
        (("systems", "TEST AGS", "mailbox"), 'systems."TEST AGS".mailbox'),
    ],
)
def test_paths_are_written_as_in_the_file(path: KeyPath, expected: str) -> None:
    """A path reads as a person would write it."""
    assert expected == show_path(path)
