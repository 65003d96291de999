"""The line of each setting, found in the text itself, because tomllib does not give it."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator

import pytest

from htpoort.core import _toml_lines, toml_reader

EVERYTHING = r'''# a comment with [brackets] and "quotes"
title = "a # in a string"   # and a comment
dotted.key."quoted.part" = 1
many = [
  "one", # first
  [2, 3],

  { x = 1, y.z = "}" },
]
basic = """
[not.a.table]
not = "a key" \"""
"""
more = """ends in two quotes"""""
literal = \'\'\'
[[nor]]
\'\'\'
path = 'C:\'
escaped = "\"]"
empty = ""
"spaced key" = {}
'literal key' = []
when = 2026-11-02T09:05:07+01:00

[table]
a = 1
[ table . "sub table" ] # comment
b = true

[[array]]
c = 1
[array.inner]
d = 1
[[array.inner2]]
e = 1
[[array.inner2]]
e = 2

[[array]]
c = 2
inline = { f = [ { g = 1 }, { g = 2 } ] }
[[array.inner2]]
e = 3
'''.replace(r"\'", "'")


def paths(value: object, path: toml_reader.KeyPath = ()) -> Iterator[toml_reader.KeyPath]:
    """List the path of everything that tomllib read."""
    if path:
        yield path
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from paths(inner, (*path, key))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from paths(inner, (*path, number))


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_every_setting_has_a_line(line_end: str) -> None:
    """Everything that tomllib reads has a line, and nothing else has, whatever the line ends."""
    text = EVERYTHING.replace("\n", line_end)

    assert set(paths(tomllib.loads(text))) == set(_toml_lines.lines_of(text))


@pytest.mark.parametrize(
    ("path", "content"),
    [
        (("title",), "title ="),
        (("dotted", "key", "quoted.part"), "dotted.key"),
        (("many",), "many = ["),
        (("many", 0), '"one"'),
        (("many", 1, 1), "[2, 3]"),
        (("many", 2, "y", "z"), "y.z"),
        (("basic",), 'basic = """'),
        (("more",), "more ="),
        (("path",), "path ="),
        (("escaped",), "escaped ="),
        (("spaced key",), '"spaced key"'),
        (("literal key",), "'literal key'"),
        (("when",), "when ="),
        (("table",), "[table]"),
        (("table", "sub table"), "[ table"),
        (("table", "sub table", "b"), "b = true"),
        (("array",), "[[array]]"),
        (("array", 0, "inner"), "[array.inner]"),
        (("array", 0, "inner2", 1, "e"), "e = 2"),
        (("array", 1, "c"), "c = 2"),
        (("array", 1, "inline", "f", 1, "g"), "inline ="),
        (("array", 1, "inner2", 0, "e"), "e = 3"),
    ],
)
def test_the_line_holds_the_setting(path: toml_reader.KeyPath, content: str) -> None:
    """The setting is on the line that is found."""
    line = _toml_lines.lines_of(EVERYTHING)[path]

    assert content in EVERYTHING.split("\n")[line - 1]


def test_a_table_between_others_has_its_own_line() -> None:
    """A table that has no header of its own has the line of the first table within it."""
    assert {("a",): 2, ("a", "b"): 2, ("a", "b", "c"): 3} == _toml_lines.lines_of("\n[a.b]\nc = 1\n")
