"""Sending: what each failure of a server means for the message."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import attrs
import pytest

from htpoort import InputError, SendError, SendFailure, Submission
from htpoort.transport import Accepted, Security, Sender, SmtpServer, send

Build = Callable[..., Submission]
Fixed = Callable[..., Any]

BEFORE_DATA = ["EHLO", "MAIL", "RCPT", "DATA"]
BIG = b"<MetaData>\r\n" + b"<A>22096222734662</A>\r\n" * 600_000 + b"</MetaData>\r\n"  # 13 MB, above any socket buffer


def plain(port: int, **settings: Any) -> SmtpServer:
    """Describe how to reach a server of a test."""
    return SmtpServer(host="127.0.0.1", port=port, security=Security.PLAIN, **settings)


async def failure(submission: Submission, server: SmtpServer) -> SendError:
    """Send, and return the error."""
    with pytest.raises(SendError) as caught:
        await send(submission, server)
    assert caught.value.recipient == "dms@htpoort.nl"
    return caught.value


class TestOctets:
    """Sender, recipient and octets are all that sending needs, and the caller may stop it twice."""

    async def test_octets_alone(self, fixed: Fixed) -> None:
        """Octets go as they are from any sender to any recipient, whatever their Subject."""
        raw = b"Subject: no envelope\r\n\r\nx\r\n"
        async with fixed() as server, Sender(plain(server.port)) as sender:
            accepted = await sender.send_raw(mail_from="a@b.example", rcpt_to="c@d.example", raw=raw)
        assert ("c@d.example", [raw + b".\r\n"]) == (accepted.recipient, server.contents)
        assert ["MAIL FROM:<a@b.example>", "RCPT TO:<c@d.example>"] == [
            command.partition(" SIZE")[0] for command in server.commands[1:3]
        ]

    @pytest.mark.parametrize("stop", [1, 2])
    async def test_the_checkpoint(self, fixed: Fixed, submission: Build, stop: int) -> None:
        """If the checkpoint raises, before the content or the final dot, the attempt ends and nothing is taken."""
        message, calls = submission(), list[int]()

        async def checkpoint() -> None:
            calls.append(len(calls) + 1)
            if len(calls) == stop:
                raise LookupError

        async with fixed() as server, Sender(plain(server.port)) as sender:
            with pytest.raises(LookupError):
                await sender.send_raw(
                    mail_from=message.mail_from, rcpt_to=message.rcpt_to, raw=message.data, checkpoint=checkpoint
                )
            begun = sender.content_begun
        assert (list(range(1, stop + 1)), stop == 2, []) == (calls, begun, server.contents)


class TestTaken:
    """A message that the server accepts arrives octet for octet."""

    async def test_the_servers_answer_is_returned(self, fixed: Fixed, submission: Build) -> None:
        """A 250 is returned with its code, its text and the mailbox."""
        async with fixed() as server:
            accepted = await send(submission(), plain(server.port))
        assert Accepted(recipient="dms@htpoort.nl", code=250, reply="queued as 4711") == accepted

    async def test_the_dialogue_is_the_shortest_there_is(self, fixed: Fixed, submission: Build) -> None:
        """One message costs six commands, and EHLO sends the domain of the sender's mailbox."""
        async with fixed() as server:
            await send(submission(), plain(server.port))
        assert [
            "EHLO forwarder.example",
            "MAIL FROM:<edi@forwarder.example>",
            "RCPT TO:<dms@htpoort.nl>",
            "DATA",
            "QUIT",
        ] == server.commands

    async def test_local_hostname(self, fixed: Fixed, submission: Build) -> None:
        """EHLO sends local_hostname if it is set."""
        async with fixed() as server:
            await send(submission(), plain(server.port, local_hostname="edi-1.forwarder.example"))
        assert server.commands[0] == "EHLO edi-1.forwarder.example"

    async def test_octets_are_those_of_the_message_with_dots_doubled(self, fixed: Fixed, submission: Build) -> None:
        """Only the dots at the start of lines and the final dot are added."""
        # `build` writes no such lines: it uses base64 for them.
        head = submission(b"<a/>\r\n").data.removesuffix(b"<a/>\r\n")
        message = attrs.evolve(submission(), data=head + b".\r\n..two\r\na.\r\n")
        async with fixed() as server:
            await send(message, plain(server.port))
        assert [head + b"..\r\n...two\r\na.\r\n.\r\n"] == server.contents

    async def test_a_large_message_arrives_whole(self, stock: Fixed, submission: Build) -> None:
        """13 MB arrive at a foreign server unchanged."""
        message = submission(BIG)
        async with stock(data_size_limit=None) as server:
            await send(message, plain(server.port))
        assert server.sink.contents == [message.data]

    @pytest.mark.parametrize("end", ["drop", "close", "stall", b"500 what?\r\n", b"\xff\r\n"])
    async def test_a_bad_goodbye_changes_nothing(self, fixed: Fixed, submission: Build, end: Any) -> None:
        """Whatever happens at QUIT, an accepted message stays accepted."""
        async with fixed(QUIT=end) as server:
            accepted = await send(submission(), plain(server.port, timeout=1 if end == "stall" else 60))
        assert accepted.code == 250


