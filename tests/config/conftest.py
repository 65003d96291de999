"""Write configuration files and read them, in a folder of the test."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace

import pytest
import trustme

from htpoort import InputError
from htpoort.config import AgentConfig, LedgerConfig, read_agent, read_ledger


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in the folder of the file, so that messages name the file without a path."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def read(folder: Path) -> Callable[..., AgentConfig]:
    """Read a text as an agent does."""

    def run(text: str, environ: Mapping[str, str] | None = None) -> AgentConfig:
        (folder / "htpoort.toml").write_text(text, encoding="utf-8")
        return read_agent("htpoort.toml", environ={"PATH": "/bin:/usr/bin", **(environ or {})})

    return run


@pytest.fixture
def read_for_the_ledger(folder: Path) -> Callable[..., LedgerConfig]:
    """Read a text as a command on the ledger does."""

    def run(text: str, environ: Mapping[str, str] | None = None) -> LedgerConfig:
        (folder / "htpoort.toml").write_text(text, encoding="utf-8")
        return read_ledger("htpoort.toml", environ=environ or {})

    return run


@pytest.fixture
def refused(read: Callable[..., AgentConfig]) -> Callable[..., list[str]]:
    """Return every problem with a text."""

    def run(text: str, environ: Mapping[str, str] | None = None) -> list[str]:
        with pytest.raises(InputError) as caught:
            read(text, environ)
        return [problem.message for problem in caught.value.problems]

    return run


@pytest.fixture
def files(folder: Path) -> SimpleNamespace:
    """Write a certificate authority, and a certificate with its key, into the folder."""
    authority = trustme.CA()
    issued = authority.issue_cert("forwarder.example", key_type=trustme.KeyType.RSA)
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    issued.private_key_and_cert_chain_pem.write_to_path(str(folder / "own.pem"))
    return SimpleNamespace(ca="ca.pem", own="own.pem")
