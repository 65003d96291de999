"""
Preview a move: which settings change, what stays open at the old system, what was never tested, and how the messages
themselves differ (the shadow of a declaration is the message that the other system would have had).

Only the parties that are asked for are read, so the report of one declarant shows nothing of another.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, timedelta
from typing import final

import attrs

from htpoort.core.cutover.moves import day_of
from htpoort.core.cutover.plan import CutoverPlan
from htpoort.core.cutover.progress import PartyTotals, Totals, totals_of
from htpoort.core.directory import DeclarationSystem
from htpoort.core.message import read
from htpoort.core.party import PartyId

__all__ = ["Difference", "MovePreview", "SettingChange", "SystemSettings", "differences", "preview_moves"]


@final
@attrs.frozen(kw_only=True)
class SettingChange:
    """
    One setting that a move changes.

    Args:
        what: The name of the setting, such as ``mailbox``.
        before: Its value for the system that the party leaves.
        after: Its value for the system that the party moves to.
    """

    what: str
    before: str
    after: str


@final
@attrs.frozen(kw_only=True)
class MovePreview:
    """
    What a day changes for a party.

    Args:
        party: V, which stays.
        kind: The kind of declaration; None for all kinds that have no move of their own.
        before: The system on the day before.
        after: The system from that day.
        at_old_system: What the ledger holds of the party and *before*, all kinds together; that system
            still answers what it took. Where several kinds move, each has the same numbers: do not add them up.
        changes: The settings that differ.
        untested: Sentences, each about something that was never done with *after*.
    """

    party: PartyId
    kind: str | None
    before: DeclarationSystem
    after: DeclarationSystem
    at_old_system: PartyTotals
    changes: tuple[SettingChange, ...]
    untested: tuple[str, ...]


SystemSettings = Callable[[DeclarationSystem], Mapping[str, str]]
"""Gives the settings of a system by their names, as a configuration has them."""


def preview_moves(
    plan: CutoverPlan,
    *,
    on: date | datetime,
    parties: Iterable[PartyId],
    totals: Totals,
    settings: SystemSettings | None = None,
) -> tuple[MovePreview, ...]:
    """
    Describe which parties move on a day, and what that means for each.

    Args:
        plan: Which party uses which system, and when.
        on: The day in Europe/Amsterdam, or an aware datetime of it.
        parties: The parties to report; no other party is read.
        totals: What the ledger holds of them: `Ledger.party_totals`.
        settings: Gives further settings of a system, such as its mail server. A setting that is empty counts as
            missing.

    Returns:
        One value for each party and kind that moves that day, in the order of *parties*.

    Raises:
        InputError: *on* is a naive datetime.
    """
    day = day_of(on)
    previews: list[MovePreview] = []
    for party in parties:
        for kind in plan.kinds_of(party):
            before = plan.system_for(party, on=day - timedelta(days=1), kind=kind)
            after = plan.system_for(party, on=day, kind=kind)
            if before is after:
                continue
            old, new = _settings(before, settings), _settings(after, settings)
            previews.append(
                MovePreview(
                    party=party,
                    kind=kind,
                    before=before,
                    after=after,
                    at_old_system=totals_of(totals, party, before),
                    changes=tuple(
                        SettingChange(what=what, before=old.get(what, ""), after=new.get(what, ""))
                        for what in {**old, **new}
                        if old.get(what, "") != new.get(what, "")
                    ),
                    untested=_untested(party, after, totals_of(totals, party, after), new),
                )
            )
    return tuple(previews)


def _settings(system: DeclarationSystem, more: SystemSettings | None) -> dict[str, str]:
    own = {
        "mailbox": system.mailbox,
        "process ID": system.process_id,
        "replies as": ", ".join(sorted(system.reply_ids)),
    }
    return own if more is None else own | dict(more(system))


def _untested(
    party: PartyId, system: DeclarationSystem, totals: PartyTotals, settings: Mapping[str, str]
) -> tuple[str, ...]:
    """List what was never done; the day of the move is a bad day for a first time."""
    sentences: list[str] = []
    if not totals.sent:
        sentences.append(f"{party} has never sent to {system.name}.")
    if not totals.replies:
        sentences.append(f"{party} has never had a reply from {system.name}.")
    sentences += [f"{system.name} has no {what}." for what, value in settings.items() if not value]
    return tuple(sentences)


@final
@attrs.frozen(kw_only=True)
class Difference:
    """
    One difference between two messages.

    Args:
        what: What differs, such as ``envelope.A``, ``header.To``, ``body.octets`` or ``body.sha256``.
        sent: The value in the message that was sent; empty if it has none.
        shadow: The value in the shadow.
    """

    what: str
    sent: str
    shadow: str


def differences(sent: bytes, shadow: bytes) -> tuple[Difference, ...]:
    r"""
    List every difference of two messages: envelope, headers, body.

    >>> subject = b"Subject: [V=NL1.02.05][A=DMS.NL][K=1][S=0]"
    >>> sent = b"To: ags@htpoort.nl\r\n" + subject + b"\r\n\r\n<MetaData/>\r\n"
    >>> shadow = sent.replace(b"ags@", b"dms@").replace(b"DMS.NL", b"DMS4.NL")
    >>> for difference in differences(sent, shadow):
    ...     print(difference.what, difference.sent, difference.shadow)
    envelope.A DMS.NL DMS4.NL
    header.To ags@htpoort.nl dms@htpoort.nl
    header.Subject [V=NL1.02.05][A=DMS.NL][K=1][S=0] [V=NL1.02.05][A=DMS4.NL][K=1][S=0]

    Args:
        sent: The message that was sent, as `htpoort.build` made it.
        shadow: The message for the other system.

    Returns:
        The differences. Those of the body show its length and hash, so that a report contains no payload.
    """
    first, second = read(sent), read(shadow)
    pairs = [
        *_pairs(_envelope(sent), _envelope(shadow)),
        *_pairs(_headers(sent[: first.body_start]), _headers(shadow[: second.body_start])),
        *_pairs(_body(first.body), _body(second.body)),
    ]
    return tuple(Difference(what=what, sent=one, shadow=other) for what, one, other in pairs if one != other)


def _pairs(sent: dict[str, str], shadow: dict[str, str]) -> list[tuple[str, str, str]]:
    return [(what, sent.get(what, ""), shadow.get(what, "")) for what in {**sent, **shadow}]


def _envelope(raw: bytes) -> dict[str, str]:
    envelope = read(raw).envelope
    if envelope is None:
        return {}
    values = (envelope.sender, envelope.addressee, envelope.reference, envelope.s)
    return {f"envelope.{key}": value for key, value in zip("VAKS", values, strict=True)}


def _headers(block: bytes) -> dict[str, str]:
    """Split the headers by name; a repeated name gets a number. The size of the body is compared with the body."""
    text = block.decode("latin-1").replace("\r\n ", " ").replace("\r\n\t", " ")
    headers: dict[str, str] = {}
    for line in text.split("\r\n"):
        name, colon, value = line.partition(":")
        if colon:
            seen = sum(key.partition("#")[0] == f"header.{name}" for key in headers)
            key = f"header.{name}#{seen + 1}" if seen else f"header.{name}"
            headers[key] = re.sub(r"^inline; size=\d+$", "inline", value.strip())
    return headers


def _body(body: bytes) -> dict[str, str]:
    # Imported here, because it loads OpenSSL, and `import htpoort` is to stay cheap.
    import hashlib  # noqa: PLC0415

    return {"body.octets": str(len(body)), "body.sha256": hashlib.sha256(body).hexdigest()}
