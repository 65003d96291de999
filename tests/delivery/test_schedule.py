"""The redelivery schedule, the delivery error, and the three kinds of delivery."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from strategies import copies

from htpoort import HtpoortError, InputError, retry_delay
from htpoort.delivery import (
    DELIVERY_SCHEDULE,
    CommandDelivery,
    Delivery,
    DeliveryError,
    MaildirDelivery,
)
from htpoort.ledger import Reply


class TestSchedule:
    """A reply that was not delivered is delivered again, sooner at first, and never abandoned."""

    @pytest.mark.parametrize(
        ("attempts", "seconds"), [(1, 10), (2, 60), (3, 300), (4, 900), (5, 3_600), (6, 3_600), (100_000, 3_600)]
    )
    def test_waits(self, attempts: int, seconds: int) -> None:
        """The delays are 10 seconds, 1, 5 and 15 minutes, an hour, and then every hour."""
        assert timedelta(seconds=seconds) == retry_delay(attempts, schedule=DELIVERY_SCHEDULE, repeat_last=True)

    @pytest.mark.parametrize(("jitter", "seconds"), [(0, 10), (0.5, 10.5), (1, 11)])
    def test_jitter(self, jitter: float, seconds: float) -> None:
        """Jitter adds up to a tenth."""
        assert timedelta(seconds=seconds) == retry_delay(1, schedule=DELIVERY_SCHEDULE, jitter=jitter, repeat_last=True)

    def test_another_schedule(self) -> None:
        """A schedule is data."""
        schedule = (timedelta(0), timedelta(days=1))
        assert [timedelta(0), timedelta(days=1), timedelta(days=1)] == [
            retry_delay(attempts, schedule=schedule, repeat_last=True) for attempts in (1, 2, 3)
        ]

    @pytest.mark.parametrize(
        ("attempts", "schedule", "jitter"),
        [(0, DELIVERY_SCHEDULE, 0), (1, (), 0), (1, DELIVERY_SCHEDULE, -0.1), (1, DELIVERY_SCHEDULE, 1.1)],
    )
    def test_wrong_values(self, attempts: int, schedule: tuple[timedelta, ...], jitter: float) -> None:
        """No attempt, an empty schedule and jitter out of its range are errors of the caller."""
        with pytest.raises(InputError) as caught:
            retry_delay(attempts, schedule=schedule, jitter=jitter, repeat_last=True)
        assert ["input.retry"] == [problem.code for problem in caught.value.problems]


class TestDeliveryError:
    """An error has its text and its data, and survives pickle and copy."""

    def test_copies(self) -> None:
        """A copy has the same text; every delivery may succeed later."""
        for other in copies(DeliveryError("archive", "The command ended with 3: no.")):
            assert ("archive", "The command ended with 3: no.", True) == (other.target, other.why, other.retryable)
            assert "Not delivered to archive. The command ended with 3: no." == str(other)
            assert "DeliveryError(target='archive', why='The command ended with 3: no.')" == repr(other)
            assert isinstance(other, HtpoortError)


async def test_three_kinds_of_delivery(reply: Callable[..., Reply]) -> None:
    """A function, a Maildir and a command all accept a reply of the ledger."""
    came: list[int] = []

    async def kept(one: Reply) -> None:
        came.append(one.key)

    deliveries: list[Delivery[Reply]] = [kept, MaildirDelivery("replies"), CommandDelivery(("archive",))]
    await deliveries[0](reply())
    assert [7] == came
