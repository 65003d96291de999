"""Rule 5 while the disk fails: no 250 for what is not stored, and nothing is sent twice when it works again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def test_nothing_is_acknowledged_that_the_disk_refused(shown: Callable[..., dict[str, Any]]) -> None:
    """
    Each failure (EIO and ENOSPC of syncs and writes, injected by ptrace; a limit of the system elsewhere) ends well.

    Every message that comes meanwhile gets 451 and is accepted when it comes again; a 250 of the gateway that could not
    be recorded is recorded then, or is unknown after a crash; and the agent logs what is wrong.
    """
    figures = shown("failing_disk.py")
    failures = {one["failure"]: one for one in figures["failures"]}
    injected = {"fsync-EIO", "fsync-ENOSPC", "write-EIO", "write-ENOSPC"} if figures["traced"] else set()

    assert injected | {"write-EFBIG"} == set(failures)
    assert [[]] * len(failures) == [one["wrong"] for one in failures.values()]
    assert {(451,) * 5} == {tuple(one["during"]) for one in failures.values()}
    assert {(250,) * 5} == {tuple(one["after"]) for one in failures.values()}
    assert {"accepted"} == {one["recorded"] for one in failures.values()}
