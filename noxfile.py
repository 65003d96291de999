"""Everything that must hold before a change lands; `nox` alone runs it all."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from pathlib import Path
from typing import Any

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
        "_redaction",
        "_words",
        "cutover/__init__",
        "cutover/moves",
        "cutover/plan",
        "cutover/reading",
        "cutover/reports",
        "cutover/shadow",
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
# Two at once; the blocks of a page stay together, because each needs what stands above it.
AT_ONCE = ("--numprocesses=2", "--dist=loadscope")
HERE = (sys.executable, "-m")  # the environment that runs nox has .[dev]; to install it again takes a minute
BETWEEN = ("unit", "property", "typing", "config", "delivery", "wire")  # where a version of Python shows
SLOW = ("proofs", "postgresql", "model", "docs", "testing")  # rooms of tests that start process after process
ENV = {
    "HTPOORT_CORPUS": os.environ.get("HTPOORT_CORPUS", str(ROOT.parent / "shared" / "corpus")),
    "HYPOTHESIS_PROFILE": os.environ.get("HYPOTHESIS_PROFILE", "ci"),
}


def _developed_with(*names: str) -> list[str]:
    """Give some requirements of the extra for development, with their bounds."""
    every = nox.project.load_toml(ROOT / "pyproject.toml")["project"]["optional-dependencies"]["dev"]
    return [one for one in every if re.split(r"[^a-z-]", one)[0] in names]


@nox.session(python=PYTHONS[0])
def lint(session: nox.Session) -> None:
    """Style, imports, and the changelog's fragments; what is read only need not be installed."""
    session.install(*_developed_with("ruff", "import-linter", "towncrier"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("lint-imports", "--no-cache")
    session.run("towncrier", "build", "--draft", "--version", "next", silent=True)


@nox.session(python=PYTHONS[0])
def types(session: nox.Session) -> None:
    """Two strict type checkers. basedpyright is pyright in a wheel that needs nothing but the package index."""
    session.run(*HERE, "mypy", "htpoort", "examples", "tests/typing", "noxfile.py", external=True)
    session.run(*HERE, "basedpyright", "--pythonpath", sys.executable, external=True)


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """All tests on the first interpreter, the core with coverage; fewer rooms on the others, most on the newest."""
    if session.python != PYTHONS[0]:
        session.install("-e", ".[dev]")
        most = [*(f"--ignore=tests/{room}" for room in SLOW), "tests", "htpoort"]
        some = [*(f"tests/{room}" for room in BETWEEN), "htpoort"]
        rooms = most if session.python == max(PYTHONS) else some
        session.run("pytest", *AT_ONCE, *(session.posargs or rooms), env=ENV)
        return
    session.run(*HERE, "pytest", *AT_ONCE, *session.posargs, env=ENV, external=True)
    if session.posargs:  # a part of the tests says nothing about the whole
        return
    env = ENV | {"COVERAGE_FILE": str(Path(session.create_tmp()) / "coverage")}
    run = (*HERE, "coverage")
    session.run(*run, "erase", env=env, external=True)
    session.run(*run, "run", "-m", "pytest", "-q", "tests/unit", "tests/property", "htpoort", env=env, external=True)
    session.run(*run, "combine", "--quiet", env=env, external=True)
    session.run(*run, "report", "--include", CORE, "--fail-under=100", env=env, external=True)


@nox.session(python=PYTHONS[0])
def docs(session: nox.Session) -> None:
    """The documentation, without one warning."""
    target = Path(session.create_tmp()) / "html"
    session.run(*HERE, "sphinx", "-n", "-W", "-q", "-b", "html", "docs", str(target), external=True)


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
def kit(session: nox.Session) -> None:
    """The test kit alone, as a user has it: the example of a test file runs, and nothing else is needed."""
    session.install(".[testing]")
    # Outside of this tree, whose own settings of pytest a user has not.
    with tempfile.TemporaryDirectory() as away:
        shutil.copy(ROOT / "examples/test_my_forwarder.py", away)
        session.chdir(away)
        session.run("pytest", "-W", "error", "-p", "no:cacheprovider", "test_my_forwarder.py")
        session.chdir(ROOT)


@nox.session(python=PYTHONS[0])
def wheel(session: nox.Session) -> None:
    """
    The wheel: built once, its content checked, tested without the source tree beside it.

    Not all tests: what a wheel can break is a module, a file of data, a command or an entry point that is missing.
    """
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
    for part in ("tests", "examples", "docs", "proofs", "benchmarks", ".ci"):
        shutil.copytree(ROOT / part, away / part, ignore=shutil.ignore_patterns("__pycache__", "_build"))
    for part in ("README.md", "CONTRIBUTING.md", "pyproject.toml", "conftest.py", "noxfile.py"):
        shutil.copy(ROOT / part, away)
    session.chdir(away)
    rooms = [f"tests/{room}" for room in ("unit", "cli", "testing/test_plugin.py", "testing/test_fixtures.py", "docs")]
    session.run("pytest", *AT_ONCE, *rooms, "docs", "README.md", env=ENV)


@nox.session(python=PYTHONS[0])
def interop(session: nox.Session) -> None:
    """
    Programs that nobody here wrote, both ways; compares with docs/reference/interoperability.md.

    Last, because it is the one that not every machine can run. HTPOORT_INTEROP_WRITE=1 writes the page.
    """
    modules, layers = (Path(session.virtualenv.location) / name for name in ("node", "layers"))
    env = {"NODE_PATH": str(modules / "node_modules"), "HTPOORT_LAYERS": str(layers)}
    _install_from_debian(session, _absent("debian", env), _absent("layer", env))
    if _absent("npm", env):
        modules.mkdir(exist_ok=True)
        shutil.copy(INTEROP / "node/package.json", modules)
        # No lock file: it would name where the packages came from.
        options = ("--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=5")
        session.run("npm", "install", "--prefix", str(modules), *options, external=True, silent=True)
    if left := [*_absent("debian", env), *(names[0] for names in _absent("layer", env)), *_absent("npm", env)]:
        session.error(f"Installed, and they do not run: {', '.join(left)}")
    # Most of the time somebody waits. One process writes the page, where that is asked for.
    several = () if "HTPOORT_INTEROP_WRITE" in os.environ else ("--numprocesses=4",)
    session.run(*HERE, "pytest", *several, *(session.posargs or ["tests/interop"]), env=env, external=True)


INTEROP = ROOT / "tests/interop"
LAYER = INTEROP / "layer.sh"


def _absent(source: str, env: dict[str, str]) -> list[Any]:
    """Name the packages of a source whose programs do not print their version; of a layer, all that are in it."""
    programs = tomllib.loads((INTEROP / "programs.toml").read_text(encoding="utf-8"))["program"]
    path = os.pathsep.join((os.environ["PATH"], "/usr/sbin", "/sbin"))
    found: list[Any] = []
    for program in programs:
        command = program["version"]
        if source == "layer" and source in program:
            command = ["sh", str(LAYER), "run", f"{env['HTPOORT_LAYERS']}/{program[source][0]}", *command]
        if source in program and not _answers(command, env, path):
            found.append(program[source])
    return found


def _answers(command: list[str], env: dict[str, str], path: str) -> bool:
    program = shutil.which(command[0], path=path)
    if program is None:
        return False
    done = subprocess.run(
        [program, *command[1:]], env=os.environ | env | {"PATH": path}, capture_output=True, check=False
    )
    return b"." in done.stdout  # a version; some end with an error when they are not configured


def _install_from_debian(session: nox.Session, packages: list[str], layers: list[list[str]]) -> None:
    """Install what is missing, each layer apart from the machine, and let no server of it start."""
    if not packages and not layers:
        return
    # A mirror that does not answer at once, and another program that installs something, are waited for.
    patient = ("apt-get", "-o", "Acquire::Retries=5", "-o", "DPkg::Lock::Timeout=120")
    install = ("install", "--yes", "--no-install-recommends")
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        missing = " ".join([*packages, *(name for names in layers for name in names)])
        session.error(f"Not installed: {missing}. On Debian 12 and as root, this session installs them.")
    # What Debian's packages ask before they start a service; 101 forbids it.
    policy = Path("/usr/sbin/policy-rc.d")
    ours = not policy.exists()
    if ours:
        policy.write_text("#!/bin/sh\nexit 101\n", encoding="ascii")
        policy.chmod(0o755)
    try:
        commands = [(*patient, "update"), (*patient, *install, *packages)]
        for names in layers:
            place = Path(session.virtualenv.location) / "layers" / names[0]
            commands.append(("sh", str(LAYER), "install", str(place), *patient, *install, *names))
        for command in commands:
            session.run(*command, env={"DEBIAN_FRONTEND": "noninteractive"}, external=True, silent=True)
    finally:
        if ours:
            policy.unlink()
