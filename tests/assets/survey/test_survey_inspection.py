"""Inspecting a file names its identifiers without reading them and drafts a recode that TOML can read."""

import tomllib
from datetime import UTC, datetime
from pathlib import Path

import pytest

from assets.survey.inspection import draft_recode, inspect
from practice.survey.files import write_inbox
from practice.survey.questionnaire import CANARY_FAMILY


@pytest.fixture(scope="module")
def inbox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The practice surveys as delivered."""
    folder = tmp_path_factory.mktemp("inbox")
    write_inbox(folder, datetime(2026, 12, 1, tzinfo=UTC))
    return folder


def test_identifiers_are_named_and_never_listed(inbox: Path) -> None:
    """In every practice file, by name or by label; no canary comes out."""
    for path in sorted(inbox.iterdir()):
        if path.suffix == ".xml":
            continue
        text = draft_recode(path)
        assert CANARY_FAMILY not in text
        assert tomllib.loads(text)["file"][0]["identifiers"], path.name
    summaries = {s.variable.name: s for s in inspect(inbox / "VNM_overseas_workers_health_2025.sav")}
    assert {name for name, s in summaries.items() if s.looks_identifying} >= {
        "HOTEN",
        "CCCD",
        "DIENTHOAI",
        "NGAYSINH",
        "DIACHI",
    }


def test_codes_labels_and_missing_codes_are_drafted(inbox: Path) -> None:
    """What the file knows is filled in; what only a person can know is a question mark."""
    draft = tomllib.loads(draft_recode(inbox / "VNM_overseas_workers_health_2025.sav"))
    insured = next(v for v in draft["variable"] if v["source"] == "H1")
    assert insured == {
        "target": "?", "source": "H1", "codes": {"1": "?", "2": "?"}, "labels": {"1": "Yes", "2": "No"}, "missing": {"8": "?", "9": "?"},
    }  # fmt: skip
