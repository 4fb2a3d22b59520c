"""Each of the indicators in a world of its own (worlds/*.toml), worked by hand, and each filter taken away in turn.

A world has awkward rows: closed ones, another area, another edition, a doubled record, a person outside the universe. A filter
that is lost must change one of the cells that the pencil gave; otherwise the world does not test it.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from assets.survey.declarations import Measure as SurveyMeasure
from assets.survey.declarations import WaveDesign, load_measures
from assets.survey.estimate import estimate_frame
from assets.survey.recode import record_types
from warehouse.catalogue.indicator_catalogue import (
    CATALOGUE,
    DenominatorUse,
    Indicator,
    IndicatorCatalogue,
    indicator_catalogue,
    load_catalogue,
)
from warehouse.indicator_engine import IndicatorError

CODES = sorted(indicator_catalogue().indicators)
AS_AT = datetime(2026, 7, 6, tzinfo=UTC)
CURRENT = re.compile(r"\b((?:core|estimate|restricted)\.\w+)_current\b")


@dataclass(frozen=True)
class Altered(IndicatorCatalogue):
    """The catalogue with the SELECT of some measures changed."""

    texts: Mapping[str, str] = field(default_factory=dict)

    def measure_sql(self, name: str) -> str:
        return self.texts.get(name) or super().measure_sql(name)


def altered(texts: Mapping[str, str]) -> Altered:
    known = indicator_catalogue()
    return Altered(known.indicators, known.measures, known.denominators, known.models, texts)


def used(indicator: Indicator) -> list[str]:
    """The measures that an indicator reads."""
    use = indicator_catalogue().denominator_use(indicator)
    return sorted({indicator.numerator.measure, *([use.measure] if use is not None else [])})


class Stage:
    """One world set up in the store; `misses` are the differences from the pencil under a changed catalogue."""

    def __init__(self, world: Any, pencil: Any, tools: Any) -> None:
        self.world, self.pencil, (set_up, self._misses) = world, pencil, tools
        set_up(world, pencil, estimates(pencil) if "survey_person" in pencil.rows else ())

    def misses(self, catalogue: IndicatorCatalogue | None = None) -> list[str]:
        return self._misses(self.world.observe(self.pencil.code, catalogue=catalogue), self.pencil)

    def notices(self, catalogue: IndicatorCatalogue) -> bool:
        """True when a changed catalogue gives other cells than the pencil, or none at all."""
        # Statements of a few rows spend their time in the optimizer: without it some four hundred of them cost half.
        self.world.connection.execute("pragma disable_optimizer; set threads = 1")
        try:
            return bool(self.misses(catalogue))
        except (IndicatorError, ValueError):
            # Two figures for one cell, a part above its whole, a wait that runs backwards: refused, not published.
            return True
        finally:
            self.world.connection.execute("pragma enable_optimizer; reset threads")


@pytest.fixture
def stage(world: Any, pencils: Any, pencil_tools: Any) -> Callable[[str], Stage]:
    return lambda code: Stage(world, pencils[code], pencil_tools)


def people(pencil: Any) -> pl.DataFrame:
    """The respondents of a world, each row as often as it says, every one a sampling unit."""
    rows = [row for row in pencil.rows["survey_person"] for _ in range(row.get("times", 1))]
    numbered = [{**row, "person_number": n, "psu_code": str(n)} for n, row in enumerate(rows)]
    return pl.DataFrame(
        {
            name: pl.Series([row.get(name) for row in numbered], dtype=kind, strict=False)
            for name, kind in record_types().items()
        }
    )


def estimates(pencil: Any, measures: Sequence[SurveyMeasure] | None = None) -> list[dict[str, Any]]:
    """What the estimation makes of the respondents, for the measures of this indicator."""
    chosen = measures or [m for m in load_measures() if m.code.partition(".")[0] == pencil.code]
    design = WaveDesign.model_validate(pencil.design)
    return estimate_frame(people(pencil), {design.key: design}, chosen).to_dicts()


def without_a_world(codes: Sequence[str], pencils: Mapping[str, Any]) -> list[str]:
    """Indicators without a world that asserts a value: what the coverage test wants empty."""
    return [
        code
        for code in codes
        if code not in pencils or not any(isinstance(c.get("value"), int | float) for c in pencils[code].cells)
    ]


def test_every_indicator_has_a_world_that_gives_it_a_value(pencils: Any) -> None:
    assert without_a_world(CODES, pencils) == []
    assert sorted(set(pencils) - set(CODES)) == [], "worlds of indicators that are not in the catalogue"
    for pencil in pencils.values():
        assert len(pencil.text) > 30, f"{pencil.code}: say how the figures come about"


def test_an_indicator_that_is_added_without_a_world_is_named(pencils: Any, tmp_path: Path) -> None:
    text = (CATALOGUE / "indicators" / "TB10.toml").read_text(encoding="utf-8")
    (tmp_path / "TB98.toml").write_text(text.replace('code = "TB10"', 'code = "TB98"'), encoding="utf-8")
    codes = sorted(load_catalogue(extra_indicators=tmp_path).indicators)
    assert without_a_world(codes, pencils) == ["TB98"]
    empty = replace(pencils["TB10"], code="TB98", cells=[{"area": "VNM", "period": "2026", "value": "none"}])
    assert without_a_world(codes, {**pencils, "TB98": empty}) == ["TB98"], "a world of empty cells is none"


def lost_filters(code: str) -> Iterator[tuple[str, IndicatorCatalogue]]:
    """The catalogue with one filter of the indicator taken away, or with one code taken out of a short list."""
    known = indicator_catalogue()
    indicator = known.indicators[code]
    for side in ("numerator", "denominator"):
        use = getattr(indicator, side)
        if use is None:
            continue
        named = known.denominators[use.named] if isinstance(use, DenominatorUse) and use.named is not None else None
        filters = named.filter if named is not None else use.filter
        changes = [
            (f"{side} without {column}", {c: v for c, v in filters.items() if c != column}) for column in filters
        ]
        for column, codes in filters.items():
            if 1 < len(codes) <= 6:
                changes += [
                    (f"{side} without {column}={one}", {**filters, column: tuple(c for c in codes if c != one)})
                    for one in codes
                ]
        for what, changed in changes:
            if named is not None:
                denominators = {**known.denominators, use.named: named.model_copy(update={"filter": changed})}
                yield what, IndicatorCatalogue(known.indicators, known.measures, denominators, known.models)
            else:
                other = indicator.model_copy(update={side: use.model_copy(update={"filter": changed})})
                yield (
                    what,
                    IndicatorCatalogue(
                        {**known.indicators, code: other}, known.measures, known.denominators, known.models
                    ),
                )


@pytest.mark.parametrize("code", CODES)
def test_the_world_by_pencil_and_with_each_filter_lost(code: str, stage: Callable[[str], Stage]) -> None:
    made = stage(code)
    assert made.misses() == []
    unnoticed = [what for what, catalogue in lost_filters(code) if not made.notices(catalogue)]
    assert unnoticed == [], f"{code}: the world does not tell these apart"
    known = indicator_catalogue()
    for measure in used(known.indicators[code]):
        closed = altered({measure: CURRENT.sub(r"\1", known.measure_sql(measure))})
        assert made.notices(closed), f"{code}: rows that are closed in {measure} change nothing"


def weakened(text: str) -> Iterator[tuple[str, str]]:
    """A SELECT with one of its conditions taken away: (the condition, the text without it)."""
    lines = text.splitlines()
    for first, line in enumerate(lines):
        found = re.match(r"^(\s*)(where|and|having|\) and) (?!\()", line)
        if not found or line.strip().startswith("--"):
            continue
        last, depth = first, line.count("(") - line.count(")")
        while depth > 0:
            last += 1
            depth += lines[last].count("(") - lines[last].count(")")
        if depth < 0:
            continue
        kept = [f"{found[1]}{found[2]} true"]
        condition = " ".join(part.strip() for part in lines[first : last + 1])
        yield condition, "\n".join([*lines[:first], *kept, *lines[last + 1 :]])


_UNDATED = "a row without a day lies in no period"
_ONE_DOCUMENT = "a window and period have one document that serves"
_NO_TOTAL = "nothing less something, or something less nothing, is NULL, and NULL is not zero or more"
EQUIVALENT: Mapping[str, Mapping[str, str]] = {
    "labour_deployment": {
        "and figure.window_code in ('month', 'year', 'cumulative')": "no other window serves",
        "where whole.document_code = figure.document_code": _ONE_DOCUMENT,
        "where part.document_code = whole.document_code": _ONE_DOCUMENT,
        "and whole.document_code = remainder.document_code": _ONE_DOCUMENT,
        "and whole.sex_code = '_T'": "the women of a destination are their own part",
        "having count(*) filter (where destination_code = '_T') = 1": _NO_TOTAL,
        "and count(*) filter (where destination_code not in ('_T', '_O')) > 0": _NO_TOTAL,
    },
    "labour_worker_years": {
        "where departed_on is not null": "the least of some years passes over those that are unknown",
        "where contract.departed_on is not null": "who never left is in no stock, and a stock of nobody is no row",
    },
    "health_examination": {"where examined_on is not null": _UNDATED},
    "labour_departure": {"where departed_on is not null": _UNDATED},
    "labour_return": {"where returned_on is not null": _UNDATED},
    "referral": {"and referred_on is not null": _UNDATED},
    "referral_wait": {"and referred_on is not null": _UNDATED},
    "plan_task": {
        "where register_code in ('gcm_tasks_due', 'gcm_tasks_completed')": "each side of GV01 names its register"
    },
}
"""Conditions that another one repeats: losing one of them changes no figure. They stand in the SELECT for the reader."""


@pytest.mark.parametrize("measure", sorted(indicator_catalogue().measures))
def test_every_condition_of_a_measure_is_noticed_by_a_world(
    measure: str, world: Any, pencils: Any, pencil_tools: Any
) -> None:
    known = indicator_catalogue()
    mutants = dict(weakened(known.measure_sql(measure)))
    assert set(EQUIVALENT.get(measure, {})) <= set(mutants), "a condition that is no longer there"
    left = {what: text for what, text in mutants.items() if what not in EQUIVALENT.get(measure, {})}
    for code in CODES:
        if not left or measure not in used(known.indicators[code]):
            continue
        world.renew()
        made = Stage(world, pencils[code], pencil_tools)
        left = {what: text for what, text in left.items() if not made.notices(altered({measure: text}))}
    assert sorted(left) == [], f"no world of {measure} tells these conditions"


def narrower(measure: SurveyMeasure) -> Iterator[tuple[str, SurveyMeasure]]:
    """A survey measure with one limit of its universe taken away, or with the weight of persons for that of households."""
    for key in ("universe", "minimum", "maximum"):
        limits = getattr(measure, key)
        for name in limits:
            yield f"{key} {name}", measure.model_copy(update={key: {n: v for n, v in limits.items() if n != name}})
    if measure.weight == "household_member":
        yield "weight", measure.model_copy(update={"weight": "person"})


@pytest.mark.parametrize(
    "code", [code for code in CODES if used(indicator_catalogue().indicators[code]) == ["survey_estimate"]]
)
def test_every_limit_of_a_survey_universe_is_noticed_by_its_world(code: str, pencils: Any) -> None:
    """MG01 has none but the conditions of its question; of UH04 to UH09 status and need, of NC02 and NC03 age as well."""
    whole = [m.model_copy(update={"breakdowns": ((),)}) for m in load_measures() if m.code == code]
    (measure,) = [m for m in whole if m.category_code == "_T"]
    (row,) = estimates(pencils[code], [measure])
    (cell,) = [c for c in pencils[code].cells if c["area"] == "VNM"]
    factor = indicator_catalogue().indicators[code].factor
    assert row["value"] * factor == pytest.approx(cell["value"])
    for what, other in narrower(measure):
        (changed,) = estimates(pencils[code], [other])
        assert (changed["value"], changed["n_unweighted"]) != (row["value"], row["n_unweighted"]), f"{code}: {what}"
