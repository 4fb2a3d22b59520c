"""A first `[[dhis2]]` table for a server that nobody has mapped yet, as TOML with its guesses marked.

Belongs here: guessing what an object means from WHO's published codes and plain words, and writing the table. Does not belong
here: asking what the server has (`discover`), judging a finished table (`mapping`).

What cannot be guessed is written as a comment, so that the draft is read by `parse_instance` as it stands. Each guess ends
in `# ?`: a person looks at every line before the first pull.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from assets.dhis2 import metadata
from assets.dhis2.client import Dhis2Client
from assets.dhis2.errors import NotFoundError

_ATTRIBUTES: Final = {
    "NATIONAL_ID": "national_id", "FAMILY_NAME": "family_name", "GIVEN_NAME": "given_name", "PATINFO_SEX": "sex",
    "SEX_ASSIGNED_BIRTH": "sex", "PATINFO_DOB": "birth_date", "PHONE_LOCAL": "phone", "NATIONALITY": "nationality",
    "COUNTRY_OF_BIRTH": "country_of_birth", "MIGRANT_TYPE": "migrant_status",
}  # fmt: skip
"""Attribute codes of WHO's tracker packages, and the plain ones."""

_STEPS: Final = (
    (r"\bsent\b|\btransfer|\brefer(ral|red)? out", "sent"), (r"received|\barriv", "received"),
    (r"regist|confirm", "registered"), (r"follow", "follow_up"), (r"outcome|result", "outcome"),
)  # fmt: skip
_ELEMENTS: Final = (
    (r"DIRECTION", "direction"), (r"DISEASE", "disease"), (r"FROM_(UNIT|ORG|FACILITY)", "from_org_unit"),
    (r"TO_(UNIT|ORG|FACILITY)", "to_org_unit"), (r"TREAT\w*_START|START\w*_TREAT", "treatment_started_on"),
    (r"OUTCOME", "outcome"),
)  # fmt: skip
_OPTIONS: Final[Mapping[str, Mapping[str, str]]] = {
    "sex": {"F": "F", "FEMALE": "F", "M": "M", "MALE": "M", "UNKNOWN": "_U"},
    "nationality": {"VN": "VNM", "VNM": "VNM", "KH": "KHM", "KHM": "KHM", "LA": "LAO", "LAO": "LAO", "TH": "THA", "OTHER": "_O"},
    "migrant_status": {"NOT_MIGRANT": "0", "UNKNOWN": "99"},
    "direction": {"OUT": "outgoing", "OUTGOING": "outgoing", "IN": "incoming", "INCOMING": "incoming"},
    "disease": {"TB": "TB", "HIV": "HIV", "MALARIA": "MAL", "MAL": "MAL"},
    "outcome": {
        code: code for code in ("CURED", "COMPLETED", "FAILURE", "DIED", "LOST_TO_FOLLOW_UP", "NOT_EVALUATED")
    },
}  # fmt: skip
_FRAMES: Final = {"VNM": "VN34", "KHM": "KH"}
_SEXES: Final = {"female": "F", "women": "F", "male": "M", "men": "M"}


@dataclass(frozen=True)
class Draft:
    """The TOML text, and how many of its lines a person has to decide."""

    text: str
    guesses: int
    open_lines: int


def draft(
    client: Dhis2Client,
    *,
    code: str,
    country: str,
    credential_env: str,
    program: str | None = None,
    data_sets: Sequence[str] = (),
) -> Draft:
    """A `[[dhis2]]` table for this server, as far as its metadata can tell.

    Without `program` the one with "refer" or "transfer" in its name is taken, when there is exactly one; without
    `data_sets` all that the user sees. Raises Dhis2Error; NotFoundError for a program or data set that is not there.
    """
    writer = _Writer()
    user = metadata.user_facts(client)
    levels = metadata.metadata_list(client, "organisationUnits", "id,name,level", ["level:le:2"])
    roots = [uid for uid in user.capture if uid in set(user.search)] or list(user.capture)
    writer.line("[[dhis2]]")
    for key, value in (
        ("code", code),
        ("name", f"DHIS2 of {client.server}"),
        ("country", country),
        ("url", client.url),
    ):
        writer.pair(key, value, "" if key == "url" else "?")
    writer.pair("credential_env", credential_env)
    names = {str(unit["id"]): str(unit.get("name", "")) for unit in levels}
    listed = ", ".join(json.dumps(uid) for uid in roots)
    writer.line(f"root_org_units = [{listed}]   # {_plain('; '.join(names.get(uid, '') for uid in roots))}  ?")
    writer.line("data_from = 2024-01-01   # ?")
    writer.table("dhis2.province_areas")
    for unit in levels:
        if unit.get("level") == 2:
            frame = _FRAMES.get(country, country)
            writer.undecided(f'{unit["id"]} = "{frame}-.."', str(unit.get("name", "")))
    _write_referral(writer, client, program)
    _write_data_sets(writer, client, data_sets)
    return Draft("\n".join(writer.lines) + "\n", writer.guesses, writer.open_lines)


