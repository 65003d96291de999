"""The pages agree with the project that they describe."""

from __future__ import annotations

import importlib.util
import itertools
import re
import subprocess  # noqa: S404 - Sphinx is a program
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
import typer

import htpoort
from htpoort import agent, config, delivery, files, ledger, simulator, transport
from htpoort.cli import _app
from htpoort.config import _tables, file
from htpoort.core import cutover, exchange
from htpoort.core.cutover import plan_files
from htpoort.transport import POLICIES

Open = Callable[[str], Any]

# Languages that pytest runs (see the project's conftest.py), and those that are not programs.
RUN = {"python", "console", "toml"}
# Languages that the tests with foreign programs run, and the pages that they take them from.
RUN_ELSEWHERE = {"js": "docs/how-to/node.md", "php": "docs/how-to/php.md"}
SHOWN = {"text", "{toctree}", "{eval-rst}", "{image}", "{include}", "{literalinclude}"}

VERSIONS = {"TLSv1_2": "1.2", "TLSv1_3": "1.3"}


class TestReadme:
    """CI runs the README's commands; pytest runs its other blocks."""

    @pytest.fixture
    def commands(self, page: Open) -> list[str]:
        """Return the console blocks of the README."""
        return [content.strip() for language, content in page("README.md").blocks() if language == "console"]

    def test_the_first_command_ends_in_the_demonstration(self, commands: list[str]) -> None:
        """The first command installs into an environment of its own, and then shows the whole exchange."""
        assert "python3 -m venv .venv && .venv/bin/pip install -q '.[all]' && .venv/bin/htpoort demo" == commands[0]

    def test_ci_runs_the_second_command(self, commands: list[str], root: Path) -> None:
        """`.ci/run` runs the second command, letter by letter, then those with programs of Debian, and no more."""
        lines = [line for line in (root / ".ci/run").read_text().splitlines() if not line.startswith("#")]

        assert [
            "set -euo pipefail",
            'cd "$(dirname "${BASH_SOURCE[0]}")/.."',
            commands[1],
            ".venv/bin/nox -s interop deploy looks",
        ] == lines

    def test_there_is_no_third(self, commands: list[str]) -> None:
        """Every console block of the README is one of the two."""
        assert 2 == len(commands)


class TestBlocks:
    """Every program in the documents is run, and fits a screen."""

    COMMANDS_OF_CI = 2
    """The commands of the README that CI runs letter by letter: they are one line each, however long."""

    def test_no_line_is_too_long(self, pages: list[Any], root: Path) -> None:
        """A line of a block has at most 88 characters; a picture's description for the blind may have more."""
        readme = pages[0]
        commands = [content for language, content in readme.blocks() if language == "console"][: self.COMMANDS_OF_CI]
        long = [
            (str(one.path.relative_to(root)), line)
            for one in pages
            for _, content in one.blocks()
            if not (one is readme and content in commands)
            for line in content.splitlines()
            if len(line) > 88 and not line.startswith(":alt: ")
        ]

        assert [] == long

    def test_every_block_says_what_it_is(self, pages: list[Any]) -> None:
        """A fenced block is in a language that is run, or is not a program."""
        languages = {language for one in pages for language, _ in one.blocks()}

        assert languages <= RUN | SHOWN | set(RUN_ELSEWHERE)

    def test_what_foreign_programs_run(self, pages: list[Any], root: Path) -> None:
        """A block in another language is on a page that a test with foreign programs reads."""
        found = {(language, str(one.path.relative_to(root))) for one in pages for language, _ in one.blocks()}
        read = (root / "tests/interop/test_any_language.py").read_text(encoding="utf-8")

        assert set(RUN_ELSEWHERE.items()) == {(language, path) for language, path in found if language in RUN_ELSEWHERE}
        assert all(path in read for path in RUN_ELSEWHERE.values())

    def test_what_is_left_to_ci_is_in_the_readme(self, pages: list[Any]) -> None:
        """A console block that creates an environment is a command of the README, which CI runs."""
        readme, *others = pages
        known = {content for language, content in readme.blocks() if language == "console"}
        left = {
            content
            for one in others
            for language, content in one.blocks()
            if language == "console" and not content.startswith("$ ")
        }

        assert left <= known

    def test_names_are_those_of_examples(self, pages: list[Any], root: Path) -> None:
        """Party IDs are made up; mail addresses are in .example domains, or are those of the two systems."""
        allowed = re.compile(r"[a-z]+@(?:[a-z-]+\.)+example|(?:ags|dms)@htpoort\.nl|evil@x")
        texts = [one.text for one in pages] + [path.read_text() for path in (root / "examples").glob("*.py")]
        mailboxes = {found for text in texts for found in re.findall(r"\b[a-z]+@[a-z.-]+\b", text)}
        parties = {found for text in texts for found in re.findall(r"NL[0-9]{9}\.[0-9.]*[0-9]", text)}

        assert set() == {mailbox for mailbox in mailboxes if not allowed.fullmatch(mailbox)}
        assert parties <= {"NL123456789.02.05", "NL123456789.03.05", "NL123456789.99.05"}


