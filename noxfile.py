"""Everything that must hold before a change lands; `nox` alone runs it all."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import nox

nox.needs_version = ">=2025.2.9"
nox.options.error_on_missing_interpreters = True
nox.options.stop_on_first_error = True
nox.options.reuse_existing_virtualenvs = True

ROOT = Path(__file__).parent
VERSIONS = ("3.11", "3.12", "3.13", "3.14")

CORE = ",".join(
    f"*/htpoort/{name}.py"
    for name in (
        "__init__",
        "_address",
        "_grammar",
        "_mime",
        "_scan",
        "_tolerant",
        "_words",
        "directory",
        "envelope",
        "errors",
        "exchange",
        "message",
        "party",
        "routing",
    )
)


def _starts(program: str | Path) -> bool:
    """Say whether an interpreter starts; a shim may stand there for a version that it does not have."""
    return subprocess.run([program, "--version"], capture_output=True, check=False).returncode == 0


def _interpreters() -> list[str]:
    """Find every supported CPython that starts on this machine, the running one first."""
    running = f"{sys.version_info.major}.{sys.version_info.minor}"
    installed = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found: list[str] = []
    for version in sorted(VERSIONS, key=lambda version: version != running):
        name = f"python{version}"
        folders = [Path(sys.base_prefix) / "bin", *sorted(installed.glob(f"{version}.*/bin"))]
        own = next((folder for folder in folders if (folder / name).exists() and _starts(folder / name)), None)
        if own is not None:
            os.environ["PATH"] = f"{own}{os.pathsep}{os.environ['PATH']}"  # where nox looks for it
        elif (program := shutil.which(name)) is None or not _starts(program):
            continue
        found.append(version)
    return found


PYTHONS = _interpreters()
CORPUS = {"HTPOORT_CORPUS": os.environ.get("HTPOORT_CORPUS", str(ROOT.parent / "shared" / "corpus"))}


@nox.session(python=PYTHONS[0])
def lint(session: nox.Session) -> None:
    """Style, imports, and the changelog's fragments."""
    session.install("-e", ".[dev]")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("lint-imports", "--no-cache")
    session.run("towncrier", "build", "--draft", "--version", "next", silent=True)


@nox.session(python=PYTHONS[0])
def types(session: nox.Session) -> None:
    """Two strict type checkers. basedpyright is pyright in a wheel that needs nothing but the package index."""
    session.install("-e", ".[dev]")
    session.run("mypy", "htpoort", "examples", "tests/typing", "noxfile.py")
    session.run("basedpyright", "--pythonpath", str(Path(session.bin) / "python"))


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """All tests, with branch coverage; the core has all of it."""
    session.install("-e", ".[dev]")
    data = Path(session.create_tmp()) / "coverage"
    env = CORPUS | {"COVERAGE_FILE": str(data), "HYPOTHESIS_PROFILE": os.environ.get("HYPOTHESIS_PROFILE", "ci")}
    session.run("coverage", "erase", env=env)
    session.run("coverage", "run", "-m", "pytest", *session.posargs, env=env)
    session.run("coverage", "combine", "--quiet", env=env)
    if session.posargs:  # a part of the tests says nothing about the whole
        return
    session.run("coverage", "report", env=env)
    session.run("coverage", "report", "--include", CORE, "--fail-under=100", env=env)


@nox.session(python=PYTHONS[0])
def docs(session: nox.Session) -> None:
    """The documentation, without one warning."""
    session.install("-e", ".[docs]")
    target = Path(session.create_tmp()) / "html"
    session.run("sphinx-build", "-n", "-W", "-q", "-b", "html", "docs", str(target))


@nox.session(python=PYTHONS[0], default=False)
def proofs(session: nox.Session) -> None:
    """The long proofs of docs/explanation/reliability.md; the tests run short ones with the same code."""
    session.install("-e", ".[dev]")
    session.run("python", "proofs/crash.py", "--points", "1000", "--workers", "2")
    session.run("python", "proofs/failing_disk.py")
    session.run("python", "proofs/two_agents.py")


@nox.session(python=PYTHONS[0])
def bare(session: nox.Session) -> None:
    """The core alone: it imports without an extra, and the command says what is missing."""
    session.install(".")
    session.chdir(session.create_tmp())
    session.run("python", "-c", "import htpoort; print(htpoort.DMS.process_id)")
    session.run("htpoort", "demo", success_codes=[1], silent=True)


@nox.session(python=PYTHONS[0])
def wheel(session: nox.Session) -> None:
    """The wheel: built once, its content checked, tested without the source tree beside it."""
    session.install("build>=1.2")
    folder = Path(session.create_tmp())
    shutil.rmtree(folder / "dist", ignore_errors=True)
    session.run("python", "-m", "build", "--outdir", str(folder / "dist"), silent=True)
    (built,) = (folder / "dist").glob("*.whl")
    names = set(zipfile.ZipFile(built).namelist())
    strangers = {name for name in names if not name.startswith(("htpoort/", "htpoort-"))}
    if strangers or "htpoort/py.typed" not in names:
        session.error(f"the wheel holds {strangers or 'no py.typed'}")
    session.install(f"{built}[dev]")
    away = folder / "away"
    shutil.rmtree(away, ignore_errors=True)
    for part in ("tests", "examples", "docs", "proofs", ".ci"):
        shutil.copytree(ROOT / part, away / part, ignore=shutil.ignore_patterns("__pycache__", "_build"))
    for part in ("README.md", "CONTRIBUTING.md", "pyproject.toml", "conftest.py", "noxfile.py"):
        shutil.copy(ROOT / part, away)
    session.chdir(away)
    session.run("pytest", "tests", "docs", "README.md", env=CORPUS | {"HYPOTHESIS_PROFILE": "dev"})