class _Writer:
    """Collects lines and counts those that a person has to look at."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.guesses = 0
        self.open_lines = 0

    def line(self, text: str) -> None:
        self.guesses += text.endswith("?")
        self.lines.append(text)

    def table(self, name: str, *, array: bool = False) -> None:
        self.lines += ["", f"[[{name}]]" if array else f"[{name}]"]

    def pair(self, key: str, value: str, note: str = "") -> None:
        self.line(f"{key} = {json.dumps(value, ensure_ascii=False)}{f'   # {_plain(note)}' if note else ''}")

    def undecided(self, text: str, note: str) -> None:
        self.open_lines += 1
        self.lines.append(f"# {text}   # {_plain(note)}")


def _plain(text: str) -> str:
    """The text on one line, without what TOML forbids in a comment."""
    return re.sub(r"[\x00-\x1f\x7f]+", " ", text).strip()


def _first(text: str, patterns: Iterable[tuple[str, str]]) -> str | None:
    return next((concept for pattern, concept in patterns if re.search(pattern, text, re.IGNORECASE)), None)


def _only(rows: list[dict[str, Any]], wanted: Sequence[str], client: Dhis2Client, kind: str) -> list[dict[str, Any]]:
    missing = sorted(set(wanted) - {str(row["id"]) for row in rows})
    if missing:
        raise NotFoundError(
            f"not found: {', '.join(missing)}.",
            server=client.server,
            endpoint=kind,
            advice="`mhwg sources discover` lists what the user sees.",
        )
    return rows


# Referral program ----------------------------------------------------------------------------------------------------


def _write_referral(writer: _Writer, client: Dhis2Client, program: str | None) -> None:
    fields = (
        "id,name,trackedEntityType[id],programStages[id,name,programStageDataElements[dataElement[id,code,name,valueType,"
        "optionSet[options[code]]]]],programTrackedEntityAttributes[trackedEntityAttribute[id,code,name,optionSet[options[code]]]]"
    )
    if program:
        rows = _only(metadata.metadata_by_id(client, "programs", [program], fields), [program], client, "programs")
    else:
        rows = [
            row
            for row in metadata.metadata_list(client, "programs", fields)
            if row.get("trackedEntityType") and re.search(r"refer|transfer", str(row.get("name", "")), re.IGNORECASE)
        ]
    if len(rows) != 1:
        writer.lines.append("")
        for row in rows:
            writer.undecided(f"referral program {row['id']}?", str(row.get("name", "")))
        return
    (row,) = rows
    writer.table("dhis2.referral")
    writer.pair("program", row["id"], str(row.get("name", "")))
    writer.pair("tracked_entity_type", (row.get("trackedEntityType") or {}).get("id", ""))
    writer.pair("token_domain", "cross-border-referral")
    writer.pair("migrant_basis", "C", "?")
    option_codes: dict[str, list[str]] = {}
    _write_attributes(writer, row, option_codes)
    _write_stages(writer, row, option_codes)
    for concept, codes in option_codes.items():
        writer.table(f"dhis2.referral.options.{concept}")
        for code in sorted(set(codes)):
            ours = _OPTIONS[concept].get(code.upper())
            key = json.dumps(code, ensure_ascii=False)
            if ours:
                writer.pair(key, ours, "?")
            else:
                writer.undecided(f'{key} = ".."', "our code for this option")


def _note_options(holder: Mapping[str, Any], concept: str, option_codes: dict[str, list[str]]) -> None:
    """The options of a coded concept are wanted; country of birth shares those of nationality."""
    concept = "nationality" if concept == "country_of_birth" else concept
    if concept in _OPTIONS:
        options = (holder.get("optionSet") or {}).get("options") or []
        option_codes.setdefault(concept, []).extend(str(option["code"]) for option in options if option.get("code"))


def _write_attributes(writer: _Writer, program: Mapping[str, Any], option_codes: dict[str, list[str]]) -> None:
    writer.table("dhis2.referral.attributes")
    for entry in program.get("programTrackedEntityAttributes") or []:
        attribute = entry["trackedEntityAttribute"]
        label = f"{attribute.get('code') or ''} {attribute.get('name') or ''}".strip()
        concept = _ATTRIBUTES.get(str(attribute.get("code") or "").upper())
        if concept:
            writer.pair(attribute["id"], concept, f"{label}  ?")
            _note_options(attribute, concept, option_codes)
        else:
            writer.undecided(f"{attribute['id']} is not collected", label)


def _write_stages(writer: _Writer, program: Mapping[str, Any], option_codes: dict[str, list[str]]) -> None:
    stages = program.get("programStages") or []
    writer.table("dhis2.referral.stages")
    for stage in stages:
        step = _first(str(stage.get("name", "")), _STEPS)
        if step:
            writer.pair(stage["id"], step, f"{stage.get('name', '')}  ?")
        else:
            writer.undecided(f"{stage['id']} is not collected", str(stage.get("name", "")))
    writer.table("dhis2.referral.elements")
    seen: set[str] = set()
    for element in (entry["dataElement"] for stage in stages for entry in stage.get("programStageDataElements") or []):
        if element["id"] in seen:
            continue
        seen.add(element["id"])
        label = f"{element.get('code') or ''} {element.get('name') or ''}".strip()
        concept = _first(str(element.get("code") or ""), _ELEMENTS)
        if concept:
            writer.pair(element["id"], concept, f"{label}  ?")
            _note_options(element, concept, option_codes)
        else:
            writer.undecided(f"{element['id']} is not collected", label)


# Data sets -----------------------------------------------------------------------------------------------------------


def _write_data_sets(writer: _Writer, client: Dhis2Client, wanted: Sequence[str]) -> None:
    fields = (
        "id,code,name,periodType,timelyDays,dataSetElements[dataElement[id,code,name,categoryCombo[id,"
        "categoryOptionCombos[id,name]]],categoryCombo[id,categoryOptionCombos[id,name]]]"
    )
    if wanted:
        rows = _only(metadata.metadata_by_id(client, "dataSets", wanted, fields), wanted, client, "dataSets")
    else:
        rows = metadata.metadata_list(client, "dataSets", fields)
    for row in rows:
        writer.table("dhis2.data_set", array=True)
        writer.pair("uid", row["id"])
        writer.pair("code", str(row.get("code") or row["id"]))
        writer.pair("name", str(row.get("name") or row["id"]))
        writer.pair("period_type", str(row.get("periodType") or "Monthly"))
        writer.line(f"timely_days = {int(row.get('timelyDays') or 15)}")
        writer.table("dhis2.data_set.elements")
        combos: dict[str, str] = {}
        for entry in row.get("dataSetElements") or []:
            element = entry["dataElement"]
            # A data set may override the combination of an element.
            combo = entry.get("categoryCombo") or element.get("categoryCombo") or {}
            combos |= {str(item["id"]): str(item.get("name", "")) for item in combo.get("categoryOptionCombos") or []}
            concept = re.sub(r"\W+", "_", str(element.get("code") or element["id"])).upper()
            writer.pair(element["id"], concept, f"{element.get('name', '')}; our concept code  ?")
        writer.table("dhis2.data_set.category_option_combos")
        for uid, name in combos.items():
            meaning = guessed_category(name)
            if meaning is None:
                writer.undecided(f"{uid} = {{ }}", name)
            else:
                parts = ", ".join(f'{concept} = "{value}"' for concept, value in meaning.items())
                writer.line(
                    f"{uid} = {{ {parts} }}   # {_plain(name)}  ?" if parts else f"{uid} = {{}}   # {_plain(name)}"
                )


def guessed_category(name: str) -> dict[str, str] | None:
    """What an option combination's name says, part by part, such as `Female, 25-34 years`; None when a part says nothing known."""
    if name.strip().casefold() in ("default", "(default)", ""):
        return {}
    meaning: dict[str, str] = {}
    for part in (text.strip().casefold() for text in name.split(",")):
        band = re.fullmatch(r"(\d+)\s*(?:-|–|to)\s*(\d+)\s*(?:y|yrs?|years?)?", part)
        above = re.fullmatch(
            r"(?:>=|≥)?\s*(\d+)\s*(?:\+|y\+|years?\s*\+)?\s*(?:y|yrs?|years?)?\s*(?:and (?:above|over|older))?", part
        )
        if part in _SEXES:
            meaning["sex"] = _SEXES[part]
        elif band:
            meaning["age"] = f"Y{int(band[1])}T{int(band[2])}"
        elif above and re.search(r"\+|>=|≥|and ", part):
            meaning["age"] = f"Y_GE{int(above[1])}"
        elif part in ("unknown age", "age unknown"):
            meaning["age"] = "_U"
        else:
            return None
    return meaning
