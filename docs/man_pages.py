"""
Write a man page for each command into docs/man, from the command line itself.

The commands bring their help; docutils writes it as a man page. The wheel installs the pages under share/man.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import attrs
import typer
from docutils import nodes
from docutils.core import publish_from_doctree
from docutils.utils import new_document

from htpoort.cli._app import EXAMPLES, app

HERE: Final = Path(__file__).parent
FOLDER: Final = HERE / "man"


def exit_codes() -> list[tuple[str, str]]:
    """Read the table of exit codes of docs/reference/codes.md."""
    text = (HERE / "reference/codes.md").read_text(encoding="utf-8")
    table = text.partition("## Exit codes\n")[2].partition("\n## ")[0]
    return [
        (code, meaning.replace("`", ""))
        for code, meaning in re.findall(r"^\| `(\d+)` \| (.+) \|$", table, re.MULTILINE)
    ]


@attrs.frozen
class Command:
    """A command, or a group of commands, with its whole name."""

    name: str
    command: Any
    """A command of typer, which brings a click of its own and hides its types."""

    @property
    def page(self) -> str:
        """The name of its man page."""
        return self.name.replace(" ", "-")

    @property
    def purpose(self) -> str:
        """What it does, in one line."""
        return str(self.command.help).strip().partition("\n")[0].rstrip(".")

    def inner(self) -> list[Command]:
        """List the commands of a group."""
        commands = getattr(self.command, "commands", {})
        return [Command(f"{self.name} {name}", commands[name]) for name in commands]


def commands(command: Command) -> Iterator[Command]:
    """Give a command, and all below it."""
    yield command
    for inner in command.inner():
        yield from commands(inner)


def section(title: str, *content: nodes.Node) -> nodes.section:
    """Make a section."""
    return nodes.section("", nodes.title("", title), *content)


def paragraph(text: str) -> nodes.paragraph:
    """Make a paragraph."""
    return nodes.paragraph("", " ".join(text.split()))


def terms(rows: list[tuple[str, str]]) -> nodes.definition_list:
    """Make a list of terms with what they mean."""
    items = [
        nodes.definition_list_item(
            "", nodes.term("", "", nodes.strong("", term)), nodes.definition("", paragraph(meaning))
        )
        for term, meaning in rows
    ]
    return nodes.definition_list("", *items)


def options(command: Command, context: Any) -> list[nodes.section]:  # noqa: ANN401 - a type that typer hides
    """Make the sections of arguments and options."""
    records: dict[str, list[tuple[str, str]]] = {"ARGUMENTS": [], "OPTIONS": []}
    for parameter in command.command.get_params(context):
        if (record := parameter.get_help_record(context)) is not None:
            records["ARGUMENTS" if parameter.param_type_name == "argument" else "OPTIONS"].append(record)
    return [section(title, terms(rows)) for title, rows in records.items() if rows]


def page(command: Command) -> str:
    """Write the page of a command."""
    context = command.command.context_class(command.command, info_name=command.name, help_option_names=["-h", "--help"])
    document = new_document(command.page)
    document.settings.manpage_url = None
    synopsis = " ".join([command.name, *command.command.collect_usage_pieces(context)])
    document += nodes.title("", command.page)
    document += nodes.subtitle("", command.purpose)
    document += nodes.docinfo(
        "",
        nodes.field("", nodes.field_name("", "manual_section"), nodes.field_body("", paragraph("1"))),
        nodes.field("", nodes.field_name("", "manual_group"), nodes.field_body("", paragraph("htpoort"))),
    )
    document += section("SYNOPSIS", nodes.literal_block("", synopsis))
    document += section("DESCRIPTION", *map(paragraph, str(command.command.help).strip().split("\n\n")))
    document += options(command, context)
    if inner := command.inner():
        document += section("COMMANDS", terms([(each.name, f"{each.purpose}. See {each.page}(1).") for each in inner]))
    if example := EXAMPLES.get(command.name.removeprefix("htpoort ")):
        document += section("EXAMPLE", nodes.literal_block("", example))
    document += section("EXIT STATUS", terms(exit_codes()))
    if command.name != "htpoort":
        parent = command.name.rpartition(" ")[0].replace(" ", "-")
        document += section("SEE ALSO", paragraph(f"{parent}(1)"))
    written = publish_from_doctree(document, writer="manpage", settings_overrides={"output_encoding": "unicode"})
    return str(written).partition("\n.\n")[2].replace(".SH Name", ".SH NAME")  # without the version of docutils


def files() -> dict[Path, str]:
    """Write every page; return the text of each file."""
    root = Command("htpoort", typer.main.get_command(app))
    return {FOLDER / f"{each.page}.1": page(each) for each in commands(root)}


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    new = files()
    for path, text in new.items():
        path.write_text(text, encoding="utf-8")
    for left in set(FOLDER.glob("*.1")) - new.keys():
        left.unlink()
