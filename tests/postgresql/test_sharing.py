"""Many machines on one ledger: what two of them do at the same time comes out as if one had waited for the other."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Self

import pytest
import sqlalchemy as sa

from htpoort import DMS, InputError, Outcome, PartyId, Router, State, Submission, build
from htpoort.ledger import Ledger, QuarantineState

PARTY = "NL123456789.02.05"
NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
LEASE = timedelta(minutes=2)
PATIENCE = 60.0  # seconds; a busy machine is no bug
WAITING = sa.text("SELECT count(*) FROM pg_locks WHERE NOT granted")
TOUCH = sa.text("UPDATE htpoort_exchanges SET attempts = attempts + 1 WHERE reference = :reference")


def declaration(reference: str, payload: bytes = b"<a/>") -> Submission:
    """Build a declaration."""
    return build(
        system=DMS,
        party=PARTY,
        mailbox="edi@forwarder.example",
        reference=reference,
        payload=payload,
        date=NOON,
        message_id=f"<{reference}@forwarder.example>",
    )


def router() -> Router:
    """Find system and party; the ledger compares with what was sent."""
    return Router(parties=[PARTY])


def reply(reference: str, trace: str = "") -> bytes:
    """Write a reply."""
    return (
        f"{trace}From: dms@htpoort.nl\r\nSubject: [V=DMS4.NL][A={PARTY}][K={reference}][S=0]\r\n\r\n<R/>\r\n".encode()
    )


def state(ledger: Ledger, reference: str = "K1") -> State:
    """Look a state up."""
    found = ledger.exchanges.find(reference, party=PARTY)
    assert found is not None
    return found.state


@contextmanager
def one_batch(ledger: Ledger) -> Generator[None]:
    """Keep a machine's writer busy, so that what is handed over in the block is one transaction."""
    began, go_on = threading.Event(), threading.Event()

    def busy(_connection: sa.Connection) -> None:
        began.set()
        assert go_on.wait(PATIENCE)

    ledger.write_soon(busy)
    # Before that, what follows could be taken into the same transaction, or a part of it only.
    assert began.wait(PATIENCE)
    try:
        yield
    finally:
        go_on.set()


