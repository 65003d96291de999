"""Where a library of an extra is missing, the sentence says how to install it, and names no stranger's package."""

from __future__ import annotations

import ast
import re
import shlex
import subprocess  # noqa: S404 - the command is a program
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HOW = (
    "install htpoort again as you installed it, with [{}]: in the folder of its source, {} -m pip install '.[{}]' "
    "(docs/how-to/install.md has the other ways)"
)
COMMAND = "from htpoort.cli import _app; sys.exit(_app.run({!r}))"
METRICS = 'parties = ["NL123456789.02.05"]\n[ledger]\nurl = "sqlite:///htpoort.db"\n[metrics]\nport = 0\n'
SERVER = "postgresql+psycopg://htpoort@127.0.0.1/htpoort"
MISSING = [
    ("typer", "cli", "from htpoort.cli import main; sys.argv[1:] = ['status']; main()"),
    ("starlette", "web", COMMAND.format(["simulate", "--web"])),
    ("trustme", "simulator", COMMAND.format(["simulate", "--tls"])),
    ("pyftpdlib", "simulator", COMMAND.format(["simulate", "--ftps"])),
    ("jinja2", "report", COMMAND.format(["report", "--html", "page.html", "--config", "htpoort.toml"])),
    ("prometheus_client", "metrics", COMMAND.format(["run", "--config", "htpoort.toml"])),
    ("psycopg", "postgres", f"from htpoort.ledger import Ledger; Ledger.open({SERVER!r})"),
]
COMMANDS = re.compile(r"\b(?:pip|pipx)\b[^\n`]*?\binstall\b[^\n`]*")
BY_NAME = re.compile(r"(?:^|[\s'\"])htpoort(?:\[[\w,]+\])?(?=['\"\s]|$)")


@pytest.mark.parametrize(("library", "extra", "code"), MISSING, ids=[extra for _, extra, _ in MISSING])
def test_a_library_is_missing(tmp_path: Path, library: str, extra: str, code: str) -> None:
    """Each sentence names the extra, and the pip of the interpreter that lacks the library."""
    (tmp_path / "htpoort.toml").write_text(METRICS)
    done = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-c", f"import sys; sys.modules[{library!r}] = None; {code}"],
        cwd=tmp_path,
        capture_output=True,
        check=False,
        text=True,
    )

    assert 0 != done.returncode
    assert HOW.format(extra, shlex.quote(sys.executable), extra) in done.stderr


def handlers() -> list[ast.ExceptHandler]:
    """Find each place of the package that handles a library that is missing."""
    return [
        handler
        for module in sorted((ROOT / "htpoort").rglob("*.py"))
        for handler in ast.walk(ast.parse(module.read_text(encoding="utf-8")))
        if isinstance(handler, ast.ExceptHandler)
        and isinstance(handler.type, ast.Name)
        and handler.type.id in {"ImportError", "ModuleNotFoundError"}
    ]


def test_each_place_uses_the_one_function() -> None:
    """Every handler of a missing library says how to install it by the function of them all, with an extra that is."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    named = [
        [
            call.args[0].value
            for call in ast.walk(handler)
            if isinstance(call, ast.Call)
            and isinstance(call.func, ast.Name)
            and call.func.id == "how_to_install"
            and isinstance(call.args[0], ast.Constant)
        ]
        for handler in handlers()
    ]

    assert len(MISSING) < len(named)
    assert [] == [names for names in named if len(names) != 1 or names[0] not in extras]


def test_nothing_installs_it_by_name_alone() -> None:
    """Until htpoort is on the package index, no text shows a command that would look for it there."""
    kinds = {".py", ".md", ".toml", ".yaml", ".js"}
    folders = ("htpoort", "docs", "examples", "benchmarks", ".ci")
    below = [path for folder in folders for path in sorted((ROOT / folder).rglob("*")) if path.is_file()]
    texts = [path for path in (*below, *ROOT.glob("*.*")) if path.is_file() and path.suffix in kinds]
    texts += [ROOT / ".ci/run", ROOT / "examples/container/Containerfile"]
    shown = [
        f"{path.relative_to(ROOT)}: {command}"
        for path in texts
        for command in COMMANDS.findall(path.read_text(encoding="utf-8"))
        if BY_NAME.search(command)
    ]

    assert [] == shown
    # The pattern finds what was there once.
    assert all(
        BY_NAME.search(" ".join(COMMANDS.findall(f"{old} now")))
        for old in ("pip install 'htpoort[report]'", 'pip install "htpoort[postgres]"', "pip install htpoort[testing]")
    )
