"""The checks of the project; `nox` alone runs all that need Python and the package index only."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import nox

nox.needs_version = ">=2025.2.9"
nox.options.error_on_missing_interpreters = True
nox.options.stop_on_first_error = True
nox.options.reuse_existing_virtualenvs = True

ROOT = Path(__file__).parent
PROJECT = nox.project.load_toml(ROOT / "pyproject.toml")
VERSIONS = ("3.11", "3.12", "3.13", "3.14")

CORE = "*/htpoort/__init__.py,*/htpoort/core/*"
CORE_TESTS = ("tests/unit", "tests/property", "htpoort")
BY_VERSION = (*CORE_TESTS, *(f"tests/{room}" for room in ("typing", "config", "delivery", "wire")))
BY_NEWEST = ("tests/agent", *(f"tests/ledger/test_{part}.py" for part in ("exchanges", "file", "opening", "trouble")))

PROSE = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "docs", "htpoort", "examples", "benchmarks")  # in users' words
SEVERAL = ("--numprocesses=3",)  # two cores are idle too often with two: many tests wait
CHOSEN = {name: os.environ[name] for name in ("HYPOTHESIS_PROFILE",) if name in os.environ}
ENV = {"HYPOTHESIS_PROFILE": "ci"} | CHOSEN


def _starts(program: str | Path) -> bool:
    """Run an interpreter: pyenv puts shims on the PATH also for versions that are not installed."""
    return subprocess.run([program, "--version"], capture_output=True, check=False).returncode == 0


def _other_interpreters() -> list[str]:
    """Find every supported CPython on this machine beside the one that runs nox."""
    installed = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    versions: list[str] = []
    for version in VERSIONS:
        name = f"python{version}"
        folder = next((path for path in installed.glob(f"{version}.*/bin") if _starts(path / name)), None)
        if folder is not None:
            os.environ["PATH"] += f"{os.pathsep}{folder}"  # where nox looks for it
        elif (program := shutil.which(name)) is None or not _starts(program):
            continue
        versions.append(version)
    running = f"{sys.version_info.major}.{sys.version_info.minor}"
    return [version for version in versions if version != running]


OTHERS = _other_interpreters()


def _python(session: nox.Session, *arguments: str | Path, env: dict[str, str] | None = None) -> None:
    """Run a module in the environment that runs nox: it has every dependency already."""
    session.run(sys.executable, "-m", *map(str, arguments), env=env, external=True)


@nox.session(venv_backend="none")
def lint(session: nox.Session) -> None:
    """Style, imports, spelling, and the changelog's fragments."""
    _python(session, "ruff", "check", ".")
    _python(session, "ruff", "format", "--check", ".")
    session.run(Path(sys.executable).with_name("lint-imports"), "--no-cache", external=True)
    _python(session, "codespell_lib", ".")
    _python(session, "codespell_lib", "--dictionary", ".ci/words.txt", *PROSE)
    _python(session, "towncrier", "build", "--draft", "--version", "next")


@nox.session(venv_backend="none")
def types(session: nox.Session) -> None:
    """Two strict type checkers."""
    _python(session, "mypy", "htpoort", "examples", "tests/typing", "noxfile.py")
    _python(session, "basedpyright", "--pythonpath", sys.executable)


@nox.session(venv_backend="none")
def tests(session: nox.Session) -> None:
    """All tests on one interpreter; those of the core first, with their coverage measured."""
    if session.posargs:  # a part of the tests, without coverage
        _python(session, "pytest", *session.posargs, env=ENV)
        return
    with tempfile.TemporaryDirectory() as folder:
        env = ENV | {"COVERAGE_FILE": str(Path(folder) / "coverage")}
        _python(session, "coverage", "run", "-m", "pytest", *SEVERAL, *CORE_TESTS, env=env)
        _python(session, "coverage", "combine", "--quiet", env=env)
        _python(session, "coverage", "report", "--include", CORE, "--fail-under=100", env=env)
    ignored = (f"--ignore={part}" for part in CORE_TESTS)
    _python(session, "pytest", *SEVERAL, *ignored, "tests", "docs", "README.md", "conftest.py", env=ENV)


