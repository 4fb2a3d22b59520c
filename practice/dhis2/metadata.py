"""The metadata objects of a practice server: `/api/<plural>` lists, single objects, sub-trees, filters and paging.

Objects are plain dicts in the shape of DHIS2's JSON with references as {id}; `fields` expands them. Data and tracker records
do not belong here.
"""

import re
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from practice.dhis2.bulk import Bulk
from practice.dhis2.fields import parse_fields, project
from practice.dhis2.messages import Answer, Refused, Request, json_answer
from practice.dhis2.times import local
from practice.world import definitions, geography
from practice.world.aggregates import reports_to
from practice.world.draws import uid
from practice.world.region import ServerState

Object = dict[str, Any]
COMMON_ROOT = "zXbRegion01"
# What the practice user may do with an object: read it and its data, no more.
_READER = {"read": True, "update": False, "delete": False, "data": {"read": True, "write": False}}
_LEVEL_NAMES = ("Country", "Province", "District or unit", "Facility", "Unit")
# What a reference of this name points to, where the name is not the plural itself.
_SINGULAR = {
    "parent": "organisationUnits", "children": "organisationUnits", "ancestors": "organisationUnits",
    "organisationUnit": "organisationUnits", "dataElement": "dataElements", "dataSet": "dataSets", "program": "programs",
    "programStage": "programStages", "trackedEntityType": "trackedEntityTypes", "trackedEntityAttribute": "trackedEntityAttributes",
    "optionSet": "optionSets", "categoryCombo": "categoryCombos", "indicatorType": "indicatorTypes",
}  # fmt: skip


def _zoned(objects: Iterable[Object], created: datetime, zone: ZoneInfo) -> list[Object]:
    stamped = []
    for made in objects:
        made.setdefault("created", local(created, zone))
        made.setdefault("lastUpdated", local(created + timedelta(days=3), zone))
        made.setdefault("displayName", made.get("name", made["id"]))
        stamped.append(made)
    return stamped


