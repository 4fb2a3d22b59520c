"""The lock of the release on whole systems of tables: what it hides suffices, by an audit that shares nothing with it.

The audit here knows how the worlds were made: it writes every published figure as a sum of the finest cells and asks an
integer programme for the
least and greatest value of each small one. It does not use the relations, the equations or the search of the product.
"""

import pickle
import random
from calendar import monthrange
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.optimize import Bounds, LinearConstraint, milp

from warehouse.catalogue.disclosure import POLICY_FILE, DisclosurePolicy, DisclosurePolicyError, load_policy
from warehouse.publishing import protection
from warehouse.publishing.protection import KEY_COLUMNS, NULLED_COLUMNS, DisclosureFailure, Protected, protect

POLICY = load_policy()
SYSTEMS = 200
FLOATS = ("value", "lower", "upper", "se", "numerator", "denominator", "coverage_share")


def span(period: str) -> tuple[date, date]:
    year = int(period[:4])
    if len(period) == 4:
        return date(year, 1, 1), date(year, 12, 31)
    first, last = (3 * int(period[5]) - 2, 3 * int(period[5])) if period[4] == "Q" else (int(period[4:]),) * 2
    return date(year, first, 1), date(year, last, monthrange(year, last)[1])


def observation(indicator: str, **given_values: Any) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(KEY_COLUMNS, "_T")
    row |= {"indicator_code": indicator, "definition_version": "1", "area_code": "VNM", "period_code": "2026"}
    row |= dict.fromkeys(FLOATS) | {"n": None, "interval_code": None, "membership_version": None}
    row |= {"period_type_code": "A", "unit_code": "persons", "method_code": "count", "obs_status": "A"}
    row |= {"source_codes": ["dhis2"], "receipt_ids": ["r1"], "footnote_codes": [], "is_practice": True} | given_values
    row["period_start_on"], row["period_end_on"] = span(row["period_code"])
    row["obs_flags"] = [row["obs_status"]]
    return row


def frame_of(rows: list[dict[str, Any]]) -> pl.DataFrame:
    return pl.DataFrame(
        rows,
        schema_overrides=dict.fromkeys(FLOATS, pl.Float64)
        | {
            "n": pl.Int64,
            "interval_code": pl.String,
            "membership_version": pl.String,
            "footnote_codes": pl.List(pl.String),
        },
        infer_schema_length=None,
    )


Finest = tuple[str, str, str, str]


@dataclass(frozen=True)
class World:
    """Published counts, each as the set of finest cells (area, month, sex, destination) that it sums."""

    frame: pl.DataFrame
    areas: pl.DataFrame
    finest: dict[Finest, int]
    members: dict[tuple[Any, ...], tuple[Finest, ...]]


def make_world(seed: int) -> World:
    """Two to four provinces in one or two regions of one country, one to four months in quarters, sexes and destinations."""
    rng = random.Random(seed)
    provinces = [f"VN34-{number:02d}" for number in range(rng.choice((2, 3)))]
    successor = dict.fromkeys(provinces[:2], "VN34-90") if rng.random() < 0.3 and len(provinces) > 2 else {}
    months = [f"2026{number:02d}" for number in sorted(rng.sample(range(1, 7), rng.choice((1, 1, 1, 2))))]
    destinations = ["JPN", "KOR", "_O"][: rng.choice((1, 2, 3))]
    finest: dict[Finest, int] = {}
    for key in product(provinces, months, "FM", destinations):
        finest[key] = rng.choice((0, 1, 2, 3, 4, 6, 9, 14, 25, 60)) if rng.random() < 0.8 else rng.randrange(5, 200)
    has_crossing = rng.random() < 0.7
    has_quarters = rng.random() < 0.5
    members: dict[tuple[Any, ...], list[Finest]] = {}
    for key in finest:
        province, month, sex, destination = key
        quarter = f"2026Q{(int(month[4:]) + 2) // 3}"
        places = [province, "VNM", *([successor[province]] if province in successor else [])]
        times = [month, "2026", *([quarter] if has_quarters else [])]
        for place, time in product(places, times):
            for sex_code, destination_code in (
                (sex, "_T"),
                ("_T", destination),
                ("_T", "_T"),
                *([(sex, destination)] if has_crossing else []),
            ):
                members.setdefault((place, time, sex_code, destination_code), []).append(key)
    rows, by_key = [], {}
    for (place, time, sex_code, destination_code), cells in members.items():
        count = sum(finest[cell] for cell in cells)
        row = observation(
            "LM07",
            area_code=place,
            period_code=time,
            sex_code=sex_code,
            destination_code=destination_code,
            value=float(count),
            numerator=float(count),
        )
        rows.append(row)
        by_key[tuple(row[column] for column in KEY_COLUMNS)] = tuple(cells)
    links = [(province, "VNM", "a") for province in provinces] + [
        (province, region, "a") for province, region in successor.items()
    ]
    links += [("VN34-90", "VNM", "b")] if successor else []
    rng.shuffle(rows)
    return World(
        frame_of(rows),
        pl.DataFrame(links, schema=["area_code", "parent_code", "frame_code"], orient="row"),
        finest,
        by_key,
    )


