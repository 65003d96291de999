"""
Let a server rest with which there is trouble: one try a pause, and each pause longer than the one before.

Never does: try, or decide what trouble is.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import final

from htpoort.agent._common import LOG
from htpoort.agent.settings import Timing


@final
class Rest:
    """
    Remember since when there is trouble with a server, and say in the log why, and when the next try is.

    Args:
        name: What to call the server in the log.
        timing: How long to rest.
    """

    def __init__(self, name: str, timing: Timing) -> None:
        self._name = name
        self._timing = timing
        self._since: datetime | None = None
        self._tries = 0
        self._kind: object = None

    @property
    def since(self) -> datetime | None:
        """When trouble of this kind began; None where there is none."""
        return self._since

    def failed(self, why: str, *, kind: object, at: datetime, least: timedelta) -> timedelta:
        """
        Take in a try that failed.

        Args:
            why: A sentence.
            kind: Of trouble; where it is another than before, that begins now.
            at: Now.
            least: Rest so long at least, as after a refused login, because many of those lock an account.

        Returns:
            How long to rest.
        """
        waits = self._timing.rest
        pause = max(least, waits[min(self._tries, len(waits) - 1)])
        self._tries += 1
        if self._since is None or kind is not self._kind:
            self._since, self._kind = at, kind
        since, again = (moment.isoformat(timespec="seconds") for moment in (self._since, at + pause))
        LOG.warning("%s rests until %s, after trouble since %s: %s", self._name, again, since, why)
        return pause

    def worked(self) -> None:
        """Take in a try that did not fail."""
        if self._since is not None:
            LOG.info("%s works again, after trouble since %s", self._name, self._since.isoformat(timespec="seconds"))
        self._since, self._tries = None, 0