class TestForm:
    """Each page can be found by a search engine, and says first what it gives."""

    FRONT = re.compile(
        r'---\nmyst:\n  html_meta:\n    description: "?(?P<description>[^"\n]+)"?\n'
        r'    keywords: "?(?P<keywords>[^"\n]+)"?\n'
        r"---\n\n# (?P<title>.+)\n\n(?P<first>.+)"
    )

    @pytest.fixture
    def fronts(self, pages: list[Any], root: Path) -> dict[str, re.Match[str] | None]:
        """Return the beginning of each page of the documentation; a table that a page includes is none."""
        docs = [one for one in pages[1:] if one.path.name != "exchange-table.md"]
        return {str(one.path.relative_to(root)): self.FRONT.match(one.text) for one in docs}

    def test_every_page_has_a_description(self, fronts: dict[str, re.Match[str] | None]) -> None:
        """A description of at most 160 characters and search words, which no other page has, and then the title."""
        found = {name: front for name, front in fronts.items() if front is not None}
        descriptions = [front["description"] for front in found.values()]

        assert fronts.keys() == found.keys()
        assert [] == [text for text in descriptions if len(text) > 160]
        assert len(descriptions) == len(set(descriptions))

    def test_every_page_begins_with_a_sentence(self, fronts: dict[str, re.Match[str] | None]) -> None:
        """Text stands under the title, and no table, block or list."""
        assert [] == [
            name for name, front in fronts.items() if front and front["first"].startswith(("|", "`" * 3, "- "))
        ]

    def test_every_how_to_is_short(self, pages: list[Any]) -> None:
        """No page of a task has more than 400 lines."""
        long = [one.path.name for one in pages if one.path.parent.name == "how-to" and one.text.count("\n") > 400]

        assert [] == long


class TestGuarantees:
    """`docs/explanation/guarantees.md` names proofs that exist."""

    def test_each_proof_is_there(self, page: Open, in_backticks: Callable[[str], list[str]], root: Path) -> None:
        """Each promise names a test or a proof; its file is there, and has the test."""
        rows = page("docs/explanation/guarantees.md").rows("## What is promised")
        named = [in_backticks(row[2]) for row in rows]
        missing = []
        for name in itertools.chain.from_iterable(named):
            file, _, test = name.partition("::")
            path = root / file if file.startswith("proofs/") else root / "tests" / file
            function = test.rpartition("::")[2]
            if not path.is_file() or (function and f"def {function}(" not in path.read_text(encoding="utf-8")):
                missing.append(name)

        assert all(named)
        assert [] == missing


class TestReference:
    """The reference is made from the docstrings, and covers every public name."""

    @pytest.mark.long
    def test_builds_without_a_warning(self, root: Path, tmp_path: Path) -> None:
        """Sphinx finds every name and link; a warning is an error."""
        built = subprocess.run(  # noqa: S603 - our own documents
            # The theme checks nothing, and its navigation takes a fifth of the time.
            [*(sys.executable, "-m", "sphinx", "-n", "-W", "-q"), *("-D", "html_theme=basic"), root / "docs", tmp_path],
            capture_output=True,
            text=True,
            check=False,
        )

        assert (0, "") == (built.returncode, built.stderr)

    def test_every_public_name_has_a_page(self, pages: list[Any]) -> None:
        """The module of each public name is on a page, and each documented module exists."""
        documented = {
            name for one in pages for name in re.findall(r"^\.\. automodule:: (\S+)$", one.text, re.MULTILINE)
        }
        alone = {name for one in pages for name in re.findall(r"^\.\. autofunction:: (\S+)$", one.text, re.MULTILINE)}
        public = {
            getattr(getattr(room, name), "__module__", "")
            for room in (htpoort, files, cutover, transport, exchange, ledger, delivery, agent, config, simulator)
            for name in room.__all__
            if f"{room.__name__}.{name}" not in alone
        }
        # For an instance this is the module of its class, where it is documented; a tuple has none, and an alias has
        # that of its origin.
        assert public - {"", "builtins", "collections.abc", "types", "typing"} <= documented
        assert all(importlib.import_module(name) for name in documented)