@nox.session(python=OTHERS or False)
def versions(session: nox.Session) -> None:
    """On every other interpreter, the tests that a version of Python can change; most on the newest."""
    if not session.python:
        session.skip("no other supported Python on this machine")
    session.install("--no-compile", "-e", ".[all]", *nox.project.dependency_groups(PROJECT, "test"))
    between = [part for part in BY_VERSION if part != "tests/property"]
    parts = (*BY_VERSION, *BY_NEWEST) if session.python == OTHERS[-1] else between
    part = session.posargs or (*parts, "-m", "not long")
    session.run("pytest", *SEVERAL, *part, env={"HYPOTHESIS_PROFILE": "few"} | CHOSEN)


@nox.session(venv_backend="none", default=False)
def docs(session: nox.Session) -> None:
    """The documentation as HTML; that it builds without a warning is one of the tests."""
    _python(session, "sphinx", "-n", "-W", "-q", "-b", "html", "docs", "docs/_build")


@nox.session(venv_backend="none", default=False)
def notices(session: nox.Session) -> None:
    """Compare what is read of published notices with what a careful person took from each."""
    session.run(sys.executable, "benchmarks/notices.py", *session.posargs, external=True)


@nox.session(venv_backend="none", default=False)
def proofs(session: nox.Session) -> None:
    """The long proofs of docs/explanation/reliability.md; the tests run short ones with the same code."""
    session.run(sys.executable, "proofs/crash.py", "--points", "1000", "--workers", "2", external=True)
    session.run(
        *(sys.executable, "proofs/crash.py", "--window", "--points", "300", "--workers", "2"),
        external=True,
    )
    session.run(
        *(sys.executable, "proofs/crash.py", "--files", "--points", "320", "--workers", "2"),
        external=True,
    )
    session.run(sys.executable, "proofs/failing_disk.py", external=True)
    session.run(sys.executable, "proofs/two_agents.py", external=True)
    session.run(sys.executable, "proofs/random_notices.py", "--workers", "2", external=True)


@nox.session(default=False)
def fuzz(session: nox.Session) -> None:
    """Hostile input, guided by coverage: `-- --minutes N [TARGET…]`, or `-- --linear` for the growth of time."""
    session.install("--no-compile", "-e", ".[all]", *nox.project.dependency_groups(PROJECT, "fuzz"))
    session.run("python", "fuzz/run.py", *session.posargs)


@nox.session(reuse_venv=False)
def wheel(session: nox.Session) -> None:
    """
    The wheel, away from the source tree and with one extra after another.

    Two builds give the same files. Alone, the core imports and the command says what is missing. With `testing`, a
    user's test file runs. With `all`, every module, file of data, command and entry point is where it belongs. pipx
    runs the demonstration from the wheel alone.
    """
    # This tree has settings of pytest that a user does not have.
    with tempfile.TemporaryDirectory() as away:
        built = _built_twice(session, Path(away))
        _python(session, "twine", "check", "--strict", *Path(away).glob("htpoort-*"))
        names = zipfile.ZipFile(built).namelist()
        if strangers := [name for name in names if not name.startswith(("htpoort/", "htpoort-"))]:
            session.error(f"The wheel has {strangers}, which are not of the package.")
        if not any(name.endswith("/share/man/man1/htpoort-run.1") for name in names):
            session.error("The wheel has no man pages.")
        for name in ("examples/test_my_forwarder.py", "tests/installed/test_installed.py"):
            shutil.copy(ROOT / name, away)
        session.chdir(away)
        session.install(str(built))
        session.run("python", "-c", "import htpoort; print(htpoort.DMS.process_id)")
        session.run("htpoort", "demo", success_codes=[1], silent=True)
        session.install(f"{built}[testing]")
        session.run("pytest", "-W", "error", "-p", "no:cacheprovider", "test_my_forwarder.py")
        session.install(f"{built}[all]")
        session.run("pytest", "-W", "error", "-p", "no:cacheprovider", "test_installed.py")
        pipx = {"PIPX_HOME": str(Path(away, "pipx")), "PIPX_BIN_DIR": str(Path(away, "bin"))}
        _python(session, "pipx", "run", "--spec", f"{built}[cli,simulator]", "htpoort", "demo", env=pipx)
        session.chdir(ROOT)


