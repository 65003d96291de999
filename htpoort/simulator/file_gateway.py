"""
Play a file gateway: take uploads by FTPS, put status files and responses out, and show the faults of a script.

This module never leaves loopback, unless the caller sets *beyond_loopback*.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from types import TracebackType
from typing import Final, Self, cast, final

import attrs

from htpoort.core.directory import Mark
from htpoort.core.errors import InputError, Problem
from htpoort.core.text import ascii_lower
from htpoort.files import MANIFEST_2020, FileService, GatewayRules
from htpoort.simulator._file_responses import FileResponses
from htpoort.simulator._file_store import FileStore, StoreRules
from htpoort.simulator.certificates import GatewayTls
from htpoort.simulator.clock import Clock, RealClock, SimulatedClock, Timetable
from htpoort.simulator.declarants import FailedLogin
from htpoort.simulator.dialogues import DialogueRecorder
from htpoort.simulator.faults import FaultCounter
from htpoort.simulator.file_faults import FtpsFault
from htpoort.simulator.file_script import FileScenario, FileScript, OutKind, PutOut
from htpoort.simulator.files import DeletedFile, FetchedFile, FileUser, OutFile, RefusedFile, UploadedFile
from htpoort.simulator.journal import Journal
from htpoort.transport import hosts

__all__ = ["MANIFEST", "FileGateway"]

MANIFEST: Final = FileService(
    name="MANIFEST",
    service="Manifest",
    title="Manifest, the Danish system for goods that arrive by ship or aircraft",
    mark=Mark.INFERRED,
)
"""The service that a gateway plays if it is given none. The name of its folder is inferred."""

_SCRIPT: Final = FileScript()
_ERROR_AFTER: Final = timedelta(seconds=10)
_VERSIONS: Final[Mapping[str | None, int]] = {
    None: ssl.TLSVersion.TLSv1.value,
    "TLS 1.2": ssl.TLSVersion.TLSv1_2.value,
    "TLS 1.3": ssl.TLSVersion.TLSv1_3.value,
}


@final
@attrs.frozen(kw_only=True)
class _Due:
    """Something that is put out for an upload."""

    upload: UploadedFile
    out: PutOut


@final
class FileGateway:
    """
    Play the file gateway in a box; needs `htpoort[simulator]`.

    ::

        async with FileGateway(tls=tls, users=[user]) as gateway:
            print(gateway.port)

    It listens with explicit and with implicit TLS, and serves from a thread of its own. Everything that it takes and
    puts out stays in memory as long as the gateway does. The block may be entered again; what was still to be put out
    when it was left is dropped.

    Args:
        tls: Its certificate, and the authority of the clients' certificates. Versions and the demand for a certificate
            come from *rules*.
        users: The users.
        services: The services; by default `MANIFEST`.
        script: What it puts out, and its faults; by default status 1, 2, and 3 with a response.
        rules: What it demands; by default what the gateway of ICS and Manifest has demanded since October 2020. Host
            and ports of the rules are not used.
        same_session: Whether a data connection must resume the TLS session of its control connection, where the rules
            demand TLS 1.2. Whether the real gateway demands it is unknown.
        host: The address to listen on.
        port: For explicit TLS; 0 chooses a free one, here and below.
        tls_port: For implicit TLS.
        passive_ports: Of the data connections; None for any free one.
        clock: Real time, or a `SimulatedClock`. What is put out follows it; a stall does not.
        journal: Where it keeps what was said; by default a new one.
        beyond_loopback: Listen for other machines too.

    Attributes:
        uploads: The files that it took, in order.
        handed_in: The files that it processes for the gateway that it replaces, in order.
        put_out: The files that it put out, in order.
        fetched: The files that were fetched whole, in order.
        deleted: The files that clients deleted from ``out``, in order.
        refused: The uploads that it refused before or after their content, in order.
        failed_logins: The logins with a wrong user name, password or certificate, in order.
        journal: The dialogues of the last sessions.
        services: The services that it plays.
        rules: What it demands.

    Raises:
        InputError: *host* is not loopback; there is no user, or one twice; *tls* has no authority; two services share a
            folder; a scenario names a service that is not there. The error lists every problem.
    """

    def __init__(  # noqa: PLR0913 - a gateway has as many settings; each has its default
        self,
        *,
        tls: GatewayTls,
        users: Iterable[FileUser],
        services: Iterable[FileService] = (MANIFEST,),
        script: FileScript = _SCRIPT,
        rules: GatewayRules = MANIFEST_2020.new,
        same_session: bool = True,
        host: str = "127.0.0.1",
        port: int = 0,
        tls_port: int = 0,
        passive_ports: range | None = None,
        clock: Clock | None = None,
        journal: Journal | None = None,
        beyond_loopback: bool = False,
    ) -> None:
        self.users = tuple(users)
        self.services = tuple(services)
        self.rules = rules
        self._refuse(script, tls, host, beyond_loopback=beyond_loopback)
        self.tls = tls
        self.journal = journal or Journal()
        self._clock = clock or RealClock()
        self.journal.follow(self._clock)
        self._script = script
        self._same_session = same_session
        self._host = host
        self._ports = {"ftps": port, "implicit": tls_port}
        self._passive_ports = passive_ports
        self._faults = FaultCounter[FtpsFault](script.faults, self._clock)
        self._left: list[tuple[FileScenario, int | None]] = [(one, one.times) for one in script.scenarios]
        self._responses = FileResponses(bound=rules.out_is_of_one_certificate.value)
        self._timetable: Timetable[str, _Due] = Timetable(self._clock, self._work)
        self._successor: Callable[[], FileGateway | None] = lambda: None
        self._store = FileStore(
            self.users,
            self.services,
            rules=StoreRules(
                needs_password=rules.needs_login.value,
                unique_names=rules.unique_names.value,
                bound_out=rules.out_is_of_one_certificate.value,
                kept=timedelta(days=rules.days_kept.value),
                names=script.names,
                lists_uploads=script.lists_uploads,
            ),
            clock=self._clock,
            report=lambda what: self._post(self._happened, what),
        )
        self._loop: asyncio.AbstractEventLoop | None = None
        self._running = contextlib.AsyncExitStack()
        self.uploads: list[UploadedFile] = []
        self.handed_in: list[UploadedFile] = []
        self.put_out: list[OutFile] = []
        self.fetched: list[FetchedFile] = []
        self.deleted: list[DeletedFile] = []
        self.refused: list[RefusedFile] = []
        self.failed_logins: list[FailedLogin] = []

    @property
    def port(self) -> int:
        """The port for explicit TLS; before the start, the port that was asked for."""
        return self._ports["ftps"]

    @property
    def tls_port(self) -> int:
        """The port for implicit TLS; before the start, the port that was asked for."""
        return self._ports["implicit"]

    @property
    def clock(self) -> Clock:
        """The clock that it follows."""
        return self._clock

    @property
    def next_moment(self) -> datetime | None:
        """When the next file is put out; None if there is none."""
        return self._timetable.next_moment

    @property
    def shown_faults(self) -> tuple[tuple[datetime, FtpsFault], ...]:
        """The faults that it showed, with their moments, in order."""
        return tuple(self._faults.shown)

    async def __aenter__(self) -> Self:
        """
        Start to listen.

        Raises:
            InputError: A file of *tls* cannot be used.
            ModuleNotFoundError: pyftpdlib or pyOpenSSL is missing; install `htpoort[simulator]`.
            OSError: An address cannot be listened on; *filename* is ``host:port``, *strerror* the reason.
        """
        async with contextlib.AsyncExitStack() as starting:
            self._loop = asyncio.get_running_loop()
            self._timetable.open()
            starting.push_async_callback(self._timetable.close)
            if isinstance(self._clock, SimulatedClock):
                starting.callback(self._clock.join(self.wait_for_due))
            self._serve(starting)
            self._running = starting.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._running.aclose()

    def out(self, user: FileUser) -> tuple[OutFile, ...]:
        """
        List what is in a user's folder ``out`` now, for every certificate.

        Args:
            user: One of the users.

        Returns:
            The files, in the order of their names.
        """
        return self._store.out(user.username)

    def put(self, user: FileUser, name: str, octets: bytes, *, certificate: str | None = None) -> OutFile:
        """
        Put any file out, such as one that answers nothing.

        Args:
            user: For whom.
            name: Its name in ``out``; nothing is checked.
            octets: The file.
            certificate: The fingerprint of the only certificate that may fetch it; None if any may.

        Returns:
            The file.
        """
        file = OutFile(name=name, octets=octets, at=self._clock(), user=user.user, certificate=certificate)
        self._put(file)
        return file

    async def wait_for_due(self) -> None:
        """Wait until every file that is due now is put out."""
        # What the server's thread has reported is taken in the next round of the loop.
        await asyncio.sleep(0)
        await self._timetable.wait_until_idle()

    async def play(self, until: timedelta | None = None) -> None:
        """
        Wait until every file is put out.

        With a `SimulatedClock` the time jumps from one due moment to the next; in real time this takes as long as the
        script does.

        Args:
            until: How far from now, at most; a simulated clock is moved there. None until nothing is left.

        Raises:
            InputError: *until* is below 0.
        """
        end = None if until is None else self._clock() + until
        await self.wait_for_due()
        while (moment := self.next_moment) is not None and (end is None or moment <= end):
            await self._pass_to(moment)
            await self.wait_for_due()
        if end is not None and isinstance(self._clock, SimulatedClock):
            await self._clock.advance_to(end)

    def hand_on(self, *, closed: Callable[[], str | None], successor: Callable[[], FileGateway | None]) -> None:
        """
        Let another gateway take the place of this one.

        Args:
            closed: Returns the response by which an upload is refused now; None if uploads are taken.
            successor: Returns the gateway that processes what is uploaded here now; None if this one does.
        """
        self._store.closed = closed
        self._successor = successor

    # ── uploads ──

    def _happened(self, what: UploadedFile | FetchedFile | DeletedFile | RefusedFile) -> None:
        if isinstance(what, UploadedFile):
            successor = self._successor()
            if successor is None:
                self.uploads.append(what)
                self._begin(what)
            else:
                self.uploads.append(attrs.evolve(what, handed_on=True))
                self._store.hand_over(what)
                successor._receive(what)  # noqa: SLF001 - of its own class
        elif isinstance(what, FetchedFile):
            self.fetched.append(what)
        elif isinstance(what, DeletedFile):
            self.deleted.append(what)
        else:
            self.refused.append(what)

    def _receive(self, upload: UploadedFile) -> None:
        """Process what was uploaded to the gateway that this one replaces."""
        adopted = self._store.adopt(upload)
        self.handed_in.append(adopted)
        self._begin(adopted)

    def _begin(self, upload: UploadedFile) -> None:
        """Schedule what is put out for an upload."""
        away = next((one for one in self._script.away if one.begins <= upload.at < one.ends), None)
        begins = upload.at if away is None else away.ends
        out = self._chosen(upload) if upload.processed else (PutOut(kind=OutKind.ERROR, after=_ERROR_AFTER),)
        for one in out:
            if away is None or one.kind is not OutKind.ERROR:
                self._timetable.put(begins + one.after, str(upload.user), _Due(upload=upload, out=one))

    def _chosen(self, upload: UploadedFile) -> tuple[PutOut, ...]:
        """Return what the first scenario that fits and is not used up puts out, and count it."""
        names = {ascii_lower(upload.service.name), ascii_lower(upload.service.service)}
        for number, (scenario, left) in enumerate(self._left):
            fits = scenario.service is None or ascii_lower(scenario.service) in names
            if left != 0 and fits and scenario.file_name in {None, upload.name}:
                self._left[number] = scenario, left if left is None else left - 1
                return scenario.out
        return ()

    async def _work(self, _lane: str, due: deque[_Due]) -> None:
        while due:
            one = due.popleft()
            if one.out.kind in {OutKind.HANDED_OVER, OutKind.ERROR}:
                self._store.hand_over(one.upload)
            for file in self._responses.files(one.upload, one.out, at=self._clock()):
                self._put(file)

    def _put(self, file: OutFile) -> None:
        self._store.put_out(file)
        self.put_out.append(file)

    async def _pass_to(self, moment: datetime) -> None:
        if isinstance(self._clock, SimulatedClock):
            await self._clock.advance_to(max(moment, self._clock()))
        else:
            await self._clock.sleep_until(moment)

    # ── the server ──

    def _serve(self, starting: contextlib.AsyncExitStack) -> None:
        from htpoort.simulator._ftps_server import FtpsServer, ServerTls  # noqa: PLC0415 - an extra

        floor = _VERSIONS[self.rules.tls.value]
        tls = ServerTls(
            certificate=str(self.tls.certificate),
            key=str(self.tls.key or self.tls.certificate),
            key_password=self.tls.key_password,
            ca_file=str(self.tls.ca_file),
            needs_certificate=self.rules.needs_certificate.value,
            oldest=floor,
            # "TLS 1.2 only" is official; the old gateway took any.
            newest=None if self.rules.tls.value is None else floor,
            same_session=self._same_session and floor == ssl.TLSVersion.TLSv1_2,
        )
        server = FtpsServer(
            self._store,
            tls=tls,
            faults=self._faults,
            clock=self._clock,
            recorded=lambda peer: _Recorded(self, self._post, peer),
            passive_ports=self._passive_ports,
        )
        sockets: dict[str, socket.socket] = {}
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        with contextlib.ExitStack() as binding:
            for name, port in self._ports.items():
                try:
                    sockets[name] = binding.enter_context(socket.create_server((self._host, port), family=family))
                except OSError as error:
                    raise OSError(error.errno, hosts.error_reason(error), f"{self._host}:{port}") from error
            binding.pop_all()
        asked = dict(self._ports)
        self._ports.update({name: sock.getsockname()[1] for name, sock in sockets.items()})
        server.start(sockets["ftps"], sockets["implicit"])
        starting.callback(self._ports.update, asked)
        starting.callback(server.stop)

    def _post(self, work: Callable[..., object], *args: object) -> None:
        """Run something in the event loop, from any thread."""
        cast("asyncio.AbstractEventLoop", self._loop).call_soon_threadsafe(work, *args)

    def _refuse(self, script: FileScript, tls: GatewayTls, host: str, *, beyond_loopback: bool) -> None:
        """Refuse settings that cannot be played; report every problem."""
        problems: list[Problem] = []
        if not beyond_loopback and not hosts.is_loopback(host):
            message = f"host is {host!r}, which other machines can reach; allow it with beyond_loopback=True."
            problems.append(Problem("simulator.beyond-loopback", message))
        if tls.ca_file is None:
            message = "tls has no authority to check certificates of clients; give ca_file."
            problems.append(Problem("simulator.tls", message))
        names = [one.username for one in self.users]
        if not names:
            problems.append(Problem("simulator.file-user", "users is empty; give at least one user."))
        problems += [
            Problem("simulator.file-user", f"users has {name} more than once; give each user once.")
            for name in sorted({name for name in names if names.count(name) > 1})
        ]
        known = {ascii_lower(text) for one in self.services for text in (one.name, one.service)}
        folders = [one.service for one in self.services]
        problems += [
            Problem("simulator.service", f"services has the folder {name} more than once; give each service once.")
            for name in sorted({name for name in folders if folders.count(name) > 1})
        ]
        problems += [
            Problem("simulator.service", f"scenarios[{number}].service is {one.service!r}, which the gateway lacks.")
            for number, one in enumerate(script.scenarios)
            if one.service is not None and ascii_lower(one.service) not in known
        ]
        if problems:
            raise InputError("", tuple(problems))


@final
class _Recorded:
    """Record one session, from the thread of the server."""

    def __init__(self, gateway: FileGateway, post: Callable[..., None], peer: str) -> None:
        self._gateway = gateway
        self._do = post
        self._recorder: DialogueRecorder | None = None
        self._do(self._begin, peer)

    def heard(self, line: bytes) -> None:
        self._do(lambda: self._open.heard(line))

    def said(self, response: str) -> None:
        self._do(lambda: self._open.said(response))

    def note(self, text: str) -> None:
        self._do(lambda: self._open.note(text))

    def failed_login(self, username: str) -> None:
        failed = FailedLogin(at=self._gateway.clock(), protocol="FTPS", username=username)
        self._do(self._gateway.failed_logins.append, failed)

    def end(self) -> None:
        self._do(lambda: self._open.end())  # noqa: PLW0108 - it has begun when this runs

    def _begin(self, peer: str) -> None:
        self._recorder = self._gateway.journal.begin("FTPS", peer)

    @property
    def _open(self) -> DialogueRecorder:
        return cast("DialogueRecorder", self._recorder)