class TestCommandLine:
    """`docs/reference/cli.md` has every command and every option."""

    @pytest.fixture
    def commands(self) -> dict[str, Any]:
        """Return every command by its name; a command of a group has the group's name in front."""
        group: Any = typer.main.get_command(_app.app)
        found: dict[str, Any] = {}
        for name, command in group.commands.items():
            inner = getattr(command, "commands", None)
            found |= {name: command} if inner is None else {f"{name} {one}": inner[one] for one in inner}
        return found

    @pytest.fixture
    def headings(self, page: Open) -> dict[str, str]:
        """Return the heading of each command by its name."""
        text = page("docs/reference/cli.md").text
        return {name: line for line, name in re.findall(r"^(## `htpoort ([a-z]+(?: [a-z-]+)?).*)$", text, re.MULTILINE)}

    def test_every_option_is_listed(
        self, page: Open, in_backticks: Callable[[str], list[str]], commands: dict[str, Any], headings: dict[str, str]
    ) -> None:
        """Each command's table lists exactly its options."""
        options = {
            name: sorted(
                spelled
                for parameter in command.params
                if parameter.param_type_name == "option" and parameter.name != "help"
                for spelled in parameter.opts
            )
            for name, command in commands.items()
        }
        text = page("docs/reference/cli.md")
        listed = {
            name: sorted(code.split()[0] for row in text.rows(heading) for code in in_backticks(row[0]))
            for name, heading in headings.items()
        }

        assert options == listed

    def test_values_are_named_as_in_the_help(
        self, page: Open, in_backticks: Callable[[str], list[str]], commands: dict[str, Any], headings: dict[str, str]
    ) -> None:
        """The page names the value of each option, and each argument, as `--help` does."""
        shown = {
            name: sorted(
                spelled if parameter.is_flag else f"{spelled} {parameter.metavar}"
                for parameter in command.params
                if parameter.param_type_name == "option" and parameter.name != "help"
                for spelled in parameter.opts
            )
            for name, command in commands.items()
        }
        text = page("docs/reference/cli.md")
        listed = {
            name: sorted(code for row in text.rows(heading) for code in in_backticks(row[0]))
            for name, heading in headings.items()
        }
        usages = {
            name: " ".join([name, *(piece for one in command.params for piece in one.get_usage_pieces(None))])
            for name, command in commands.items()
        }

        assert shown == listed
        assert usages == {
            name: heading.removeprefix("## `htpoort ").removesuffix("`") for name, heading in headings.items()
        }

    def test_what_is_needed_is_marked(self, page: Open, commands: dict[str, Any], headings: dict[str, str]) -> None:
        """The page marks exactly the required options with `needed`."""
        text = page("docs/reference/cli.md")
        for name, heading in headings.items():
            needed = {
                parameter.opts[0]
                for parameter in commands[name].params
                if parameter.required and parameter.param_type_name == "option"
            }
            marked = {row[0].strip("`").split()[0] for row in text.rows(heading) if row[1].endswith("needed")}

            assert needed == marked


class TestConfiguration:
    """`docs/reference/config.md` has every key of `htpoort.toml`."""

    @pytest.mark.parametrize(
        ("heading", "table"),
        [
            ("## `[ledger]`", _tables.LedgerTable),
            ("## `[[outbox]]`", _tables.OutboxTable),
            ("## `[[smtp]]`", _tables.SmtpTable),
            ("## `[[pop3]]`", _tables.Pop3Table),
            ("## `[[gateway]]`", _tables.GatewayTable),
            ("## `[[delivery]]`", _tables.DeliveryTable),
            ("## `[[folder]]`", _tables.FolderTable),
            ("## `[timing]`", _tables.TimingTable),
            ("## `[metrics]`", _tables.MetricsTable),
            ("## `[cutover]`", _tables.CutoverTable),
            ("## `[notices]`", _tables.NoticesTable),
            ("## `[[notices.name]]`", _tables.NoticeNameTable),
            ("## `[unanswered]`", _tables.UnansweredTable),
            ("## `[[unanswered.system]]`", _tables.UnansweredSystemTable),
            ("## `[[cutover.move]]`", plan_files._MoveTable),
        ],
    )
    def test_every_key_is_listed(
        self, page: Open, in_backticks: Callable[[str], list[str]], heading: str, table: type[Any]
    ) -> None:
        """Each table lists the keys that the reader accepts, without those that it knows only to refuse them."""
        listed = [in_backticks(row[0])[0] for row in page("docs/reference/config.md").rows(heading)]
        taken = {field.name for field in attrs.fields(table)} - {"password", "key_password"}

        assert sorted(taken) == sorted(listed)

    def test_every_table_is_listed(self, page: Open, in_backticks: Callable[[str], list[str]]) -> None:
        """The keys at the top level are those that the reader knows."""
        listed = [in_backticks(row[0])[0] for row in page("docs/reference/config.md").rows("## Top")]

        assert sorted(file._KNOWN) == sorted(listed)


