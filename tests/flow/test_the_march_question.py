"""The March question: what did we say in March, why is it different now, and where does the difference come from?

The practice ground's own Viet Nam server from March to August 2025, its truth taken straight from the world (no HTTP): it
revises and deletes figures, sends late ones, and on 1 July merges its provinces. On top of that a population is revised, the
definition of TB03 changes, and a correction is entered and lifted. Real parts: landing, load transactions, history, the
engine, the change log, disclosure control, releases. The oracle is the world itself (`World.totals`), which knows nothing of
the warehouse.
"""

import json
import re
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from practice.world import geography
from practice.world.aggregates import period_days
from practice.world.definitions import data_sets
from practice.world.region import World
from warehouse.catalogue.correction_ledger import Correction
from warehouse.catalogue.disclosure import load_policy
from warehouse.catalogue.indicator_catalogue import IndicatorCatalogue, indicator_catalogue
from warehouse.catalogue.table_catalogue import load_codelist, tables
from warehouse.change_log import CAUSES
from warehouse.corrections import Verdict, apply_corrections
from warehouse.explain import NoSuchCell, explain
from warehouse.indicator_engine import compute_with_findings
from warehouse.landing import Landing
from warehouse.load import transaction
from warehouse.publishing.change_log import published_changes
from warehouse.publishing.content import release_observations
from warehouse.publishing.inputs import area_links, causes_between, observations_at
from warehouse.publishing.protection import protect
from warehouse.refresh_log import delays_of, log_refresh, mark_corrected
from warehouse.reporting_delay import reporting_delays
from warehouse.store import Warehouse

MARCH = datetime(2025, 3, 17, 22, tzinfo=UTC)
WEEKS = tuple(MARCH + timedelta(weeks=2 * n) for n in range(10))
MERGER = datetime(2025, 7, 1, tzinfo=UTC)
NOW = WEEKS[-1]
OLD_DEFINITION = indicator_catalogue()


def new_definition() -> IndicatorCatalogue:
    """TB03 over all episodes, those of unknown birthplace included, as version 2."""
    known = indicator_catalogue()
    share = known.indicators["TB03"]
    whole = share.denominator.model_copy(
        update={"filter": {**share.denominator.filter, "migrant_status_code": ("0", "2", "99")}}
    )
    changed = share.model_copy(update={"definition_version": "2", "denominator": whole})
    return replace(known, indicators={**known.indicators, "TB03": changed})


def only(catalogue: IndicatorCatalogue) -> list:
    return [catalogue.indicators[code] for code in ("TB02", "TB03")]