def recovered(
    world: World, shown: dict[tuple[Any, ...], float], width: int = 5, threshold: int = 5, base: int = 1
) -> list[tuple[Any, ...]]:
    """Keys of small hidden counts that an attacker places in an interval narrower than `width`, over all whole-number worlds.

    With a `base`, what is shown is a multiple of it, and the attacker knows that it was rounded (half up) from one of `base` values.
    """
    order = {cell: number for number, cell in enumerate(world.finest)}

    def sums(keys: list[tuple[Any, ...]]) -> np.ndarray:
        matrix = np.zeros((len(keys), len(order)))
        for number, key in enumerate(keys):
            matrix[number, [order[cell] for cell in world.members[key]]] = 1
        return matrix

    published = list(shown)
    seen = np.array(list(shown.values()))
    low, high = np.maximum(np.ceil(seen - base / 2), 0), np.ceil(seen + base / 2) - 1
    constraints = [LinearConstraint(sums(published), low, high)] if published else []
    ceiling = 10_000.0
    failures = []
    for key, cells in world.members.items():
        truth = sum(world.finest[cell] for cell in cells)
        if key in shown or not 0 < truth < threshold:
            continue
        goal = sums([key])[0]
        ends = []
        for sign in (1, -1):
            answer = milp(
                sign * goal, constraints=constraints, bounds=Bounds(0, ceiling), integrality=np.ones(len(order))
            )
            assert answer.status == 0, answer.message
            ends.append(round(sign * answer.fun))
        assert ends[0] <= truth <= ends[1]
        if ends[1] - ends[0] < width:
            failures.append(key)
    return failures


def shown_by(frame: pl.DataFrame) -> dict[tuple[Any, ...], float]:
    keys = frame.select(KEY_COLUMNS).iter_rows()
    return {key: value for key, value in zip(keys, frame["value"], strict=True) if value is not None}


def primary_only(world: World) -> dict[tuple[Any, ...], float]:
    return {key: value for key, value in shown_by(world.frame).items() if not 0 < value < 5}


def one_partner(world: World) -> dict[tuple[Any, ...], float]:
    """What is often done by hand: for each small count, the other sex (or else the next destination) is blanked too."""
    shown = primary_only(world)
    sex, destination = KEY_COLUMNS.index("sex_code"), KEY_COLUMNS.index("destination_code")
    for key, value in shown_by(world.frame).items():
        if not 0 < value < 5:
            continue
        place = sex if key[sex] != "_T" else destination
        siblings = [
            other
            for other in shown
            if other[place] not in ("_T", key[place])
            and other[:place] + other[place + 1 :] == key[:place] + key[place + 1 :]
        ]
        if siblings:
            del shown[min(siblings, key=lambda other: (shown[other], other))]
    return shown


@pytest.mark.parametrize("part", range(8))
def test_no_system_of_tables_gives_a_small_count_away(part: int) -> None:
    """200 random systems with hierarchies of area and period, linked margins and partial crossings: none outside policy."""
    checked = 0
    for seed in range(part, SYSTEMS, 8):
        world = make_world(seed)
        protected = protect(world.frame, POLICY, areas=world.areas)
        assert recovered(world, shown_by(protected.frame)) == [], f"system {seed}"
        checked += 1
    assert checked == SYSTEMS // 8


