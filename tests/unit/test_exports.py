"""
What a public package takes, gives and raises can be imported from it.

The rule: each type or alias of htpoort that the public signatures, fields and documented errors of a package name is
exported by that package or by one below it in the layers. The fronts of the core, `htpoort`, `htpoort.files` and
`htpoort.notices`, are the lowest: each exports its own.
"""

from __future__ import annotations

import ast
import builtins
import functools
import importlib
import inspect
import re
import sys
import textwrap
import tomllib
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, get_args

import attrs
import pytest

PUBLIC = ["transport", "ledger", "delivery", "agent", "config", "simulator", "rehearsal", "testing"]
SPECIAL = {"__init__", "__call__", "__enter__", "__aenter__", "__iter__", "__aiter__", "__getitem__"}
NAMED = {
    *("Ledger", "LedgerPart", "Exchanges", "Notices", "Recoveries", "Windows"),
    *("RunningClock", "RunningGateway", "RunningReceiver"),
}
"""Classes that a user does not make: `Ledger.open` or a fixture of pytest does."""
RAISES = re.compile(r"^( *)Raises:\n((?:\1 +.*\n|\n)+)", re.MULTILINE)


class Mention(NamedTuple):
    """One name in a signature, a field or a list of errors."""

    place: str
    name: str
    module: types.ModuleType


def layers() -> list[set[str]]:
    """Give the packages of each layer, the highest first, from the contract."""
    contracts = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
    listed = next(one["layers"] for one in contracts if one.get("containers") == ["htpoort"])
    return [{room.strip() for room in layer.split("|")} for layer in listed]


def visible(package: str) -> dict[str, object]:
    """Give what a package and those below it export, by name."""
    below: list[str] = []
    if package:
        level = next(number for number, layer in enumerate(layers()) if package in layer)
        below = [room for layer in layers()[level + 1 :] for room in layer if room in PUBLIC]
    found: dict[str, object] = {}
    for each in ["", "files", "notices", *below, *([package] if package else [])]:
        found |= exported(f"htpoort.{each}".rstrip("."))
    return found


def exported(name: str) -> dict[str, object]:
    """Give what a package exports."""
    module = importlib.import_module(name)
    found = {each: getattr(module, each) for each in module.__all__}
    if name == "htpoort.testing":
        found |= exported("htpoort.testing.strategies")
    return found


@functools.cache
def origins(module: types.ModuleType) -> dict[str, str]:
    """Say from which module each imported name of a module comes, also those for type checkers alone."""
    tree = ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))
    found: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            found |= {alias.asname or alias.name: str(node.module) for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.asname or alias.name: alias.name for alias in node.names}
    return found


def resolved(mention: Mention) -> tuple[object, bool]:
    """Give what a name stands for, and whether htpoort defines it."""
    module, name = mention.module, mention.name
    room, _, last = name.rpartition(".")
    if room:
        within = getattr(module, room, None)
        if not isinstance(within, types.ModuleType) or not within.__name__.startswith("htpoort"):
            return within, False
        module, name = within, last
    origin = origins(module).get(name, "" if hasattr(builtins, name) else module.__name__)
    value = getattr(module, name, getattr(builtins, name, None))
    if value is None and origin.startswith("htpoort"):
        value = getattr(importlib.import_module(origin), name, None)
    if isinstance(value, type):
        return value, value.__module__.startswith("htpoort")
    kind = type(value).__name__
    return value, origin.startswith("htpoort") and kind not in {"TypeVar", "ParamSpec", "module"}


def names(annotation: object) -> Iterator[str]:
    """Give the names in an annotation, such as Submission and _terms.Handler."""
    if isinstance(annotation, str):
        for found in re.finditer(r"[A-Za-z_][\w.]*", re.sub(r"'[^']*'|\"[^\"]*\"", "", annotation)):
            yield found[0]
    elif isinstance(annotation, type):
        yield annotation.__name__


def of_function(place: str, function: Any) -> Iterator[Mention]:
    """Give the names in a function's signature, and the errors that it documents."""
    function = inspect.unwrap(function)
    if function.__module__ not in sys.modules:
        return  # a strategy: Hypothesis makes it in a module of its own
    module = sys.modules[function.__module__]
    for annotation in function.__annotations__.values():
        yield from (Mention(place, name, module) for name in names(annotation))
    yield from of_errors(place, function.__doc__, module)


def of_errors(place: str, documentation: str | None, module: types.ModuleType) -> Iterator[Mention]:
    """Give the errors of a docstring."""
    for section in RAISES.findall(inspect.cleandoc(documentation or "") + "\n"):
        for line in textwrap.dedent(section[1]).splitlines():
            if found := re.match(r"([A-Za-z]+): ", line):
                yield Mention(f"{place}, Raises", found[1], module)