@dataclass
class Ground:
    """The store, the world, and what each refresh logged."""

    warehouse: Warehouse
    landing: Landing
    world: World
    verdicts: dict[datetime, list[Verdict]] = field(default_factory=dict)

    def corrections(self) -> tuple[Correction, ...]:
        """The largest figure of October 2024 that stays as it is to the end, halved from the eighth refresh until it expires
        before the tenth; and an entry whose wrong value was never there."""
        element, _ = _by_origin()
        sent = [
            {v.org_unit + v.category_option_combo: v for v in self.world.server("vnm", at).data_values
             if v.data_element == element and v.period == "202410" and not v.deleted}
            for at in (WEEKS[6], NOW)
        ]  # fmt: skip
        own = {unit.uid for unit in geography.org_units("vnm") if unit.kind == "facility" and not unit.is_partner}
        same = [v for k, v in sent[0].items() if v.org_unit in own and k in sent[1] and sent[1][k].value == v.value]
        value = max(same, key=lambda v: (int(v.value), v.org_unit))
        common = {
            "table": "core.data_value", "column": "value_number", "provider": "dhis2_vnm", "entered_by": "team:mhwg-data",
            "reason": "The facility confirms that it counted every episode twice.", "entered_on": WEEKS[7].date(),
            "scope": {"period_code": "202410", "data_element_uid": element, "org_unit_uid": value.org_unit,
                      "category_option_combo_uid": value.category_option_combo},
        }  # fmt: skip
        return (
            Correction(code="VNM-1", expected=int(value.value), action="scale", factor=0.5,
                       expires_on=WEEKS[8].date(), **common),
            Correction(code="VNM-2", expected=987_654, action="set", value=1, **common),
        )  # fmt: skip

    def refresh(self, at: datetime, catalogue: IndicatorCatalogue, population: float) -> None:
        """One weekly refresh: what the server and the publisher say at the instant, the figures, and why they moved."""
        self._load("dhis2_vnm", at, self._from_server(at))
        self._load("reference", at, self._reference(at, population))
        with transaction(self.warehouse, "corrections", at) as load:
            self.verdicts[at] = apply_corrections(load, self.corrections(), at.date())
        with transaction(self.warehouse, "indicator", at) as load:
            delays = reporting_delays(load.connection, at)
            observations = compute_with_findings(
                load.connection, only(catalogue), at, catalogue=catalogue, delays=delays_of(delays)
            ).observations
            observations = mark_corrected(load.connection, observations, at, delays_of(delays), catalogue)
            log_refresh(load, observations, at, delays, catalogue, program="same")
            load.load_frame("indicator.observation", observations, mode="snapshot")
            load.report.remembered = True

    def _load(self, source: str, at: datetime, frames: dict[str, pl.DataFrame]) -> None:
        pull = self.landing.pull(source, "all", at, is_practice=True)
        pull.write("rows.json", json.dumps({name: f.write_json() for name, f in frames.items()}).encode())
        receipt = pull.finish("json", f"practice ground {source}", {}, sum(f.height for f in frames.values()))
        with transaction(self.warehouse, source, at) as load:
            for name, frame in frames.items():
                table = tables()[name]
                rows = frame.with_columns(
                    pl.lit(None).alias(column) for column in table.batch_columns if column not in frame.columns
                )
                load.load_frame(name, rows.with_columns(receipt_id=pl.lit(receipt.receipt_id)), mode="snapshot")
            if "core.org_unit" in frames:
                load.load_history("core.org_unit_earlier_place", mode="snapshot", scope={"instance_code": "vnm"})
            load.register([receipt])
        self.landing.settle_pulls(source)

    def _from_server(self, at: datetime) -> dict[str, pl.DataFrame]:
        state = self.world.server("vnm", at)
        element, status = _by_origin()
        values = [
            {
                "instance_code": "vnm", "data_element_uid": value.data_element, "period_code": value.period,
                "org_unit_uid": value.org_unit, "category_option_combo_uid": value.category_option_combo,
                "attribute_option_combo_uid": value.attribute_option_combo, "concept_code": "TB_NOTIFIED_BY_ORIGIN",
                "category_code": f"migrant_status={status[value.category_option_combo]}", "value_text": value.value,
                "value_number": float(value.value), "period_type_code": "M", "updated_at": value.updated_at,
                "period_start_on": period_days(value.period)[0], "period_end_on": period_days(value.period)[1],
                "is_practice": True,
            }
            for value in state.data_values
            if value.data_element == element and not value.deleted
        ]  # fmt: skip
        return {"core.data_value": pl.DataFrame(values), "core.org_unit": pl.DataFrame(_units(state))}

    def _reference(self, at: datetime, population: float) -> dict[str, pl.DataFrame]:
        areas = [_area("VNM", "country", None, "iso3")]
        provinces = {u.area_code for u in geography.org_units("vnm") if u.area_code and u.area_code.startswith("VN")}
        known = [code for code in sorted(provinces) if code.startswith("VN63") or code == "VN34-01" or at >= MERGER]
        areas += [_area(code, "province", "VNM", "vn34" if code.startswith("VN34") else "vn63") for code in known]
        frames = {
            "core.area": pl.DataFrame(areas),
            "core.area_membership": pl.DataFrame(
                [{"group_code": "ASEAN", "membership_version": "ASEAN10", "area_code": "VNM",
                  "valid_from_on": date(1995, 7, 28)}]
            ),
            "core.reference_value": pl.DataFrame([
                _series("population_wpp", "wpp2024", population), _series("tb_notifications", "gtb2024", 110_000.0),
            ]),
        }  # fmt: skip
        if at >= MERGER:
            frames["core.area_succession"] = pl.DataFrame(
                [
                    {"old_area_code": f"VN63-{old}", "new_area_code": f"VN34-{new}", "kind_code": "merged",
                     "effective_on": date(2025, 7, 1), "legal_basis": "Resolution 202/2025/QH15"}
                    for old, _, new, *_ in geography._VN_OLD
                ]
            )  # fmt: skip
        return frames


