"""For whoever connects a server: what works, what is missing and how to mend it, and what the server has to offer.

Belongs here: `check` (settings against server) and `discover` (candidates for settings), as plain values. Does not belong
here: printing (`pipelines.cli`), pulling (`extract`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Literal, TypeVar

from assets.dhis2 import metadata
from assets.dhis2.client import Dhis2Client
from assets.dhis2.errors import AuthenticationError, Dhis2Error
from assets.dhis2.instants import parse_instant
from assets.dhis2.mapping import InstanceMapping
from assets.dhis2.metadata import ServerFacts
from methods.dhis2_expression import UnsupportedExpressionError, parse, rules_from_metadata

Verdict = Literal["ok", "warning", "fault"]
Answer = TypeVar("Answer")

_SHOWN = 5
"""Names in one sentence; of more only their number is told."""

_COMBOS = "categoryCombo[id,categoryOptionCombos[id,name]]"
_SEARCH_EVERYWHERE = "F_TRACKED_ENTITY_INSTANCE_SEARCH_IN_ALL_ORGUNITS"


@dataclass(frozen=True)
class Finding:
    """One thing looked at: what it is, whether it is well, what was found, and what to do when it is not."""

    subject: str
    verdict: Verdict
    found: str
    advice: str = ""


@dataclass(frozen=True)
class CheckReport:
    """Every finding about one server, in the order looked at."""

    server: str
    url: str
    findings: tuple[Finding, ...]

    @property
    def is_usable(self) -> bool:
        """True when a pull can work."""
        return all(finding.verdict != "fault" for finding in self.findings)


def check(client: Dhis2Client, mapping: InstanceMapping) -> CheckReport:
    """What a pull of this server would meet. Never raises a Dhis2Error: each becomes a finding, and the rest is still looked at."""
    findings: list[Finding] = []
    facts = _asked(findings, "connection", lambda: metadata.server_facts(client))
    if facts is None:
        return CheckReport(mapping.code, client.url, tuple(findings))
    findings += _about_server(client, facts)
    findings += _about_scope(client, mapping)
    findings += _about_data_sets(client, mapping)
    findings += _about_expressions(client, mapping)
    findings += _about_referral(client, mapping)
    return CheckReport(mapping.code, client.url, tuple(findings))


def _asked(findings: list[Finding], subject: str, ask: Callable[[], Answer]) -> Answer | None:
    try:
        return ask()
    except AuthenticationError as fault:
        findings.append(Finding("credential", "fault", fault.what, fault.advice))
    except Dhis2Error as fault:
        findings.append(Finding(subject, "fault", fault.what, fault.advice))
    return None


def _about_server(client: Dhis2Client, facts: ServerFacts) -> list[Finding]:
    findings = [
        Finding("version", "ok", f"{facts.version}, asked as 2.{facts.dialect.major}"),
        Finding("clock", "ok", f"{facts.server_at:%Y-%m-%d %H:%M} UTC, zone {facts.zone.key}"),
        *(Finding("server", "warning", text, "See docs/dhis2.md.") for text in facts.warnings),
    ]
    host = client.url.split("://", 1)
    if host[0] == "http" and not host[1].startswith(("127.", "localhost", "[::1]")):
        findings.append(
            Finding("address", "warning", "plain http: the credential travels unencrypted", "Use the https address.")
        )
    if facts.analytics_at is None:
        findings.append(
            Finding("analytics", "warning", "never built", "Only cross-checks of indicators need it; pulls do not.")
        )
    else:
        age = (facts.server_at - parse_instant(facts.analytics_at, facts.zone)).total_seconds() / 86400
        advice = (
            ""
            if age <= 7
            else "Ask the server's administrator why the analytics build no longer runs; pulls do not need it."
        )
        findings.append(Finding("analytics", "ok" if age <= 7 else "warning", f"{age:.1f} days old", advice))
    return findings


def _about_scope(client: Dhis2Client, mapping: InstanceMapping) -> list[Finding]:
    findings: list[Finding] = []
    user = _asked(findings, "user", lambda: metadata.user_facts(client))
    if user is None:
        return findings
    broad = sorted({"ALL", _SEARCH_EVERYWHERE} & user.authorities)
    findings.append(
        Finding(
            "authorities",
            "warning" if "ALL" in broad else "ok",
            f"{len(user.authorities)} authorities{': ' + ', '.join(broad) if broad else ''}",
            "The service user needs none but reading: take ALL away." if "ALL" in broad else "",
        )
    )
    missing = _asked(findings, "org units", lambda: metadata.missing_scope(client, mapping, user))
    for text in missing or []:
        findings.append(
            Finding(
                "org units",
                "fault",
                text,
                "Add it to the user's data capture and search organisation units; else its patients are silently missing.",
            )
        )
    if missing == []:
        findings.append(
            Finding("org units", "ok", f"all {len(mapping.root_org_units)} roots in capture and search scope")
        )
    listed = _asked(
        findings,
        "provinces",
        lambda: metadata.metadata_by_id(client, "organisationUnits", mapping.province_areas, "id"),
    )
    if listed is not None and mapping.province_areas:
        findings.append(_presence("provinces", set(mapping.province_areas), listed))
    if missing == []:
        units = _asked(findings, "provinces", lambda: metadata.org_units(client, mapping.root_org_units, 0))
        findings += _outside_provinces(mapping, units or [])
    return findings


def _outside_provinces(mapping: InstanceMapping, units: list[dict[str, Any]]) -> list[Finding]:
    """Units whose figures belong to no province: neither named, nor below a unit that is, nor above one (a root, a region)."""
    paths = {str(unit["id"]): str(unit.get("path", "")).strip("/").split("/") for unit in units}
    named = set(mapping.province_areas)
    above = {over for uid in named & set(paths) for over in paths[uid]} | set(mapping.root_org_units)
    outside = {uid for uid, path in paths.items() if not named & set(path) and uid not in above}
    if not outside:
        return []
    # Of a whole branch the top one says it.
    names = sorted(str(unit.get("name") or unit["id"]) for unit in units if _is_topmost(unit, outside))
    shown = _first(names)
    return [
        Finding(
            "provinces",
            "warning",
            f"{len(outside)} of {len(units)} org units lie in none that is named: {shown}",
            "Add their provinces to [dhis2.province_areas]; until then their figures belong to no province.",
        )
    ]


def _is_topmost(unit: dict[str, Any], among: set[str]) -> bool:
    parent = (unit.get("parent") or {}).get("id")
    return str(unit["id"]) in among and parent not in among


def _presence(subject: str, wanted: set[str], found: list[dict[str, Any]]) -> Finding:
    missing = sorted(wanted - {str(item["id"]) for item in found})
    if missing:
        return Finding(
            subject,
            "fault",
            f"not found: {', '.join(missing)}",
            "Correct the UIDs in the settings, or share the objects with the service user (metadata and data read).",
        )
    return Finding(subject, "ok", f"all {len(wanted)} found")


def _unreadable(subject: str, found: list[dict[str, Any]]) -> list[Finding]:
    """Objects whose definition is shared with the user and whose data are not: their values never come, and no error either."""
    closed = sorted(
        str(item["id"]) for item in found if ((item.get("access") or {}).get("data") or {}).get("read") is False
    )
    if not closed:
        return []
    return [
        Finding(
            subject,
            "fault",
            f"no right to read the data of {', '.join(closed)}",
            "Ask the server's administrator to share them with the service user: data, can view.",
        )
    ]


def _about_data_sets(client: Dhis2Client, mapping: InstanceMapping) -> list[Finding]:
    findings: list[Finding] = []
    if not mapping.data_sets:
        return findings
    wanted = {data_set.uid: data_set for data_set in mapping.data_sets}
    found = _asked(
        findings,
        "data sets",
        lambda: metadata.metadata_by_id(
            client,
            "dataSets",
            wanted,
            f"id,periodType,access[data[read]],dataSetElements[dataElement[id,{_COMBOS}],{_COMBOS}]",
        ),
    )
    if found is None:
        return findings
    findings.append(_presence("data sets", set(wanted), found))
    findings += _unreadable("data sets", found)
    for item in found:
        data_set = wanted[str(item["id"])]
        if item.get("periodType") not in (None, data_set.period_type):
            findings.append(
                Finding(
                    f"data set {data_set.code}",
                    "fault",
                    f"period type is {item['periodType']} on the server and {data_set.period_type} in the settings",
                    "Correct period_type in the settings.",
                )
            )
        members = {str(entry["dataElement"]["id"]) for entry in item.get("dataSetElements") or []}
        strangers = sorted(set(data_set.elements) - members)
        if strangers and members:
            findings.append(
                Finding(
                    f"data set {data_set.code}",
                    "fault",
                    f"does not hold {', '.join(strangers)}",
                    "Move the element to the data set that holds it, or remove it from the settings.",
                )
            )
    for subject, kind, uids in (
        ("data elements", "dataElements", set(mapping.element_concepts())),
        ("category option combos", "categoryOptionCombos", set(mapping.category_codes())),
    ):
        rows = _asked(findings, subject, partial(metadata.metadata_by_id, client, kind, uids, "id"))
        if rows is not None:
            findings.append(_presence(subject, uids, rows))
    findings += _untranslated_combos(mapping, found)
    return findings


def _untranslated_combos(mapping: InstanceMapping, data_sets: list[dict[str, Any]]) -> list[Finding]:
    """Option combos of mapped elements that the settings do not translate: values in them would be held back."""
    elements, known = mapping.element_concepts(), mapping.category_codes()
    unknown: dict[str, str] = {}
    for data_set in data_sets:
        for entry in data_set.get("dataSetElements") or []:
            if str(entry["dataElement"]["id"]) not in elements:
                continue
            # A data set may break an element down otherwise than the element itself.
            combo = entry.get("categoryCombo") or entry["dataElement"].get("categoryCombo") or {}
            for cell in combo.get("categoryOptionCombos") or []:
                if str(cell["id"]) not in known:
                    unknown[str(cell["id"])] = str(cell.get("name") or cell["id"])
    if not unknown:
        return []
    names = sorted(f"{name} ({uid})" for uid, name in unknown.items())
    shown = _first(names)
    return [
        Finding(
            "category option combos",
            "warning",
            f"not translated: {shown}",
            "Add them to [dhis2.data_set.category_option_combos]; until then values in them go to quarantine.",
        )
    ]


def _about_expressions(client: Dhis2Client, mapping: InstanceMapping) -> list[Finding]:
    """Validation rules and indicators over mapped elements: how many there are, and by name those outside the supported grammar."""
    findings: list[Finding] = []
    if not mapping.data_sets:
        return findings
    rules = _asked(findings, "validation rules", lambda: metadata.validation_rules(client, mapping))
    if rules is not None:
        _, refused = rules_from_metadata(rules)
        findings.append(_grammar("validation rules", len(rules), [f"{rule.name} ({rule.part})" for rule in refused]))
    indicators = _asked(findings, "indicators", lambda: metadata.indicators(client, mapping))
    if indicators is not None:
        parts = [(row, _refused_part(row)) for row in indicators]
        findings.append(
            _grammar(
                "indicators", len(parts), [f"{row.get('name') or row['id']} ({part})" for row, part in parts if part]
            )
        )
    return findings


def _grammar(subject: str, count: int, refused: list[str]) -> Finding:
    if refused:
        return Finding(
            subject,
            "warning",
            f"{count} over mapped elements, {len(refused)} not evaluated: {'; '.join(refused)}",
            "docs/quality.md says what is supported; the others stay with DHIS2's own screens.",
        )
    return Finding(subject, "ok", f"{count} over mapped elements")


def _refused_part(indicator: dict[str, Any]) -> str | None:
    for side in ("numerator", "denominator"):
        try:
            parse(str(indicator.get(side) or ""))
        except UnsupportedExpressionError as fault:
            return fault.part
    return None


def _about_referral(client: Dhis2Client, mapping: InstanceMapping) -> list[Finding]:
    findings: list[Finding] = []
    referral = mapping.referral
    if referral is None:
        return findings
    for subject, kind, uids in (
        ("referral program", "programs", {referral.program}),
        ("referral stages", "programStages", set(referral.stages)),
        ("referral attributes", "trackedEntityAttributes", set(referral.attributes)),
        ("referral elements", "dataElements", set(referral.elements)),
    ):
        shared = kind in ("programs", "programStages")
        rows = _asked(
            findings,
            subject,
            partial(metadata.metadata_by_id, client, kind, uids, "id,access[data[read]]" if shared else "id"),
        )
        if rows is not None:
            findings.append(_presence(subject, uids, rows))
            findings += _unreadable(subject, rows)
    findings += _about_options(client, mapping)
    return findings


def _about_options(client: Dhis2Client, mapping: InstanceMapping) -> list[Finding]:
    """Option codes of the server that the settings do not translate: records with them would be held back."""
    findings: list[Finding] = []
    referral = mapping.referral
    assert referral is not None
    for kind, holders in (("trackedEntityAttributes", referral.attributes), ("dataElements", referral.elements)):
        fields = "id,optionSet[options[code]]"
        rows = _asked(findings, "options", partial(metadata.metadata_by_id, client, kind, holders, fields))
        for row in rows or []:
            if (concept := holders.get(str(row["id"]))) is None:
                continue
            known = referral.options_of(concept)
            codes = {str(option.get("code")) for option in (row.get("optionSet") or {}).get("options") or []}
            unknown = sorted(codes - set(known))
            if known and unknown:
                findings.append(
                    Finding(
                        f"options of {concept}",
                        "warning",
                        f"not translated: {', '.join(unknown)}",
                        f"Add them to [dhis2.referral.options.{concept}]; until then records with them go to quarantine.",
                    )
                )
    return findings


# Candidates ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Candidate:
    """One object of the server that settings could name."""

    kind: str
    uid: str
    code: str | None
    name: str
    detail: str = ""


@dataclass(frozen=True)
class Discovery:
    """What a server offers, by kind, and when it was asked (the server's clock)."""

    server: str
    server_at: datetime
    candidates: tuple[Candidate, ...]

    def of(self, kind: str) -> tuple[Candidate, ...]:
        """The candidates of one kind."""
        return tuple(candidate for candidate in self.candidates if candidate.kind == kind)


_KINDS: tuple[tuple[str, str], ...] = (
    ("organisationUnits", "level,path"),
    ("dataSets", "periodType,timelyDays"),
    ("dataElements", "valueType,aggregationType"),
    ("categoryOptionCombos", ""),
    ("programs", "programType"),
    ("programStages", "program[id]"),
    ("trackedEntityAttributes", "valueType"),
    ("optionSets", "options[code]"),
    ("indicators", "numerator,denominator"),
    ("validationRules", "importance,periodType"),
)


def discover(client: Dhis2Client, *, words: tuple[str, ...] = (), org_unit_levels: int = 3) -> Discovery:
    """The objects a mapping is made of, as far as the user sees them. `words` keeps those whose name or code has one of them.

    Org units are listed down to `org_unit_levels`. Raises Dhis2Error.
    """
    facts = metadata.server_facts(client)
    candidates: list[Candidate] = []
    for kind, extra in _KINDS:
        fields = ",".join(part for part in ("id,code,name", extra) if part)
        filters = [f"level:le:{org_unit_levels}"] if kind == "organisationUnits" else []
        for row in metadata.metadata_list(client, kind, fields, filters):
            candidate = Candidate(kind, str(row["id"]), row.get("code"), str(row.get("name", "")), _detail(row))
            text = f"{candidate.name} {candidate.code or ''}".casefold()
            if not words or any(word.casefold() in text for word in words):
                candidates.append(candidate)
    return Discovery(client.server, facts.server_at, tuple(candidates))


def _detail(row: dict[str, Any]) -> str:
    parts = []
    for key, value in sorted(row.items()):
        if key in ("id", "code", "name") or value in (None, "", []):
            continue
        if isinstance(value, dict):
            value = value.get("id", "")
        if isinstance(value, list):
            value = " ".join(
                sorted(str(item.get("code", item)) if isinstance(item, dict) else str(item) for item in value)
            )
        parts.append(f"{key}={value}")
    return "; ".join(parts)


def _first(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
