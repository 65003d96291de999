"""
What file gateways demand, as dated data with sources, and what to do while one gateway replaces another.

This module never reads a clock: the moment is an argument.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final, Generic, TypeVar, final

import attrs

from htpoort.core.directory import Mark
from htpoort.core.errors import InputError, Problem

__all__ = [
    "MANIFEST_2020",
    "MANIFEST_RULES",
    "Fact",
    "GatewayAccess",
    "GatewayAdvice",
    "GatewayChange",
    "GatewayRules",
    "rules_at",
]

_ValueT = TypeVar("_ValueT")

_NEWS: Final = 'Toldstyrelsen, "Upgrading of file reporting to ICS and Manifest requires changes in business systems"'
_PORTS: Final = 'Toldstyrelsen, "More ports in the FTPS gateway for ICS and Manifest"'
_ACCESS: Final = "Skatteforvaltningen, page on access to the production FTPS gateway"
_MANUAL: Final = "Skattestyrelsen, eKapital, technical guide to the FTPS gateway"
_GUIDE: Final = "Steria, Secure FTP Client user guide, version 2.2"


@final
@attrs.frozen(kw_only=True)
class Fact(Generic[_ValueT]):
    """
    One value that a gateway demands, and how certain it is.

    Args:
        value: The value.
        mark: How certain it is.
        source: The document that it comes from; empty if there is none.
    """

    value: _ValueT
    mark: Mark
    source: str = ""


@final
@attrs.frozen(kw_only=True)
class GatewayRules:
    """
    What one file gateway demands.

    Args:
        name: What it is called here: ``old`` or ``new``.
        since: The first moment of these rules; None if they hold from the beginning.
        host: Its host name.
        port: The port of the control connection.
        passive_ports: The first and the last port of data connections.
        security: How TLS begins: ``explicit`` or ``implicit``.
        tls: The lowest version of TLS; None if nothing is demanded.
        needs_certificate: Whether a client certificate is demanded.
        needs_login: Whether a user name and a password are demanded beside it.
        unique_names: Whether a name may be used only once.
        out_is_of_one_certificate: Whether only the certificate that uploaded may fetch.
        days_kept: How long a file stays in ``out``, in days.
    """

    name: str
    since: datetime | None
    host: Fact[str]
    port: Fact[int]
    passive_ports: Fact[tuple[int, int]]
    security: Fact[str]
    tls: Fact[str | None]
    needs_certificate: Fact[bool]
    needs_login: Fact[bool]
    unique_names: Fact[bool]
    out_is_of_one_certificate: Fact[bool]
    days_kept: Fact[int]


@final
@attrs.frozen(kw_only=True)
class GatewayAccess:
    """
    What a gateway can be used for.

    Args:
        upload: Whether it takes files.
        fetch: Whether it gives out status files and responses.
    """

    upload: bool
    fetch: bool


_BOTH: Final = GatewayAccess(upload=True, fetch=True)
_FETCH: Final = GatewayAccess(upload=False, fetch=True)
_NOTHING: Final = GatewayAccess(upload=False, fetch=False)


@final
@attrs.frozen(kw_only=True)
class GatewayAdvice:
    """
    What holds at one moment of a change.

    Args:
        old: What the old gateway can be used for.
        new: What the new gateway can be used for.
        processed_by: The name of the gateway that processes what is uploaded now.
        mark: How certain it is which gateway can be used for what.
        text: The same, in one or two sentences.
    """

    old: GatewayAccess
    new: GatewayAccess
    processed_by: str
    mark: Mark
    text: str


@final
@attrs.frozen(kw_only=True)
class GatewayChange:
    """
    The replacement of one gateway by another.

    >>> from datetime import datetime, UTC
    >>> MANIFEST_2020.what_now(datetime(2020, 10, 7, 12, tzinfo=UTC)).old
    GatewayAccess(upload=False, fetch=True)

    Args:
        old: The gateway that is replaced.
        new: The one that replaces it.
        opens: When the change begins.
        closes: When it is over.
        source: The document that announced it.
        mark: How certain the moments are.

    Raises:
        InputError: A moment has no time zone, or *closes* is not after *opens*.
    """

    old: GatewayRules
    new: GatewayRules
    opens: datetime
    closes: datetime
    source: str = ""
    mark: Mark = Mark.UNKNOWN

    def __attrs_post_init__(self) -> None:
        for name in ("opens", "closes"):
            _checked(name, getattr(self, name))
        if self.closes <= self.opens:
            message = "closes is not after opens; give the end of the change."
            raise InputError("", (Problem("input.date", message),))

    def what_now(self, at: datetime) -> GatewayAdvice:
        """
        Say what each gateway can be used for at a moment.

        Args:
            at: The moment, with its time zone.

        Returns:
            Before the change, everything is done with the old one. During it, what is uploaded is processed by the new
            one, and which of them takes it is not published. After it, the new one takes files, and both give them out.

        Raises:
            InputError: *at* has no time zone.
        """
        _checked("at", at)
        old, new = self.old.name, self.new.name
        if at < self.opens:
            text = f"Upload to the {old} gateway and fetch from it."
            return GatewayAdvice(old=_BOTH, new=_NOTHING, processed_by=old, mark=self.mark, text=text)
        if at < self.closes:
            text = (
                f"The gateway is being replaced. What is uploaded now is processed by the {new} gateway; hold what can "
                "wait, because a connection may break at any moment."
            )
            return GatewayAdvice(old=_BOTH, new=_BOTH, processed_by=new, mark=Mark.INFERRED, text=text)
        text = f"Upload to the {new} gateway. Fetch from both until the out folder of the {old} one is empty."
        return GatewayAdvice(old=_FETCH, new=_BOTH, processed_by=new, mark=self.mark, text=text)


def _checked(name: str, moment: object) -> None:
    """Refuse a moment without a time zone."""
    if not isinstance(moment, datetime) or moment.utcoffset() is None:
        message = f"{name} is {moment!r}; give a datetime with a time zone."
        raise InputError("", (Problem("input.date", message),))


def _official(value: _ValueT) -> Fact[_ValueT]:
    return Fact(value=value, mark=Mark.OFFICIAL, source=_NEWS)


_HOST: Final = Fact(value="secureftpgateway.skat.dk", mark=Mark.OFFICIAL, source=_ACCESS)
_EXPLICIT: Final = Fact(value="explicit", mark=Mark.FIELD, source=_GUIDE)
_DAYS: Final = Fact(value=30, mark=Mark.FIELD, source=_MANUAL)

_OPENS: Final = datetime(2020, 10, 7, 4, tzinfo=UTC)  # 06:00 in Copenhagen
_CLOSES: Final = datetime(2020, 10, 7, 6, tzinfo=UTC)

_OLD: Final = GatewayRules(
    name="old",
    since=None,
    host=_HOST,
    port=Fact(value=6371, mark=Mark.OFFICIAL, source=_ACCESS),
    passive_ports=Fact(value=(35000, 35100), mark=Mark.OFFICIAL, source=_ACCESS),
    security=_EXPLICIT,
    tls=Fact(value=None, mark=Mark.INFERRED, source=_NEWS),
    needs_certificate=_official(value=True),
    needs_login=_official(value=False),
    unique_names=_official(value=False),
    out_is_of_one_certificate=_official(value=False),
    days_kept=_DAYS,
)
_NEW: Final = GatewayRules(
    name="new",
    since=_CLOSES,
    host=_HOST,
    port=_official(6381),
    passive_ports=Fact(value=(36000, 36100), mark=Mark.OFFICIAL, source=_PORTS),
    security=attrs.evolve(_EXPLICIT, mark=Mark.INFERRED),
    tls=Fact(value="TLS 1.2", mark=Mark.OFFICIAL, source=_NEWS),
    needs_certificate=_official(value=True),
    needs_login=_official(value=True),
    unique_names=_official(value=True),
    out_is_of_one_certificate=_official(value=True),
    days_kept=_DAYS,
)

MANIFEST_2020: Final = GatewayChange(old=_OLD, new=_NEW, opens=_OPENS, closes=_CLOSES, source=_NEWS, mark=Mark.OFFICIAL)
"""The replacement of the gateway of ICS and Manifest on 7 October 2020, from 06:00 to 08:00 in Copenhagen."""

MANIFEST_RULES: Final = (
    _OLD,
    _NEW,
    attrs.evolve(
        _NEW,
        since=datetime(2021, 5, 19, 6, tzinfo=UTC),  # 08:00 in Copenhagen
        passive_ports=Fact(value=(36000, 39999), mark=Mark.OFFICIAL, source=_PORTS),
    ),
)
"""What the gateway of ICS and Manifest demanded, the oldest rules first."""


def rules_at(at: datetime, rules: Iterable[GatewayRules] = MANIFEST_RULES) -> GatewayRules:
    """
    Find the rules that hold at a moment.

    >>> rules_at(datetime(2026, 11, 30, tzinfo=UTC)).passive_ports.value
    (36000, 39999)

    Args:
        at: The moment, with its time zone.
        rules: Rules by their first moment, the oldest first.

    Returns:
        The rules.

    Raises:
        InputError: *at* has no time zone, or no rules hold at it.
    """
    _checked("at", at)
    holding = [each for each in rules if each.since is None or each.since <= at]
    if not holding:
        message = "rules has none that hold at this moment; give the first ones, too."
        raise InputError("", (Problem("input.date", message),))
    return holding[-1]
