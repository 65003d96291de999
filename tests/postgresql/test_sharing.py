"""Many machines on one ledger: two operations at the same time end as if one had waited for the other."""

from __future__ import annotations

import asyncio
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
from htpoort.agent import Agent, Outbox, Timing
from htpoort.ledger import Ledger, QuarantineState
from htpoort.transport import Security, SmtpServer

PARTY = "NL123456789.02.05"
NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
LEASE = timedelta(minutes=2)
PATIENCE = 60.0  # seconds; a busy machine is not a failure
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
    """Return a router that finds system and party; the ledger compares the K with what was sent."""
    return Router(parties=[PARTY])


def reply(reference: str, trace: str = "") -> bytes:
    """Write a reply."""
    return (
        f"{trace}From: dms@htpoort.nl\r\nSubject: [V=DMS4.NL][A={PARTY}][K={reference}][S=0]\r\n\r\n<R/>\r\n".encode()
    )


def state(ledger: Ledger, reference: str = "K1") -> State:
    """Look up the state of an exchange."""
    exchange = ledger.exchanges.find(reference, party=PARTY)
    assert exchange is not None
    return exchange.state


@contextmanager
def one_batch(ledger: Ledger) -> Generator[None]:
    """Keep a machine's writer busy, so that it writes all operations of the block in one transaction."""
    began, go_on = threading.Event(), threading.Event()

    def busy(_connection: sa.Connection) -> None:
        began.set()
        assert go_on.wait(PATIENCE)

    ledger.write_soon(busy)
    # Before `busy` runs, the operations that follow could join its transaction, all or in part.
    assert began.wait(PATIENCE)
    try:
        yield
    finally:
        go_on.set()


class Transaction:
    """
    Hold a machine's transaction open: the operations of the block are written at its end and committed by `commit`.

    Args:
        ledger: The ledger as the machine has it open.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._batch = one_batch(ledger)
        self._written, self._commit = threading.Event(), threading.Event()

    def __enter__(self) -> Self:
        """Keep the writer busy."""
        self._batch.__enter__()
        return self

    def __exit__(self, *_error: object) -> None:
        """Let the writer write, and stop before the commit."""
        self._ledger.write_soon(self._hold)
        self._batch.__exit__(None, None, None)
        assert self._written.wait(PATIENCE)

    def _hold(self, _connection: sa.Connection) -> None:
        self._written.set()
        assert self._commit.wait(PATIENCE)

    def commit(self) -> None:
        """Let the transaction commit."""
        self._commit.set()


def wait_for_a_blocked_lock(ledger: Ledger) -> None:
    """Wait until a transaction of the server waits for a lock of another one."""
    end = time.monotonic() + PATIENCE
    while not ledger._connections.read(lambda connection: connection.execute(WAITING).scalar_one()):
        assert time.monotonic() < end, "no transaction waits"


class TestClaims:
    """Workers of many machines claim with FOR UPDATE SKIP LOCKED."""

    def test_each_exchange_has_one_claim(self, url: str, local: Ledger) -> None:
        """Four machines with four threads each claim 200 exchanges: each exchange is claimed once, and none is left."""
        for queued in [local.exchanges.queue_soon(declaration(f"K{number:03}"), at=NOON) for number in range(200)]:
            queued.result()

        def claim(ledger: Ledger, owner: str) -> list[str]:
            taken: list[str] = []
            while claims := ledger.exchanges.claim_soon(("DMS",), owner=owner, most=3, at=NOON, lease=LEASE).result():
                taken += [claimed.reference for claimed in claims]
            return taken

        with ExitStack() as stack, ThreadPoolExecutor(16) as threads:
            ledgers = [stack.enter_context(Ledger.open(url)) for _ in range(4)]
            claims = [threads.submit(claim, ledgers[number % 4], f"worker {number}") for number in range(16)]
            taken = [reference for claimed in claims for reference in claimed.result()]

        assert [f"K{number:03}" for number in range(200)] == sorted(taken)

    def test_an_uncommitted_claim_is_skipped(self, local: Ledger, remote: Ledger) -> None:
        """A claim never waits: it skips the exchanges of another machine's uncommitted claim."""
        for reference in ("K1", "K2"):
            local.exchanges.queue(declaration(reference), at=NOON)
        with Transaction(local) as first:
            mine = local.exchanges.claim_soon(("DMS",), owner="local", most=1, at=NOON, lease=LEASE)
        theirs = remote.exchanges.claim_soon(("DMS",), owner="remote", most=2, at=NOON, lease=LEASE).result()
        first.commit()

        assert (["K1"], ["K2"]) == (
            [claimed.reference for claimed in mine.result()],
            [claimed.reference for claimed in theirs],
        )

    def test_each_reply_has_one_claim(self, local: Ledger, remote: Ledger) -> None:
        """A reply that one machine is about to deliver cannot be claimed by another."""
        local.replies.take_in(router(), reply("K1"), mail_from=None, at=NOON)
        with Transaction(local) as first:
            mine = local.replies.claim_soon("DMS", owner="local", most=1, at=NOON, lease=LEASE)
        theirs = remote.replies.claim_soon("DMS", owner="remote", most=1, at=NOON, lease=LEASE).result()
        first.commit()

        assert (1, []) == (len(mine.result()), theirs)