@pytest.mark.parametrize("naive", [primary_only, one_partner])
def test_naive_suppression_fails_on_the_same_systems(naive: Callable[[World], dict[tuple[Any, ...], float]]) -> None:
    broken = sum(bool(recovered(world, naive(world))) for world in map(make_world, range(0, SYSTEMS, 10)))
    assert broken >= 15, f"only {broken} of 20 systems broken: the worlds are too easy to prove anything"


def rounding_policy(base: int) -> DisclosurePolicy:
    text = POLICY_FILE.read_text(encoding="utf-8").replace("rounding_base = 0 ", f"rounding_base = {base} ", 1)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "disclosure.toml"
        path.write_text(text, encoding="utf-8")
        return load_policy(path)


def test_a_reader_who_knows_the_rounding_learns_no_more_than_one_who_sees_exact_figures() -> None:
    """The audit takes a rounded figure as exact. That can only hide too much: every world that agrees with the exact figures
    agrees with the rounded ones. Shown on the same systems, the attacker being told the rule of rounding.
    """
    policy = rounding_policy(10)
    for seed in range(0, 60, 6):
        world = make_world(seed)
        rounded = protect(world.frame, policy, areas=world.areas).frame
        values = shown_by(rounded)
        assert all(value % 10 == 0 for value in values.values())
        assert set(values) == set(shown_by(protect(world.frame, POLICY, areas=world.areas).frame)), "the same cells"
        assert recovered(world, values, base=10) == [], f"system {seed}"


def test_rounding_alone_widens_what_subtraction_gives() -> None:
    """43 people, 40 of them men, both shown to tens: 40 and 40. By pencil: 35 to 44 less 35 to 44, so 0 to 9 women; with exact
    figures 3. A reader of exact figures is the stronger one, and the one that the audit assumes.
    """
    rows = [
        observation("LM07", sex_code=sex, value=float(n), numerator=float(n))
        for sex, n in (("_T", 43), ("M", 40), ("F", 3))
    ]
    men, women = ("VNM", "2026", "M", "_T"), ("VNM", "2026", "F", "_T")
    keys = {row["sex_code"]: tuple(row[column] for column in KEY_COLUMNS) for row in rows}
    world = World(
        frame_of(rows),
        NO_AREAS,
        {men: 40, women: 3},
        {keys["M"]: (men,), keys["F"]: (women,), keys["_T"]: (men, women)},
    )
    exact, tens = {keys["_T"]: 43.0, keys["M"]: 40.0}, {keys["_T"]: 40.0, keys["M"]: 40.0}
    assert recovered(world, exact, width=1) == [keys["F"]]
    assert recovered(world, tens, width=9, base=10) == []
    assert recovered(world, tens, width=10, base=10) == [keys["F"]]


def test_worked_example() -> None:
    """Destination by sex with all margins: exactly the block of four is hidden, with the intervals that the paper states."""
    table = {"JPN": (12, 9), "KOR": (7, 3), "TWN": (20, 15)}
    rows = []
    for destination, (men, women) in table.items():
        for sex, count in (("M", men), ("F", women), ("_T", men + women)):
            rows.append(observation("TB10", destination_code=destination, sex_code=sex, value=float(count)))
    for sex, count in (("M", 39), ("F", 27), ("_T", 66)):
        rows.append(observation("TB10", sex_code=sex, value=float(count)))
    protected = protect(frame_of(rows), POLICY, areas=NO_AREAS)
    hidden = protected.frame.filter(pl.col("obs_status") == "Q")
    statuses = dict(zip(hidden.select("destination_code", "sex_code").iter_rows(), hidden["conf_status"], strict=True))
    assert statuses == {("JPN", "M"): "D", ("JPN", "F"): "D", ("KOR", "M"): "D", ("KOR", "F"): "C"}
    audit = {
        (row["destination_code"], row["sex_code"]): (row["lower"], row["upper"])
        for row in protected.audit.iter_rows(named=True)
    }
    assert audit == {("JPN", "M"): (9, 19), ("JPN", "F"): (2, 12), ("KOR", "M"): (0, 10), ("KOR", "F"): (0, 10)}