class TestRefused:
    """A refusal of the server is reported with its meaning: 5xx permanent, 4xx temporary."""

    @pytest.mark.parametrize("verb", ["connect", "EHLO"])
    async def test_5xx_before_the_message(self, fixed: Fixed, submission: Build, verb: str) -> None:
        """A 554 as greeting or to EHLO concerns the server: there is no connection, and a retry makes sense."""
        async with fixed(**{verb: b"554 5.3.2 maintenance\r\n"}) as server:
            error = await failure(submission(), plain(server.port))
        assert (SendFailure.CONNECT, 554, "5.3.2 maintenance", True, True) == (
            error.kind,
            error.code,
            error.reply,
            error.retryable,
            error.is_server_trouble,
        )

    @pytest.mark.parametrize("verb", ["MAIL", "RCPT", "DATA", "dot"])
    async def test_5xx_is_for_good(self, fixed: Fixed, submission: Build, verb: str) -> None:
        """A 550 from MAIL on is REFUSED, with code and text, and a retry makes no sense."""
        async with fixed(**{verb: b"550 5.7.1 not for you\r\n"}) as server:
            error = await failure(submission(), plain(server.port))
        assert (SendFailure.REFUSED, 550, "5.7.1 not for you", False) == (
            error.kind,
            error.code,
            error.reply,
            error.retryable,
        )

    @pytest.mark.parametrize("verb", ["connect", *BEFORE_DATA, "dot"])
    @pytest.mark.parametrize("code", [421, 451])
    async def test_4xx_is_for_now(self, fixed: Fixed, submission: Build, verb: str, code: int) -> None:
        """A 451 or 421 at any step is DEFERRED, and a retry makes sense."""
        async with fixed(**{verb: b"%d come again\r\n" % code}) as server:
            error = await failure(submission(), plain(server.port))
        assert (SendFailure.DEFERRED, code, "come again", True) == (
            error.kind,
            error.code,
            error.reply,
            error.retryable,
        )
        # 421 means that the server closes; before the content that concerns the server, as does all before MAIL.
        assert (verb in {"connect", "EHLO"} or (code == 421 and verb != "dot")) == error.is_server_trouble

    @pytest.mark.parametrize("verb", ["MAIL", "RCPT", "DATA"])
    @pytest.mark.parametrize("code", [530, 538])
    async def test_a_login_that_is_asked_for(self, fixed: Fixed, submission: Build, verb: str, code: int) -> None:
        """A server that requires a login does not refuse the message by that."""
        async with fixed(**{verb: b"%d 5.7.0 Authentication required\r\n" % code}) as server:
            error = await failure(submission(), plain(server.port))
        assert (SendFailure.LOGIN, code, True) == (error.kind, error.code, error.is_server_trouble)

    async def test_several_lines_become_one(self, fixed: Fixed, submission: Build) -> None:
        """An answer of several lines, with control and foreign characters, is shown on one printable line."""
        async with fixed(RCPT=b"550-no\x1b[31m\r\n550 such\x00 m\xffailbox\r\n") as server:
            error = await failure(submission(), plain(server.port))
        assert error.reply == "no [31m such m ailbox"

    async def test_a_size_that_the_server_does_not_take_is_not_sent(self, fixed: Fixed, submission: Build) -> None:
        """A message over the offered SIZE is refused before MAIL, and both sizes are shown."""
        message = submission()
        async with fixed(EHLO=b"250-customs.example\r\n250 SIZE 100\r\n") as server:
            error = await failure(message, plain(server.port))
        assert (SendFailure.REFUSED, None, False) == (error.kind, error.code, error.retryable)
        assert error.reply == f"The server accepts 100 octets, the message has {len(message.data)}; nothing was sent."
        assert server.commands == ["EHLO forwarder.example", "RSET", "QUIT"]

    @pytest.mark.parametrize("offer", ["SIZE", "SIZE 0", "SIZE ²", "SIZE 52428800"])
    async def test_the_size_is_announced_where_it_is_offered(self, fixed: Fixed, submission: Build, offer: str) -> None:
        """MAIL announces the octets of the message; an invalid number, or 0, is no limit (RFC 1870)."""
        message = submission()
        async with fixed(EHLO=f"250-customs.example\r\n250 {offer}\r\n".encode()) as server:
            await send(message, plain(server.port))
        assert f"MAIL FROM:<edi@forwarder.example> SIZE={len(message.data)}" == server.commands[1]