def of_class(place: str, given: type) -> Iterator[Mention]:
    """Give the names in the public methods, properties, fields and attributes of a class."""
    yield from of_errors(place, given.__doc__, sys.modules[given.__module__])
    for base in given.__mro__:
        if not base.__module__.startswith("htpoort"):
            continue
        module = sys.modules[base.__module__]
        fields = {each.name for each in attrs.fields(base)} if attrs.has(base) else set[str]()
        for name, annotation in vars(base).get("__annotations__", {}).items():
            if not name.startswith("_") or any(name == field for field in fields if not field.startswith("_")):
                yield from (Mention(f"{place}.{name}", each, module) for each in names(annotation))
        for name, member in vars(base).items():
            if name.startswith("_") and name not in SPECIAL:
                continue
            if name == "__init__" and (attrs.has(base) or base.__name__ in NAMED):
                continue
            function = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
            if isinstance(function, types.FunctionType) and function.__module__.startswith("htpoort"):
                yield from of_function(f"{place}.{name}", function)
        if not attrs.has(base) and isinstance(vars(base).get("__init__"), types.FunctionType):
            yield from of_attributes(place, base, module)


def of_attributes(place: str, given: type, module: types.ModuleType) -> Iterator[Mention]:
    """Give the classes of the public attributes that a constructor makes, as in `self.name = Name(…)`."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(given.__init__)))  # type: ignore[misc]  # only its source
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and isinstance(node.value.func, ast.Name):
            for target in node.targets:
                if isinstance(target, ast.Attribute) and not target.attr.startswith("_"):
                    yield Mention(f"{place}.{target.attr}", node.value.func.id, module)


def of_alias(place: str, given: object) -> Iterator[type]:
    """Give the classes of htpoort in an alias such as Callable[[str], SentRecord]."""
    for each in get_args(given):
        for one in each if isinstance(each, list) else [each]:
            if isinstance(one, type) and one.__module__.startswith("htpoort"):
                yield one
            yield from of_alias(place, one)


def missing(package: str) -> list[str]:
    """Give each name that a user of a package meets and cannot import."""
    full, seen = f"htpoort.{package}".rstrip("."), visible(package)
    known = {id(value) for value in seen.values()}
    found: list[str] = []
    for name, value in exported(full).items():
        if isinstance(value, type):
            mentions = of_class(name, value)
        elif isinstance(value, types.FunctionType):
            mentions = of_function(name, value)
        else:
            found += [f"{name}: {one.__name__}" for one in of_alias(name, value) if id(one) not in known]
            continue
        for mention in mentions:
            meant, ours = resolved(mention)
            last = mention.name.rpartition(".")[2]
            if ours and id(meant) not in known and last not in seen:
                found.append(f"{mention.place}: {last}")
            elif meant is None and "Raises" in mention.place and mention.name not in seen:
                found.append(f"{mention.place}: {mention.name} is not an error that can be imported")
    return list(dict.fromkeys(found))


@pytest.mark.parametrize("package", ["", *PUBLIC])
def test_what_is_taken_given_and_raised_is_exported(package: str) -> None:
    """A user never imports from a module inside of a package to write an annotation or an except clause."""
    assert [] == missing(package)


@pytest.mark.parametrize("package", ["", *PUBLIC])
def test_exports_are_sorted_and_there(package: str) -> None:
    """Each exported name is there, and listed once."""
    module = importlib.import_module(f"htpoort.{package}".rstrip("."))

    assert [] == [name for name in module.__all__ if not hasattr(module, name)]
    assert len(set(module.__all__)) == len(module.__all__)


def imports(path: Path) -> Iterator[tuple[str, str]]:
    """Give the module and the name of each import from a module inside a package."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        for module, listed in re.findall(r"from (htpoort\.[\w.]+) import ([\w, ]+)", text):
            yield from ((module, name.strip()) for name in listed.split(","))
        return
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("htpoort."):
            yield from ((str(node.module), alias.name) for alias in node.names)


@pytest.mark.parametrize("shown", ["README.md", "docs", "examples", "tests"])
def test_every_import_is_from_the_package_that_exports_it(shown: str) -> None:
    """Documents, examples and tests import a public name from its package, never from a module inside."""
    root = Path(shown)
    files = [root] if root.is_file() else [path for path in root.rglob("*") if path.suffix in {".md", ".py"}]
    found: list[str] = []
    for path in files:
        for module, name in imports(path):
            package = module.split(".")[1]
            public = importlib.import_module("htpoort" if package == "core" else f"htpoort.{package}")
            if module.count(".") > 1 and getattr(public, "__all__", ()) and name in public.__all__:
                found.append(f"{path}: {module} {name}")

    assert [] == found