NO_AREAS = pl.DataFrame(schema={"area_code": pl.String, "parent_code": pl.String})


def test_suppressed_is_null_everywhere() -> None:
    row = observation(
        "TB11",
        method_code="proportion_wilson",
        value=50.0,
        lower=10.0,
        upper=90.0,
        se=0.2,
        numerator=2.0,
        denominator=4.0,
        n=4,
    )
    row["interval_code"], row["obs_flags"] = "clopper_pearson", ["B", "P", "U"]
    shown = protect(frame_of([row]), POLICY, areas=NO_AREAS).frame.row(0, named=True)
    assert [shown[column] for column in NULLED_COLUMNS] == [None] * len(NULLED_COLUMNS)
    assert (shown["obs_status"], shown["conf_status"], shown["obs_flags"]) == ("Q", "C", ["B", "Q"])


def test_zero_missing_and_suppressed_stay_apart() -> None:
    rows = [
        observation("LM07", period_code="2023", value=0.0),
        observation("LM07", period_code="2024", value=None, obs_status="O"),
        observation("LM07", period_code="2025", value=3.0),
        observation(
            "HV06", period_code="2025", method_code="proportion_wilson", value=0.0, numerator=0.0, denominator=50.0
        ),
    ]
    shown = {
        (r["indicator_code"], r["period_code"]): (r["value"], r["obs_status"], r["conf_status"])
        for r in protect(frame_of(rows), POLICY, areas=NO_AREAS).frame.iter_rows(named=True)
    }
    assert shown["LM07", "2023"] == (0.0, "A", "F")
    assert shown["LM07", "2024"] == (None, "O", "F")
    assert shown["LM07", "2025"] == (None, "Q", "C")
    assert shown["HV06", "2025"] == (None, "Q", "C"), "zero HIV cases say something about every member of a small group"


def test_published_figures_are_never_suppressed() -> None:
    rows = [
        observation("LM01", destination_code="CHN", sex_code="F", value=2.0, numerator=2.0, source_codes=["labour"]),
        observation("MG03", method_code="reference_count", value=1.0, source_codes=["missing_migrants.sdg2025q3"]),
        observation("LM01", area_code="VN34-91", value=2.0, numerator=2.0, source_codes=["labour"]),
    ]
    shown = protect(frame_of(rows), POLICY, areas=NO_AREAS).frame
    assert {(r["indicator_code"], r["area_code"]): r["conf_status"] for r in shown.iter_rows(named=True)} == {
        ("LM01", "VNM"): "F",
        ("MG03", "VNM"): "F",
        ("LM01", "VN34-91"): "C",
    }


def test_thresholds_by_topic_and_crossing() -> None:
    rows = [
        observation("TB10", value=8.0),
        observation("TB10", area_code="VN34-91", category_code="KHM", value=8.0),
        observation("TP02", method_code="proportion_wilson", value=50.0, numerator=10.0, denominator=60.0),
        observation("TB12", method_code="median", value=6.0, n=9),
        observation("UH06", method_code="survey", value=40.0, n=24, source_codes=["survey"]),
        observation("UH07", method_code="survey", value=40.0, n=25, source_codes=["survey"]),
    ]
    shown = protect(frame_of(rows), POLICY, areas=NO_AREAS).frame
    by_name = {(r["indicator_code"], r["category_code"]): r["conf_status"] for r in shown.iter_rows(named=True)}
    assert by_name == {
        ("TB10", "_T"): "F",
        ("TB10", "KHM"): "C",
        ("TP02", "_T"): "C",
        ("TB12", "_T"): "C",
        ("UH06", "_T"): "C",
        ("UH07", "_T"): "F",
    }


def test_at_most_three_attributes_are_crossed_for_victims() -> None:
    crossed = {"sex_code": "F", "age_code": "Y0T17", "category_code": "medical", "origin_code": "KHM"}
    rows = [
        observation("TP02", method_code="proportion_wilson", value=50.0, numerator=200.0, denominator=400.0, **crossed)
    ]
    wider = crossed | {"origin_code": "_T"}
    rows += [
        observation("TP02", method_code="proportion_wilson", value=50.0, numerator=300.0, denominator=600.0, **wider)
    ]
    shown = protect(frame_of(rows), POLICY, areas=NO_AREAS).frame
    assert dict(zip(shown["origin_code"], shown["conf_status"], strict=True)) == {"KHM": "C", "_T": "F"}


