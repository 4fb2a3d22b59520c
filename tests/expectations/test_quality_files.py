"""The quality pages as files: for their owner only, unchanged when nothing changed, and without a record in a page."""

import csv
import shutil
import stat
from datetime import datetime
from pathlib import Path

import duckdb
import pytest

from expectations.quality_files import write_quality
from warehouse.catalogue.table_catalogue import tables
from warehouse.store import apply_catalogue

AT = datetime(2026, 7, 6, 5)
CANARY = "CANARY-7741"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(scope="module")
def connection():
    """One server with a failed rule, a held record, findings, monthly reports, a changed field and an outage; and a sound source."""
    connection = duckdb.connect(config={"python_enable_replacements": "false"})
    apply_catalogue(connection, tables())
    opened = "timestamp '2026-07-06' as recorded_from, timestamp '9999-12-31' as recorded_to, true as is_practice"
    for source in ("dhis2_vnm", "labour"):
        connection.execute(
            "insert into ops.receipt by name select ? as receipt_id, ? as source_code, 'p' as part_code, 'k' as kind_code, "
            "'l' as locator, 's' as payload_sha256, 1 as file_count, 1 as byte_count, 1 as record_count, ? as received_at, "
            "true as is_practice, 'p' as path, ? as refresh_at",
            [f"r_{source}", source, AT, AT],
        )
        load = "insert into ops.load by name select ? as refresh_at, ? as source_code, 't' as table_name, 9 as received"
        connection.execute(load, [AT, source])
    connection.execute(
        "insert into ops.check_result values (?, 'dhis2_vnm', 'staging.data_value.count_is_whole', 'staging.data_value', 'critical', "
        "'row', false, 1, 9, 'Cases are counted.', null)",
        [AT],
    )
    connection.execute(
        "insert into quarantine.record by name select 'q1' as quarantine_id, 'staging.data_value' as table_name, "
        "'dhis2_vnm' as source_code, 'r_dhis2_vnm' as receipt_id, '=page 3' as pointer, ['half a case'] as reasons, "
        "? as record, 'held' as status_code, ? as first_at",
        [f'{{"value_text": "{CANARY}"}}', AT],
    )
    connection.execute(
        f"insert into core.org_unit by name select 'vnm' as instance_code, 'u1' as org_unit_uid, 'Trạm <Y tế>' as name, 4 as level, "
        f"'/u1' as path, {opened}"
    )
    for code, instance, unit in (
        ("missing_report", "vnm", "'u1'"),
        ("time_change", "vnm", "'u1'"),
        ("sender_receiver", "_T", "null"),
    ):
        connection.execute(
            f"insert into core.quality_finding by name select '{instance}' as instance_code, '{code}' as review_code, 's' as subject_code, "
            f"'internal' as dimension_code, 'warning' as severity_code, {unit} as org_unit_uid, {opened}"
        )
    connection.execute(
        "update core.quality_finding set period_code = '202605', concept_code = 'TB_NOTIFIED', observed_value = 40, expected_value = 3, "
        "silence_code = 'mad_zero', tail_probability = 1e-9 where review_code = 'time_change'"
    )
    connection.execute(
        f"insert into core.quality_measure by name select 'vnm' as provider_code, 'outlier_screen_silent' as measure_code, "
        f"'mad_zero' as subject_code, '_T' as period_code, 'internal' as dimension_code, 800 / 900 as value, 800 as numerator, "
        f"900 as denominator, {opened}"
    )
    for month, came in (("202604", 8), ("202605", 5)):
        for measure, number in (("reports_received", came), ("reports_in_time", came - 2)):
            connection.execute(
                f"insert into core.quality_measure by name select 'vnm' as provider_code, '{measure}' as measure_code, "
                f"'TB' as subject_code, "
                f"'{month}' as period_code, 'completeness' as dimension_code, {number} / 10 as value, {number} as numerator, "
                f"10 as denominator, {opened}"
            )
    connection.execute(
        "insert into ops.field_drift values ('dhis2_vnm', 'data_elements', 'new', '', 'x', 'accept', 'New field ''x''.', ?)",
        [AT],
    )
    for month, state, rows in (("2026-04-01", "within", 101), ("2026-05-01", "short", 40)):
        connection.execute(
            "insert into ops.row_band values (?, 'dhis2_vnm', 'TB_MONTHLY', ?, 'ledger', ?, ?, 68, 139, 16, 10, 4)",
            [AT, month, state, rows],
        )
    connection.execute(
        "insert into ops.source_outage values ('dhis2_vnm', ?, date '2026-06-29', 'it did not answer')", [AT]
    )
    yield connection
    connection.close()


