"""
The outcome of a rehearsal of a change of gateways, and how it is checked against the gateways' own records.

This module never asks the ledger whether a file arrived: that is what is tested.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import final

import attrs

from htpoort.core.exchange import State
from htpoort.core.files import FileName, octets_of
from htpoort.simulator import FileGateway, SimulatedGateways


@final
@attrs.frozen(kw_only=True)
class RehearsedFile:
    """
    One file of a rehearsal, and what became of it.

    Args:
        name: Its name.
        at: When it was queued.
        planned: The gateway that the plan uploads to at that moment: ``old`` or ``new``.
        processed: The gateway that processed it, and the name it had there, for each time that it was processed.
        responses: How many responses were put out for it.
        delivered: How many of them were delivered to the process, each counted once.
        state: What the ledger says of it in the end.
    """

    name: FileName
    at: datetime
    planned: str
    processed: tuple[tuple[str, str], ...]
    responses: int
    delivered: int
    state: State

    @property
    def lost(self) -> bool:
        """Whether no gateway processed it."""
        return not self.processed

    @property
    def repeated(self) -> bool:
        """Whether it was processed more than once, or under another name."""
        return len(self.processed) > 1 or any(name != str(self.name) for _, name in self.processed)

    @property
    def correct(self) -> bool:
        """Whether it was processed once, under its name, and every response to it was delivered."""
        answered = 0 < self.responses == self.delivered and self.state is State.ANSWERED
        return not self.lost and not self.repeated and answered


@final
@attrs.frozen(kw_only=True)
class FileRehearsal:
    """
    The outcome of a rehearsal of a change of gateways.

    Args:
        files: In the order in which they were queued.
        left: The files that are still out, by gateway, because they were not fetched.
        deleted_unstored: The files that were deleted on a gateway and are nowhere in the ledger.
        quarantined: How many files are in quarantine, such as responses to files that were never uploaded.
        refused: The responses with which the gateways refused uploads.
    """

    files: tuple[RehearsedFile, ...]
    left: tuple[tuple[str, str], ...]
    deleted_unstored: tuple[tuple[str, str], ...]
    quarantined: int
    refused: tuple[str, ...]

    @property
    def incorrect(self) -> tuple[RehearsedFile, ...]:
        """The files that are lost, processed twice, or without their response."""
        return tuple(file for file in self.files if not file.correct)

    @property
    def correct(self) -> bool:
        """Whether no file is lost or repeated, nothing is left on a gateway, and nothing was deleted before stored."""
        return not self.incorrect and not self.left and not self.deleted_unstored


@final
@attrs.frozen(kw_only=True)
class QueuedFile:
    """
    A file that the rehearsal queued.

    Args:
        name: Its name.
        at: When.
        planned: The gateway that the plan uploads to at that moment.
        octets: The file; no two are the same.
    """

    name: FileName
    at: datetime
    planned: str
    octets: bytes = attrs.field(repr=False)


def outcome(
    queued: Sequence[QueuedFile],
    states: Sequence[State],
    gateways: SimulatedGateways,
    *,
    delivered: Iterable[bytes],
    held: Iterable[bytes],
) -> FileRehearsal:
    """
    Compare what the gateways did with what the ledger has.

    Args:
        queued: What was queued, in order.
        states: The state of each in the ledger.
        gateways: The gateways, with their records.
        delivered: The messages that were delivered to the process.
        held: The messages in quarantine.

    Returns:
        The outcome.
    """
    got = Counter(map(octets_of, delivered))
    in_quarantine = [octets_of(raw) for raw in held]
    stored = {*got, *in_quarantine}
    both = (gateways.old, gateways.new)
    names = {id(one): name for one, name in zip(both, ("old", "new"), strict=True)}
    processed: dict[bytes, list[tuple[str, str]]] = {}
    for gateway, upload in gateways.processed:
        processed.setdefault(upload.octets, []).append((names[id(gateway)], upload.name))
    responses = _responses(both)
    return FileRehearsal(
        files=tuple(
            RehearsedFile(
                name=one.name,
                at=one.at,
                planned=one.planned,
                processed=tuple(processed.get(one.octets, ())),
                responses=len(responses.get(one.octets, ())),
                delivered=len(responses.get(one.octets, set()) & got.keys()),
                state=state,
            )
            for one, state in zip(queued, states, strict=True)
        ),
        left=tuple((names[id(one)], file.name) for one in both for user in one.users for file in one.out(user)),
        deleted_unstored=tuple(
            (names[id(one)], entry.file.name)
            for one in both
            for entry in one.deleted
            if entry.file.octets not in stored
        ),
        quarantined=len(in_quarantine),
        refused=tuple(refused.reason for one in both for refused in one.refused),
    )


def _responses(gateways: Iterable[FileGateway]) -> dict[bytes, set[bytes]]:
    """Return the responses to each upload, by its octets."""
    found: dict[bytes, set[bytes]] = {}
    for gateway in gateways:
        for file in gateway.put_out:
            if file.upload is not None and file.name.startswith("response_"):
                found.setdefault(file.upload.octets, set()).add(file.octets)
    return found
