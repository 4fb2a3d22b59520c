"""The public page of quality: scores by domain, country and month, their trend, and nothing of what is for a provider alone."""

import re
from datetime import datetime

import duckdb
import pytest

from warehouse.catalogue.table_catalogue import tables
from warehouse.publishing.quality_summary import no_quality, quality_at
from warehouse.store import apply_catalogue

FIRST, SECOND = datetime(2026, 6, 29, 5), datetime(2026, 7, 6, 5)
OPEN = "timestamp '9999-12-31'"


@pytest.fixture(scope="module")
def connection():
    """Two reviews. The first: 6 of 10 reports and 1 of 2 pairs agree; the second: 9 of 10, and both. One rule broken at 4 of 100 places."""
    made = duckdb.connect(config={"python_enable_replacements": "false"})
    apply_catalogue(made, tables())
    for at in (FIRST, SECOND):
        made.execute(
            "insert into ops.load by name select ? as refresh_at, 'quality_measure' as source_code, 'core.quality_measure' as table_name, "
            "1 as received",
            [at],
        )
    made.execute(
        f"insert into core.org_unit by name select 'vnm' as instance_code, 'u1' as org_unit_uid, 'Trạm y tế Mẫu' as name, 1 as level, "
        f"'/u1' as path, 'VNM' as country_code, ?::timestamp as recorded_from, {OPEN} as recorded_to, true as is_practice",
        [FIRST],
    )

    def measure(code, provider, subject, period, good, whole, domain, since, until):
        made.execute(
            "insert into core.quality_measure by name select ? as measure_code, ? as provider_code, ? as subject_code, ? as period_code, "
            "? as numerator, ? as denominator, ? as dimension_code, ?::timestamp as recorded_from, ?::timestamp as recorded_to, "
            "true as is_practice",
            [code, provider, subject, period, good, whole, domain, since, until],
        )

    end = datetime(9999, 12, 31)
    for good, since, until in ((6, FIRST, SECOND), (9, SECOND, end)):
        measure("reports_received", "vnm", "TB", "202605", good, 10, "completeness", since, until)
    for subject in ("TB:KHM>VNM", "MAL:KHM>VNM"):
        measure("sender_receiver", "_T", subject, "2026Q1", 31, 30, "external", FIRST, end)
    for review, instance, unit, until in (
        ("sender_receiver", "_T", "null", "?"), ("missing_report", "vnm", "'u1'", "?"), ("outlier", "vnm", "'u1'", "?"),
    ):  # fmt: skip
        made.execute(
            f"insert into core.quality_finding by name select '{instance}' as instance_code, '{review}' as review_code, "
            f"'s' as subject_code, "
            f"'external' as dimension_code, 'warning' as severity_code, {unit} as org_unit_uid, ?::timestamp as recorded_from, "
            f"{until}::timestamp as recorded_to, true as is_practice",
            [FIRST, SECOND if review == "sender_receiver" else end],
        )
    made.execute(
        f"insert into core.validation_rule by name select 'vnm' as instance_code, 'r1' as rule_uid, 'a >= b' as name, "
        f"'MEDIUM' as importance_code, 'greater_than_or_equal_to' as operator_code, 'evaluated' as status_code, "
        f"100 as evaluated_count, 4 as violation_count, 0 as held_count, ?::timestamp as recorded_from, {OPEN} as recorded_to, "
        f"true as is_practice",
        [FIRST],
    )
    yield made
    made.close()


def scores(connection, at):
    found = quality_at(connection, at)
    return {
        (row["measure_code"], row["area_code"], row["period_code"], row["reviewed_at"]): (row["good"], row["looked_at"])
        for row in found.iter_rows(named=True)
    }


def test_scores_are_shares_of_what_was_looked_at_review_by_review(connection):
    assert scores(connection, SECOND) == {
        ("reports_received", "VNM", "202605", SECOND): (9, 10),
        ("reports_received", "VNM", "_T", SECOND): (9, 10),
        ("rules_held", "VNM", "_T", SECOND): (96, 100),
        ("sender_receiver", "_T", "_T", SECOND): (2, 2),
        ("reports_received", "VNM", "_T", FIRST): (6, 10),
        ("rules_held", "VNM", "_T", FIRST): (96, 100),
        ("sender_receiver", "_T", "_T", FIRST): (1, 2),
    }


def test_an_old_release_shows_the_scores_of_its_day(connection):
    assert set(scores(connection, FIRST)) == {
        ("reports_received", "VNM", "202605", FIRST), ("reports_received", "VNM", "_T", FIRST),
        ("rules_held", "VNM", "_T", FIRST), ("sender_receiver", "_T", "_T", FIRST),
    }  # fmt: skip


def test_no_unit_and_no_record_is_in_the_summary(connection):
    assert "u1" not in str(quality_at(connection, SECOND).rows())
    assert "Mẫu" not in str(quality_at(connection, SECOND).rows())


def test_a_store_without_a_review_has_no_scores(connection):
    assert quality_at(connection, datetime(2026, 1, 1)).equals(no_quality())


def text_of(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", ("Completeness Reports owed that came Viet Nam † 90.0 % 100", "Between sources † 90.0 % 20",
                "Population denominators Published populations that agree, by country and year Between sources 100.0 % 99")),
        ("vi", ("Đầy đủ Báo cáo đến hạn đã nhận Việt Nam † 90,0 % 100", "Giữa các nguồn † 90,0 % 20")),
    ],
)  # fmt: skip
def test_the_page_shows_each_domain_with_its_score(released, language, words):
    page = (released.folder / language / "quality.html").read_text(encoding="utf-8")
    for phrase in words:
        assert phrase in text_of(page), phrase


def test_the_page_shows_months_and_reviews_as_a_trend(released):
    page = (released.folder / "en" / "quality.html").read_text(encoding="utf-8")
    drawn = re.findall(r"<figcaption>([^<]+)", page)
    assert drawn == ["Reports owed that came", "Reports owed that came in time", "Internal consistency", "External consistency",
                     "Population denominators"]  # fmt: skip
    assert "October 2026" in page
    assert "65.6 %" in page  # 21 of 32


def test_one_review_has_no_trend(protect_rows, world, context, catalogue, tmp_path):
    import dataclasses

    import polars as pl

    from warehouse.publishing.release import build_release

    once = context.quality.filter(
        pl.col("period_code") == "_T", pl.col("reviewed_at") == context.quality["reviewed_at"].max()
    )
    made = build_release(protect_rows(world), catalogue, dataclasses.replace(context, quality=once), tmp_path / "once")
    page = (made.folder / "en" / "quality.html").read_text(encoding="utf-8")
    assert "<figcaption>" not in page
    assert "90.0 %" in text_of(page)