class Transaction:
    """
    Hold a machine's transaction open: what is handed over in the block is written when it ends, committed at `commit`.

    Args:
        ledger: Of the machine.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._batch = one_batch(ledger)
        self._written, self._commit = threading.Event(), threading.Event()

    def __enter__(self) -> Self:
        """Begin."""
        self._batch.__enter__()
        return self

    def __exit__(self, *_error: object) -> None:
        """Let it write, and stop before the commit."""
        self._ledger.write_soon(self._hold)
        self._batch.__exit__(None, None, None)
        assert self._written.wait(PATIENCE)

    def _hold(self, _connection: sa.Connection) -> None:
        self._written.set()
        assert self._commit.wait(PATIENCE)

    def commit(self) -> None:
        """Let it commit."""
        self._commit.set()


def until_it_waits(ledger: Ledger) -> None:
    """Wait until some transaction of the server waits for a lock of another."""
    end = time.monotonic() + PATIENCE
    while not ledger._connections.read(lambda connection: connection.execute(WAITING).scalar_one()):
        assert time.monotonic() < end, "nobody waits"


class TestClaims:
    """Workers of many machines claim with FOR UPDATE SKIP LOCKED."""

    def test_nobody_gets_what_another_has(self, url: str, here: Ledger) -> None:
        """Four machines with four threads each claim 200 exchanges: each comes to one of them, and none is left."""
        for queued in [here.exchanges.queue_soon(declaration(f"K{number:03}"), at=NOON) for number in range(200)]:
            queued.result()

        def claim(ledger: Ledger, owner: str) -> list[str]:
            taken: list[str] = []
            while found := ledger.exchanges.claim_soon(("DMS",), owner=owner, most=3, at=NOON, lease=LEASE).result():
                taken += [one.reference for one in found]
            return taken

        with ExitStack() as stack, ThreadPoolExecutor(16) as threads:
            ledgers = [stack.enter_context(Ledger.open(url)) for _ in range(4)]
            claims = [threads.submit(claim, ledgers[number % 4], f"worker {number}") for number in range(16)]
            taken = [reference for claimed in claims for reference in claimed.result()]

        assert [f"K{number:03}" for number in range(200)] == sorted(taken)

    def test_what_is_being_claimed_is_passed_over(self, here: Ledger, there: Ledger) -> None:
        """A claim waits for nobody: what another machine is about to take, not committed yet, is not seen."""
        for reference in ("K1", "K2"):
            here.exchanges.queue(declaration(reference), at=NOON)
        with Transaction(here) as first:
            mine = here.exchanges.claim_soon(("DMS",), owner="here", most=1, at=NOON, lease=LEASE)
        theirs = there.exchanges.claim_soon(("DMS",), owner="there", most=2, at=NOON, lease=LEASE).result()
        first.commit()

        assert (["K1"], ["K2"]) == ([one.reference for one in mine.result()], [one.reference for one in theirs])

    def test_replies_come_to_one(self, here: Ledger, there: Ledger) -> None:
        """A reply that one machine is about to deliver is not given to another."""
        here.replies.take_in(router(), reply("K1"), mail_from=None, at=NOON)
        with Transaction(here) as first:
            mine = here.replies.claim_soon("DMS", owner="here", most=1, at=NOON, lease=LEASE)
        theirs = there.replies.claim_soon("DMS", owner="there", most=1, at=NOON, lease=LEASE).result()
        first.commit()

        assert (1, []) == (len(mine.result()), theirs)


class TestRate:
    """Machines that share a rate begin together no more attempts in an hour than it allows."""

    @pytest.mark.parametrize(("mine", "theirs"), [(("DMS",), ("DMS",)), (("AGS", "DMS"), ("DMS",))])
    def test_two_that_count_at_once(
        self, here: Ledger, there: Ledger, mine: tuple[str, ...], theirs: tuple[str, ...]
    ) -> None:
        """Who claims while another claims for the same system counts what that one takes, committed or not."""
        for number in range(6):
            here.exchanges.queue(declaration(f"K{number}"), at=NOON)
        with Transaction(here) as first:
            one = here.exchanges.claim_soon(mine, owner="here", most=2, at=NOON, lease=LEASE, per_hour=3)
        two = there.exchanges.claim_soon(theirs, owner="there", most=4, at=NOON, lease=LEASE, per_hour=3)
        until_it_waits(here)
        first.commit()

        assert (2, 1) == (len(one.result()), len(two.result()))

    def test_other_systems_do_not_wait(self, here: Ledger, there: Ledger) -> None:
        """A rate of one system keeps nobody waiting who claims for another."""
        here.exchanges.queue(declaration("K1"), at=NOON)
        with Transaction(here) as first:
            here.exchanges.claim_soon(("AGS",), owner="here", most=1, at=NOON, lease=LEASE, per_hour=1)
        claimed = there.exchanges.claim_soon(("DMS",), owner="there", most=1, at=NOON, lease=LEASE, per_hour=1).result()
        first.commit()

        assert ["K1"] == [one.reference for one in claimed]

    def test_many_at_once(self, url: str, here: Ledger) -> None:
        """Four machines with four threads each begin 40 attempts of 60, and none more, whatever their systems."""
        for queued in [here.exchanges.queue_soon(declaration(f"K{number:03}"), at=NOON) for number in range(60)]:
            queued.result()

        def claim(ledger: Ledger, systems: tuple[str, ...]) -> int:
            begun = 0
            while found := ledger.exchanges.claim_soon(
                systems, owner="any", most=3, at=NOON, lease=LEASE, per_hour=40
            ).result():
                begun += len(found)
            return begun

        with ExitStack() as stack, ThreadPoolExecutor(16) as threads:
            ledgers = [stack.enter_context(Ledger.open(url)) for _ in range(4)]
            systems = (("DMS",), ("AGS", "DMS"), ("DMS", "AGS"))
            claims = [threads.submit(claim, ledgers[number % 4], systems[number % 3]) for number in range(16)]
            begun = sum(claimed.result() for claimed in claims)

        assert 40 == begun


class TestQuarantine:
    """A person's decision about a message is made once, although two persons make it at the same time."""

    def test_released_here_and_discarded_there(self, here: Ledger, there: Ledger) -> None:
        """Who comes second is refused: a message that reached a process is not marked as being for none."""
        raw = b"From: dms@htpoort.nl\r\nSubject: hello\r\n\r\nx\r\n"
        key = here.replies.take_in(router(), raw, mail_from=None, at=NOON).key
        with Transaction(here) as held:
            released = here.quarantine.release_soon(
                key, system=DMS, party=PartyId.parse(PARTY), reference="K1", at=NOON
            )
        with ThreadPoolExecutor(1) as pool:
            discarding = pool.submit(there.quarantine.discard, key, at=NOON, why="spam")
            until_it_waits(here)
            held.commit()
            with pytest.raises(InputError) as caught:
                discarding.result(PATIENCE)

        assert not released.result(PATIENCE).repeated
        assert ["ledger.not-held"] == [problem.code for problem in caught.value.problems]
        assert QuarantineState.RELEASED is here.quarantine.get(key).state


