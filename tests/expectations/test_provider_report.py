"""The report on one provider: what failed, what is held, where, and a page that needs no network and shows no record."""

from datetime import datetime
from html.parser import HTMLParser
from typing import Any

import duckdb
import pytest

from expectations.belief_book import rules_for
from expectations.provider_report import provider_report, providers, rejected_records
from expectations.quality_page import quality_page
from warehouse.catalogue.table_catalogue import tables
from warehouse.store import apply_catalogue

EARLIER, LATER = datetime(2026, 7, 6, 5), datetime(2026, 7, 13, 5)
RULE = "staging.data_value.count_not_negative"
CANARY = "CANARY-7741"


@pytest.fixture(scope="module")
def connection() -> Any:
    """Two loads of one server: all well in the first, one rule broken and three records held in the second."""
    connection = duckdb.connect(config={"python_enable_replacements": "false"})
    apply_catalogue(connection, tables())
    assert RULE in {rule.full_code for rule in rules_for(tables()["staging.data_value"])}
    for at, is_passed, received, held in ((EARLIER, True, 100, 0), (LATER, False, 103, 3)):
        connection.execute(
            "insert into ops.check_result values (?, 'dhis2/vnm', ?, 'staging.data_value', 'critical', 'row', ?, ?, ?, 'Because.', null)",
            [at, RULE, is_passed, held, received],
        )
        connection.execute(
            "insert into ops.load values (?, 'dhis2/vnm', 'staging.data_value', ?, ?, ?, 0, null, null, null, null)",
            [at, received, received - held, held],
        )
    connection.execute(
        "insert into core.org_unit by name select 'vnm' as instance_code, 'aaaaaaaaaaa' as org_unit_uid, 'Trạm <Y tế> 1' as name, "
        "4 as level, '/aaaaaaaaaaa' as path, false as is_practice, timestamp '2026-07-06' as recorded_from, "
        "timestamp '9999-12-31' as recorded_to"
    )
    for number in range(3):
        connection.execute(
            """insert into quarantine.record values (?, 'staging.data_value', 'dhis2/vnm', 'r1', ?, ['count_not_negative: Because.'],
            ?, 'held', ?, null, null, null)""",
            [
                f"q{number}",
                f"page 3, row {number}",
                f'{{"instance_code": "vnm", "org_unit_uid": "aaaaaaaaaaa", "value_text": "{CANARY}"}}',
                LATER,
            ],
        )
    yield connection
    connection.close()


def test_the_last_load_is_reported(connection: Any) -> None:
    assert providers(connection) == ["dhis2/vnm"]
    report = provider_report(connection, "dhis2/vnm")
    assert report is not None
    assert report.refresh_at == LATER
    assert [(f.rule_code, f.severity, f.rows, f.owner) for f in report.findings] == [
        (RULE, "critical", 3, "team:mhwg-data")
    ]
    assert [(h.records, h.pointers) for h in report.held] == [(3, ("page 3, row 0", "page 3, row 1", "page 3, row 2"))]
    assert [(u.unit, u.records) for u in report.units] == [("Trạm <Y tế> 1", 3)]
    assert [(t.failed, t.received, t.held) for t in report.trend] == [(0, 100, 0), (1, 103, 3)]
    assert [book.is_balanced for book in report.reconciliation] == [True]


def test_an_unknown_provider_has_no_report(connection: Any) -> None:
    assert provider_report(connection, "nobody") is None


def test_lost_rows_show_in_the_books(connection: Any) -> None:
    connection.execute("begin")
    connection.execute("update ops.load set staged = staged - 1 where refresh_at = ?", [LATER])
    report = provider_report(connection, "dhis2/vnm")
    connection.execute("rollback")
    assert report is not None
    assert [book.is_balanced for book in report.reconciliation] == [False]
    assert "<td>NO</td>" in quality_page(report, "en")


def test_rejected_records_are_whole_and_apart(connection: Any) -> None:
    frame = rejected_records(connection, "dhis2/vnm")
    assert frame.height == 3
    assert CANARY in frame["record"][0]
    assert rejected_records(connection, "khm").is_empty()


class Page(HTMLParser):
    """Collects what a browser would fetch, and open tags."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.open: list[str] = []
        self.language = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.fetched += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag == "html":
            self.language = dict(attrs).get("lang") or ""
        if tag not in ("meta", "br", "rect", "line"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("rect", "line"):
            assert self.open.pop() == tag


@pytest.mark.parametrize("language", ["en", "vi"])
def test_the_page_needs_no_network_and_shows_no_record(connection: Any, language: Any) -> None:
    report = provider_report(connection, "dhis2/vnm")
    assert report is not None
    text = quality_page(report, language)
    page = Page()
    page.feed(text)
    assert (page.fetched, page.open, page.language) == ([], [], language)
    assert "http" not in text
    assert "@import" not in text
    assert CANARY not in text
    assert "Trạm &lt;Y tế&gt; 1" in text
    assert 'role="img"' in text
