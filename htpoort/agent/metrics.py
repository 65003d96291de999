"""
What an agent counts and measures, and the protocol of a library that keeps it.

The names are stable: dashboards and alarms are built on them. No label holds a K, a party or a mailbox, so that the
number of time series stays small and monitoring learns nothing of a declarant.
"""

from __future__ import annotations

import enum
from typing import Final, Protocol, final

import attrs

__all__ = ["METRICS", "Metric", "MetricKind", "Metrics", "NoMetrics"]

_SECONDS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 600.0)
"""Bounds of the histograms: from a server in the same rack to the longest wait for the answer to a final dot."""


class MetricKind(enum.Enum):
    """What a metric does."""

    COUNTER = "counter"
    """It only grows, from 0 at the start of the agent."""
    GAUGE = "gauge"
    """It is a number of now, read from the ledger."""
    HISTOGRAM = "histogram"
    """It counts durations, in seconds."""


@final
@attrs.frozen(kw_only=True)
class Metric:
    """
    Something that an agent counts or measures.

    Args:
        name: Its name in Prometheus.
        kind: What it does.
        labels: The names of its labels.
        meaning: One sentence.
        bounds: The upper bounds of a histogram, in seconds.
    """

    name: str
    kind: MetricKind
    labels: tuple[str, ...]
    meaning: str
    bounds: tuple[float, ...] = ()


ATTEMPTS: Final = Metric(
    name="htpoort_attempts_total",
    kind=MetricKind.COUNTER,
    labels=("system", "outcome"),
    meaning="Attempts to send a declaration, by their outcome.",
)
ATTEMPT_SECONDS: Final = Metric(
    name="htpoort_attempt_seconds",
    kind=MetricKind.HISTOGRAM,
    labels=("system",),
    meaning="How long an attempt took, from its begin until its outcome was known.",
    bounds=_SECONDS,
)
REPLIES: Final = Metric(
    name="htpoort_replies_total",
    kind=MetricKind.COUNTER,
    labels=("system",),
    meaning="Replies that were stored and belong to a process; copies do not count.",
)
QUARANTINED: Final = Metric(
    name="htpoort_quarantined_total",
    kind=MetricKind.COUNTER,
    labels=("reason",),
    meaning="Messages that went into quarantine, by the reason.",
)
DELIVERIES: Final = Metric(
    name="htpoort_deliveries_total",
    kind=MetricKind.COUNTER,
    labels=("system", "outcome"),
    meaning="Attempts to deliver a reply: delivered, failed, or left to another agent.",
)
DELIVERY_SECONDS: Final = Metric(
    name="htpoort_delivery_seconds",
    kind=MetricKind.HISTOGRAM,
    labels=("system",),
    meaning="How long an attempt to deliver a reply took.",
    bounds=_SECONDS,
)
POLLS: Final = Metric(
    name="htpoort_polls_total",
    kind=MetricKind.COUNTER,
    labels=("outcome",),
    meaning="Polls of POP3 mailboxes: done, broken off, or failed before the mailbox was open.",
)
LEDGER_ERRORS: Final = Metric(
    name="htpoort_ledger_errors_total",
    kind=MetricKind.COUNTER,
    labels=(),
    meaning="Writes to the ledger that failed; each is tried again.",
)
EXCHANGES: Final = Metric(
    name="htpoort_exchanges",
    kind=MetricKind.GAUGE,
    labels=("system", "state"),
    meaning="Exchanges in the ledger, by system and state.",
)
OLDEST_OPEN: Final = Metric(
    name="htpoort_oldest_open_seconds",
    kind=MetricKind.GAUGE,
    labels=("system",),
    meaning="Age of the oldest exchange that is neither answered nor closed; 0 if there is none.",
)
UNDELIVERED: Final = Metric(
    name="htpoort_undelivered",
    kind=MetricKind.GAUGE,
    labels=("system",),
    meaning="Replies in the ledger that no process has yet.",
)
IN_QUARANTINE: Final = Metric(
    name="htpoort_quarantine",
    kind=MetricKind.GAUGE,
    labels=(),
    meaning="Messages in quarantine that need a decision.",
)
PAUSED: Final = Metric(
    name="htpoort_paused_servers",
    kind=MetricKind.GAUGE,
    labels=(),
    meaning="Mail servers that are paused after a failure.",
)

METRICS: Final = (
    *(ATTEMPTS, ATTEMPT_SECONDS, REPLIES, QUARANTINED, DELIVERIES, DELIVERY_SECONDS, POLLS, LEDGER_ERRORS),
    *(EXCHANGES, OLDEST_OPEN, UNDELIVERED, IN_QUARANTINE, PAUSED),
)
"""All of them."""


class Metrics(Protocol):
    """
    Where an agent counts and measures.

    It is called in the agent's event loop, so it must neither wait nor raise.
    """

    def count(self, metric: Metric, /, **labels: str) -> None:
        """Add one to a counter."""
        ...

    def measure(self, metric: Metric, seconds: float, /, **labels: str) -> None:
        """Put a duration into a histogram."""
        ...

    def show(self, metric: Metric, value: float, /, **labels: str) -> None:
        """Set a gauge."""
        ...


@final
class NoMetrics:
    """Keep nothing."""

    def count(self, metric: Metric, /, **labels: str) -> None:
        """Keep nothing."""

    def measure(self, metric: Metric, seconds: float, /, **labels: str) -> None:
        """Keep nothing."""

    def show(self, metric: Metric, value: float, /, **labels: str) -> None:
        """Keep nothing."""
