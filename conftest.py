"""
Run the documents: every python, console and toml block of README.md and docs/, every doctest of htpoort/.

A console block shows a session: sh runs each command after `$ ` in a new folder for each document, and everything that
the command prints, on both streams, must be what the block shows; `...` matches anything. `htpoort simulate` runs until
its document ends, on free ports in place of those shown.
"""

from __future__ import annotations

import doctest
import os
import re
import shutil
import signal
import socket
import subprocess  # noqa: S404 - sessions are run
import sys
import tempfile
import tomllib
from collections.abc import Container, Iterator
from pathlib import Path
from typing import IO, Any, Final, cast

import pytest
from sybil import Document, Example, Sybil
from sybil.integration.pytest import SybilItem
from sybil.parsers.myst import CodeBlockParser, PythonCodeBlockParser
from sybil.parsers.rest import DocTestParser

from htpoort import Directory
from htpoort.config import read_agent_without_secrets
from htpoort.core.notices.own import read_own_notice

ROOT: Final = Path(__file__).parent

# A command that a test starts imports many modules: 0.7 s if they are compiled, 2 s if not. A user who does not want
# compiled modules beside the sources gets them in pytest's own cache. The processes of a run inherit this.
if os.environ.pop("PYTHONDONTWRITEBYTECODE", ""):
    sys.dont_write_bytecode = False
    sys.pycache_prefix = os.environ["PYTHONPYCACHEPREFIX"] = str(ROOT / ".pytest_cache" / "compiled")

# pytest-xdist sets it for its workers, and the command would fold its tables.
os.environ.pop("COLUMNS", None)

RUN_BY_CI: Final = ("python3 -m venv .venv && .venv/bin/pip install -q ",)
"""How a block begins that creates an environment: CI runs it. tests/docs/test_pages.py checks that it does."""

SHORT: Final = [ROOT / "htpoort", *(ROOT / "tests" / room for room in ("unit", "config", "simulator", "wire"))]
"""Rooms in which no test takes long."""

_OPTIONS: Final = doctest.ELLIPSIS
_URL_ENV: Final = re.compile(r'^url_env = "(\w+)"', re.MULTILINE)
_PORT: Final = re.compile(r"--(port|pop3-port|web-port|ftps-port) (\d+)")
_PUSHED: Final = re.compile(r"=127\.0\.0\.1:(\d+)")
_LISTENING: Final = {
    "port": r"smtp_port +",
    "pop3-port": r"pop3_port +",
    "web-port": r"web +http://127\.0\.0\.1:",
    "ftps-port": r"ftps_port +",
}


def _commands(block: str) -> Iterator[tuple[str, str]]:
    r"""
    Split a session into commands and what they print.

    >>> list(_commands("$ a \\\n  b\n1\n2\n$ c\n"))
    [('a \\\n  b', '1\n2\n'), ('c', '')]
    """
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, output = cast("re.Match[str]", re.fullmatch(r"((?:.*\\\n)*.*\n?)((?s:.*))", part)).groups()
        yield command.removesuffix("\n"), output


def _differs(shown: str, printed: str) -> str | None:
    """Compare without blanks at line ends; return the difference, or None."""
    want, got = ("".join(f"{line.rstrip()}\n" for line in text.splitlines()) for text in (shown, printed))
    checker = doctest.OutputChecker()
    if checker.check_output(want, got, _OPTIONS):
        return None
    return checker.output_difference(doctest.Example("", want), got, _OPTIONS)


