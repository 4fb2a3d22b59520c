"""The DHIS2 servers of an installation: settings entries -> mapping and client, one per server.

Belongs here: putting mapping, address and credential together. Does not belong here: HTTP, reading the environment.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from assets.dhis2.client import Dhis2Client
from assets.dhis2.extract import client_for
from assets.dhis2.mapping import InstanceMapping, parse_instance


@dataclass(frozen=True)
class Dhis2Server:
    """One server: what to collect there, and how to reach it. The client is made when asked for; the secret is never kept in text."""

    mapping: InstanceMapping
    secret: Callable[[], str]

    @property
    def source_code(self) -> str:
        """Name of the source instance in landing, receipts and reports."""
        return f"dhis2_{self.mapping.code}"

    def client(self) -> Dhis2Client:
        """A client with its own HTTP session."""
        return client_for(self.mapping, self.secret())


def servers_from_settings(
    entries: Sequence[Mapping[str, Any]],
    addresses: Mapping[str, str],
    credential: Callable[[str | None], str | None],
    *,
    is_practice: bool,
) -> dict[str, Dhis2Server]:
    """The servers by code. `addresses` replaces the address of a server that runs on the practice ground.

    Raises MappingError for an entry that says what no mapping means.
    """
    servers = {}
    for entry in entries:
        mapping = parse_instance(entry, is_practice=is_practice)
        if mapping.code in addresses:
            mapping = replace(mapping, url=addresses[mapping.code])

        def secret(env: str = mapping.credential_env) -> str:
            return credential(env) or ""

        servers[mapping.code] = Dhis2Server(mapping, secret)
    return servers
