"""Queue a declaration that goes as a file, through the folder of a gateway."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, final

import attrs

from htpoort import _clock
from htpoort.cli import _input, _output
from htpoort.cli._input import LayoutChoice, MessageOptions
from htpoort.core.message import automatic_reference
from htpoort.core.party import find_party

if TYPE_CHECKING:
    from htpoort.config import AgentConfig
    from htpoort.files import FileService
    from htpoort.ledger import Exchange

_AUTO: Final = "auto"
_OF_A_FILE: Final = frozenset({"--business-reference", "--sha256"})


@final
@attrs.frozen
class FileOptions:
    """
    What the options say about one file.

    Args:
        system: The system that takes it; None if the option was left out.
        options: Those of a message: the party is the user of the gateway, the reference the name or ``auto``.
        kind: The kind of declaration; a file has none.
        of_one: The options of one declaration, with their values; None for one that was left out.
        validation_only: Whether the gateway shall only validate it.
        many: Whether there are several payloads, or a form of names.
    """

    system: str | None
    options: MessageOptions
    kind: str | None
    of_one: Mapping[str, str | None]
    validation_only: bool
    many: bool

    def queue(self, path: Path, payload: str) -> Exchange:
        """
        Queue the file.

        Args:
            path: The configuration.
            payload: The file, or ``-``.

        Raises:
            InputError: The configuration or an option is invalid; a message was meant, and has no --mailbox.
            LedgerError: The ledger could not be written.
            UnknownError: No gateway of the configuration has the user.
        """
        from htpoort.config import read_agent_without_secrets  # noqa: PLC0415 - SQLAlchemy would slow every start
        from htpoort.files import FileName, build_file  # noqa: PLC0415 - few declarations go as files

        with _input.configured(path):
            config = read_agent_without_secrets(path)
        service = self._service(config)
        user = find_party(config.ledger.users, self.options.party, f"the users of [[gateway]] in {config.ledger.file}")
        name = _input.words("--reference", self.options.reference)
        octets, sha256 = None, self.of_one["--sha256"]
        if name == _AUTO:
            octets = _input.payload(payload, sha256)
            name = automatic_reference(str(user), octets)
        business_reference = self.of_one["--business-reference"]
        if business_reference is not None:
            business_reference = _input.words("--business-reference", business_reference)
        with _input.about("--reference"):
            file_name = FileName(name, validation_only=self.validation_only)
        file = build_file(
            service=service,
            user=user,
            name=file_name,
            payload=_input.payload(payload, sha256) if octets is None else octets,
            validation_only=self.validation_only,
        )
        with _input.naming(business_reference="--business-reference"), config.ledger.open() as ledger:
            exchange = ledger.exchanges.queue(file, at=_clock.now(), business_reference=business_reference)
        _output.mark_committed()
        return exchange

    def _service(self, config: AgentConfig) -> FileService:
        """Find the system, and check that no option is for a message."""
        service = None if self.system is None else config.ledger.service(self.system)
        if service is None:
            if self.validation_only:
                known = ", ".join(each.name for each in config.ledger.services) or "none"
                message = f"--validation-only is for a system that takes files (in {config.ledger.file}: {known})."
                raise _input.refusal("input.usage", message)
            raise _input.refusal("input.usage", "--mailbox is missing.")
        if self.many:
            message = f"{service.name} takes files; queue each by itself, with its name as --reference."
            raise _input.refusal("input.usage", message)
        options = self.options
        others = {
            "--mailbox": options.mailbox or None,
            "--kind": self.kind,
            "--layout": None if options.layout is LayoutChoice.BODY else options.layout,
            "--transfer-encoding": options.transfer_encoding,
            **{option: value for option, value in self.of_one.items() if option not in _OF_A_FILE},
        }
        wrong = [option for option, value in others.items() if value is not None]
        if wrong:
            message = f"{', '.join(wrong)}: a file has none; leave it out for {service.name}."
            raise _input.refusal("input.usage", message)
        return service