class TestArchitecture:
    """`docs/explanation/architecture.md` describes the tree as it is."""

    @pytest.fixture
    def text(self, page: Open) -> str:
        """Read the page."""
        text: str = page("docs/explanation/architecture.md").text
        return text

    def test_every_module_exists(self, text: str) -> None:
        """Each module that the page names can be imported."""
        named = set(re.findall(r"`(htpoort(?:\.\w+)+)`", text))
        named.remove("htpoort.toml")

        assert [] == sorted(name for name in named if importlib.util.find_spec(name) is None)

    def test_the_floors_are_those_of_the_contract(self, text: str, root: Path) -> None:
        """The picture has the floors of the contract, from top to bottom, and every room has its row."""
        contracts = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
        (house,) = (one for one in contracts["contracts"] if one.get("containers") == ["htpoort"])
        # __main__ only starts the command line.
        floors = [{room.strip() for room in re.split(r"[|:]", floor)} - {"__main__"} for floor in house["layers"]]
        (picture,) = re.findall(r"```text\n(.*?)```", text, re.DOTALL)
        drawn = [set(re.split(r" {2,}(?=\S)", line[:59].strip())) for line in picture.splitlines()]
        rows = {name.removeprefix("htpoort.") for name in re.findall(r"^\| `([\w.]+)` \|", text, re.MULTILINE)}

        assert floors == drawn
        assert set().union(*floors) - {"_aio", "_clock", "_disk", "_extras", "_log", "_pages"} == rows


class TestTls:
    """`docs/reference/tls.md` shows what `POLICIES` holds."""

    def test_policies(self, page: Open) -> None:
        """Each policy has its row, in order."""
        expected = [
            [
                policy.environment.value,
                "before" if policy.valid_from is None else policy.valid_from.isoformat(),
                ", ".join(VERSIONS[version.name] for version in policy.announced),
                VERSIONS[policy.minimum.name],
                f"{len(policy.ciphers)} listed below" if policy.ciphers else "none published",
                policy.mark.value,
                policy.source,
            ]
            for policy in POLICIES
        ]
        rows = page("docs/reference/tls.md").rows()

        assert expected == [row for row in rows if len(row) == 7]

    def test_suites(self, page: Open, in_backticks: Callable[[str], list[str]]) -> None:
        """The suites are listed in order, and every policy that has a list has this one."""
        rows = page("docs/reference/tls.md").rows()
        listed = tuple(in_backticks(row[0])[0] for row in rows if len(row) == 1)

        assert {(), listed} == {policy.ciphers for policy in POLICIES}

    def test_notes(self, page: Open) -> None:
        """The page has the note of each policy whose source leaves something open."""
        rows = page("docs/reference/tls.md").rows("## What the sources leave open")

        assert [policy.note for policy in POLICIES if policy.note] == [row[2] for row in rows]


class TestDependencies:
    """`docs/explanation/dependencies.md` has a reason for each dependency."""

    def test_each_is_there_once(self, page: Open, root: Path) -> None:
        """Every package in pyproject.toml has its row, under its extra or group; our own extras do not count."""
        table = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
        groups = {
            "core": table["project"]["dependencies"],
            "build": table["build-system"]["requires"],
            **table["project"]["optional-dependencies"],
            **table["dependency-groups"],
        }
        asked = {
            (re.split(r"[^A-Za-z0-9-]", text)[0].lower(), extra)
            for extra, texts in groups.items()
            for text in texts
            if isinstance(text, str) and not text.startswith("htpoort[")  # a table includes another group
        }
        rows = page("docs/explanation/dependencies.md").rows()

        assert sorted(asked) == sorted((row[0].lower(), row[1]) for row in rows)
        assert all(row[2].endswith(".") for row in rows)


class TestContributing:
    """CONTRIBUTING.md agrees with the project."""

    def test_sessions(self, page: Open, root: Path, in_backticks: Callable[[str], list[str]]) -> None:
        """The sessions of its table are those of noxfile.py."""
        defined = re.findall(r"^@nox\.session.*\ndef (\w+)", (root / "noxfile.py").read_text(), re.MULTILINE)
        listed = [in_backticks(row[0])[0] for row in page("CONTRIBUTING.md").rows("## The checks")]

        assert sorted(defined) == sorted(listed)