class TestLeases:
    """What a machine held that is gone comes back, once."""

    def test_a_dead_machine_is_told_once(self, here: Ledger, there: Ledger) -> None:
        """A lease that has run out makes the exchange unknown; the second machine that looks finds nothing more."""
        here.exchanges.queue(declaration("K1"), at=NOON)
        here.exchanges.claim_soon(("DMS",), owner="dead", most=1, at=NOON, lease=LEASE).result()
        within = there.exchanges.expire_soon(at=NOON + LEASE).result()
        after = there.exchanges.expire_soon(at=NOON + LEASE + timedelta(seconds=1)).result()
        again = here.exchanges.expire_soon(at=NOON + timedelta(hours=1)).result()

        assert ([], ["K1"], []) == (within, [one.reference for one in after], again)
        assert State.UNKNOWN == state(here)

    def test_two_that_look_at_once(self, here: Ledger, there: Ledger) -> None:
        """What one machine is taking back, not committed yet, the other passes over: the log tells it once."""
        here.exchanges.queue(declaration("K1"), at=NOON)
        here.exchanges.claim_soon(("DMS",), owner="dead", most=1, at=NOON, lease=LEASE).result()
        late = NOON + timedelta(hours=1)
        with Transaction(here) as first:
            here.exchanges.expire_soon(at=late)
        theirs = there.exchanges.expire_soon(at=late).result()
        first.commit()
        here.exchanges.expire_soon(at=late).result()

        assert [] == theirs
        told = [entry.event for entry in here.story("K1")[0].entries]
        assert ["queued", "attempt-started", "connection-lost"] == told

    def test_a_worker_that_was_thought_dead(self, here: Ledger, there: Ledger) -> None:
        """Its late 250 is the truth; its late failure of an older attempt is not."""
        here.exchanges.queue(declaration("K1"), at=NOON)
        (claimed,) = here.exchanges.claim_soon(("DMS",), owner="slow", most=1, at=NOON, lease=LEASE).result()
        there.exchanges.expire_soon(at=NOON + timedelta(hours=1)).result()

        assert State.ACCEPTED == here.exchanges.settle_soon(claimed, Outcome.ACCEPTED, at=NOON).result()