def test_each_provider_has_its_page_letter_and_records(connection, tmp_path: Path):
    written, changed = write_quality(connection, tmp_path / "quality")
    assert [given.report.source_code for given in written] == ["dhis2_vnm", "labour"]
    files = sorted(path.relative_to(tmp_path / "quality").as_posix() for path in (tmp_path / "quality").rglob("*.*"))
    own = ["findings.csv", "message.en.txt", "message.vi.txt", "quality.en.html", "quality.vi.html", "rejected.csv"]
    assert files == [
        *(f"dhis2_vnm/{file}" for file in own),
        *(f"labour/{file}" for file in own[1:]),
        "run.en.html",
        "run.vi.html",
    ]
    assert changed == len(files)
    for path in (tmp_path / "quality").rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_a_second_writing_touches_nothing(connection, tmp_path: Path):
    write_quality(connection, tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.*")}
    assert write_quality(connection, tmp_path)[1] == 0
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.*")} == before


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", ("Missing reports", "Sudden change", "data received on 2026-06-29", "202605 50 % (30 %)", "Fields that changed",
                "Rows expected and found", "68 to 139", "4 / 10", "outside",
                "A reported count is a whole number.")),
        ("vi", ("Báo cáo còn thiếu", "Thay đổi đột ngột", "nhận ngày 2026-06-29", "202605 50 % (30 %)", "Trường dữ liệu",
                "Số dòng dự kiến và thực có", "68 đến 139", "4 / 10", "ngoài khoảng",
                "Số báo cáo là số nguyên.", "Người không có phần lẻ")),
    ],
)  # fmt: skip
def test_the_page_says_what_to_do_and_shows_no_record(connection, tmp_path: Path, language, words):
    write_quality(connection, tmp_path)
    page = (tmp_path / "dhis2_vnm" / f"quality.{language}.html").read_text(encoding="utf-8")
    for word in (*words, "Trạm &lt;Y tế&gt;", "half a case"):
        assert word in page
    assert "http" not in page
    for path in tmp_path.rglob("*.*"):
        if path.name != "rejected.csv":
            assert CANARY not in path.read_text(encoding="utf-8"), path
    assert "dhis2_vnm/quality" in (tmp_path / f"run.{language}.html").read_text(encoding="utf-8")


def test_findings_name_unit_period_and_value_and_say_where_dhis2_is_silent(connection, tmp_path: Path):
    write_quality(connection, tmp_path)
    own = (tmp_path / "dhis2_vnm" / "findings.csv").read_text(encoding="utf-8-sig")
    (jump,) = [row for row in csv.DictReader(own.splitlines()) if row["kind"] == "Sudden change"]
    assert (jump["unit"], jump["period"], jump["concept"], jump["found"], jump["expected"]) == (
        "Trạm <Y tế>", "202605", "TB_NOTIFIED", "40.0", "3.0",
    )  # fmt: skip
    assert "median absolute deviation is 0" in jump["note"]
    for language, words in (
        ("en", ("Values to look at", "TB_NOTIFIED", "800 of 900 series: More than half of the values are equal")),
        ("vi", ("Giá trị cần xem lại", "TB_NOTIFIED", "800 trên 900 chuỗi: Hơn một nửa số giá trị bằng nhau")),
    ):
        page = (tmp_path / "dhis2_vnm" / f"quality.{language}.html").read_text(encoding="utf-8")
        for word in words:
            assert word in page


@pytest.mark.browser
@pytest.mark.skipif(
    CHROMIUM is None, reason="No Chromium on this machine; install Debian's chromium to run these tests."
)
@pytest.mark.parametrize("width", [390, 1280])
def test_pages_are_read_on_a_phone_and_ask_for_nothing(connection, tmp_path: Path, width):
    """Words once fell apart into columns of letters: cells of a phone's page were one character wide."""
    from playwright.sync_api import sync_playwright

    write_quality(connection, tmp_path)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": width, "height": 900})
        for name in ("run.vi.html", "dhis2_vnm/quality.vi.html", "dhis2_vnm/quality.en.html"):
            asked: list[str] = []
            page.on("request", lambda request, asked=asked: asked.append(request.url))
            page.goto((tmp_path / name).as_uri())
            assert len(asked) == 1, asked
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            narrow = page.evaluate(
                "[...document.querySelectorAll('td:not(.number)')].map(cell => cell.getBoundingClientRect().width)"
            )
            assert min(narrow) >= 80
        browser.close()


def test_the_providers_own_records_open_in_a_spreadsheet_as_text(connection, tmp_path: Path):
    write_quality(connection, tmp_path)
    own = tmp_path / "dhis2_vnm" / "rejected.csv"
    rows = list(csv.DictReader(own.read_text(encoding="utf-8-sig").splitlines()))
    assert [row["pointer"] for row in rows] == ["'=page 3"]
    assert CANARY in rows[0]["record"]
    assert (
        len(list(csv.DictReader((tmp_path / "labour" / "rejected.csv").read_text(encoding="utf-8-sig").splitlines())))
        == 0
    )
