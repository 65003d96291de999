"""The readers of TOML: configuration, systems, plan of a move, own notice; InputError with problems, or a value."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn
from unittest import mock

from fuzz.memory import SECRET, no_secret
from fuzz.targets import ROOT
from htpoort import CutoverPlan, Directory, InputError
from htpoort.config import file as config_file, read_agent_without_secrets
from htpoort.core.toml_reader import Document
from htpoort.notices import read_own_notice

_PLAN = b'default = "AGS"\n[[move]]\nparty = "NL123456789.02.05"\nsystem = "DMS"\nfrom = 2026-03-02\n'
_SYSTEM = b'[systems.NEW]\nmailbox = "new@htpoort.example"\nprocess_id = "NEW4.NL"\n'
_NOTICE = (
    b'authority = "douane"\nkind = "planned"\nrevisions = [2026-03-01T09:00:00+01:00]\n[[windows]]\nsystem = "DMS"\n'
    b"start = 2026-03-02T20:00:00+01:00\nend = 2026-03-02T22:00:00+01:00\n"
)
_GATEWAY = (
    b'parties = ["NL123456789.02.05"]\n[[gateway]]\nhost = "gateway.example"\nuser = "CVR_12345678_UI_12345678"\n'
    b'services = ["MANIFEST"]\npassword = "' + SECRET.encode() + b'"\n[systems.MANIFEST]\nservice = "Manifest"\n'
)


def _refuse(*_path: object, **_options: object) -> NoReturn:
    raise FileNotFoundError


# A mutated path could name any file of this machine.
_DISK = [
    mock.patch.object(Path, name, _refuse)
    for name in ("read_bytes", "read_text", "open", "is_dir", "stat", "exists", "is_file")
]


def seeds() -> Iterator[bytes]:
    """Yield the files of the examples, and one of each kind."""
    yield from (_PLAN, _SYSTEM, _NOTICE, _GATEWAY)
    for path in sorted(ROOT.glob("examples/*/*.toml")):
        yield path.read_bytes()


def _configuration(data: bytes) -> object:
    document = Document.parse(data, name="htpoort.toml")
    with mock.patch.object(config_file, "_open", lambda _: (document, Path("/nowhere"))):
        return read_agent_without_secrets("htpoort.toml", environ={})


def check(data: bytes) -> None:
    """Read as each kind of file."""
    readers: list[Callable[[], object]] = [lambda: _configuration(data), lambda: read_own_notice(data)]
    try:
        text = data.decode()
    except UnicodeDecodeError:
        pass
    else:
        readers += [lambda: Directory.from_toml(text), lambda: CutoverPlan.from_toml(text)]
    for patch in _DISK:
        patch.start()
    try:
        for read in readers:
            try:
                value = read()
            except InputError as error:
                assert error.problems
                assert str(error)
            else:
                no_secret(value)
    finally:
        for patch in _DISK:
            patch.stop()
