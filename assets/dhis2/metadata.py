"""What the server is, what we may see of it, and its metadata, as plain answers.

Belongs here: system information and the gates before a pull, the user's scope, metadata lists. Does not belong here: HTTP
(`client`), data (`tracker`, `aggregate`), advice to the person who configures (`discover`).

Metadata is small and its deletions are invisible to `lastUpdated`, so it is always read whole, in one unpaged answer that
cannot shift while it is read.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from assets.dhis2.client import Dhis2Client
from assets.dhis2.errors import AccessError, QueryError, ResponseShapeError, UnsupportedServerError
from assets.dhis2.geometry import coarse_place
from assets.dhis2.instants import parse_instant, zone_named
from assets.dhis2.mapping import InstanceMapping
from assets.dhis2.versions import Dialect, choose_dialect

_IDS_PER_REQUEST = 100
"""UIDs in one `id:in:[...]` filter: 100 x 12 characters stay well below the 8 kB that proxies allow for an address."""


@dataclass(frozen=True)
class ServerFacts:
    """What a server says of itself before a pull; part of every receipt."""

    version: str
    dialect: Dialect
    server_at: datetime
    """The server's own clock, read before anything else: the base of the watermark."""
    zone: ZoneInfo
    system_id: str | None
    analytics_at: str | None
    """lastAnalyticsTableSuccess as sent: how fresh anything from analytics is."""
    warnings: tuple[str, ...] = ()

    def for_receipt(self) -> dict[str, Any]:
        """The facts that go into a receipt's parameters."""
        return {
            "server_zone": self.zone.key,
            "system_id": self.system_id,
            "last_analytics_table_success": self.analytics_at,
            "warnings": list(self.warnings),
        }


def server_facts(client: Dhis2Client) -> ServerFacts:
    """Version, clock and zone of the server. Raises UnsupportedServerError for a calendar other than iso8601."""
    info = client.get_json("system/info")
    if not isinstance(info, dict) or not info.get("version") or not info.get("serverDate"):
        raise ResponseShapeError(
            "the answer has no version or serverDate.",
            server=client.server,
            endpoint="system/info",
            advice="Check that the address is that of a DHIS2 server.",
        )
    calendar = str(info.get("calendar", "iso8601"))
    if calendar.lower() != "iso8601":
        raise UnsupportedServerError(
            f"the server counts in the {calendar!r} calendar.",
            server=client.server,
            endpoint="system/info",
            advice="Its periods cannot be read as Gregorian ones; pull from a server set to iso8601.",
        )
    chosen = choose_dialect(str(info["version"]))
    warnings = list(chosen.warnings)
    try:
        zone = zone_named(str(info.get("serverTimeZoneId") or "UTC"))
    except ValueError as fault:
        raise UnsupportedServerError(
            f"{fault}.",
            server=client.server,
            endpoint="system/info",
            advice="Its local times cannot be placed; ask its administrator to set an IANA time zone.",
        ) from fault
    if not info.get("serverTimeZoneId"):
        warnings.append("the server names no time zone; its times are taken as UTC")
    return ServerFacts(
        version=str(info["version"]),
        dialect=chosen.dialect,
        server_at=parse_instant(str(info["serverDate"]), zone),
        zone=zone,
        system_id=info.get("systemId"),
        analytics_at=info.get("lastAnalyticsTableSuccess"),
        warnings=tuple(warnings),
    )


@dataclass(frozen=True)
class UserFacts:
    """The service user's authorities, and the org units it captures in and searches in (UIDs)."""

    authorities: frozenset[str]
    capture: tuple[str, ...]
    search: tuple[str, ...]


def user_facts(client: Dhis2Client) -> UserFacts:
    """What the server grants our user."""
    me = client.get_json(
        "me",
        [
            (
                "fields",
                "id,authorities,organisationUnits[id],dataViewOrganisationUnits[id],teiSearchOrganisationUnits[id]",
            )
        ],
    )
    return UserFacts(
        frozenset(str(item) for item in me.get("authorities") or []),
        _ids(me.get("organisationUnits")),
        _ids(me.get("teiSearchOrganisationUnits")),
    )