class Session:
    """One terminal for each document: its folder, its last exit code, and the simulators that it started."""

    def __init__(self) -> None:
        self._folder = tempfile.mkdtemp()
        self._code = 0
        self._ports: dict[tuple[str, str], str] = {}
        self._running: list[subprocess.Popen[str]] = []
        # Commands of the interpreter that runs the tests come first; a pipe has no width, so it is set.
        path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))
        self._env = os.environ | {"PATH": path, "COLUMNS": "120", "TERM": "dumb", "LC_ALL": "C.UTF-8"}

    def run(self, block: str) -> str | None:
        """Run a block; return the difference from what it shows, or None."""
        if block.startswith(RUN_BY_CI):
            return None
        if not block.startswith("$ "):
            return "A console block is a session: write `$ ` before each command.\n"
        for command, shown in _commands(block):
            if command.startswith("htpoort simulate "):
                self._choose_pushed(command)
                printed = self._start(command, len(shown.splitlines()))
            else:
                printed = self._finish(command)
            for (_, port), real in self._ports.items():
                printed = re.sub(rf"\b{real}\b", port, printed)
            if (difference := _differs(shown, printed)) is not None:
                return f"$ {command}\n{difference}"
        return None

    def _finish(self, command: str) -> str:
        command = self._on_real_ports(command)
        done = subprocess.run(  # noqa: S603 - commands of our own documents
            ["/bin/sh", "-c", f"(exit {self._code})\n{command}"],
            cwd=self._folder,
            env=self._env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            check=False,
        )
        self._code = done.returncode
        return done.stdout

    def _on_real_ports(self, command: str) -> str:
        for (option, port), real in self._ports.items():
            command = command.replace(f"--{option} {port}", f"--{option} {real}")
            command = re.sub(rf"\b(http|ftp)://127\.0\.0\.1:{port}/", rf"\1://127.0.0.1:{real}/", command)
            command = command.replace(f"=127.0.0.1:{port}", f"=127.0.0.1:{real}")
            command = command.replace(f"'port = {port}'", f"'port = {real}'")
        return command

    def _choose_pushed(self, command: str) -> None:
        """Choose a free port for what the simulator pushes to, which listens only later."""
        for port in _PUSHED.findall(command):
            with socket.create_server(("127.0.0.1", 0)) as free:
                self._ports["listen-port", port] = str(free.getsockname()[1])

    def _start(self, command: str, lines: int) -> str:
        on_free_ports = self._on_real_ports(_PORT.sub(r"--\1 0", command))
        started = subprocess.Popen(  # noqa: S603 - the same
            ["/bin/sh", "-c", f"exec {on_free_ports}"],
            cwd=self._folder,
            env=self._env,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        self._running.append(started)
        output = cast("IO[str]", started.stdout)
        printed = "".join(output.readline() for _ in range(lines))
        for option, port in _PORT.findall(command):
            (real,) = re.findall(rf"^{_LISTENING[option]}(\d+)", printed, re.MULTILINE)
            self._ports[option, port] = real
        return printed

    def close(self) -> None:
        """Stop the simulators that still run, and delete the folder."""
        for started in self._running:
            started.send_signal(signal.SIGINT)
            started.communicate()
        shutil.rmtree(self._folder)


def _setup(namespace: dict[str, Any]) -> None:
    namespace["__session__"] = Session()


def _teardown(namespace: dict[str, Any]) -> None:
    namespace["__session__"].close()


def _console(example: Example) -> str | None:
    session: Session = example.namespace["__session__"]
    return session.run(example.parsed)


def _toml(example: Example) -> None:
    """
    Read a block as what it is: systems, a notice, or `htpoort.toml` or a part of it.

    The Python after it has the text as *toml*.
    """
    text = example.namespace["toml"] = str(example.parsed)
    keys = tomllib.loads(text).keys()
    if keys == {"systems"}:
        Directory.from_toml(text)
    elif "system" in keys:
        read_own_notice(text)
    else:
        _read_configuration(text, keys)


def _read_configuration(text: str, keys: Container[str]) -> None:
    """Read a part of `htpoort.toml` as one that has the rest of what is needed."""
    if "ledger" not in keys:
        text = f'[ledger]\nurl = "sqlite:///htpoort.db"\n{text}'
    if "parties" not in keys:
        text = f'parties = ["NL123456789.02.05", "NL123456789.03.05"]\n{text}'
    with tempfile.TemporaryDirectory() as folder:
        for name in re.findall(r'^(?:folder|path) = "([^"]+)"', text, re.MULTILINE):
            Path(folder, name.split("{")[0]).mkdir(parents=True, exist_ok=True)
        path = Path(folder, "htpoort.toml")
        path.write_text(text, encoding="utf-8")
        database = dict.fromkeys(_URL_ENV.findall(text), "postgresql+psycopg://htpoort@db.forwarder.example/htpoort")
        read_agent_without_secrets(path, environ=database)


_documents = Sybil(
    parsers=[
        PythonCodeBlockParser(doctest_optionflags=_OPTIONS),
        CodeBlockParser("console", _console),
        CodeBlockParser("toml", _toml),
    ],
    patterns=["README.md", "docs/**/*.md", "docs/*.md"],
    excludes=["docs/_build/**"],
    setup=_setup,
    teardown=_teardown,
)
_docstrings = Sybil(
    parsers=[DocTestParser(_OPTIONS)], patterns=["htpoort/*.py", "htpoort/*/*.py", "htpoort/*/*/*.py", "conftest.py"]
)

pytest_collect_file = (_documents + _docstrings).pytest()


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Run all tests in one process more than there are cores, because many wait; run a named part in this one."""
    if config.args_source is not pytest.Config.ArgsSource.TESTPATHS or config.option.keyword:
        return 0
    return min((os.cpu_count() or 1) + 1, 8)


def pytest_configure(config: pytest.Config) -> None:
    """Leave out long tests where all tests are run without another choice; nox names the folders, and runs them."""
    chosen = config.option.markexpr or config.option.keyword
    if config.args_source is pytest.Config.ArgsSource.TESTPATHS and not chosen:
        config.option.markexpr = "not long"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """
    Keep the blocks of each document together, in the order of reading; the order of everything else stays random.

    Long tests come first, and rooms of short tests last: of several processes, none then ends long after the others.
    """
    blocks: dict[Document, list[SybilItem]] = {}
    for item in items:
        if isinstance(item, SybilItem):
            blocks.setdefault(item.example.document, []).append(item)
    ordered: list[pytest.Item] = []
    for item in items:
        if not isinstance(item, SybilItem):
            ordered.append(item)
        else:  # the first block of a document brings all of them
            ordered += sorted(blocks.pop(item.example.document, ()), key=lambda block: block.example.start)
    short = {path: any(map(path.is_relative_to, SHORT)) for path in {item.path for item in items}}
    items[:] = sorted(ordered, key=lambda item: (item.get_closest_marker("long") is None, short[item.path]))