def test_only_protect_makes_a_protected_set() -> None:
    with pytest.raises(TypeError, match="made by protect"):
        Protected(object(), pl.DataFrame(), pl.DataFrame(), "1", {})
    protected = protect(frame_of([observation("LM07", value=7.0)]), POLICY, areas=NO_AREAS)
    with pytest.raises(AttributeError):
        protected.frame = pl.DataFrame()  # type: ignore[misc]
    with pytest.raises(TypeError):
        pickle.dumps(protected)


def test_a_release_that_is_not_safe_does_not_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    """The audit does not trust the search: with the naive pattern it names the cell, and no value."""
    rows = [observation("LM07", sex_code=sex, value=float(count)) for sex, count in (("F", 3), ("M", 40), ("_T", 43))]
    real = protection.choose_suppression

    def naive(system: Any, primary_rows: Any, **options: Any) -> Any:
        return type(real(system, primary_rows))(primary_rows, primary_rows, ())

    monkeypatch.setattr(protection, "choose_suppression", naive)
    with pytest.raises(DisclosureFailure, match="LM07 count") as failure:
        protect(frame_of(rows), POLICY, areas=NO_AREAS)
    assert failure.value.required_width == 5
    assert "3" not in failure.value.cell.replace("34", "")


def test_two_rows_with_one_key_are_refused() -> None:
    with pytest.raises(ValueError, match="same key"):
        protect(frame_of([observation("LM07", value=7.0)] * 2), POLICY, areas=NO_AREAS)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(1000, 1100), st.randoms(use_true_random=False))
def test_order_of_rows_does_not_matter(seed: int, rng: random.Random) -> None:
    world = make_world(seed)
    order = list(range(world.frame.height))
    rng.shuffle(order)
    first = protect(world.frame, POLICY, areas=world.areas)
    second = protect(world.frame[order], POLICY, areas=world.areas.reverse())
    assert first.frame.equals(second.frame)
    assert first.audit.equals(second.audit)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(2000, 2100))
def test_protecting_again_with_the_last_release_changes_nothing(seed: int) -> None:
    world = make_world(seed)
    first = protect(world.frame, POLICY, areas=world.areas)
    again = protect(world.frame, POLICY, areas=world.areas, earlier=[protection.ledger(first.frame, world.frame)])
    assert again.frame.equals(first.frame)
    twice = protect(first.frame.drop("conf_status"), POLICY, areas=world.areas)
    assert shown_by(twice.frame).items() <= shown_by(first.frame).items()


def test_unknown_policy_keys_are_refused(tmp_path: Any) -> None:
    text = protection_file().replace("zeros_are_sensitive = true", "zeros_are_sensitiv = true", 1)
    path = tmp_path / "disclosure.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DisclosurePolicyError, match="did you mean 'zeros_are_sensitive'"):
        load_policy(path)
    path.write_text(protection_file().replace("threshold = 11", 'threshold = "11"', 1), encoding="utf-8")
    with pytest.raises(DisclosurePolicyError, match="expected int"):
        load_policy(path)
    path.write_text(protection_file().replace("owner =", "keeper =", 1), encoding="utf-8")
    with pytest.raises(DisclosurePolicyError, match="unknown key 'keeper'"):
        load_policy(path)


def protection_file() -> str:
    from warehouse.catalogue.disclosure import POLICY_FILE

    return POLICY_FILE.read_text(encoding="utf-8")


def test_every_indicator_of_the_catalogue_has_a_topic() -> None:
    from warehouse.catalogue.indicator_catalogue import CATALOGUE

    codes = sorted(path.stem for path in (CATALOGUE / "indicators").glob("*.toml"))
    topics = Counter(POLICY.topic_of(code, "count").code for code in codes)
    assert len(codes) >= 14
    assert topics["tuberculosis"] >= 3
    assert isinstance(POLICY, DisclosurePolicy)
