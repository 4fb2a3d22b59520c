"""What fared how behind a figure leaves with the release: on the page behind each cell, in the files, in the macro."""

import re

import duckdb
import polars as pl
import pytest

from warehouse.publishing.content import EVIDENCE_SCHEMA
from warehouse.publishing.release import read_manifest


def sections(page: str) -> dict[str, str]:
    return {m[1]: m[0] for m in re.finditer(r'<section id="([^"]+)".*?</section>', page, flags=re.S)}


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", ("passed: 9", "12 rows break a rule", "sums_agree", "7 rows corrected", "DOLAB-1", "since 2026-07-06")),
        ("vi", ("đạt: 9", "12 dòng vi phạm quy tắc", "sums_agree", "7 dòng được đính chính", "DOLAB-1", "từ 2026-07-06")),
    ],
)  # fmt: skip
def test_the_page_behind_a_cell_tells_checks_corrections_and_records_held_back(released, language, words):
    pages = [p.read_text(encoding="utf-8") for p in sorted((released.folder / language).glob("RT*-why.html"))]
    mine = [s for page in pages for s in sections(page).values() if 'href="LM01.html"' in s]
    assert mine
    for section in mine:
        assert all(word in section for word in words)
        assert "1999" not in section, "records of another year would not have counted"
    few = {"en": "few records held", "vi": "ít bản ghi tạm giữ"}[language]
    assert any(few in section for section in mine)
    others = [s for page in pages for s in sections(page).values() if 'href="LM01.html"' not in s]
    assert not [s for s in others if "sums_agree" in s]


def test_every_cell_of_a_table_leads_to_its_section(released):
    """The link of each figure has a section that it meets."""
    for path in sorted((released.folder / "en").glob("RT??.html")):
        links = re.findall(rf'href="{path.stem}-why\.html#(r\d+c\d+)"', path.read_text(encoding="utf-8"))
        why = path.with_name(f"{path.stem}-why.html").read_text(encoding="utf-8")
        assert set(links) <= set(sections(why))


def test_files_and_macro_hold_the_same(released):
    flat = pl.read_parquet(released.folder / "data" / "evidence.parquet")
    assert dict(flat.schema) == EVIDENCE_SCHEMA
    with duckdb.connect(str(released.folder / "mhwg.duckdb"), read_only=True) as connection:
        told = connection.execute(
            "select part, detail from explain_figure('LM01', 'VNM', '2023') where part_order = 8 order by all"
        ).fetchall()
        columns = connection.execute("select description from dictionary where table_name = 'evidence'").fetchall()
    assert len(columns) == len(EVIDENCE_SCHEMA)
    assert all(text and "disclosure audit reports" not in text for (text,) in columns)
    assert [part for part, _ in told] == ["check", "check", "correction", "held back"]
    assert any("few staging.labour_figure destination 2023" in detail for _, detail in told)
    assert not any("1999" in detail for _, detail in told)


def test_how_inputs_fared_makes_no_release_of_its_own(released, context, catalogue, protect_rows, world):
    from dataclasses import replace

    from warehouse.publishing.release import Draft, freeze_release

    claims = pl.read_parquet(released.folder / "data" / "claim.parquet")
    plain = freeze_release(Draft(protect_rows(world), catalogue), replace(context, claims=claims), None)[1]
    assert plain == read_manifest(released.folder)["content_hash"], "a release differs by its figures"
