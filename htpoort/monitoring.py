"""
Answer `/healthz` and `/metrics` by HTTP, for Prometheus and for whatever restarts a service.

The server runs in threads of its own, so that it also answers when the agent hangs: that is what it is asked about.
"""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
from collections.abc import Callable, Generator, Iterable
from typing import Any, Final, final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer
from wsgiref.types import StartResponse, WSGIEnvironment

import attrs
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from htpoort.agent.metrics import METRICS, Metric, MetricKind

__all__ = ["MonitoringServer", "PrometheusMetrics"]

_TIMEOUT: Final = 10.0  # seconds; a scraper that is silent for longer is cut off
_MAX_REQUESTS: Final = 16  # at once; a scraper asks one thing at a time


@final
class PrometheusMetrics:
    """
    Keep the metrics of an agent for Prometheus.

    Args:
        registry: Where they are registered; by default a registry of their own, without those of the process.
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        self._kept: dict[str, Any] = {metric.name: self._made(metric) for metric in METRICS}

    def count(self, metric: Metric, /, **labels: str) -> None:
        """Add one to a counter."""
        self._of(metric, labels).inc()

    def measure(self, metric: Metric, seconds: float, /, **labels: str) -> None:
        """Put a duration into a histogram."""
        self._of(metric, labels).observe(seconds)

    def show(self, metric: Metric, value: float, /, **labels: str) -> None:
        """Set a gauge."""
        self._of(metric, labels).set(value)

    def _of(self, metric: Metric, labels: dict[str, str]) -> Any:
        kept = self._kept[metric.name]
        return kept.labels(**labels) if metric.labels else kept

    def _made(self, metric: Metric) -> Counter | Gauge | Histogram:
        name, meaning, labels, registry = metric.name, metric.meaning, metric.labels, self.registry
        if metric.kind is MetricKind.COUNTER:
            return Counter(name, meaning, labels, registry=registry)
        if metric.kind is MetricKind.GAUGE:
            return Gauge(name, meaning, labels, registry=registry)
        return Histogram(name, meaning, labels, registry=registry, buckets=metric.bounds)


@final
@attrs.frozen(kw_only=True)
class MonitoringServer:
    """
    Answer `GET /healthz` and `GET /metrics`.

    `/healthz` is 200 and ``ok`` while the agent works, and otherwise 503 with one line for each reason. It needs no
    login and shows no declaration; it listens on loopback, unless another address is named.

    Args:
        health: Returns the reasons why the agent does not work; empty while it does. Called in another thread.
        metrics: What `/metrics` shows.
        host: The address to listen on.
        port: The port; 0 chooses a free one.
    """

    health: Callable[[], Iterable[str]]
    metrics: PrometheusMetrics
    host: str = "127.0.0.1"
    port: int = 0

    @contextlib.contextmanager
    def running(self) -> Generator[int]:
        """
        Answer while the block runs.

        Yields:
            The port.

        Raises:
            OSError: The address cannot be listened on.
        """
        family = _IPv6Server if ":" in self.host else _Server
        try:
            server = family((self.host, self.port), _Quiet)
        except OSError as error:
            error.filename = f"{self.host}:{self.port}"
            raise
        with server:
            server.set_app(self._application())
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
            thread.start()
            try:
                yield server.server_port
            finally:
                server.shutdown()
                thread.join()

    def _application(self) -> Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]]:
        def application(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
            path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
            if method not in {"GET", "HEAD"}:
                return _plain(start, "405 Method Not Allowed", "Only GET is answered.")
            if path == "/metrics":
                start("200 OK", [("Content-Type", CONTENT_TYPE_LATEST), ("Cache-Control", "no-store")])
                return [generate_latest(self.metrics.registry)]
            if path != "/healthz":
                return _plain(start, "404 Not Found", "There is /healthz and /metrics.")
            if reasons := list(self.health()):
                return _plain(start, "503 Service Unavailable", "\n".join(reasons))
            return _plain(start, "200 OK", "ok")

        return application


def _plain(start: StartResponse, status: str, text: str) -> Iterable[bytes]:
    start(status, [("Content-Type", "text/plain; charset=utf-8"), ("Cache-Control", "no-store")])
    return [f"{text}\n".encode()]


class _Server(socketserver.ThreadingMixIn, WSGIServer):
    """One thread for each request, and a limit on them."""

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._free = threading.BoundedSemaphore(_MAX_REQUESTS)
        super().__init__(*arguments, **options)

    def server_bind(self) -> None:
        """Bind without asking the name service for the name of this machine, which may take seconds."""
        socketserver.TCPServer.server_bind(self)
        host, port = self.server_address[:2]
        self.server_name, self.server_port = str(host), int(port)
        self.setup_environ()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread; a connection above the limit is closed."""
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer, and free the place."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Keep quiet about a scraper that went away."""


class _IPv6Server(_Server):
    address_family = socket.AF_INET6


class _Quiet(WSGIRequestHandler):
    """A request is no line in the log, and may not take for ever."""

    timeout = _TIMEOUT

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name that it has there
        """Write nothing."""
