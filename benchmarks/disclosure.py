"""What disclosure control costs: a release of 10 000 to 100 000 figures is protected and audited, and once more a week later.

Belongs here: the making of such a release and the work. There is no floor: nobody protects a release with a short script.

The figures are made up in the shape of a national release: programmes (an indicator in a year), each in 34 provinces and the
country, by month, quarter and year, by sex, and by quarter and nationality; tuberculosis with its completed referrals. Within
a programme all sums hold and everything is connected; between programmes nothing is. More figures are more programmes, as
more years and indicators are in a real release.
"""

import time
from calendar import monthrange
from collections.abc import Iterator
from datetime import date
from itertools import product
from typing import Any

from benchmarks.measure import Bench, Row, begin, row, run

PROVINCES = 34
NATIONALITIES = ("KHM", "LAO", "MMR", "_O")
INDICATORS = ("TB10", "ML02", "HV06", "LM07", "TB09", "TB03", "PE02", "MH01")
PEOPLE_PER_YEAR = 12_000
"""People whom a programme counts in a year: the smaller provinces then see a few in a month."""
PROTECT, AGAIN = "protect and audit", "the same, a week later"


def periods(year: int) -> dict[str, tuple[date, date, tuple[int, ...]]]:
    """Months, quarters and the year: first day, last day, and the months in it."""
    made = {f"{year}": (date(year, 1, 1), date(year, 12, 31), tuple(range(12)))}
    for quarter in range(4):
        last = 3 * quarter + 3
        made[f"{year}Q{quarter + 1}"] = (
            date(year, last - 2, 1), date(year, last, monthrange(year, last)[1]), tuple(range(last - 3, last)),
        )  # fmt: skip
    for month in range(1, 13):
        made[f"{year}{month:02d}"] = (date(year, month, 1), date(year, month, monthrange(year, month)[1]), (month - 1,))
    return made


def release(size: int, weeks: int = 0) -> tuple[Any, Any]:
    """Observations of a release with at least `size` figures, and its area links; after `weeks`, every twentieth finest count
    has grown, as it does while reports of the last months arrive.
    """
    import numpy as np
    import polars as pl

    chance = np.random.default_rng(20261126)
    rows: list[dict[str, Any]] = []
    for number in range(10**6):
        if len(rows) >= size:
            break
        indicator, year = INDICATORS[number % len(INDICATORS)], 2026 - number // len(INDICATORS)
        # Provinces differ by a factor of forty, months by half, men are three in five.
        weight = np.outer(1 / (1 + np.arange(PROVINCES)), chance.uniform(0.7, 1.3, 12)).ravel()
        weight = np.einsum("i,j,k->ijk", weight, [0.4, 0.6], [0.45, 0.3, 0.15, 0.1]).ravel()
        finest = chance.multinomial(PEOPLE_PER_YEAR, weight / weight.sum())
        for _ in range(weeks):
            finest = finest + (chance.random(len(finest)) < 0.05) * chance.integers(0, 4, len(finest))
        rows += _programme(indicator, year, finest.reshape(PROVINCES, 12, 2, len(NATIONALITIES)), chance)
    text = ("indicator_code", "definition_version", "area_code", "period_code", "sex_code", "age_code", "migrant_status_code",
            "migrant_basis_code", "origin_code", "destination_code", "category_code", "method_code", "obs_status",
            "interval_code")  # fmt: skip
    schema = dict.fromkeys(text, pl.String) | {"period_start_on": pl.Date, "period_end_on": pl.Date, "n": pl.Int64}
    schema |= dict.fromkeys(("value", "lower", "upper", "se", "numerator", "denominator"), pl.Float64)
    schema |= dict.fromkeys(("obs_flags", "source_codes", "footnote_codes"), pl.List(pl.String))
    frame = pl.DataFrame(rows, schema=schema)
    links = [(f"VN34-{place:02d}", "VNM", "vn34") for place in range(1, PROVINCES + 1)]
    return frame, pl.DataFrame(links, schema=["area_code", "parent_code", "frame_code"], orient="row")