class TestRate:
    """Machines that share a rate together begin no more attempts in an hour than it allows."""

    @pytest.mark.parametrize(("mine", "theirs"), [(("DMS",), ("DMS",)), (("AGS", "DMS"), ("DMS",))])
    def test_two_claims_at_once(
        self, local: Ledger, remote: Ledger, mine: tuple[str, ...], theirs: tuple[str, ...]
    ) -> None:
        """A claim waits for another machine's claim for the same system, and counts its attempts."""
        for number in range(6):
            local.exchanges.queue(declaration(f"K{number}"), at=NOON)
        with Transaction(local) as first:
            first_claim = local.exchanges.claim_soon(mine, owner="local", most=2, at=NOON, lease=LEASE, per_hour=3)
        second_claim = remote.exchanges.claim_soon(theirs, owner="remote", most=4, at=NOON, lease=LEASE, per_hour=3)
        wait_for_a_blocked_lock(local)
        first.commit()

        assert (2, 1) == (len(first_claim.result()), len(second_claim.result()))

    def test_other_systems_do_not_wait(self, local: Ledger, remote: Ledger) -> None:
        """The rate of one system does not delay claims for another."""
        local.exchanges.queue(declaration("K1"), at=NOON)
        with Transaction(local) as first:
            local.exchanges.claim_soon(("AGS",), owner="local", most=1, at=NOON, lease=LEASE, per_hour=1)
        claimed = remote.exchanges.claim_soon(
            ("DMS",), owner="remote", most=1, at=NOON, lease=LEASE, per_hour=1
        ).result()
        first.commit()

        assert ["K1"] == [exchange.reference for exchange in claimed]

    def test_many_at_once(self, url: str, local: Ledger) -> None:
        """Four machines with four threads each begin exactly 40 of 60 attempts, whatever their systems."""
        for queued in [local.exchanges.queue_soon(declaration(f"K{number:03}"), at=NOON) for number in range(60)]:
            queued.result()

        def claim(ledger: Ledger, systems: tuple[str, ...]) -> int:
            begun = 0
            while claims := ledger.exchanges.claim_soon(
                systems, owner="any", most=3, at=NOON, lease=LEASE, per_hour=40
            ).result():
                begun += len(claims)
            return begun

        with ExitStack() as stack, ThreadPoolExecutor(16) as threads:
            ledgers = [stack.enter_context(Ledger.open(url)) for _ in range(4)]
            systems = (("DMS",), ("AGS", "DMS"), ("DMS", "AGS"))
            claims = [threads.submit(claim, ledgers[number % 4], systems[number % 3]) for number in range(16)]
            begun = sum(claimed.result() for claimed in claims)

        assert 40 == begun


class TestQuarantine:
    """Only one decision about a message counts, even if two operators decide at the same time."""

    def test_released_and_discarded_at_once(self, local: Ledger, remote: Ledger) -> None:
        """The second decision is refused: a message that reached a process is not marked as discarded."""
        raw = b"From: dms@htpoort.nl\r\nSubject: hello\r\n\r\nx\r\n"
        key = local.replies.take_in(router(), raw, mail_from=None, at=NOON).key
        with Transaction(local) as held:
            released = local.quarantine.release_soon(
                key, system=DMS, party=PartyId.parse(PARTY), reference="K1", at=NOON
            )
        with ThreadPoolExecutor(1) as pool:
            discarding = pool.submit(remote.quarantine.discard, key, at=NOON, reason="spam")
            wait_for_a_blocked_lock(local)
            held.commit()
            with pytest.raises(InputError) as caught:
                discarding.result(PATIENCE)

        assert not released.result(PATIENCE).repeated
        assert ["ledger.not-held"] == [problem.code for problem in caught.value.problems]
        assert QuarantineState.RELEASED is local.quarantine.get(key).state


