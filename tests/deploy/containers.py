"""Container files without a container engine: their steps are run in a layer over the root of this machine."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess  # noqa: S404 - what is tested are commands
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import attrs
import yaml

ROOT: Final = Path(__file__).parents[2]
LAYER: Final = ROOT / "tests/interop/layer.sh"
CONTAINERS: Final = ROOT / "examples/container"
BASE: Final = {"PATH": f"{sys.base_prefix}/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/nonexistent"}
"""What the base image gives: an interpreter, and the programs of Debian."""


@attrs.frozen
class Step:
    """An instruction of a container file."""

    name: str
    argument: str

    def words(self) -> list[str]:
        """Return the argument as words; those of ENTRYPOINT and CMD are JSON."""
        return json.loads(self.argument) if self.argument.startswith("[") else shlex.split(self.argument)


def steps(path: Path) -> list[Step]:
    """Read a container file without continued lines."""
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    return [Step(*line.split(maxsplit=1)) for line in lines]


def compose(environment: Mapping[str, str]) -> dict[str, Any]:
    """Read the compose file, with its variables put in."""
    text = (CONTAINERS / "compose.yaml").read_text(encoding="utf-8")
    for name, value in environment.items():
        text = text.replace(f"${{{name}:?write it into .env}}", value)
    assert "${" not in text
    document: dict[str, Any] = yaml.safe_load(text)
    return document


@attrs.define
class Image:
    """What an image would hold, as a layer over this machine's root; and what it runs."""

    folder: Path
    environment: dict[str, str] = attrs.Factory(lambda: dict(BASE))
    user: str = "root"
    workdir: str = "/"
    entrypoint: list[str] = attrs.Factory(list)
    command: list[str] = attrs.Factory(list)

    def inside(self, *command: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command as root in the layer, which keeps what it changes."""
        return subprocess.run(
            ["sh", LAYER, "install", self.folder, *command],  # noqa: S607
            env=self.environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=check,
        )

    def build(self, path: Path) -> None:
        """Do each step of a container file, in order."""
        for step in steps(path):
            getattr(self, f"_{step.name.lower()}")(step)

    def started(self, arguments: Sequence[str], environment: Mapping[str, str]) -> list[str]:
        """Return the command by which the image runs *arguments*, in a shell inside of the layer."""
        variables = [f"{name}={value}" for name, value in (self.environment | environment).items()]
        as_user = ["setpriv", f"--reuid={self.user}", f"--regid={self.user}", "--clear-groups"]
        return ["env", "-i", "--chdir", self.workdir, *variables, *as_user, *self.entrypoint, *arguments]

    def _from(self, step: Step) -> None:
        assert step.argument.startswith("docker.io/library/python:")  # the machine's root and interpreter stand for it
        self.environment = dict(BASE)

    def _copy(self, step: Step) -> None:
        *options, source, target = step.words()
        if options:  # from an earlier stage, which is in the same layer
            assert (["--from=build"], target) == (options, source)
            self.inside("test", "-d", source)
            return
        assert "." == source
        listed = ["git", "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        files = subprocess.run(listed, stdout=subprocess.PIPE, check=True).stdout
        names = [name for name in files.decode().split("\0") if (ROOT / name).is_file()]
        for name in names:
            to = self.folder / "upper" / target.strip("/") / name
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, to)

    def _run(self, step: Step) -> None:
        done = self.inside("sh", "-c", step.argument, check=False)
        assert 0 == done.returncode, done.stdout

    def _env(self, step: Step) -> None:
        name, _, value = step.argument.partition("=")
        # The interpreter of this machine stands for the one in /usr/local/bin.
        self.environment[name] = f"{value}:{BASE['PATH']}" if name == "PATH" else value

    def _user(self, step: Step) -> None:
        self.user = step.argument

    def _workdir(self, step: Step) -> None:
        self.workdir = step.argument

    def _entrypoint(self, step: Step) -> None:
        self.entrypoint = step.words()

    def _cmd(self, step: Step) -> None:
        self.command = step.words()


@contextmanager
def new_image() -> Generator[Image]:
    """Make an empty layer; it is deleted at the end."""
    folder = ROOT / ".nox/deploy" / f"layer-{os.getpid()}"
    (folder / "upper").mkdir(parents=True)
    try:
        yield Image(folder)
    finally:
        shutil.rmtree(folder)