def _programme(indicator: str, year: int, counts: Any, chance: Any) -> list[dict[str, Any]]:
    """The figures of one indicator in one year."""
    rows = []
    spans = periods(year)
    sexes, people = {"_T": (0, 1), "F": (0,), "M": (1,)}, {"_T": tuple(range(len(NATIONALITIES)))}
    nationalities = people | {name: (place,) for place, name in enumerate(NATIONALITIES)}
    shapes = [("_T", "_T"), ("F", "_T"), ("M", "_T"), *(("_T", name) for name in NATIONALITIES)]
    for (place, period), (sex, nationality) in product(product(range(PROVINCES + 1), spans), shapes):
        start, end, months = spans[period]
        if nationality != "_T" and len(months) == 1:
            continue
        inside = counts[place - 1 : place] if place else counts
        count = inside[:, months][:, :, sexes[sex]][:, :, :, nationalities[nationality]].sum()
        cell = {
            "indicator_code": indicator, "definition_version": "1", "area_code": f"VN34-{place:02d}" if place else "VNM",
            "period_code": period, "sex_code": sex, "category_code": nationality, "method_code": "count", "obs_status": "A",
            **dict.fromkeys(("age_code", "migrant_status_code", "migrant_basis_code", "origin_code", "destination_code"), "_T"),
            "period_start_on": start, "period_end_on": end, "value": float(count), "numerator": float(count),
            "obs_flags": ["A"], "source_codes": ["dhis2_vnm"], "footnote_codes": [],
        }  # fmt: skip
        rows.append(cell)
        if indicator == "TB10" and (sex, nationality) == ("_T", "_T") and len(months) == 12 and count:
            done = int(chance.binomial(int(count), 0.7))
            share = {"indicator_code": "TB11", "method_code": "proportion_wilson", "value": 100 * done / count}
            rows.append(cell | share | {"numerator": float(done), "denominator": float(count), "n": int(count)})
    return rows


def protect_release(size: int, weeks: int) -> dict[str, Any]:
    """Seconds of `protect`, the making of the figures not counted, with what came of it. After the first week the release
    before it is in the ledger.

    Raises RuntimeError when the audit left a demand unmet.
    """
    import polars as pl

    from warehouse.catalogue.disclosure import load_policy
    from warehouse.publishing.protection import ledger, protect

    policy, earlier = load_policy(), []
    for week in range(weeks):
        frame, areas = release(size, week)
        before = protect(frame, policy, areas=areas, earlier=earlier)
        earlier.append(ledger(before.frame, frame))
    frame, areas = release(size, weeks)
    started = begin()
    made = protect(frame, policy, areas=areas, earlier=earlier)
    seconds = time.perf_counter() - started
    demanded = made.audit.filter(pl.col("required_width") > 0)
    unmet = demanded.filter((pl.col("width") < pl.col("required_width")) & (pl.col("verdict") != "already public"))
    if unmet.height:
        raise RuntimeError(f"{unmet.height} of {demanded.height} demands are not met")
    hidden = made.frame.filter(pl.col("conf_status") != "F")
    return {
        "seconds": seconds, "figures": frame.height, "hidden": hidden.height, "audited": made.audit.height,
        "demands": demanded.height, "already public": demanded.filter(pl.col("verdict") == "already public").height,
        "small": frame.filter(pl.col("value").is_between(1, 4) & (pl.col("method_code") == "count")).height,
    }  # fmt: skip


def disclosure(size: int, bench: Bench) -> Iterator[Row]:
    """A release of `size` figures protected and audited, and once more a week later, beside what is published by then."""
    for weeks, stage in enumerate((PROTECT, AGAIN)):
        if bench.wants(stage):
            bench.tell(f"{size:,} figures: {stage}")
            made = [run("benchmarks.disclosure:protect_release", size, weeks) for _ in range(bench.repetitions)]
            yield row(stage, size, made)