def _by_origin() -> tuple[str, dict[str, str]]:
    """UID of the data element of episodes by place of birth, and the migrant status of each of its option combos."""
    element = next(e for e in data_sets("vnm")["TB_MONTHLY"].elements if e.concept_code == "TB_NOTIFIED_BY_ORIGIN")
    return element.uid, {combo.uid: dict(combo.meaning)["migrant_status"] for combo in element.combo.option_combos}


def _units(state) -> list[dict]:
    by_uid = {unit.uid: unit for unit in state.org_units}

    def province(unit):
        while unit is not None and unit.area_code is None:
            unit = by_uid.get(unit.parent_at(state.instant))
        return unit.area_code if unit is not None else "_U"

    return [
        {
            "instance_code": "vnm", "org_unit_uid": unit.uid, "name": unit.name, "level": 4, "path": state.paths[unit.uid],
            "parent_uid": unit.parent_at(state.instant), "opening_on": unit.opening_on, "closed_on": unit.closed_on,
            "country_code": "VNM", "province_area_code": province(unit), "is_practice": True,
        }
        for unit in state.org_units
        if unit.kind == "facility" and not unit.is_partner
    ]  # fmt: skip


def _area(code: str, kind: str, parent: str | None, frame: str) -> dict:
    return {"area_code": code, "area_type_code": kind, "parent_code": parent, "frame_code": frame, "name_en": code,
            "name_vi": code, "official_code": code, "valid_from_on": date(1976, 1, 1)}  # fmt: skip


def _series(series: str, edition: str, value: float) -> dict:
    codes = dict.fromkeys(("sex_code", "age_code", "origin_code", "destination_code", "category_code"), "_T")
    return {"series_code": series, "edition_code": edition, "area_code": "VNM", "year": 2024, "value": value, **codes,
            "unit": "persons", "producer": "as published", "is_current_edition": True, "is_practice": False}  # fmt: skip


@pytest.fixture(scope="module")
def ground(tmp_path_factory) -> Ground:
    """Ten refreshes, two weeks apart: the population is revised at the fourth, the definition at the seventh, a correction
    acts at the eighth and ninth, and the ninth is the first after the merger."""
    folder = tmp_path_factory.mktemp("march")
    made = Ground(Warehouse(folder / "warehouse.duckdb", tables()), Landing(folder / "landing"), World(1))
    for number, at in enumerate(WEEKS):
        made.refresh(
            at,
            new_definition() if number >= 6 else OLD_DEFINITION,
            population=100_000_000.0 if number < 3 else 101_300_000.0,
        )
    return made


def observed(ground: Ground, at: datetime) -> pl.DataFrame:
    return ground.warehouse.read(
        "select * from indicator.observation_as_of($at) order by all", {"at": at.replace(tzinfo=None)}
    )


def changes(ground: Ground) -> pl.DataFrame:
    return ground.warehouse.read("select * from indicator.change order by all")


def test_the_table_then_and_now_are_what_the_world_says(ground):
    own = {unit.uid for unit in geography.org_units("vnm") if not unit.is_partner}
    for at, statuses in ((MARCH, {"0", "2"}), (NOW, {"0", "2", "99"})):
        element, status = _by_origin()
        counted = sum(
            int(value.value)
            for value in ground.world.server("vnm", at).data_values
            if value.data_element == element and value.period[:4] == "2024" and not value.deleted
            if value.org_unit in own and status[value.category_option_combo] in statuses
        )
        shown = observed(ground, at).filter(indicator_code="TB03", area_code="VNM", period_code="2024")
        assert shown["denominator"].to_list() == [counted]