class TestLeases:
    """The claims of a dead machine expire once."""

    def test_a_lease_expires_once(self, local: Ledger, remote: Ledger) -> None:
        """A lease that has run out makes the exchange unknown; a second machine finds nothing more to expire."""
        local.exchanges.queue(declaration("K1"), at=NOON)
        local.exchanges.claim_soon(("DMS",), owner="dead", most=1, at=NOON, lease=LEASE).result()
        within = remote.exchanges.expire_soon(at=NOON + LEASE).result()
        after = remote.exchanges.expire_soon(at=NOON + LEASE + timedelta(seconds=1)).result()
        again = local.exchanges.expire_soon(at=NOON + timedelta(hours=1)).result()

        assert ([], ["K1"], []) == (within, [lost.reference for lost in after], again)
        assert State.UNKNOWN == state(local)

    def test_two_machines_expire_at_once(self, local: Ledger, remote: Ledger) -> None:
        """A machine skips a lease that another one is expiring, not committed yet: the log holds one entry."""
        local.exchanges.queue(declaration("K1"), at=NOON)
        local.exchanges.claim_soon(("DMS",), owner="dead", most=1, at=NOON, lease=LEASE).result()
        late = NOON + timedelta(hours=1)
        with Transaction(local) as first:
            local.exchanges.expire_soon(at=late)
        theirs = remote.exchanges.expire_soon(at=late).result()
        first.commit()
        local.exchanges.expire_soon(at=late).result()

        assert [] == theirs
        events = [entry.event for entry in local.story("K1")[0].entries]
        assert ["queued", "attempt-started", "outcome-unknown"] == events

    def test_a_worker_that_was_thought_dead(self, local: Ledger, remote: Ledger) -> None:
        """If a worker thought dead reports a late 250, the exchange is accepted."""
        local.exchanges.queue(declaration("K1"), at=NOON)
        (claimed,) = local.exchanges.claim_soon(("DMS",), owner="slow", most=1, at=NOON, lease=LEASE).result()
        remote.exchanges.expire_soon(at=NOON + timedelta(hours=1)).result()

        assert State.ACCEPTED == local.exchanges.settle_soon(claimed, Outcome.ACCEPTED, at=NOON).result()


class TestAtTheSameTime:
    """Two machines write the same thing at the same time."""

    def test_one_reply_over_two_machines(self, local: Ledger, remote: Ledger) -> None:
        """Copies of a reply that reach two machines at once are one reply, and both may be acknowledged."""
        local.exchanges.queue(declaration("K1"), at=NOON)
        with Transaction(local) as first:
            mine = local.replies.take_in_soon(router(), reply("K1"), mail_from=None, at=NOON)
        theirs = remote.replies.take_in_soon(router(), reply("K1", "X: 1\r\n"), mail_from=None, at=NOON)
        wait_for_a_blocked_lock(local)
        first.commit()

        assert (False, True) == (mine.result().repeated, theirs.result().repeated)
        assert [2] == [stored.copies for stored in local.replies.listed()]

    def test_one_quarantined_message_over_two_machines(self, local: Ledger, remote: Ledger) -> None:
        """Copies of an unroutable message that reach two machines at once are one message in quarantine."""
        with Transaction(local) as first:
            mine = local.replies.take_in_soon(router(), b"Subject: x\r\n\r\n", mail_from=None, at=NOON)
        theirs = remote.replies.take_in_soon(router(), b"Subject: x\r\n\r\n", mail_from=None, at=NOON)
        wait_for_a_blocked_lock(local)
        first.commit()

        assert (False, True) == (mine.result().repeated, theirs.result().repeated)

    @pytest.mark.parametrize(("payload", "error"), [(b"<a/>", None), (b"<b/>", InputError)])
    def test_one_k_over_two_machines(
        self, local: Ledger, remote: Ledger, payload: bytes, error: type[Exception] | None
    ) -> None:
        """The same message on two machines is queued once; another message under its K is refused."""
        with Transaction(local) as first:
            mine = local.exchanges.queue_soon(declaration("K1"), at=NOON)
        theirs = remote.exchanges.queue_soon(declaration("K1", payload), at=NOON)
        wait_for_a_blocked_lock(local)
        first.commit()
        mine.result()

        failed = theirs.exception()
        assert error == (None if failed is None else type(failed))
        assert 1 == len(list(local.exchanges.listed()))

    def test_one_mail_of_pop3_over_two_machines(self, local: Ledger, remote: Ledger) -> None:
        """A UIDL that two machines store at once is known once; two mails with that UIDL are both stored."""
        options = {"mail_from": None, "at": NOON, "account": "edi@mail.example:995"}
        with Transaction(local) as first:
            local.replies.take_in_soon(router(), reply("K1"), uidl="u1", **options)  # type: ignore[arg-type]  # the parts
        theirs = remote.replies.take_in_soon(router(), reply("K2"), uidl="u1", **options)  # type: ignore[arg-type]  # the parts
        wait_for_a_blocked_lock(local)
        first.commit()
        theirs.result()

        assert frozenset({"u1"}) == local.fetched.known("edi@mail.example:995")
        assert ["K1", "K2"] == [stored.reference for stored in local.replies.listed()]

    def test_a_reply_during_a_close(self, local: Ledger, remote: Ledger) -> None:
        """A reply that comes at the same moment does not undo an operator's order to close."""
        local.exchanges.queue(declaration("K1"), at=NOON)
        with Transaction(local) as first:
            local.exchanges.close_soon("K1", at=NOON)
        theirs = remote.replies.take_in_soon(router(), reply("K1"), mail_from=None, at=NOON)
        wait_for_a_blocked_lock(local)
        first.commit()
        theirs.result()

        assert State.CLOSED == state(local)