class TestLost:
    """A connection lost before the final dot may be retried; after it the outcome is unknown."""

    @pytest.mark.parametrize("how", ["drop", "close", "stall"])
    async def test_no_greeting_is_no_connection(self, fixed: Fixed, submission: Build, how: str) -> None:
        """A server that leaves or is silent before its greeting is CONNECT."""
        async with fixed(connect=how) as server:
            error = await failure(submission(), plain(server.port, timeout=0.1))
        assert (SendFailure.CONNECT, None, True) == (error.kind, error.code, error.retryable)

    async def test_a_closed_port(self, submission: Build) -> None:
        """A refused connection is CONNECT."""
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))  # its own until the end, and never listened on
            error = await failure(submission(), plain(unused.getsockname()[1]))
        assert (SendFailure.CONNECT, None, True) == (error.kind, error.code, error.retryable)

    async def test_an_unknown_host_name(self, submission: Build) -> None:
        """A host name that does not resolve is CONNECT."""
        # A zone that does not exist is detected without DNS.
        server = SmtpServer(host="fe80::1%no-such-if", port=25, security=Security.PLAIN)
        error = await failure(submission(), server)
        assert (SendFailure.CONNECT, None, True) == (error.kind, error.code, error.retryable)

    @pytest.mark.parametrize("verb", BEFORE_DATA)
    @pytest.mark.parametrize("how", ["drop", "close", "stall"])
    async def test_lost_before_the_content(self, fixed: Fixed, submission: Build, verb: str, how: str) -> None:
        """A lost connection or silence at any command is LOST: the message was not taken."""
        async with fixed(**{verb: how}) as server:
            error = await failure(submission(), plain(server.port, timeout=0.1 if how == "stall" else 60))
        assert (SendFailure.LOST, None, True) == (error.kind, error.code, error.retryable)
        assert (error.reply == "No answer in time") == (how == "stall")

    @pytest.mark.parametrize("how", ["drop", "close", "deaf"])
    async def test_lost_in_the_middle_of_the_content(self, fixed: Fixed, submission: Build, how: str) -> None:
        """A lost connection, or a server that stops reading, in the middle of a large content is LOST."""
        async with fixed(content=how) as server:
            error = await failure(submission(BIG), plain(server.port, timeout=1))
        assert (SendFailure.LOST, None, True) == (error.kind, error.code, error.retryable)

    async def test_lost_right_after_the_greeting_dialogue(self, fixed: Fixed, submission: Build) -> None:
        """A server that answers EHLO and disconnects is LOST, wherever we notice it."""
        async with fixed(EHLO=(b"250 customs.example\r\n", "close")) as server:
            error = await failure(submission(), plain(server.port))
        assert (SendFailure.LOST, None, True) == (error.kind, error.code, error.retryable)

    @pytest.mark.parametrize("verb", BEFORE_DATA)
    @pytest.mark.parametrize("reply", [b"hello there\r\n", b"333 what\r\n", b"2 5 0\r\n"])
    async def test_an_answer_that_is_none(self, fixed: Fixed, submission: Build, verb: str, reply: bytes) -> None:
        """A meaningless answer before the final dot is LOST, without a code."""
        async with fixed(**{verb: reply}) as server:
            error = await failure(submission(), plain(server.port))
        assert (SendFailure.LOST, None, True) == (error.kind, error.code, error.retryable)

    async def test_a_greeting_that_is_none(self, fixed: Fixed, submission: Build) -> None:
        """A server of another protocol is CONNECT."""
        async with fixed(connect=b"SSH-2.0-OpenSSH\r\n") as server:
            error = await failure(submission(), plain(server.port))
        assert (SendFailure.CONNECT, None) == (error.kind, error.code)

    async def test_data_that_is_not_waited_for(self, fixed: Fixed, submission: Build) -> None:
        """A 250 instead of 354 is LOST: nothing of the content is sent."""
        async with fixed(DATA=(b"250 thanks\r\n", "stall")) as server:
            error = await failure(submission(), plain(server.port))
        assert (SendFailure.LOST, []) == (error.kind, server.contents)