def _ids(items: Any) -> tuple[str, ...]:
    return tuple(str(item["id"] if isinstance(item, dict) else item) for item in items or [])


def missing_scope(client: Dhis2Client, mapping: InstanceMapping, user: UserFacts) -> list[str]:
    """One sentence per root that the user cannot capture or search in; empty when all is well.

    A root counts as covered when it or one above it is assigned. Without this check its patients are silently missing.
    """
    found = {
        str(item["id"]): str(item.get("path", ""))
        for item in metadata_by_id(client, "organisationUnits", mapping.root_org_units, "id,path")
    }
    faults = []
    for root in mapping.root_org_units:
        if root not in found:
            faults.append(f"root {root} does not exist or cannot be read")
            continue
        above = set(found[root].strip("/").split("/")) | {root}
        for scope, units in (("capture", user.capture), ("search", user.search)):
            if not above & set(units):
                faults.append(f"root {root} is not in the user's {scope} scope")
    return faults


def require_scope(client: Dhis2Client, mapping: InstanceMapping) -> None:
    """The user sees every root of the mapping. Raises AccessError naming the missing ones."""
    faults = missing_scope(client, mapping, user_facts(client))
    if faults:
        raise AccessError(
            "; ".join(faults) + ".",
            server=client.server,
            endpoint="me",
            advice="Ask the server's administrator to add them to the service user's data capture and search organisation units.",
        )


def metadata_by_id(client: Dhis2Client, kind: str, uids: Iterable[str], fields: str) -> list[dict[str, Any]]:
    """Objects of `kind` with these UIDs, as far as they exist and may be read."""
    wanted = sorted(set(uids))
    found: list[dict[str, Any]] = []
    for batch in _batches(wanted, _IDS_PER_REQUEST):
        found += metadata_list(client, kind, fields, [f"id:in:[{','.join(batch)}]"])
    return found