class TestDeadlock:
    """If two machines wait for each other, the server ends one transaction, and the ledger runs it again."""

    @pytest.mark.parametrize("together", [True, False], ids=["a batch", "one operation"])
    def test_both_succeed(self, local: Ledger, remote: Ledger, together: bool) -> None:  # noqa: FBT001 - pytest gives it by name
        """The operations of both machines succeed in the end, and no caller gets an error."""
        for reference in ("K1", "K2"):
            local.exchanges.queue(declaration(reference), at=NOON)
        barrier = threading.Barrier(2)
        met: set[Ledger] = set()

        def touch(connection: sa.Connection, ledger: Ledger, *references: str) -> None:
            for reference in references:
                connection.execute(TOUCH, {"reference": reference})
                if ledger not in met:
                    # Both have locked their first row before either asks for its second.
                    met.add(ledger)
                    barrier.wait(PATIENCE)

        done: list[Future[None]] = []
        for ledger, references in ((local, ("K1", "K2")), (remote, ("K2", "K1"))):
            steps = [(reference,) for reference in references] if together else [references]
            with one_batch(ledger):
                done += [ledger.write_soon(touch, ledger, *step) for step in steps]
        for future in done:
            future.result()

        assert [2, 2] == [exchange.attempts for exchange in local.exchanges.listed()]


async def test_servers_of_another_machine(local: Ledger, remote: Ledger) -> None:
    """An agent that starts clears its own servers and those that no agent has tried for a day; no others."""
    day = timedelta(days=1)
    for name, next_try in (
        ("SMTP 127.0.0.1:2525", NOON),
        ("POP3 tried.example:995 as edi", NOON - day),
        ("POP3 gone.example:995 as edi", NOON - day - timedelta(seconds=1)),
    ):
        remote.servers.record_pause(name, since=NOON - 2 * day, next_try=next_try, why="refused")
    outbox = Outbox(server=SmtpServer(host="127.0.0.1", port=2525, security=Security.PLAIN))
    async with Agent(ledger=local, router=router(), outboxes=[outbox], clock=lambda: NOON), asyncio.timeout(PATIENCE):
        # Its own is cleared by the worker of its outbox, which has just started.
        while len(left := await asyncio.to_thread(remote.servers.paused)) > 1:  # noqa: ASYNC110 - no event reports it
            await asyncio.sleep(0)

    assert ["POP3 tried.example:995 as edi"] == [server.name for server in left]


async def test_an_order_to_resume_reaches_every_agent(local: Ledger, remote: Ledger) -> None:
    """One order, and the agents of both machines try the server again: once each."""
    for reference in ("K1", "K2"):
        local.exchanges.queue(declaration(reference), at=NOON)
    tries: list[asyncio.StreamWriter] = []

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tries.append(writer)
        writer.write(b"554 5.3.2 No SMTP service here\r\n")
        await reader.read()
        writer.close()

    async def tried(number: int) -> None:
        while len(tries) < number:  # noqa: ASYNC110 - what is awaited happens in this loop
            await asyncio.sleep(0)

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    outbox = Outbox(
        server=SmtpServer(host="127.0.0.1", port=server.sockets[0].getsockname()[1], security=Security.PLAIN)
    )
    timing = Timing(poll_interval=timedelta(milliseconds=20))
    agents = [Agent(ledger=ledger, router=router(), outboxes=[outbox], timing=timing) for ledger in (local, remote)]
    async with server, asyncio.timeout(PATIENCE), agents[0], agents[1]:
        await tried(2)
        while not (paused := await asyncio.to_thread(local.servers.paused)):  # noqa: ASYNC110 - no event reports it
            await asyncio.sleep(0)
        await asyncio.to_thread(local.servers.resume, at=datetime.now(UTC))  # noqa: TID251 - an agent runs in real time
        await tried(4)

    assert 4 == len(tries)
    assert {paused[0].name: 1} == local.servers.resume_orders()