class TestCancelled:
    """A caller that waits for an answer can be cancelled; the connection is closed."""

    @pytest.mark.parametrize("verb", ["connect", "EHLO", "MAIL", "DATA", "dot", "QUIT"])
    async def test_cancelling_closes_the_connection(self, fixed: Fixed, submission: Build, verb: str) -> None:
        """A cancelled send raises CancelledError, and the server sees the connection end."""
        async with fixed(**{verb: "stall"}) as server:
            task = asyncio.create_task(send(submission(), plain(server.port)))
            await server.reached[verb].wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await server.left.wait()


class TestKept:
    """A Sender keeps one connection, and makes a new one only if that repeats nothing."""

    async def test_many_messages_over_one_connection(self, fixed: Fixed, submission: Build) -> None:
        """Three messages cost one connection and one EHLO."""
        async with fixed() as server, Sender(plain(server.port)) as sender:
            for _ in range(3):
                await sender.send(submission())
        assert (1, 3) == (server.connections, len(server.contents))
        assert [command.partition(" ")[0] for command in server.commands] == [
            "EHLO",
            *(["MAIL", "RCPT", "DATA"] * 3),
            "QUIT",
        ]

    async def test_tasks_wait_for_one_another(self, fixed: Fixed, submission: Build) -> None:
        """Messages sent at the same time go one after another, complete."""
        messages = [submission(reference=f"K{number}") for number in range(8)]
        async with fixed() as server, Sender(plain(server.port)) as sender:
            await asyncio.gather(*(sender.send(message) for message in messages))
        assert sorted(message.data + b".\r\n" for message in messages) == sorted(server.contents)
        assert server.connections == 1

    @pytest.mark.parametrize("how", ["close", "drop"])
    async def test_closed_while_idle(self, fixed: Fixed, submission: Build, how: str) -> None:
        """After the server closed the idle connection, the next message goes over a new one."""
        async with (
            fixed(dot=[(b"250 queued\r\n", how), b"250 queued\r\n"]) as server,
            Sender(plain(server.port)) as sender,
        ):
            await sender.send(submission(reference="K1"))
            await server.left.wait()
            await sender.send(submission(reference="K2"))
        assert (2, 2) == (server.connections, len(server.contents))

    @pytest.mark.parametrize("how", ["drop", "stall", b"421 idle too long\r\n", b"hello\r\n"])
    async def test_closed_when_it_is_asked_again(self, fixed: Fixed, submission: Build, how: Any) -> None:
        """A kept connection that turns out to be dead at MAIL is replaced once."""
        async with (
            fixed(MAIL=[b"250 sender\r\n", how, b"250 sender\r\n"]) as server,
            Sender(plain(server.port, timeout=1 if how == "stall" else 60)) as sender,
        ):
            await sender.send(submission(reference="K1"))
            await sender.send(submission(reference="K2"))
        assert (2, 2) == (server.connections, len(server.contents))

    async def test_a_fresh_connection_is_not_replaced(self, fixed: Fixed, submission: Build) -> None:
        """A failure on a fresh connection is final; there is no endless reconnecting."""
        async with fixed(MAIL="drop") as server:
            await failure(submission(), plain(server.port))
        assert server.connections == 1

    @pytest.mark.parametrize("refusal", [b"451 too many messages\r\n", b"550 no more here\r\n", b"421 idle\r\n"])
    async def test_mail_refused_on_a_kept_connection(self, fixed: Fixed, submission: Build, refusal: bytes) -> None:
        """A refusal of MAIL on a kept connection is tried once on a new one, where it may be accepted."""
        async with (
            fixed(MAIL=[b"250 sender\r\n", refusal, b"250 sender\r\n"]) as server,
            Sender(plain(server.port)) as sender,
        ):
            await sender.send(submission(reference="K1"))
            accepted = await sender.send(submission(reference="K2"))
        assert (250, 2, 2) == (accepted.code, server.connections, len(server.contents))

    async def test_mail_refused_on_a_new_connection_too(self, fixed: Fixed, submission: Build) -> None:
        """A refusal on both connections is about the message, and there is no third."""
        async with (
            fixed(MAIL=[b"250 sender\r\n", b"550 no\r\n"]) as server,
            Sender(plain(server.port)) as sender,
        ):
            await sender.send(submission(reference="K1"))
            with pytest.raises(SendError) as caught:
                await sender.send(submission(reference="K2"))
        assert (SendFailure.REFUSED, 550, False, 2) == (
            caught.value.kind,
            caught.value.code,
            caught.value.is_server_trouble,
            server.connections,
        )

    @pytest.mark.parametrize("verb", ["RCPT", "DATA", "dot"])
    async def test_a_refused_message_leaves_the_connection_clean(
        self, fixed: Fixed, submission: Build, verb: str
    ) -> None:
        """After a refusal RSET is sent, and the next message goes over the same connection."""
        usual = {"RCPT": b"250 b\r\n", "DATA": b"354 go on\r\n", "dot": b"250 d\r\n"}
        async with (
            fixed(**{verb: [usual[verb], b"550 no\r\n", usual[verb]]}) as server,
            Sender(plain(server.port)) as sender,
        ):
            await sender.send(submission(reference="K1"))
            with pytest.raises(SendError):
                await sender.send(submission(reference="K2"))
            await sender.send(submission(reference="K3"))
        assert (1, 1) == (server.connections, server.commands.count("RSET"))
        assert submission(reference="K3").data + b".\r\n" == server.contents[-1]

    @pytest.mark.parametrize("reset", [b"500 no\r\n", "drop"])
    async def test_a_connection_that_cannot_be_reset_is_left(
        self,
        fixed: Fixed,
        submission: Build,
        reset: Any,
    ) -> None:
        """If RSET fails too, the next message goes over a new connection."""
        async with (
            fixed(RCPT=[b"550 no\r\n", b"250 ok\r\n"], RSET=reset) as server,
            Sender(plain(server.port)) as sender,
        ):
            with pytest.raises(SendError):
                await sender.send(submission(reference="K1"))
            await sender.send(submission(reference="K2"))
        assert (2, 1) == (server.connections, len(server.contents))

    async def test_an_unknown_outcome_is_never_repeated(self, fixed: Fixed, submission: Build) -> None:
        """A connection lost after the final dot of a second message is UNKNOWN, and it was sent once."""
        async with (
            fixed(dot=[b"250 queued\r\n", "drop", b"250 queued\r\n"]) as server,
            Sender(plain(server.port)) as sender,
        ):
            await sender.send(submission(reference="K1"))
            with pytest.raises(SendError) as caught:
                await sender.send(submission(reference="K2"))
            await sender.send(submission(reference="K3"))
        assert caught.value.kind is SendFailure.UNKNOWN
        assert [1, 1, 1] == [
            sum(f"[K=K{number}]".encode() in content for content in server.contents) for number in (1, 2, 3)
        ]

    async def test_it_must_be_open(self, submission: Build) -> None:
        """A Sender outside of its block explains how to use it."""
        sender = Sender(plain(25))
        with pytest.raises(RuntimeError, match="async with Sender"):
            await sender.send(submission())

    async def test_unused_it_makes_no_connection(self, fixed: Fixed) -> None:
        """Opening and closing a Sender makes no connection."""
        async with fixed() as server, Sender(plain(server.port)):
            pass
        assert server.connections == 0


