"""Run the services of the compose file side by side in a network of their own; print what became of a declaration."""

from __future__ import annotations

import contextlib
import fcntl
import json
import signal
import socket
import struct
import subprocess  # noqa: S404 - services are processes
import sys
from collections.abc import Generator, Sequence
from pathlib import Path
from time import monotonic
from typing import Any

LIMIT = 120.0
"""Seconds after which nothing more is expected."""

_FLAGS_OF = 0x8914  # SIOCSIFFLAGS
_UP = 0x1


def loopback_up() -> None:
    """Switch the loopback of a new network on."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        fcntl.ioctl(asked, _FLAGS_OF, struct.pack("16sh", b"lo", _UP))


def listening(port: int, service: subprocess.Popen[bytes]) -> None:
    """Wait until a service listens."""
    end = monotonic() + LIMIT
    while service.poll() is None and monotonic() < end:
        with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
            return
    sys.exit(f"nothing listens on {port}")


def healthy(check: Sequence[str]) -> None:
    """Ask until a service is healthy, as a container engine does."""
    end = monotonic() + LIMIT
    while subprocess.run(check, stdout=sys.stderr, check=False).returncode != 0:
        if monotonic() > end:
            sys.exit("the database is not healthy")


@contextlib.contextmanager
def running(command: Sequence[str], codes: Sequence[int]) -> Generator[subprocess.Popen[bytes]]:
    """Run a service, end it as a container engine does, and compare its exit code."""
    service = subprocess.Popen(command, stdout=sys.stderr)
    try:
        yield service
        service.send_signal(signal.SIGTERM)
        code = service.wait(LIMIT)
        if code not in codes:
            sys.exit(f"{command} ended with {code}")
    finally:
        service.kill()
        service.wait()


def answered(show: Sequence[str]) -> dict[str, Any]:
    """Ask for the exchange until its reply was delivered."""
    end = monotonic() + LIMIT
    found: dict[str, Any] = {}
    while monotonic() < end:
        (found,) = json.loads(subprocess.run(show, stdout=subprocess.PIPE, check=True).stdout)
        if any(event["event"] == "delivered" for event in found["timeline"]):
            return found
    sys.exit(f"no reply: {found}")


def main() -> None:
    """Read the commands, run them, and print the state of the exchange and the files of the replies."""
    commands = json.loads(sys.stdin.read())
    loopback_up()
    with running(commands["database"], (0,)) as database:
        listening(5432, database)
        healthy(commands["healthy"])
        subprocess.run(commands["create"], stdout=sys.stderr, check=True)
        with running(commands["gateway"], (0, 143, -15)) as gateway:
            listening(2525, gateway)
            with running(commands["agent"], (0,)):
                subprocess.run(commands["queue"], stdout=sys.stderr, check=True)
                exchange = answered(commands["show"])
    replies = [path.read_bytes().decode() for path in Path("/var/lib/htpoort/replies/dms/new").iterdir()]
    json.dump({"state": exchange["exchange"]["state"], "replies": replies}, sys.stdout)


if __name__ == "__main__":
    main()
