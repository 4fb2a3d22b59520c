"""Every published figure comes back out of the files that the practice ground writes from it."""

from datetime import UTC, date, datetime
from pathlib import Path

import openpyxl
import pytest

from assets.labour.citations import CitedDocument, cited_documents
from assets.labour.read import read_file
from practice.labour.bulletins import document_bytes, file_name
from practice.labour.inbox import files_at, write_inbox

DOCUMENTS = {document.document_code: document for document in cited_documents()}


@pytest.mark.parametrize("document", cited_documents(), ids=lambda document: document.document_code)
def test_every_cited_figure_is_read_back_with_its_citation(document: CitedDocument) -> None:
    result = read_file(document_bytes(document), file_name(document))

    assert result.facts() == {figure.fact: figure.value for figure in document.figures}
    assert not result.rejected
    assert not [fault.message for fault in result.faults if fault.severity != "note"]
    assert result.document is not None
    assert result.document.published_on == document.published_on
    assert result.document.published_on_basis_code == document.published_on_basis_code
    assert result.document.agency_code == document.agency_code
    assert result.document.source_url == document.source
    assert result.document.is_practice is False
    read = {figure.fact: figure for figure in result.sound}
    for figure in document.figures:
        assert read[figure.fact].precision_code == figure.precision_code, figure
        assert read[figure.fact].resolution == figure.resolution, figure
        assert read[figure.fact].confidence_code == figure.confidence_code, figure


def facts(code: str) -> dict[tuple[str, str, str, str, str], float]:
    document = DOCUMENTS[code]
    return read_file(document_bytes(document), file_name(document)).facts()


def test_deployments_of_2023_with_women_and_other_markets() -> None:
    # Acceptance: vamas.com.vn prints 159 986 with 55 804 women; the remainder was computed by pencil.
    found = facts("year-2023")
    assert found["deployments", "year", "2023", "_T", "_T"] == 159_986
    assert found["deployments", "year", "2023", "_T", "F"] == 55_804
    assert found["deployments", "year", "2023", "_O", "_T"] == 1_450
    assert found["deployments", "year", "2023", "_O", "F"] == 101
    parts = sum(
        v
        for (series, _, _, place, sex), v in found.items()
        if series == "deployments" and place != "_T" and sex == "_T"
    )
    women = sum(
        v for (series, _, _, place, sex), v in found.items() if series == "deployments" and place != "_T" and sex == "F"
    )
    assert (parts, women) == (159_986, 55_804)
    assert found["deployments", "year", "2023", "SGP", "F"] == 0, "male only: women are 0, not missing"
    assert (found["plan_lower", "year", "2023", "_T", "_T"], found["plan", "year", "2023", "_T", "_T"]) == (
        110_000,
        120_000,
    )


def test_deployments_and_plan_of_2022() -> None:
    found = facts("year-2022")
    assert found["deployments", "year", "2022", "_T", "_T"] == 142_779
    assert found["plan", "year", "2022", "_T", "_T"] == 90_000
    assert found["plan_achievement_percent", "year", "2022", "_T", "_T"] == 158.64
    assert ("deployments", "year", "2022", "_T", "F") not in found, "women of 2022 were not published: no row, not zero"


def test_two_vintages_of_october_2025_stand_side_by_side() -> None:
    first, second = facts("oct-2025-a"), facts("oct-2025-b")
    key = ("deployments", "cumulative", "202510", "_T", "_T")
    korea = ("deployments", "cumulative", "202510", "KOR", "_T")
    assert (first[key], second[key]) == (121_190, 128_044)
    assert second[korea] - first[korea] == -397, "Korea fell from one release to the next"
    assert DOCUMENTS["oct-2025-a"].published_on == date(2025, 11, 5)
    assert DOCUMENTS["oct-2025-b"].published_on == date(2025, 11, 24)


def test_unverified_figures_are_never_exact_and_never_final() -> None:
    for document in cited_documents():
        for figure in read_file(document_bytes(document), file_name(document)).sound:
            if figure.confidence_code == "unverified":
                assert (figure.precision_code, figure.finality_code) == ("rounded", "provisional")


def test_men_only_prints_as_zero_women() -> None:
    found = facts("jan-2020")
    assert found["deployments", "month", "202001", "KOR", "_T"] == 13
    assert found["deployments", "month", "202001", "KOR", "F"] == 0


def test_inbox_grows_with_the_clock_and_leaves_known_files_alone(tmp_path: Path) -> None:
    early = write_inbox(tmp_path, datetime(2025, 11, 6, tzinfo=UTC))
    stamps = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert {path.name for path in early} == set(stamps)
    assert write_inbox(tmp_path, datetime(2025, 11, 6, tzinfo=UTC)) == []
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == stamps
    late = write_inbox(tmp_path, datetime(2025, 11, 24, tzinfo=UTC))
    assert file_name(DOCUMENTS["oct-2025-b"]) in {path.name for path in late}
    assert files_at(datetime(2026, 7, 6, tzinfo=UTC)) == files_at(datetime(2026, 7, 6, tzinfo=UTC)), (
        "same bytes every time"
    )


def test_the_workbook_has_the_ministry_form(tmp_path: Path) -> None:
    # Read by another library than ours.
    path = tmp_path / "form.xlsx"
    path.write_bytes(document_bytes(DOCUMENTS["year-2023"]))
    sheet = openpyxl.load_workbook(path).active
    assert sheet is not None
    merged = {str(area) for area in sheet.merged_cells.ranges}
    assert {"A7:A8", "B7:B8", "C7:D7", "E7:F7"} <= merged
    texts = {str(cell.value) for row in sheet.iter_rows() for cell in row if cell.value is not None}
    assert {"CỘNG HÒA XÃ HỘI CHỦ NGHĨA VIỆT NAM", "Tổng cộng", "CỤC TRƯỞNG", "Nguồn: vamas.com.vn"} <= texts
    assert "Các thị trường khác (tính toán)" in texts