class TestLogin:
    """The login is tried once, by one mechanism, and its password appears nowhere."""

    @pytest.mark.parametrize(
        ("offered", "commands"),
        [
            ("CRAM-MD5 LOGIN PLAIN", ["AUTH PLAIN AGVkaQBnZWhlaW0="]),
            ("AUTH=PLAIN", ["AUTH PLAIN AGVkaQBnZWhlaW0="]),
        ],
    )
    async def test_plain_is_preferred(self, fixed: Fixed, submission: Build, offered: str, commands: list[str]) -> None:
        """Of the offered mechanisms, PLAIN is used; TLS or loopback protects it."""
        line = offered if "=" in offered else f"AUTH {offered}"
        async with fixed(EHLO=f"250-customs.example\r\n250 {line}\r\n".encode()) as server:
            await send(submission(), plain(server.port, username="edi", password="geheim"))
        assert commands == [command for command in server.commands if command.startswith("AUTH")]

    @pytest.mark.parametrize(
        ("code", "retryable"), [(535, False), (454, True), (421, True)], ids=["wrong", "later", "leaving"]
    )
    async def test_a_login_refused(self, fixed: Fixed, submission: Build, code: int, *, retryable: bool) -> None:
        """A refused login is LOGIN, tried once; only after a 4xx does a retry make sense."""
        offer = b"250-customs.example\r\n250 AUTH PLAIN LOGIN CRAM-MD5\r\n"
        async with fixed(EHLO=offer, AUTH=b"%d 5.7.8 geheim is wrong\r\n" % code) as server:
            error = await failure(submission(), plain(server.port, username="edi", password="geheim"))
        assert (SendFailure.LOGIN, code, retryable) == (error.kind, error.code, error.retryable)
        assert "geheim" not in f"{error!s}{error!r}"
        assert [command for command in server.commands if command.startswith("AUTH")] == ["AUTH PLAIN AGVkaQBnZWhlaW0="]

    async def test_a_challenge_that_is_none(self, fixed: Fixed, submission: Build) -> None:
        """A server whose CRAM-MD5 challenge cannot be read is LOGIN."""
        async with fixed(EHLO=b"250-customs.example\r\n250 AUTH CRAM-MD5\r\n", AUTH=b"334 A\r\n") as server:
            error = await failure(submission(), plain(server.port, username="edi", password="geheim"))
        assert (SendFailure.LOGIN, None) == (error.kind, error.code)

    @pytest.mark.parametrize("offer", [b"250 customs.example\r\n", b"250-customs.example\r\n250 AUTH GSSAPI\r\n"])
    async def test_no_login_offered(self, fixed: Fixed, submission: Build, offer: bytes) -> None:
        """A server that offers no login we support is LOGIN, and nothing is sent."""
        async with fixed(EHLO=offer) as server:
            error = await failure(submission(), plain(server.port, username="edi", password="geheim"))
        assert (SendFailure.LOGIN, None, False) == (error.kind, error.code, error.retryable)
        assert server.commands == ["EHLO forwarder.example"]

    @pytest.mark.parametrize("how", ["drop", "stall"])
    async def test_lost_during_the_login(self, fixed: Fixed, submission: Build, how: str) -> None:
        """A connection lost during the login reveals nothing about the password: LOST."""
        async with fixed(EHLO=b"250-customs.example\r\n250 AUTH PLAIN\r\n", AUTH=how) as server:
            error = await failure(submission(), plain(server.port, username="edi", password="geheim", timeout=0.1))
        assert (SendFailure.LOST, True) == (error.kind, error.retryable)