def metadata_list(client: Dhis2Client, kind: str, fields: str, filters: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Every object of `kind` that passes all filters, in UID order, each once."""
    parameters = [("fields", fields), ("paging", "false"), *(("filter", text) for text in filters)]
    answer = client.get_json(kind, parameters)
    rows = answer.get(kind) if isinstance(answer, dict) else None
    if not isinstance(rows, list):
        raise ResponseShapeError(
            f"the answer has no list under {kind!r}.",
            server=client.server,
            endpoint=kind,
            advice="Check that the address is that of a DHIS2 server.",
        )
    return [row for _, row in sorted({str(row["id"]): row for row in rows}.items())]


def _batches(items: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


ORG_UNIT_FIELDS = "id,code,name,level,path,parent[id],openingDate,closedDate,geometry"


def org_units(client: Dhis2Client, roots: Sequence[str], decimals: int) -> list[dict[str, Any]]:
    """The org units of the roots' sub-trees, the roots included, in UID order; `geometry` is a place of so many decimals."""
    found: dict[str, dict[str, Any]] = {}
    for root in roots:
        for unit in metadata_list(client, "organisationUnits", ORG_UNIT_FIELDS, [f"path:like:{root}"]):
            place = coarse_place(unit.pop("geometry", None), decimals)
            found[str(unit["id"])] = {**unit, "geometry": place} if place else unit
    return [unit for _, unit in sorted(found.items())]


def children_of(units: Iterable[dict[str, Any]]) -> dict[str, list[str]]:
    """Org unit UID -> UIDs of its children."""
    below: dict[str, list[str]] = {}
    for unit in units:
        parent = unit.get("parent")
        if isinstance(parent, dict) and parent.get("id"):
            below.setdefault(str(parent["id"]), []).append(str(unit["id"]))
    return below


def topmost(roots: Sequence[str], units: Iterable[dict[str, Any]]) -> tuple[str, ...]:
    """The roots that lie under no other root: a sub-tree asked for twice would bring its values twice."""
    paths = {str(unit["id"]): str(unit.get("path", "")).strip("/").split("/")[:-1] for unit in units}
    return tuple(root for root in roots if not set(paths.get(root, ())) & set(roots))


def data_sets(client: Dhis2Client, mapping: InstanceMapping) -> list[dict[str, Any]]:
    """The mapped data sets with their assigned org units. Raises QueryError naming those that the user cannot see."""
    found = metadata_by_id(
        client,
        "dataSets",
        [data_set.uid for data_set in mapping.data_sets],
        "id,code,name,periodType,timelyDays,organisationUnits[id],dataSetElements[dataElement[id]]",
    )
    seen = {str(item["id"]) for item in found}
    missing = [f"{data_set.code} ({data_set.uid})" for data_set in mapping.data_sets if data_set.uid not in seen]
    if missing:
        raise QueryError(
            f"data sets not found: {', '.join(missing)}.",
            server=client.server,
            endpoint="dataSets",
            advice="Correct the UID in the settings, or ask the server's administrator to share them with the service user.",
        )
    return found


def data_elements(client: Dhis2Client, mapping: InstanceMapping) -> list[dict[str, Any]]:
    """The mapped data elements of data sets and referral: value type, aggregation, and whether a zero is stored."""
    wanted = [*mapping.element_concepts(), *(mapping.referral.elements if mapping.referral else ())]
    fields = "id,code,name,valueType,aggregationType,zeroIsSignificant,optionSet[id]"
    return metadata_by_id(client, "dataElements", wanted, fields)


def definitions(
    client: Dhis2Client, mapping: InstanceMapping, elements: Sequence[dict[str, Any]]
) -> dict[str, list[dict[str, Any]]]:
    """The other objects that give the mapped data their meaning, by kind: combos, program, stages, attributes, option sets,
    and the indicators and validation rules whose expressions name a mapped element, with their constants. `elements` are the data
    elements found."""
    found = {
        "categoryOptionCombos": metadata_by_id(client, "categoryOptionCombos", mapping.category_codes(), "id,code,name")
    }
    holders = list(elements)
    if (referral := mapping.referral) is not None:
        attributes = metadata_by_id(
            client, "trackedEntityAttributes", referral.attributes, "id,code,name,valueType,optionSet[id]"
        )
        found["programs"] = metadata_by_id(client, "programs", [referral.program], "id,code,name,programType")
        found["programStages"] = metadata_by_id(client, "programStages", referral.stages, "id,code,name,program[id]")
        found["trackedEntityAttributes"] = attributes
        holders += attributes
    sets = [item["optionSet"]["id"] for item in holders if isinstance(item.get("optionSet"), dict)]
    found["optionSets"] = metadata_by_id(client, "optionSets", sets, "id,code,name,options[id,code,name]")
    if mapping.data_sets:
        found["indicators"] = indicators(client, mapping)
        found["validationRules"] = validation_rules(client, mapping)
        text = str([found["indicators"], found["validationRules"]])
        named = re.findall(r"C\{([A-Za-z][A-Za-z0-9]{10})\}", text)
        found["constants"] = metadata_by_id(client, "constants", named, "id,code,name,value")
    return found


def indicators(client: Dhis2Client, mapping: InstanceMapping) -> list[dict[str, Any]]:
    """The indicators whose expressions name a mapped data element."""
    fields = "id,code,name,numerator,denominator,annualized,indicatorType[id,factor]"
    return [row for row in metadata_list(client, "indicators", fields) if _names_any(row, mapping)]


def validation_rules(client: Dhis2Client, mapping: InstanceMapping) -> list[dict[str, Any]]:
    """The validation rules whose expressions name a mapped data element."""
    fields = (
        "id,code,name,operator,importance,periodType,organisationUnitLevels,instruction,"
        "leftSide[expression,missingValueStrategy],rightSide[expression,missingValueStrategy]"
    )
    return [row for row in metadata_list(client, "validationRules", fields) if _names_any(row, mapping)]


def _names_any(row: dict[str, Any], mapping: InstanceMapping) -> bool:
    """True when an expression of the row names a mapped data element."""
    text = str({key: value for key, value in row.items() if key not in ("id", "code", "name")})
    return any(uid in text for uid in mapping.element_concepts())