def _built_twice(session: nox.Session, folder: Path) -> Path:
    """Build wheel and sdist; build them again from another folder, with other times; compare the files."""
    _python(session, "build", "--outdir", folder)
    copy, again = folder / "copy", folder / "again"
    shutil.copytree(ROOT, copy, copy_function=shutil.copy, ignore=shutil.ignore_patterns(".git", ".nox", ".venv"))
    _python(session, "build", "--outdir", again, copy)
    for path in folder.glob("htpoort-*"):
        if path.read_bytes() != (again / path.name).read_bytes():
            session.error(f"{path.name} differs when it is built again.")
    (wheel,) = folder.glob("*.whl")
    return wheel


@nox.session(venv_backend="none", default=False)
def interop(session: nox.Session) -> None:
    """
    Foreign programs, both ways; compares with docs/reference/interoperability.md.

    Only when asked for by name: it installs them by apt-get and npm. HTPOORT_INTEROP_WRITE=1 writes the page.
    """
    PROGRAMS.mkdir(parents=True, exist_ok=True)
    modules, layers = PROGRAMS / "node", PROGRAMS / "layers"
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
    # The tests wait most of the time. One process writes the page, where that is asked for.
    several = () if "HTPOORT_INTEROP_WRITE" in os.environ else ("--numprocesses=6", "--dist=load")
    _python(session, "pytest", *several, *(session.posargs or ["tests/interop"]), env=env)


@nox.session(venv_backend="none", default=False)
def deploy(session: nox.Session) -> None:
    """The unit for systemd, the man pages and the container files of examples/; as root, it installs what it needs."""
    absent = [
        name for name in ("systemd", "mandoc") if not shutil.which({"systemd": "systemd-analyze"}.get(name, name))
    ]
    _install_from_debian(session, absent, [])
    _python(session, "pytest", *(session.posargs or ["tests/deploy"]))


@nox.session(venv_backend="none", default=False)
def looks(session: nox.Session) -> None:
    """
    Documentation, report and live page in Chromium, on a telephone and a screen; screenshots are in .nox/looks.

    `nox -s looks -- tests/looks` also asks axe about every page, and keeps a screenshot of each, which takes a quarter
    of an hour.
    """
    browser = ["chromium", "fonts-dejavu-core"]
    _install_from_debian(session, [] if shutil.which("chromium") else browser, [])
    _python(session, "pytest", *SEVERAL, *(session.posargs or ["tests/looks", "-m", "not long"]))


INTEROP = ROOT / "tests/interop"
PROGRAMS = ROOT / ".nox/interop"  # what is not installed on the machine itself
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


def _install_layer(command: tuple[str | Path, ...]) -> str:
    """Run the command of a layer; return the last line that it prints, or all that it prints where it fails."""
    env = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return done.stdout if done.returncode else done.stdout.strip().rpartition("\n")[2]


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
        for command in ((*patient, "update"), (*patient, *install, *packages)):
            session.run(*command, env={"DEBIAN_FRONTEND": "noninteractive"}, external=True, silent=True)
        with ThreadPoolExecutor() as pool:  # each layer has locks of its own
            start = ("sh", LAYER, "install")
            each = ((*start, PROGRAMS / "layers" / names[0], *patient, *install, *names) for names in layers)
            for output in pool.map(_install_layer, each):
                session.log(output)
    finally:
        if ours:
            policy.unlink()
