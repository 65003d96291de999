"""Make the values that the fixtures give, from markers and other fixtures."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

import attrs

from htpoort.core.errors import InputError, Problem
from htpoort.core.routing import SentRecord
from htpoort.ledger import Ledger
from htpoort.simulator import Declarant, Gateway, GatewayTls, Scenario, Script, SimulatedClock
from htpoort.testing.handles import Background, RunningClock, RunningGateway, RunningReceiver

__all__ = ["Background", "certificates", "clock", "declarants", "gateway", "ledger", "receiver", "script", "tls"]


T = TypeVar("T")


class Marker(Protocol):
    """A mark of pytest."""

    @property
    def name(self) -> str: ...
    @property
    def args(self) -> tuple[Any, ...]: ...
    @property
    def kwargs(self) -> Mapping[str, Any]: ...


def certificates(folder: Path) -> GatewayTls:
    """Write certificates to a folder."""
    return GatewayTls.made(folder)


def declarants(*, pushed: bool) -> tuple[Declarant, ...]:
    """Make the declarant of a test that names none."""
    return (Declarant(mailbox="edi@forwarder.example", password=None if pushed else "geheim"),)


def clock(background: Background) -> RunningClock:
    """Make a clock whose time does not pass until it is moved."""
    return RunningClock(background, SimulatedClock())


def script(scripts: Sequence[Marker], scenarios: Sequence[Marker], folder: Path) -> Script:
    """Combine the nearest script with the scenarios of every marker, which come before its own."""
    base = _one(scripts[0], Script, lambda path: Script.read(folder / path)) if scripts else Script()
    marked = [one for marker in scenarios for one in _scenarios(marker)]
    if not marked:
        return base
    return attrs.evolve(base, scenarios=(*marked, *(base.scenarios if scripts else ())))


def tls(marker: Marker, made: Callable[[], GatewayTls]) -> GatewayTls:
    """Make the TLS settings of a marker, with new certificates if it names none."""
    if marker.args or "certificate" in marker.kwargs:
        named: GatewayTls = _one(marker, GatewayTls)
        return named
    return _fields(marker, functools.partial(attrs.evolve, made()))


@contextlib.contextmanager
def receiver(background: Background, known: Iterable[Declarant], parties: Iterable[str]) -> Generator[RunningReceiver]:
    """Run the declarants' mail server."""
    running = RunningReceiver(background, [one.mailbox for one in known], parties)
    running.start()
    try:
        yield running
    finally:
        running.stop()


@contextlib.contextmanager
def gateway(  # noqa: PLR0913 - one argument for each fixture and marker
    background: Background,
    *,
    clock: RunningClock,
    declarants: Sequence[Declarant],
    receiver: RunningReceiver | None,
    script: Script,
    tls: GatewayTls | None,
) -> Generator[RunningGateway]:
    """Run the gateway; replies to a declarant without a server go to the receiver, if there is one."""
    if not declarants:
        raise InputError(
            "htp_declarants", (Problem("testing.declarants", "htp_declarants is empty; name at least one declarant."),)
        )
    known = list(declarants)
    if receiver is not None:
        known = [one if one.server else attrs.evolve(one, server=receiver.server) for one in known]
    inner = Gateway(declarants=known, script=script, tls=tls, clock=clock.simulated)
    running = RunningGateway(background, inner, known[0])
    if receiver is not None:
        receiver.set_sent(lambda reference: _sent(running, reference))
    running.start()
    try:
        yield running
    finally:
        running.stop()


def ledger(folder: Path) -> Ledger:
    """Open an empty ledger."""
    return Ledger.open(f"sqlite:///{folder / 'htpoort.db'}")


def _sent(running: RunningGateway, reference: str) -> list[SentRecord]:
    """List the declarations with a K that the gateway accepted."""
    return [
        SentRecord(system=declaration.system.name, party=declaration.envelope.sender, reference=reference)
        for declaration in running.received
        if declaration.envelope.reference == reference
    ]


def _scenarios(marker: Marker) -> tuple[Scenario, ...]:
    """Read the scenarios of a marker."""
    if marker.args and marker.kwargs:
        raise _wrong(marker, "takes Scenario values, or the fields of one by name, but not both")
    if marker.kwargs:
        return (_fields(marker, Scenario),)
    return tuple(_value(marker, one, Scenario) for one in marker.args)


def _one(marker: Marker, kind: type[Any], read: Callable[[Any], Any] | None = None) -> Any:  # noqa: ANN401 - of the kind
    """Read the one value of a marker, or make it from the fields that it names."""
    if not marker.args:
        return _fields(marker, kind)
    value, *more = marker.args
    if more or marker.kwargs:
        raise _wrong(marker, f"takes one {kind.__name__}, or its fields by name")
    return read(value) if read is not None and isinstance(value, (str, Path)) else _value(marker, value, kind)


def _fields(marker: Marker, make: Callable[..., T]) -> T:
    """Make a value from the fields that a marker names."""
    try:
        return make(**marker.kwargs)
    except (TypeError, AttributeError) as error:
        # An unknown field, or a value of the wrong type.
        raise _wrong(marker, f"cannot be used: {error}") from error


def _value(marker: Marker, value: object, kind: type[Any]) -> Any:  # noqa: ANN401 - of the kind
    if not isinstance(value, kind):
        raise _wrong(marker, f"has {value!r}; give a {kind.__name__}")
    return value


def _wrong(marker: Marker, what: str) -> InputError:
    return InputError(marker.name, (Problem("testing.marker", f"The marker {marker.name} {what}."),))
