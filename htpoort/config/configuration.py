"""
The values of a configuration file, and the parts that are made of them.

This module never shows a password.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Final, final

import attrs

import htpoort.agent
from htpoort.agent import DeclarationFolder, FileGatewaySettings, Outbox, Pop3Inbox, Timing
from htpoort.core.cutover import CutoverPlan
from htpoort.core.directory import DeclarationSystem, Directory
from htpoort.core.errors import InputError, LedgerError, Problem, UnknownError
from htpoort.core.notices import NoticeName
from htpoort.core.party import PartyId, PartyT, find_party
from htpoort.core.routing import Router
from htpoort.core.text import ascii_lower
from htpoort.delivery import CommandDelivery, Delivery, DirectoryDelivery, MaildirDelivery
from htpoort.files import FileService, GatewayUser
from htpoort.ledger import TRANSACTION_TIMEOUT, Ledger, Reply
from htpoort.transport import Security, SmtpInbox

__all__ = [
    "AgentConfig",
    "CutoverConfig",
    "LedgerConfig",
    "MetricsConfig",
    "MissingSecrets",
    "NoticesConfig",
    "UnansweredConfig",
]


_NOBODY: Final = PartyId(country="XX", number="0")
"""The party of a router that no mail comes to."""


@final
@attrs.frozen(kw_only=True)
class CutoverConfig:
    """
    Which parties move from one system to another, and when.

    Args:
        plan: The system that takes the declarations of each party, day by day.
        leaving: The system that the parties leave.
        quiet_days: Days without a reply from *leaving* before it may be switched off.
        shadow: The system that every message is also built for, and never sent to; None in live mode.
    """

    plan: CutoverPlan
    leaving: DeclarationSystem
    quiet_days: int
    shadow: DeclarationSystem | None


@final
@attrs.frozen(kw_only=True)
class NoticesConfig:
    """
    Where notices about service windows come from, and which of their names are which systems.

    Args:
        folder: The folder that an agent watches for texts; None if there is none.
        names: The names that are known.
    """

    folder: Path | None = None
    names: tuple[NoticeName, ...] = ()


@final
@attrs.frozen(kw_only=True)
class UnansweredConfig:
    """
    How long an answer may take.

    Args:
        after: For every system that has no time of its own; None if none of these is ever too old.
        of_systems: The times of single systems, by their names.
    """

    after: timedelta | None = None
    of_systems: Mapping[str, timedelta] = attrs.field(factory=dict[str, timedelta])

    def limit(self, system: str) -> timedelta | None:
        """
        Find the time of a system.

        Args:
            system: Its name, as in the directory.

        Returns:
            How long its answers may take; None if they are never too old.
        """
        return self.of_systems.get(system, self.after)


@final
@attrs.frozen(kw_only=True)
class MetricsConfig:
    """
    Where an agent answers `/metrics` and `/healthz`.

    Args:
        host: The address to listen on.
        port: The port.
    """

    host: str
    port: int


@final
@attrs.frozen(kw_only=True)
class LedgerConfig:
    """
    What every command on a ledger needs.

    Args:
        file: The name of the configuration file, for errors.
        directory: The published systems and those of the file.
        services: The systems of the file that take files.
        parties: The declarants whose replies are accepted.
        users: The users of the file's gateways.
        url: URL of the ledger; a relative file is made absolute. The repr does not show it: it may hold a password.
        retention_days: Finished exchanges are kept for at least so many days.
        cutover: Which parties move, and when; None if the file has no ``[cutover]``.
        transaction_timeout: How long a transaction may take on PostgreSQL.
        notices: Where notices come from, and which of their names are which systems.
        unanswered: How long an answer may take.
    """

    file: str = "the configuration"
    directory: Directory
    services: tuple[FileService, ...] = ()
    parties: tuple[PartyId, ...]
    users: tuple[GatewayUser, ...] = ()
    url: str = attrs.field(repr=False)
    retention_days: int
    cutover: CutoverConfig | None = None
    transaction_timeout: timedelta = TRANSACTION_TIMEOUT
    notices: NoticesConfig = attrs.field(factory=NoticesConfig)
    unanswered: UnansweredConfig = attrs.field(factory=UnansweredConfig)

    def open(self, *, create: bool = True) -> Ledger:
        """
        Open the ledger.

        Args:
            create: Whether to create the ledger if it does not exist.

        Returns:
            The ledger; close it, or use it as a context manager.

        Raises:
            LedgerError: It cannot be opened. The advice names the file whose ``[ledger]`` gives the URL.
        """
        try:
            return Ledger.open(
                self.url,
                create=create,
                transaction_timeout=self.transaction_timeout,
                notice_names=self.notices.names,
            )
        except LedgerError as error:
            advice = f"{error.advice} [ledger] of {self.file} names this ledger."
            raise attrs.evolve(error, advice=advice) from error.__cause__

    def router(self) -> Router:
        """
        Make a router for the parties and systems of the file.

        Returns:
            A router without *sent*: the ledger compares K with what was sent, as it stores a reply. If the file has
            no party, and so receives no mail, it routes none.
        """
        return Router(directory=self.directory, parties=self.parties or (_NOBODY,))

    def dispatcher(self, ledger: Ledger) -> htpoort.agent.Dispatcher:
        """
        Make a dispatcher that queues declarations in a ledger.

        Args:
            ledger: An open ledger. It stays open.

        Returns:
            A dispatcher for the parties and systems of the file, with its plan and its shadow system.

        Raises:
            InputError: The file has no party, which every message needs.
        """
        if not self.parties:
            message = f"{self.file} has no parties, which messages need; add them, or give a system that takes files."
            raise InputError("", (Problem("input.parties", message),))
        return htpoort.agent.Dispatcher(
            ledger=ledger,
            parties=self.parties,
            plan=None if self.cutover is None else self.cutover.plan,
            shadow=None if self.cutover is None else self.cutover.shadow,
            directory=self.directory,
            source=self._source,
        )

    def service(self, name: str) -> FileService | None:
        """
        Find a system that takes files.

        Args:
            name: Its name, in any case.

        Returns:
            The system; None if the file has none of this name.
        """
        key = ascii_lower(name)
        return next((service for service in self.services if ascii_lower(service.name) == key), None)

    def party(self, text: str) -> PartyId:
        """
        Find a party of the file.

        Args:
            text: Its party ID, in any case.

        Returns:
            The party, as the file writes it.

        Raises:
            UnknownError: The file does not list it, so its replies would be quarantined.
        """
        return find_party(self.parties, text, self._source)

    def select_parties(self, texts: Iterable[str]) -> tuple[PartyId, ...]:
        """
        Find some parties of the file.

        Args:
            texts: Their party IDs, in any case.

        Returns:
            Each party once, in the order of *texts*; all parties of the file if *texts* is empty.

        Raises:
            InputError: The file does not list one of them. No other party is named, because a user who asks for one
                may not know the rest.
        """
        return self._selected(texts, self.parties)

    def select_declarants(self, texts: Iterable[str]) -> tuple[PartyId | GatewayUser, ...]:
        """
        Find some parties of the file, or users of its gateways.

        Args:
            texts: Their names, in any case.

        Returns:
            Each once, in the order of *texts*; all of the file if *texts* is empty.

        Raises:
            InputError: The file does not list one of them, as for `select_parties`.
        """
        return self._selected(texts, (*self.parties, *self.users))

    def _selected(self, texts: Iterable[str], known: tuple[PartyT, ...]) -> tuple[PartyT, ...]:
        keys = {ascii_lower(text): text for text in texts}
        by_key = {ascii_lower(str(party)): party for party in known}
        strangers = [text for key, text in keys.items() if key not in by_key]
        if strangers:
            errors = (UnknownError("party", text, self._source) for text in strangers)
            messages = (f"{error} Check its spelling, or add it there." for error in errors)
            raise InputError("", tuple(Problem("cutover.party", message) for message in messages))
        return tuple(by_key[key] for key in keys) or known

    @property
    def _source(self) -> str:
        return f"{self.file} (parties)"


@final
@attrs.frozen(kw_only=True)
class AgentConfig:
    """
    Everything that an agent needs; nothing of it is started.

    Args:
        ledger: What every command needs.
        outboxes: Where declarations go.
        inboxes: Where replies come in, SMTP first.
        gateways: Where files go, and where status files and responses are fetched from.
        deliveries: Where the replies of each system go, by the name of the system.
        party_deliveries: Where the replies of a system to one party go instead, by both names.
        folders: Where other programs write declarations as files.
        timing: How long the agent waits.
        metrics: Where it answers `/metrics` and `/healthz`; None if it does not.
    """

    ledger: LedgerConfig
    outboxes: tuple[Outbox, ...]
    inboxes: tuple[SmtpInbox | Pop3Inbox, ...]
    gateways: tuple[FileGatewaySettings, ...] = ()
    deliveries: Mapping[str, Delivery[Reply]]
    party_deliveries: Mapping[tuple[str, str], Delivery[Reply]]
    folders: tuple[DeclarationFolder, ...]
    timing: Timing
    metrics: MetricsConfig | None = None

    def sends_to(self, system: str) -> bool:
        """Return whether an `[[outbox]]` or a `[[gateway]]` takes the declarations to a system, by its name."""
        name = system.lower()
        if any(name == service.name.lower() for service in self.ledger.services):
            uploading = (gateway.services for gateway in self.gateways if gateway.upload)
            return any(name == service.name.lower() for services in uploading for service in services)
        return any(not outbox.systems or name in map(str.lower, outbox.systems) for outbox in self.outboxes)

    def delivers(self, system: str, party: str | None = None) -> bool:
        """Return whether a `[[delivery]]` takes the replies of a system: to *party*, or to any without one."""
        of_parties = [of for of, whose in self.party_deliveries if party is None or party.lower() == str(whose).lower()]
        return system.lower() in map(str.lower, (*self.deliveries, *of_parties))

    @property
    def is_of_agent(self) -> bool:
        """Whether an agent can run on it: it has a table that only an agent uses."""
        tables = (self.outboxes, self.inboxes, self.gateways, self.deliveries, self.party_deliveries, self.folders)
        return any(tables)

    def settings_of(self, system: DeclarationSystem) -> dict[str, str]:
        """
        List the settings for one system, so that two systems can be compared.

        Args:
            system: A system of the directory.

        Returns:
            The settings by their names; an empty text for one that is missing.
        """
        server = next(
            (
                outbox.server
                for outbox in self.outboxes
                if not outbox.systems or system.name.lower() in map(str.lower, outbox.systems)
            ),
            None,
        )
        tls = None if server is None or server.security is Security.PLAIN else server.tls
        return {
            "mail server": "" if server is None else f"{server.host}:{server.port}",
            "security": "" if server is None else server.security.value,
            "user name": "none" if server is None or server.username is None else server.username,
            "TLS policy": "none"
            if tls is None
            else f"{tls.policy.environment.value}, from {tls.policy.valid_from or 'the beginning'}",
            "own certificate": "none" if tls is None or tls.certificate is None else str(tls.certificate),
            "trusted authorities": "none" if tls is None else str(tls.ca_file or "those of the system"),
            "delivery": shown_delivery(self.deliveries.get(system.name)),
        }

    def delivery_of(self, reply: Reply) -> tuple[str, Path | None]:
        """
        Name where a reply goes.

        Args:
            reply: The reply.

        Returns:
            Its delivery, empty if there is none; and the file that it is written to, if it is written to one.
        """
        of_party = self.party_deliveries.get((reply.system, reply.party))
        delivery = of_party or self.deliveries.get(reply.system)
        written = delivery.place_of(reply) if isinstance(delivery, DirectoryDelivery | MaildirDelivery) else None
        return shown_delivery(delivery), written

    def agent(
        self, ledger: Ledger, *, keep_pauses: bool = False, metrics: htpoort.agent.Metrics | None = None
    ) -> htpoort.agent.Agent:
        """
        Make the agent; it starts when it is entered.

        Args:
            ledger: An open ledger. It stays open.
            keep_pauses: As for `htpoort.agent.Agent`.
            metrics: As for `htpoort.agent.Agent`.

        Returns:
            The agent of this configuration.
        """
        folder = self.ledger.notices.folder
        return htpoort.agent.Agent(
            ledger=ledger,
            router=self.ledger.router(),
            outboxes=self.outboxes,
            inboxes=self.inboxes,
            file_gateways=self.gateways,
            deliveries=self.deliveries,
            party_deliveries=self.party_deliveries,
            folders=self.folders,
            notice_files=None if folder is None else htpoort.agent.NoticeFiles(folder),
            dispatcher=self.ledger.dispatcher(ledger) if self.ledger.parties else None,
            timing=self.timing,
            keep_pauses=keep_pauses,
            metrics=metrics,
        )


@final
@attrs.frozen(kw_only=True)
class MissingSecrets:
    """
    What a configuration names, and could not be read.

    Args:
        passwords: The tables whose password is missing, such as ``outbox[0]``.
        certificates: The tables whose certificates cannot be used.
    """

    passwords: frozenset[str] = frozenset()
    certificates: frozenset[str] = frozenset()


def shown_delivery(delivery: Delivery[Reply] | None) -> str:
    """Name a delivery, without the arguments of a command, which may be private."""
    if isinstance(delivery, DirectoryDelivery):
        return f"directory {delivery.path}{', payload' if delivery.payload else ''}"
    if isinstance(delivery, MaildirDelivery):
        return f"Maildir {delivery.path}"
    return f"command {delivery.argv[0]}" if isinstance(delivery, CommandDelivery) else ""
