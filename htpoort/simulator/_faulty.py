"""
Count which faults of a script are still to be shown.

Never does: show one.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import final

from htpoort.simulator.clock import Clock
from htpoort.simulator.faults import Action, At, SmtpFault


@final
class Faulty:
    """
    Give each fault as often as it is to be shown.

    Args:
        faults: In the order in which they are shown at one place.
        clock: Tells how long greylisting lasts.

    Attributes:
        shown: The faults that were shown, with their moments, in order.
    """

    def __init__(self, faults: Iterable[SmtpFault], clock: Clock) -> None:
        self.shown: list[tuple[datetime, SmtpFault]] = []
        self._left = [(fault, fault.times) for fault in faults]
        self._grey: dict[tuple[int, str, str], datetime] = {}
        self._clock = clock

    def at(self, place: At, mail_from: str = "", rcpt_to: str = "") -> SmtpFault | None:
        """
        Say what is wrong at a place, and count it.

        Args:
            place: Where the dialogue is.
            mail_from: The sender; only greylisting looks at it.
            rcpt_to: The recipient; the same.

        Returns:
            The first fault that is for this place and not used up; None if there is none.
        """
        for number, (fault, left) in enumerate(self._left):
            if fault.at is not place:
                continue
            if fault.action is Action.GREYLIST:
                if not self._is_grey(number, mail_from.lower(), rcpt_to.lower()):
                    continue
            elif left == 0:
                continue
            elif left is not None:
                self._left[number] = fault, left - 1
            self.shown.append((self._clock(), fault))
            return fault
        return None

    def _is_grey(self, number: int, mail_from: str, rcpt_to: str) -> bool:
        """Tell whether these two mailboxes must still wait; a pair that is new begins to, while there are any left."""
        fault, left = self._left[number]
        pair = number, mail_from, rcpt_to
        if pair in self._grey:
            return self._clock() < self._grey[pair] + fault.after
        if left == 0:
            return False
        if left is not None:
            self._left[number] = fault, left - 1
        self._grey[pair] = self._clock()
        return True
