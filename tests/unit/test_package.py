"""What `import htpoort` gives, and what it does not load."""

from __future__ import annotations

import inspect
import os
import subprocess  # noqa: S404 - an import is only seen whole in a process of its own
import sys
from types import ModuleType

import pytest

import htpoort
from htpoort import agent, transport

PUBLIC = [
    *("AGS", "DMS", "HTPOORT", "Correlation", "CutoverPlan", "DeclarationSystem", "Directory", "EnvelopeError"),
    "HtpoortError",
    *("InputError", "LedgerError", "Mark", "PartyId", "Problem", "Quarantined", "Reason", "Received", "Routed"),
    *("Router", "RoutingEnvelope", "SendError", "SendFailure", "SentRecord", "Submission", "UnknownError"),
    *("build", "read"),
]


def test_public_names() -> None:
    """The public names are those of the contract, and each is there."""
    assert set(PUBLIC) <= set(htpoort.__all__)
    assert [] == [name for name in htpoort.__all__ if not hasattr(htpoort, name)]


@pytest.mark.parametrize("name", PUBLIC)
def test_public_names_are_documented(name: str) -> None:
    """Every public class and function is documented."""
    found = getattr(htpoort, name)

    assert (found.__doc__ or type(found).__doc__ or "").strip()


@pytest.mark.parametrize(
    "name",
    [
        *("CutoverPlan", "DeclarationSystem", "PartyId", "Quarantined", "Received", "Routed", "Router"),
        *("RoutingEnvelope", "SentRecord", "Submission", "build"),
    ],
)
def test_many_values_have_names(name: str) -> None:
    """What takes several texts takes them by name only: one in the place of another would be sent."""
    parameters = inspect.signature(getattr(htpoort, name)).parameters.values()

    assert {inspect.Parameter.KEYWORD_ONLY} == {parameter.kind for parameter in parameters}


@pytest.mark.parametrize("package", [agent, transport], ids=lambda package: package.__name__)
def test_a_name_that_is_imported_when_it_is_used_is_there(package: ModuleType) -> None:
    """Each public name of a package is found, and listed, before it is used for the first time; no other name is."""
    names = package.__all__

    assert [] == [name for name in names if not hasattr(package, name)]
    assert set(names) == set(package._MODULES)
    assert set(names) <= set(dir(package))
    with pytest.raises(AttributeError, match=f"module '{package.__name__}' has no attribute 'Agnet'"):
        _ = package.Agnet


def test_import_loads_the_core_alone() -> None:
    """The import loads neither an extra nor the network, and email-validator only when an address is checked."""
    code = "import sys; import htpoort; print(*sorted(sys.modules))"
    # Measuring coverage loads modules of its own into each process.
    env = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env)  # noqa: S603 - our own code
    loaded = {name.split(".")[0] for name in done.stdout.split()}

    assert "attr" in loaded
    assert set() == loaded & {
        *("asyncio", "email", "email_validator", "sqlite3", "ssl", "socket", "logging", "threading_local"),
        *("csv", "tomllib", "zoneinfo", "hashlib", "shlex", "urllib"),
        *("aiosmtplib", "aiosmtpd", "sqlalchemy", "typer", "rich", "hypothesis"),
    }
