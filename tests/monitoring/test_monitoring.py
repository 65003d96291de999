"""Metrics and health by HTTP, over real sockets."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from htpoort.agent import METRICS
from htpoort.agent.metrics import ATTEMPT_SECONDS, ATTEMPTS, EXCHANGES
from htpoort.monitoring import MonitoringServer, PrometheusMetrics

TROUBLES: list[str] = []


@pytest.fixture
def metrics() -> PrometheusMetrics:
    """Keep metrics."""
    return PrometheusMetrics()


@pytest.fixture
def port(metrics: PrometheusMetrics) -> Iterator[int]:
    """Answer on a free port."""
    TROUBLES.clear()
    with MonitoringServer(health=lambda: TROUBLES, metrics=metrics).running() as number:
        yield number


def asked(port: int, path: str, method: str = "GET") -> tuple[int, str]:
    """Ask; return the status and the text."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request(method, path)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text


def test_health_is_ok_while_nothing_is_wrong(port: int) -> None:
    """A healthy agent gives 200; each reason why it is not gives 503 and a line."""
    healthy = asked(port, "/healthz")
    TROUBLES.extend([
        "The ledger was last written 95 seconds ago, or the agent hangs.",
        "A worker has ended: KeyError.",
    ])

    assert (200, "ok\n") == healthy
    assert (503, "\n".join(TROUBLES) + "\n") == asked(port, "/healthz")


def test_prometheus_reads_the_metrics(port: int, metrics: PrometheusMetrics) -> None:
    """What the agent counted, measured and showed is what Prometheus's own reader finds."""
    for _ in range(3):
        metrics.count(ATTEMPTS, system="DMS", outcome="accepted")
    metrics.measure(ATTEMPT_SECONDS, 0.3, system="DMS")
    metrics.show(EXCHANGES, 7, system="AGS", state="queued")
    status, text = asked(port, "/metrics")
    samples = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }

    assert 200 == status
    assert 3 == samples["htpoort_attempts_total", ("outcome", "accepted"), ("system", "DMS")]
    assert 0 == samples["htpoort_attempt_seconds_bucket", ("le", "0.25"), ("system", "DMS")]
    assert 1 == samples["htpoort_attempt_seconds_bucket", ("le", "0.5"), ("system", "DMS")]
    assert 7 == samples["htpoort_exchanges", ("state", "queued"), ("system", "AGS")]


def test_every_metric_is_known(port: int) -> None:
    """Each metric of the agent is there from the start, with its kind, and no other."""
    text = asked(port, "/metrics")[1]
    kinds = dict(
        line.split()[2:4] for line in text.splitlines() if line.startswith("# TYPE") and "_created" not in line
    )

    assert {metric.name: metric.kind.value for metric in METRICS} == kinds


@pytest.mark.parametrize(
    ("path", "method", "status"), [("/", "GET", 404), ("/metrics/x", "GET", 404), ("/healthz", "POST", 405)]
)
def test_nothing_else_is_answered(port: int, path: str, method: str, status: int) -> None:
    """There are two paths, and only GET."""
    assert status == asked(port, path, method)[0]


def test_a_scraper_that_hangs_holds_nothing_up(port: int) -> None:
    """Connections that never ask keep no other one from its answer, and at most sixteen are held."""
    silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(15)]
    try:
        assert (200, "ok\n") == asked(port, "/healthz")
    finally:
        for one in silent:
            one.close()


def test_it_ends_with_its_block(metrics: PrometheusMetrics) -> None:
    """After the block nothing listens, and no thread is left."""
    with MonitoringServer(health=list, metrics=metrics).running() as number:
        assert (200, "ok\n") == asked(number, "/healthz")

    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", number))
    assert [] == [thread.name for thread in threading.enumerate() if "serve_forever" in thread.name]


def test_a_port_in_use_is_named(port: int, metrics: PrometheusMetrics) -> None:
    """An address that cannot be listened on is in the error."""
    with (
        pytest.raises(OSError, match="in use") as raised,
        MonitoringServer(health=list, metrics=metrics, port=port).running(),
    ):
        pass

    assert f"127.0.0.1:{port}" == raised.value.filename


def test_it_answers_by_ipv6(metrics: PrometheusMetrics) -> None:
    """An IPv6 address is listened on as such."""
    with MonitoringServer(health=list, metrics=metrics, host="::1").running() as number:
        connection = http.client.HTTPConnection("::1", number, timeout=60)
        connection.request("GET", "/healthz")
        assert 200 == connection.getresponse().status
        connection.close()
