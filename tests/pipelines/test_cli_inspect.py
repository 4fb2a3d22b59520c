"""`mhwg labour inspect` and `mhwg survey inspect`: what a person sees of a file before it is loaded, and the exit codes."""

import json
import tomllib
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from assets.labour.citations import cited_documents
from assets.labour.layout import read_layout
from pipelines.cli import app, call
from pipelines.failures import Exit
from practice.labour.bulletins import document_bytes
from practice.labour.registers import canaries, register_files
from practice.labour.renderings import Grid, as_xlsx
from practice.survey.files import write_inbox
from practice.survey.questionnaire import CANARY_FAMILY

UNKNOWN: Grid = [
    ["THỐNG KÊ XUẤT CẢNH LAO ĐỘNG THÁNG 9 NĂM 2025"],
    [],
    ["Địa bàn", "Xuất cảnh trong tháng", "Xuất cảnh lũy kế"],
    ["Nhật Bản", 5345, 49250],
    ["Đài Loan", 5045, 42951],
    ["Tổng cộng", 10390, 92201],
]


def mhwg(*arguments: str) -> int:
    """The exit code of the command, run in this process."""
    return call(lambda: app(list(arguments), standalone_mode=False))


@pytest.fixture(scope="module")
def surveys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The practice surveys as delivered."""
    folder = tmp_path_factory.mktemp("inbox")
    write_inbox(folder, datetime(2026, 12, 1, tzinfo=UTC))
    return folder


def test_a_bulletin_is_explained_cell_by_cell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "nam 2023.xlsx"
    path.write_bytes(document_bytes(next(found for found in cited_documents() if found.document_code == "year-2023")))
    assert mhwg("labour", "inspect", str(path)) == Exit.DONE
    assert "deployments year 2023 JPN _T = 80010" in capsys.readouterr().out
    assert mhwg("labour", "inspect", str(path), "--json") == Exit.DONE
    told = json.loads(capsys.readouterr().out)
    assert {"sheet", "cell", "content", "meaning"} == set(told["cells"][0])
    assert len(told["figures"]) == 33
    assert told["document"]["published_on"] == str(date.fromisoformat(told["document"]["published_on"]))


def test_an_unknown_form_gets_a_layout_that_can_be_saved(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "thong ke.xlsx"
    path.write_bytes(as_xlsx(UNKNOWN, []))
    assert mhwg("labour", "inspect", str(path)) == Exit.DONE
    assert "fit no layout" in capsys.readouterr().out
    assert mhwg("labour", "inspect", str(path), "--draft") == Exit.DONE
    saved = tmp_path / "draft.toml"
    saved.write_text(capsys.readouterr().out, encoding="utf-8")
    assert read_layout(saved).name == "thong-ke"


def test_a_register_shows_nobody(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ((name, data),) = register_files(date(2025, 1, 31)).items()
    (tmp_path / name).write_bytes(data)
    for option in ([], ["--json"], ["--draft"]):
        mhwg("labour", "inspect", str(tmp_path / name), *option)
        shown = capsys.readouterr().out
        assert shown
        assert not [canary for canary in canaries(date(2025, 1, 31)) if canary in shown]


def test_a_file_that_cannot_be_opened_is_refused_in_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "scan.pdf"
    path.write_bytes(b"%PDF-1.4")
    assert mhwg("labour", "inspect", str(path)) == Exit.REFUSED
    assert "error: scan.pdf: found " in capsys.readouterr().out
    assert mhwg("labour", "inspect", str(tmp_path / "none.xlsx")) == Exit.NOT_FOUND
    assert mhwg("survey", "inspect", str(tmp_path)) == Exit.NOT_FOUND
    assert mhwg("survey", "inspect", str(path)) == Exit.REFUSED
    broken = tmp_path / "broken.sav"
    broken.write_bytes(b"$FL2 and then nothing")
    assert mhwg("survey", "inspect", str(broken)) == Exit.REFUSED


def test_a_survey_is_listed_without_its_people(surveys: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = surveys / "VNM_overseas_workers_health_2025.sav"
    assert mhwg("survey", "inspect", str(path)) == Exit.DONE
    shown = capsys.readouterr().out
    assert CANARY_FAMILY not in shown
    assert "HOTEN: Full name (looks identifying: not read)" in shown
    lines = shown.splitlines()
    insured = next(number for number, line in enumerate(lines) if line.startswith("H1: "))
    assert lines[insured + 1].split()[0] == "1"
    assert lines[insured + 1].endswith("Yes")
    assert any(
        line.split()[:1] == ["9"] and line.endswith("(missing code)") for line in lines[insured + 1 : insured + 6]
    )


def test_a_survey_in_json_and_as_a_recode(surveys: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = surveys / "THA_labour_force_2025Q3.dta"
    assert mhwg("survey", "inspect", str(path), "--json") == Exit.DONE
    told = json.loads(capsys.readouterr().out)
    assert told["file"] == path.name
    by_name = {entry["variable"]["name"]: entry for entry in told["variables"]}
    assert any(entry["variable"]["missing"] for entry in by_name.values()), "extended missing values are listed"
    assert mhwg("survey", "inspect", str(path), "--draft") == Exit.DONE
    draft = tomllib.loads(capsys.readouterr().out)
    assert draft["file"][0]["name"] == path.name