def test_nothing_is_unexplained(ground):
    told = changes(ground)
    assert told.filter(cause_code="unexplained").is_empty()
    assert set(told["cause_code"]) <= set(CAUSES)
    cell = ["indicator_code", "area_code", "period_code"]
    tables_shown = [observed(ground, at) for at in WEEKS]
    seen = 0
    for at, old, new in zip(WEEKS[1:], tables_shown, tables_shown[1:], strict=False):
        both = old.join(new, on=cell, how="full", coalesce=True, suffix="_now")
        moved = both.filter(pl.col("value").ne_missing(pl.col("value_now")))
        explained = told.filter(pl.col("refresh_at") == at.replace(tzinfo=None))
        assert moved.join(explained, on=cell, how="anti").is_empty()
        seen += moved.height
    assert seen > 100


def test_contributions_add_up_to_the_change(ground):
    cell = ["refresh_at", "indicator_code", "area_code", "period_code"]
    added = (
        changes(ground)
        .filter(pl.col("value_before").is_not_null() & pl.col("value_after").is_not_null())
        .group_by(cell)
        .agg(
            pl.col("contribution").sum(),
            (pl.col("value_after") - pl.col("value_before")).first().alias("change"),
            pl.col("contribution").is_null().any().alias("is_open"),
        )
        .filter(~pl.col("is_open"))
    )
    assert added.height > 20
    assert (added["contribution"] - added["change"]).abs().max() < 1e-9


def test_every_cause_is_found_where_it_was_put(ground):
    told = changes(ground)
    at = {number: week.replace(tzinfo=None) for number, week in enumerate(WEEKS)}
    population = told.filter((pl.col("indicator_code") == "TB02") & (pl.col("cause_code") == "reference_change"))
    assert population.select("refresh_at", "area_code", "period_code").rows() == [
        (at[3], "ASEAN", "2024"),
        (at[3], "VNM", "2024"),
    ]
    assert population["value_before"][0] == pytest.approx(110.0)
    assert population["value_after"][0] == pytest.approx(110_000 / 101.3e6 * 1e5)
    redefined = told.filter(cause_code="definition_change")
    assert set(redefined["refresh_at"]) == {at[6]}
    assert set(redefined["version_before"]) == {"1"}
    assert set(redefined["definition_version"]) == {"2"}
    merged = told.filter(
        (pl.col("indicator_code") == "TB03")
        & (pl.col("cause_code") == "reference_change")
        & (pl.col("refresh_at") == at[8])
    )
    assert {code for code in merged["area_code"] if code.startswith("VN34")}
    by_source = told.filter((pl.col("indicator_code") == "TB03") & pl.col("period_code").str.starts_with("2025"))
    assert {"revision_at_source", "deletion_at_source"} <= set(by_source["cause_code"])


def test_a_correction_acts_while_it_holds_and_no_longer(ground):
    states = {number: {v.correction.code: v.state for v in ground.verdicts[at]} for number, at in enumerate(WEEKS)}
    assert [states[n]["VNM-1"] for n in range(6, 10)] == ["ended", "applied", "applied", "ended"]
    assert [states[n]["VNM-2"] for n in (7, 8, 9)] == ["refused"] * 3
    refused = next(v for v in ground.verdicts[WEEKS[7]] if v.correction.code == "VNM-2")
    assert "expects 987654 and finds" in refused.sentence
    told = changes(ground).filter(cause_code="correction")
    at = [WEEKS[7].replace(tzinfo=None), WEEKS[9].replace(tzinfo=None)]
    assert sorted(set(told["refresh_at"])) == at
    quarter = told.filter((pl.col("area_code") == "VNM") & (pl.col("period_code") == "2024Q4"))
    there, back = quarter.sort("refresh_at")["contribution"].to_list()
    assert there != 0
    assert there * back < 0
    marked = observed(ground, WEEKS[8]).filter(pl.col("footnote_codes").list.contains("corrected"))
    assert {("VNM", "2024"), ("VNM", "2024Q4")} <= set(marked.select("area_code", "period_code").rows())
    assert observed(ground, NOW).filter(pl.col("footnote_codes").list.contains("corrected")).is_empty()
    # The raw row was sent again at every refresh; its history still shows one span of the corrected value.
    entry = ground.corrections()[0]
    spans = ground.warehouse.read(
        "select value_number, recorded_from from core.data_value where period_code = '202410' and org_unit_uid = $unit "
        "and category_option_combo_uid = $combo order by recorded_from",
        {"unit": entry.scope["org_unit_uid"], "combo": entry.scope["category_option_combo_uid"]},
    )
    wrong = float(entry.expected)
    assert spans["value_number"].to_list() == [wrong, wrong / 2, wrong]