class TestUnfit:
    """A message that `build` would not make is refused before any connection is made."""

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"Subject: x\r\n\r\nno end",
            b"Subject: x\r\n\r\na\n.\r\n",
            b"Subject: x\r\n\r\na\r.\r\n",
            b"Subject: x\r\n\r\n\0\r\n",
            "Subject: x\r\n\r\né\r\n".encode(),
            b"Subject: x\r\n\r\n" + b"a" * 999 + b"\r\n",
        ],
    )
    async def test_data_that_servers_see_differently(self, fixed: Fixed, submission: Build, data: bytes) -> None:
        """8 bits, lines over 998 octets, bare CR or LF, NUL or a missing end raise InputError."""
        async with fixed() as server:
            with pytest.raises(InputError) as caught:
                await send(attrs.evolve(submission(), data=data), plain(server.port))
        assert ["input.data"] == [problem.code for problem in caught.value.problems]
        assert server.connections == 0

    @pytest.mark.parametrize("mailbox", ["", "a b@c.example", "a@b.example>\r\nRCPT TO:<x@y.example", "a@b.example\n"])
    async def test_mailboxes_that_are_none(self, fixed: Fixed, submission: Build, mailbox: str) -> None:
        """Both mailboxes must be plain; both problems are reported at once."""
        async with fixed() as server:
            with pytest.raises(InputError) as caught:
                await send(attrs.evolve(submission(), mail_from=mailbox, rcpt_to=mailbox), plain(server.port))
        assert [
            f"mail_from is {mailbox!r}, not a plain mailbox, name@domain.",
            f"rcpt_to is {mailbox!r}, not a plain mailbox, name@domain.",
        ] == [problem.message for problem in caught.value.problems]
        assert server.connections == 0

    async def test_a_line_of_998_octets_is_sent(self, fixed: Fixed, submission: Build) -> None:
        """The limit itself is allowed (RFC 5322, section 2.1.1)."""
        message = attrs.evolve(submission(), data=b"Subject: x\r\n\r\n" + b"a" * 998 + b"\r\n")
        async with fixed() as server:
            assert (await send(message, plain(server.port))).code == 250