class TestAtTheSameTime:
    """Two machines write the same thing at the same time."""

    def test_one_reply_over_two_machines(self, here: Ledger, there: Ledger) -> None:
        """Copies of a reply that come to two machines at once are one reply, and both may be acknowledged."""
        here.exchanges.queue(declaration("K1"), at=NOON)
        with Transaction(here) as first:
            mine = here.replies.take_in_soon(router(), reply("K1"), mail_from=None, at=NOON)
        theirs = there.replies.take_in_soon(router(), reply("K1", "X: 1\r\n"), mail_from=None, at=NOON)
        until_it_waits(here)
        first.commit()

        assert (False, True) == (mine.result().repeated, theirs.result().repeated)
        assert [2] == [stored.copies for stored in here.replies.listed()]

    def test_one_stranger_over_two_machines(self, here: Ledger, there: Ledger) -> None:
        """The same holds for what nobody can tell a process of."""
        with Transaction(here) as first:
            mine = here.replies.take_in_soon(router(), b"Subject: x\r\n\r\n", mail_from=None, at=NOON)
        theirs = there.replies.take_in_soon(router(), b"Subject: x\r\n\r\n", mail_from=None, at=NOON)
        until_it_waits(here)
        first.commit()

        assert (False, True) == (mine.result().repeated, theirs.result().repeated)

    @pytest.mark.parametrize(("payload", "error"), [(b"<a/>", None), (b"<b/>", InputError)])
    def test_one_k_over_two_machines(
        self, here: Ledger, there: Ledger, payload: bytes, error: type[Exception] | None
    ) -> None:
        """The same message twice is queued once; another message under the K is refused, whoever was first."""
        with Transaction(here) as first:
            mine = here.exchanges.queue_soon(declaration("K1"), at=NOON)
        theirs = there.exchanges.queue_soon(declaration("K1", payload), at=NOON)
        until_it_waits(here)
        first.commit()
        mine.result()

        failed = theirs.exception()
        assert error == (None if failed is None else type(failed))
        assert 1 == len(list(here.exchanges.listed()))

    def test_one_mail_of_pop3_over_two_machines(self, here: Ledger, there: Ledger) -> None:
        """A mail that two machines fetch from one mailbox at once is remembered once, and stored once."""
        options = {"mail_from": None, "at": NOON, "account": "edi@mail.example:995"}
        with Transaction(here) as first:
            here.replies.take_in_soon(router(), reply("K1"), uidl="u1", **options)  # type: ignore[arg-type]  # the parts
        theirs = there.replies.take_in_soon(router(), reply("K2"), uidl="u1", **options)  # type: ignore[arg-type]  # the parts
        until_it_waits(here)
        first.commit()
        theirs.result()

        assert frozenset({"u1"}) == here.fetched.known("edi@mail.example:995")
        assert ["K1", "K2"] == [stored.reference for stored in here.replies.listed()]

    def test_a_reply_to_what_is_being_closed(self, here: Ledger, there: Ledger) -> None:
        """A person's order is not written over by a reply that comes at the same moment."""
        here.exchanges.queue(declaration("K1"), at=NOON)
        with Transaction(here) as first:
            here.exchanges.close_soon("K1", at=NOON)
        theirs = there.replies.take_in_soon(router(), reply("K1"), mail_from=None, at=NOON)
        until_it_waits(here)
        first.commit()
        theirs.result()

        assert State.CLOSED == state(here)


class TestDeadlock:
    """Two machines that wait for one another: the server ends one, and the ledger runs it again."""

    @pytest.mark.parametrize("together", [True, False], ids=["a batch", "one operation"])
    def test_is_survived(self, here: Ledger, there: Ledger, together: bool) -> None:  # noqa: FBT001 - pytest gives it by name
        """Both machines' work is done, whole, in the end; nobody hears of it."""
        for reference in ("K1", "K2"):
            here.exchanges.queue(declaration(reference), at=NOON)
        barrier = threading.Barrier(2)
        met: set[Ledger] = set()

        def touch(connection: sa.Connection, ledger: Ledger, *references: str) -> None:
            for reference in references:
                connection.execute(TOUCH, {"reference": reference})
                if ledger not in met:
                    # Both have their first row before either asks for its second.
                    met.add(ledger)
                    barrier.wait(PATIENCE)

        done: list[Future[None]] = []
        for ledger, references in ((here, ("K1", "K2")), (there, ("K2", "K1"))):
            steps = [(reference,) for reference in references] if together else [references]
            with one_batch(ledger):
                done += [ledger.write_soon(touch, ledger, *step) for step in steps]
        for future in done:
            future.result()

        assert [2, 2] == [exchange.attempts for exchange in here.exchanges.listed()]