def test_what_leaves_shows_no_hidden_number_and_explains_the_rest(ground):
    with ground.warehouse.connect(read_only=True) as connection:
        then, now = (
            release_observations(
                protect(observations_at(connection, at), load_policy(), areas=area_links(connection, at)).frame
            )
            for at in (MARCH, NOW)
        )
        causes = causes_between(connection, f"{MARCH:%Y%m%dT%H%M%SZ}", NOW)
    told = published_changes("now", then, now, causes)
    assert "unexplained" not in set(told["cause_codes"].explode())
    hidden = told.filter(
        (pl.col("status_before") == "Q").fill_null(False) | (pl.col("status_after") == "Q").fill_null(False)
    )
    assert hidden.height > 0
    assert hidden.select(pl.col("value_before", "value_after").is_not_null().any()).row(0) == (False, False)
    assert set(hidden["cause_codes"].explode()) == {"disclosure_control"}
    share = told.filter((pl.col("area_code") == "VNM") & (pl.col("period_code") == "2025Q1"))
    assert share["change_code"].to_list() == ["redefined"]
    assert share["version_before"].to_list() == ["1"]
    assert share["cause_codes"][0].to_list()[0] == "definition_change"
    assert {"revision_at_source", "late_data"} & set(share["cause_codes"][0].to_list())


def test_explain_tells_all_but_what_the_release_hides(ground):
    with ground.warehouse.connect(read_only=True) as connection:
        unreleased = explain(connection, "TB03", "VNM", "2025Q1", catalogue=new_definition())
        protected = protect(observations_at(connection, NOW), load_policy(), areas=area_links(connection, NOW)).frame
    assert unreleased["figure"]["hidden"].startswith("not released yet")
    assert not any(unreleased["figure"][name] for name in ("value", "numerator", "denominator", "n"))
    assert {part["quantity"] for part in unreleased["counts"]} == {"hidden"}
    assert {vintage["value"] for vintage in unreleased["vintages"]} == {"hidden"}
    with transaction(ground.warehouse, "release", NOW) as load:
        load.replace_rows("release.observation", protected)
        load.report.remembered = True
    hidden = protected.filter((pl.col("obs_status") == "Q") & (pl.col("indicator_code") == "TB03")).row(0, named=True)
    with ground.warehouse.connect(read_only=True) as connection:
        told = explain(connection, "tb03", "VNM", "2025Q1", catalogue=new_definition())
        closed = explain(connection, "TB03", hidden["area_code"], hidden["period_code"], catalogue=new_definition())
        with pytest.raises(NoSuchCell, match="Periods of that area: 2025"):
            explain(connection, "TB03", "VNM", "2031", catalogue=new_definition())
    figure = told["figure"]
    shown = (
        observed(ground, NOW).filter(indicator_code="TB03", area_code="VNM", period_code="2025Q1").row(0, named=True)
    )
    top, below = shown["numerator"], shown["denominator"]
    assert (figure["numerator"], figure["denominator"]) == (top, below)
    by_side = {(part["side"], part["source"]): part["quantity"] for part in told["counts"]}
    assert by_side == {("numerator", "dhis2_vnm"): top, ("denominator", "dhis2_vnm"): below}
    assert {receipt["source_code"] for receipt in told["receipts"]} == {"dhis2_vnm"}
    assert all(len(receipt["sha256"]) == 64 for receipt in told["receipts"])
    versions = [vintage["definition_version"] for vintage in told["vintages"]]
    assert versions == sorted(versions)
    assert versions[0] == "1"
    assert "definition_change" in told["vintages"][versions.index("2")]["causes"]
    assert [vintage["version"] for vintage in told["definition"]["in_force_since"]] == ["1", "2"]
    assert closed["figure"]["hidden"].startswith("hidden by disclosure control")
    assert {part["quantity"] for part in closed["counts"]} <= {"hidden"}
    assert all(closed["figure"][name] is None for name in ("value", "numerator", "denominator", "n", "lower", "upper"))
    assert {vintage["value"] for vintage in closed["vintages"]} <= {"hidden", None}
    assert not any(vintage["causes"] for vintage in closed["vintages"])