class Metadata:
    """All metadata of one server at one instant."""

    def __init__(self, state: ServerState, zone: ZoneInfo, *, common_root: bool, bulk: Bulk | None) -> None:
        self.state, self.zone, self.common_root, self.bulk = state, zone, common_root, bulk
        self.paths = self._paths()
        self.lists: dict[str, list[Object]] = {}
        self._build()
        self.index = {plural: {o["id"]: o for o in objects} for plural, objects in self.lists.items()}

    def _paths(self) -> dict[str, str]:
        paths = dict(self.state.paths)
        if self.bulk:
            paths.update(self.bulk.paths)
        if self.common_root:
            paths = {u: f"/{COMMON_ROOT}{path}" for u, path in paths.items()}
            paths[COMMON_ROOT] = f"/{COMMON_ROOT}"
        return paths

    def roots(self) -> list[str]:
        """UIDs of the units without a parent."""
        return [u for u, path in self.paths.items() if path.count("/") == 1]

    def within(self, root: str) -> Callable[[str], bool]:
        """A test whether a unit is `root` or below it."""
        prefix = self.paths[root]
        return lambda unit: (path := self.paths.get(unit, "")) == prefix or path.startswith(prefix + "/")

    def subtree(self, roots: Iterable[str]) -> set[str]:
        """The units named and all below them."""
        prefixes = tuple(self.paths[r] for r in roots if r in self.paths)
        below = tuple(p + "/" for p in prefixes)
        return {u for u, path in self.paths.items() if path in prefixes or path.startswith(below)}

    def _build(self) -> None:
        server = self.state.server
        sets = definitions.data_sets(server)
        self.lists["organisationUnits"] = self._org_units()
        deepest = max(path.count("/") for path in self.paths.values())
        levels: list[Object] = [
            {
                "id": uid(server, "level", n),
                "name": _LEVEL_NAMES[min(n, 5) - 1] + (f" {n}" if n > 4 else ""),
                "level": n,
            }
            for n in range(1, deepest + 1)
        ]
        elements: list[Object] = []
        data_sets: list[Object] = []
        for made in sets.values():
            assigned = [
                f.uid
                for f in geography.reporting_facilities(server)
                if reports_to(made.code, f) and f.uid in self.paths
            ]
            data_sets.append(
                {
                    "id": made.uid, "code": made.code, "name": made.name, "shortName": made.name[:50],
                    "periodType": made.period_type, "timelyDays": float(made.timely_days), "openFuturePeriods": 0, "expiryDays": 0,
                    "categoryCombo": {"id": definitions.DEFAULT_COMBO}, "formType": "DEFAULT", "access": _READER,
                    "dataSetElements": [{"dataElement": {"id": e.uid}, "dataSet": {"id": made.uid}} for e in made.elements],
                    "organisationUnits": [{"id": u} for u in assigned],
                }
            )  # fmt: skip
            for element in made.elements:
                elements.append(
                    {
                        "id": element.uid, "code": element.code, "name": element.name, "shortName": element.name[:50],
                        "formName": element.name, "valueType": "INTEGER_ZERO_OR_POSITIVE", "domainType": "AGGREGATE",
                        "aggregationType": "SUM", "zeroIsSignificant": element.zero_is_significant,
                        "categoryCombo": {"id": element.combo.uid}, "dataSetElements": [{"dataSet": {"id": made.uid}}],
                    }
                )  # fmt: skip
        if self.bulk:
            data_sets.append(self.bulk.data_set())
            elements += self.bulk.elements()
        program = definitions.referral_program(server)
        for stage in program.stages:
            for part in stage.elements:
                elements.append(
                    {
                        "id": part.uid, "code": part.code, "name": part.name, "shortName": part.name[:50], "formName": part.name,
                        "valueType": part.value_type, "domainType": "TRACKER", "aggregationType": "NONE",
                        "zeroIsSignificant": False, "categoryCombo": {"id": definitions.DEFAULT_COMBO},
                        **({"optionSet": {"id": uid(server, "option set", part.option_set)}} if part.option_set else {}),
                    }
                )  # fmt: skip
        self.lists |= {
            "organisationUnitLevels": levels, "dataElements": elements, "dataSets": data_sets, **self._categories(server),
            **self._program(server), **self._groups(server), **self._rules(server),
        }  # fmt: skip
        for plural, objects in self.lists.items():
            self.lists[plural] = _zoned(objects, geography.SETTING_UP_AT, self.zone)

    def _org_units(self) -> list[Object]:
        known: dict[str, list[str]] = {}
        made: list[Object] = []
        if self.common_root:
            made.append({"id": COMMON_ROOT, "code": "REGION", "name": "Greater Mekong", "shortName": "Greater Mekong",
                         "openingDate": "1997-01-01T00:00:00.000", "path": f"/{COMMON_ROOT}", "level": 1})  # fmt: skip
        for unit in self.state.org_units:
            path = self.paths[unit.uid]
            closed = unit.closed_on is not None and unit.closed_at is not None and unit.closed_at <= self.state.instant
            changes = [p.since for p in unit.placements if p.since <= self.state.instant]
            last = max([unit.created_at, *changes] + ([unit.closed_at] if closed and unit.closed_at else []))
            shown: Object = {
                "id": unit.uid, "code": unit.code, "name": unit.name, "shortName": unit.name[:50], "level": path.count("/"),
                "path": path, "openingDate": f"{unit.opening_on.isoformat()}T00:00:00.000",
                "created": local(unit.created_at, self.zone), "lastUpdated": local(last, self.zone),
                "featureType": "POINT", "geometry": {"type": "Point", "coordinates": [round(unit.longitude, 4), round(unit.latitude, 4)]},
                "leaf": unit.kind == "facility",
                "organisationUnitGroups": [{"id": uid(self.state.server, "unit group", "partner" if unit.is_partner else unit.kind)}],
            }  # fmt: skip
            if closed and unit.closed_on:
                shown["closedDate"] = f"{unit.closed_on.isoformat()}T00:00:00.000"
            made.append(shown)
        if self.bulk:
            made += [
                {
                    "id": u, "code": f"BULK_{n}", "name": f"Bulk unit {n}", "shortName": f"Bulk unit {n}", "path": self.paths[u],
                    "level": self.paths[u].count("/"), "openingDate": "2010-01-01T00:00:00.000",
                }
                for n, u in enumerate(self.bulk.paths)
            ]  # fmt: skip
        for shown in made:
            parents = shown["path"].split("/")[1:-1]
            shown["ancestors"] = [{"id": u} for u in parents]
            if parents:
                shown["parent"] = {"id": parents[-1]}
                known.setdefault(parents[-1], []).append(shown["id"])
        for shown in made:
            shown["children"] = [{"id": u} for u in known.get(shown["id"], [])]
        return made

    def _categories(self, server: str) -> dict[str, list[Object]]:
        categories: list[Object] = [
            {"id": definitions.DEFAULT_CATEGORY, "name": "default", "code": "default",
             "categoryOptions": [{"id": definitions.DEFAULT_OPTION}]}
        ]  # fmt: skip
        options: list[Object] = [{"id": definitions.DEFAULT_OPTION, "name": "default", "code": "default"}]
        combos: list[Object] = []
        option_combos: list[Object] = []
        for key, combo in definitions.combos(server).items():
            own: list[str] = []
            for concept, name, codes in combo.categories:
                category = uid(server, "category", key, concept)
                own.append(category)
                held = [uid(server, "category option", key, concept, code) for code in codes]
                labels = {
                    "sex": definitions.SEX_NAMES,
                    "age": definitions.AGE_NAMES,
                    "migrant_status": definitions.ORIGIN_NAMES,
                }
                options += [
                    {"id": u, "name": labels[concept][code], "code": f"{key}_{code}".upper()}
                    for u, code in zip(held, codes, strict=True)
                ]
                categories.append(
                    {"id": category, "name": name, "code": name.upper(), "categoryOptions": [{"id": u} for u in held]}
                )
            combos.append(
                {
                    "id": combo.uid, "name": combo.name, "code": key.upper(), "isDefault": key == "default",
                    "categories": [{"id": u} for u in own or [definitions.DEFAULT_CATEGORY]],
                    "categoryOptionCombos": [{"id": c.uid} for c in combo.option_combos],
                }
            )  # fmt: skip
            for cell in combo.option_combos:
                parts = [uid(server, "category option", key, concept, code) for concept, code in cell.meaning]
                option_combos.append(
                    {
                        "id": cell.uid, "name": cell.name, "categoryCombo": {"id": combo.uid},
                        "categoryOptions": [{"id": u} for u in parts or [definitions.DEFAULT_OPTION]],
                    }
                )  # fmt: skip
        if self.bulk:
            option_combos += self.bulk.option_combos()
        return {
            "categories": categories,
            "categoryOptions": options,
            "categoryCombos": combos,
            "categoryOptionCombos": option_combos,
        }

    def _program(self, server: str) -> dict[str, list[Object]]:
        program = definitions.referral_program(server)
        option_sets: list[Object] = []
        options: list[Object] = []
        for concept, codes in program.options.items():
            own = uid(server, "option set", concept)
            held = [uid(server, "option", concept, code) for code in codes]
            option_sets.append(
                {"id": own, "name": concept.replace("_", " ").title(), "code": concept.upper(), "options": [{"id": u} for u in held],
                 "valueType": "MULTI_TEXT" if concept == "symptoms" else "TEXT", "version": 1}
            )  # fmt: skip
            for n, (u, code) in enumerate(zip(held, codes.values(), strict=True)):
                name = code.replace("_", " ").capitalize()
                options.append({"id": u, "name": name, "code": code, "sortOrder": n + 1, "optionSet": {"id": own}})
        attributes = [
            {
                "id": a.uid, "code": a.code, "name": a.name, "shortName": a.name[:50], "valueType": a.value_type,
                "unique": False, "confidential": False,
                **({"optionSet": {"id": uid(server, "option set", a.option_set)}} if a.option_set else {}),
            }
            for a in program.attributes
        ]  # fmt: skip
        stages = [
            {
                "id": s.uid, "name": s.name, "access": _READER, "sortOrder": n + 1, "repeatable": s.repeatable,
                "program": {"id": program.uid},
                "programStageDataElements": [{"dataElement": {"id": e.uid}, "compulsory": False} for e in s.elements],
            }
            for n, s in enumerate(program.stages)
        ]  # fmt: skip
        units = [{"id": f.uid} for f in geography.referring_facilities(server)]
        units += [{"id": u.uid} for u in self.state.org_units if u.is_partner and u.kind == "facility"]
        programs: list[Object] = [
            {
                "id": program.uid, "code": program.code, "name": program.name, "shortName": program.name,
                "programType": "WITH_REGISTRATION",
                "accessLevel": "OPEN", "version": 4, "access": _READER, "trackedEntityType": {"id": program.tracked_entity_type},
                "programStages": [{"id": s.uid} for s in program.stages], "organisationUnits": units,
                "programTrackedEntityAttributes": [
                    {"trackedEntityAttribute": {"id": a.uid}, "mandatory": False, "searchable": True} for a in program.attributes
                ],
                "categoryCombo": {"id": definitions.DEFAULT_COMBO},
            }
        ]  # fmt: skip
        types: list[Object] = [
            {"id": program.tracked_entity_type, "name": "Person", "shortName": "Person", "allowAuditLog": False}
        ]
        return {
            "programs": programs, "programStages": stages, "trackedEntityAttributes": attributes, "trackedEntityTypes": types,
            "optionSets": option_sets, "options": options,
        }  # fmt: skip

    def _groups(self, server: str) -> dict[str, list[Object]]:
        groups: list[Object] = [
            {"id": uid(server, "element group", code), "name": made.name, "code": f"GROUP_{code}",
             "dataElements": [{"id": e.uid} for e in made.elements]}
            for code, made in definitions.data_sets(server).items()
        ]  # fmt: skip
        kinds = ("country", "province", "district", "facility", "partner")
        units: list[Object] = []
        for kind in kinds:
            members = [
                u
                for u in self.state.org_units
                if (kind == "partner") == u.is_partner and (u.is_partner or u.kind == kind)
            ]
            units.append({"id": uid(server, "unit group", kind), "name": kind.capitalize(), "code": kind.upper(),
                          "organisationUnits": [{"id": u.uid} for u in members]})  # fmt: skip
        return {"dataElementGroups": groups, "organisationUnitGroups": units}

    def _rules(self, server: str) -> dict[str, list[Object]]:
        sets = definitions.data_sets(server)
        malaria = {e.concept_code: e for e in sets["MAL_BORDER"].elements}
        tb = {e.concept_code: e for e in sets["TB_MONTHLY"].elements}
        hiv = {e.concept_code: e for e in sets["HIV_TESTING"].elements}
        types: list[Object] = [
            {"id": uid(server, "indicator type", "percent"), "name": "Percentage", "factor": 100, "number": False},
            {"id": uid(server, "indicator type", "number"), "name": "Number", "factor": 1, "number": True},
        ]
        indicators: list[Object] = [
            {"id": uid(server, "indicator", code), "code": code, "name": name, "shortName": name[:50], "annualized": False,
             "indicatorType": {"id": types[0]["id"]}, "numerator": top, "denominator": bottom,
             "numeratorDescription": "", "denominatorDescription": ""}
            for code, name, top, bottom in (
                ("HIV_POSITIVITY", "HIV test positivity", f"#{{{hiv['HIV_POSITIVE'].uid}}}", f"#{{{hiv['HIV_TESTED'].uid}}}"),
                ("MAL_BORDER_POSITIVITY", "Malaria test positivity across borders",
                 f"#{{{malaria['MAL_BORDER_POSITIVE'].uid}}}", f"#{{{malaria['MAL_BORDER_TESTED'].uid}}}"),
                ("MAL_IMPORTED_SHARE", "Imported share of classified malaria cases",
                 f"#{{{malaria['MAL_IMPORTED'].uid}}}", f"#{{{malaria['MAL_CLASSIFIED'].uid}}}"),
            )
        ]  # fmt: skip

        def side(expression: str, strategy: str) -> Object:
            return {
                "expression": expression,
                "description": "",
                "missingValueStrategy": strategy,
                "slidingWindow": False,
            }

        def total(element: definitions.Element) -> str:
            return f"#{{{element.uid}}}"

        wanted = (
            ("MAL_BORDER_POS_LE_TEST", "Tested across borders >= positive", "greater_than_or_equal_to",
             total(malaria["MAL_BORDER_TESTED"]), total(malaria["MAL_BORDER_POSITIVE"])),
            ("MAL_BORDER_FUP_LE_POS", "Positive across borders >= followed up", "greater_than_or_equal_to",
             total(malaria["MAL_BORDER_POSITIVE"]), total(malaria["MAL_BORDER_FOLLOWED"])),
            ("MAL_MOBILE_POS_LE_TEST", "Mobile people tested >= positive", "greater_than_or_equal_to",
             total(malaria["MAL_MOBILE_TESTED"]), total(malaria["MAL_MOBILE_POSITIVE"])),
            ("TB_SEX_AGE_EQ_ORIGIN", "TB episodes by sex and age = by place of birth", "equal_to",
             total(tb["TB_NOTIFIED"]), total(tb["TB_NOTIFIED_BY_ORIGIN"])),
            ("HIV_POS_LE_TEST", "Tested for HIV >= positive", "greater_than_or_equal_to",
             total(hiv["HIV_TESTED"]), total(hiv["HIV_POSITIVE"])),
        )  # fmt: skip
        rules: list[Object] = [
            {"id": uid(server, "rule", code), "code": code, "name": name, "operator": operator, "importance": "MEDIUM",
             "periodType": "Monthly", "organisationUnitLevels": [], "skipFormValidation": False, "instruction": name,
             "leftSide": side(left, "NEVER_SKIP"), "rightSide": side(right, "NEVER_SKIP")}
            for code, name, operator, left, right in wanted
        ]  # fmt: skip
        rules += self._other_rules(server, side, total)
        constants: list[Object] = [
            {
                "id": uid(server, "constant", "ceiling"),
                "code": "POSITIVITY_CEILING",
                "name": "Highest plausible positivity",
                "value": 0.5,
            }
        ]
        return {"indicatorTypes": types, "indicators": indicators, "validationRules": rules, "constants": constants}

    def _other_rules(
        self, server: str, side: Callable[[str, str], Object], total: Callable[[definitions.Element], str]
    ) -> list[Object]:
        """Rules in the ways of the field: pairs, cohorts by quarter, a ratio under a constant, and one over reporting rates."""
        sets = definitions.data_sets(server)
        tb = {e.concept_code: e for e in sets["TB_MONTHLY"].elements}
        hiv = {e.concept_code: e for e in sets["HIV_TESTING"].elements}
        cohort = {e.concept_code.removeprefix("TB_OUTCOME_"): e for e in sets["TB_OUTCOMES"].elements}
        outcomes = " + ".join(total(element) for key, element in cohort.items() if key != "COHORT")
        some, every = "SKIP_IF_ANY_VALUE_MISSING", "SKIP_IF_ALL_VALUES_MISSING"
        ceiling = f"C{{{uid(server, 'constant', 'ceiling')}}}"
        wanted = (
            ("TB_BOTH_TABLES", "TB by sex and age, and by place of birth: both or neither", "compulsory_pair", "Monthly", "HIGH",
             side(total(tb["TB_NOTIFIED"]), some), side(total(tb["TB_NOTIFIED_BY_ORIGIN"]), some)),
            ("TB_OUTCOMES_LE_COHORT", "TB cohort >= sum of outcomes", "greater_than_or_equal_to", "Quarterly", "HIGH",
             side(total(cohort["COHORT"]), some), side(outcomes, every)),
            ("HIV_POSITIVITY_CEILING", "HIV positivity within the plausible", "less_than_or_equal_to", "Monthly", "LOW",
             side(f"{total(hiv['HIV_POSITIVE'])} / {total(hiv['HIV_TESTED'])}", some), side(ceiling, "NEVER_SKIP")),
            ("HIV_REPORTED", "HIV tests reported where reports are complete", "greater_than", "Monthly", "LOW",
             side(total(hiv["HIV_TESTED"]), "NEVER_SKIP"), side(f"R{{{sets['HIV_TESTING'].uid}.REPORTING_RATE}}", "NEVER_SKIP")),
        )  # fmt: skip
        return [
            {"id": uid(server, "rule", code), "code": code, "name": name, "operator": operator, "importance": importance,
             "periodType": period_type, "organisationUnitLevels": [], "skipFormValidation": False, "instruction": name,
             "leftSide": left, "rightSide": right}
            for code, name, operator, period_type, importance, left, right in wanted
        ]  # fmt: skip

    def _expand(self, name: str, reference: Object) -> Object:
        if set(reference) != {"id"}:
            return reference
        held = self.index.get(_SINGULAR.get(name, name), {}).get(reference["id"])
        return held if held is not None else reference

    # -- answers ---------------------------------------------------------------------------------------------------

    def answer(self, request: Request, parts: list[str], version: int) -> Answer | None:
        """The answer to /api/<plural>[/<uid>[/<relation>]]; None when there is no such list."""
        plural = parts[0]
        if plural == "organisationUnits.geojson":
            return self._geojson(request)
        if plural not in self.lists:
            return None
        if parts[1:] == ["orgUnits"] and plural == "programs":
            index = self.index["programs"]
            return json_answer(
                {u: [o["id"] for o in index[u]["organisationUnits"]] for u in request.listed("programs") if u in index}
            )
        objects = self.lists[plural]
        if len(parts) > 1:
            found = self.index[plural].get(parts[1])
            if found is None:
                kind = plural[:-1].capitalize()
                raise Refused(404, f"{kind} with id {parts[1]} could not be found.", "E1005")
            if len(parts) == 2:
                fields = parse_fields(",".join(request.all("fields")) or "*")
                return json_answer(project(found, fields, self._expand))
            objects = self._related(found, parts[2])
        if plural == "organisationUnits":
            objects = self._scoped(request, objects)
        return self._page(request, plural, objects, version)

    def _related(self, unit: Object, relation: str) -> list[Object]:
        units = self.lists["organisationUnits"]
        if relation == "descendants":
            return [o for o in units if o["path"].startswith(unit["path"] + "/")]
        if relation == "children":
            return [unit] + [o for o in units if o.get("parent", {}).get("id") == unit["id"]]
        if relation == "ancestors":
            return [o for o in units if unit["path"].startswith(o["path"] + "/")]
        raise Refused(404, f"Property {relation} does not exist", "E1005")

    def _scoped(self, request: Request, objects: list[Object]) -> list[Object]:
        if level := request.one("level"):
            objects = [o for o in objects if o["level"] == int(level)]
        if deepest := request.one("maxLevel"):
            objects = [o for o in objects if o["level"] <= int(deepest)]
        return objects

    def _geojson(self, request: Request) -> Answer:
        units = self._scoped(request, self.lists["organisationUnits"])
        features = [
            {
                "type": "Feature", "id": o["id"], "geometry": o["geometry"],
                "properties": {"code": o["code"], "name": o["name"], "level": o["level"]},
            }
            for o in units
            if "geometry" in o
        ]  # fmt: skip
        return json_answer({"type": "FeatureCollection", "features": features})

    def _page(self, request: Request, plural: str, objects: list[Object], version: int) -> Answer:
        tests = [_test(text, version) for text in request.all("filter")]
        if tests:
            chosen = any if request.one("rootJunction", "AND") == "OR" else all
            objects = [o for o in objects if chosen(test(o) for test in tests)]
        for order in reversed(request.listed("order")):
            name, _, way = order.partition(":")
            objects = sorted(objects, key=lambda o: str(o.get(name, "")), reverse=way == "desc")
        fields = parse_fields(",".join(request.all("fields")) or "id,displayName")
        if request.one("paging") in ("false", "0"):
            return json_answer({plural: [project(o, fields, self._expand) for o in objects]})
        page, size = _number(request, "page", 1), _number(request, "pageSize", 50)
        pages = max(1, -(-len(objects) // size))
        pager: Object = {"page": page, "pageCount": pages, "total": len(objects), "pageSize": size}
        shown = objects[(page - 1) * size : page * size]
        if page < pages:
            pager["nextPage"] = f"http://dhis2.invalid/api/{plural}?page={page + 1}"
        if page > 1:
            pager["prevPage"] = f"http://dhis2.invalid/api/{plural}?page={page - 1}"
        return json_answer({"pager": pager, plural: [project(o, fields, self._expand) for o in shown]})


def _number(request: Request, name: str, default: int) -> int:
    text = request.one(name)
    if text is None:
        return default
    if not re.fullmatch(r"-?\d+", text) or int(text) < 1:
        raise Refused(400, f"{name} must be a positive number, not {text!r}")
    return int(text)


def _values(made: Any, path: list[str]) -> list[Any]:
    if not path:
        return made if isinstance(made, list) else [made]
    if isinstance(made, list):
        return [v for item in made for v in _values(item, path)]
    if isinstance(made, dict):
        return _values(made.get(path[0]), path[1:])
    return [None]


def _test(text: str, version: int) -> Callable[[Object], bool]:
    """The filter `property:operator:value` as a test of one object.

    *Raises* Refused (400, E1003) for an operator that this version does not know; `!empty` came with 2.42.
    """
    name, _, rest = text.partition(":")
    operator, _, wanted = rest.partition(":")
    path = name.split(".")
    lowered = wanted.lower()
    plain: dict[str, Callable[[Any], bool]] = {
        "eq": lambda v: _same(v, wanted), "ieq": lambda v: str(v).lower() == lowered,
        "like": lambda v: lowered in str(v).lower(), "ilike": lambda v: lowered in str(v).lower(),
        "$like": lambda v: str(v).startswith(wanted), "$ilike": lambda v: str(v).lower().startswith(lowered),
        "like$": lambda v: str(v).endswith(wanted), "ilike$": lambda v: str(v).lower().endswith(lowered),
        "gt": lambda v: _order(v, wanted) > 0, "ge": lambda v: _order(v, wanted) >= 0,
        "lt": lambda v: _order(v, wanted) < 0, "le": lambda v: _order(v, wanted) <= 0,
        "in": lambda v: str(v) in wanted.strip("[]").split(","),
        "token": lambda v: all(part in str(v).lower() for part in lowered.split()),
        "null": lambda v: False, "empty": lambda v: False,
    }  # fmt: skip
    negated = operator.startswith("!") and operator not in plain
    base = operator[1:] if negated else {"ne": "eq", "neq": "eq"}.get(operator, operator)
    negated = negated or operator in ("ne", "neq")
    if base not in plain or (operator == "!empty" and version < 42):
        raise Refused(400, f"Filter operator {operator!r} in {text!r} is not supported", "E1003")

    def test(made: Object) -> bool:
        values = [v for v in _values(made, path) if v is not None]
        if base in ("null", "empty"):
            return (not values) != negated
        return any(plain[base](v) for v in values) != negated

    return test


def _same(value: Any, wanted: str) -> bool:
    return str(value).lower() == wanted.lower() if isinstance(value, bool) else str(value) == wanted


def _order(value: Any, wanted: str) -> int:
    if isinstance(value, int | float):
        number = float(wanted)
        return (value > number) - (value < number)
    text = str(value)[: len(wanted)] if len(wanted) == 10 else str(value)
    return (text > wanted) - (text < wanted)