# The page of the play: docs/time.md prints what this run says; `make time-page` writes it.

PAGE = Path(__file__).parents[2] / "docs" / "time.md"
BEGIN, END = "<!-- the play, written by `make time-page` -->\n", "<!-- end of the play -->"
SHOWN = ("2024", "2024Q4", "2025Q1")


def told_as_page(ground: Ground) -> str:
    """The March question and its answer in words: the table then and now, why each figure moved, and how often each cause acted."""
    then, now = (observed(ground, at).filter(indicator_code="TB03", area_code="VNM") for at in (MARCH, NOW))
    lines = [
        "TB03, migrant share of notified tuberculosis, Viet Nam:",
        "",
        f"| period | said on {_day(MARCH)} | said on {_day(NOW)} |",
        "|---|---|---|",
        *(f"| {period} | {_figure(then, period)} | {_figure(now, period)} |" for period in SHOWN),
    ]
    told = changes(ground).filter(indicator_code="TB03", area_code="VNM")
    for period in SHOWN:
        lines += ["", f"Why {period} moved (percentage points, in the order in which causes act):", ""]
        lines += ["| refresh | cause | moved it by | from → to |", "|---|---|---|---|"]
        mine = told.filter(period_code=period).sort("refresh_at", "cause_order")
        for at in mine["refresh_at"].unique().sort():
            rows = mine.filter(refresh_at=at).to_dicts()
            for number, row in enumerate(rows):
                by = "status only" if not row["contribution"] else f"{row['contribution']:+.3f}"
                last = number == len(rows) - 1
                ends = f"{_percent(row['value_before'])} → {_percent(row['value_after'])}" if last else ""
                lines.append(f"| {_day(at) if number == 0 else ''} | {_cause(row['cause_code'])} | {by} | {ends} |")
    counted = changes(ground).group_by("cause_code").len().sort("len", "cause_code", descending=[True, False])
    causes = ", ".join(f"{_cause(code)} {count}" for code, count in counted.iter_rows() if code != "unexplained")
    left = changes(ground).filter(cause_code="unexplained").height
    lines += [
        "",
        f"In the whole play {changes(ground).height} causes were recorded: {causes}; not explained: {left or 'none'}.",
    ]
    return "\n".join(lines) + "\n"


def _day(at: datetime) -> str:
    return f"{at.day} {at:%B %Y}"


def _percent(value: float | None) -> str:
    return "no figure" if value is None else f"{value:.3f}"


def _figure(frame: pl.DataFrame, period: str) -> str:
    row = frame.filter(period_code=period).row(0, named=True)
    more = [f"version {row['definition_version']}", *(["provisional"] if "P" in row["obs_flags"] else [])]
    return f"{row['value']:.2f} % ({row['numerator']:,.0f} of {row['denominator']:,.0f}, {', '.join(more)})"


def _cause(code: str) -> str:
    return next(entry.name_en for entry in load_codelist("change_cause") if entry.code == code).lower()


def _skeleton(text: str) -> set[str]:
    """What of the play must stand on the page whatever the practice ground draws: headings, heads of tables, and the verdict."""
    heads = {line for line in text.splitlines() if line.startswith(("| period", "| refresh", "Why ", "TB03,"))}
    causes = re.search(r"causes were recorded: (.*); not explained: (.*)\.", text)
    assert causes is not None, "the page has no sum of causes; run `make time-page`"
    return heads | {re.sub(r" \d+$", "", cause) for cause in causes[1].split(", ")} | {f"not explained: {causes[2]}"}


def test_the_page_tells_the_play(ground, request):
    page = PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    shown, _, after = rest.partition(END)
    told = told_as_page(ground)
    if request.config.getoption("--write-page"):
        PAGE.write_text(f"{before}{BEGIN}{told}{END}{after}", encoding="utf-8")
        shown = told
    assert _skeleton(shown) == _skeleton(told), "docs/time.md tells another play; run `make time-page`"
