"""The quality pages as files: one folder per provider for that provider alone, and the page of the run beside them.

Belongs here: which files, their permissions, and that nothing is written that did not change. Does not belong here: what is on a page
(`provider_report`, `provider_review`), its look (`quality_page`).

    quality/run.en.html, run.vi.html          every provider in a row; for the engineer
    quality/<provider>/quality.en.html, .vi.html   for the provider
    quality/<provider>/message.en.txt, .vi.txt     a letter to send with it
    quality/<provider>/findings.csv                every open finding about a server's data: unit, period, found, expected
    quality/<provider>/rejected.csv                the provider's own rejected records; for its eyes only, never part of a release
    victims/quality/...                            the same for the provider of victim support, apart like its records
"""

import csv
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from expectations.provider_report import ProviderReport, provider_report, rejected_records
from expectations.provider_review import ProviderReview, open_findings, provider_review
from expectations.quality_page import Language, quality_page, run_page
from warehouse.catalogue.table_catalogue import load_codelist
from warehouse.victims import FOLDER as VICTIMS_FOLDER
from warehouse.victims import SOURCE as VICTIMS

LANGUAGES: tuple[Language, ...] = ("en", "vi")

_LETTER: dict[Language, str] = {
    "en": """Dear colleague,

your data of {source} were loaded on {day}. {failed} of {rules} rules did not hold, {held} records are held back and {findings}
findings are open. The page beside this letter (quality.en.html) says what to fix first and where it stands in your files; the
records themselves are in rejected.csv, for you alone. Corrected records are taken up by the next weekly refresh by themselves.
""",
    "vi": """Kính gửi Quý đồng nghiệp,

dữ liệu {source} của Quý đơn vị đã được nạp ngày {day}. {failed} trên {rules} quy tắc không đạt, {held} bản ghi bị giữ lại và còn
{findings} phát hiện cần làm rõ. Trang kèm theo (quality.vi.html) nêu việc cần sửa trước và vị trí trong tệp của Quý đơn vị; các
bản ghi nằm trong rejected.csv, chỉ dành cho Quý đơn vị. Bản ghi đã sửa sẽ tự động được nhận trong lần cập nhật hằng tuần tới.
""",
}


@dataclass(frozen=True)
class Written:
    """What one provider was given: its report, its review and its folder."""

    report: ProviderReport
    review: ProviderReview
    folder: Path


def reviewed_providers(connection: Any) -> list[tuple[ProviderReport, ProviderReview]]:
    """Report and review of every source that has sent something, in name order."""
    names = connection.execute("select distinct source_code from ops.receipt order by 1").fetchall()
    found = [(provider_report(connection, name), provider_review(connection, name)) for (name,) in names]
    return [(report, review) for report, review in found if report is not None]


def provider_folder(folder: Path, source_code: str) -> Path:
    """Where the files for one provider stand: below the quality folder, those of victim support with its store."""
    return folder.parent / VICTIMS_FOLDER / folder.name if source_code == VICTIMS else folder / source_code


def write_quality(connection: Any, folder: Path) -> tuple[list[Written], int]:
    """The folder says what the store says; what each provider was given, and how many files changed."""
    _private(folder)
    changed = 0
    written = []
    providers = reviewed_providers(connection)
    for report, review in providers:
        own = provider_folder(folder, report.source_code)
        _private(own)
        for language in LANGUAGES:
            changed += _write(own / f"quality.{language}.html", quality_page(report, language, review).encode())
            changed += _write(own / f"message.{language}.txt", _letter(report, review, language).encode())
        if report.source_code.startswith("dhis2_"):
            changed += _write(own / "findings.csv", _csv(open_findings(connection, report.source_code)))
        changed += _write(own / "rejected.csv", _csv(rejected_records(connection, report.source_code)))
        written.append(Written(report, review, own))
    between = _between_sources(connection)
    places = {given.report.source_code: Path(os.path.relpath(given.folder, folder)).as_posix() for given in written}
    for language in LANGUAGES:
        changed += _write(folder / f"run.{language}.html", run_page(providers, places, between, language).encode())
    return written, changed


def _between_sources(connection: Any) -> Sequence[tuple[str, str, int]]:
    names = {code.code: code for code in load_codelist("quality_review")}
    rows = connection.execute(
        """select review_code, count(*) from core.quality_finding_current where instance_code = '_T'
        group by review_code order by review_code"""
    ).fetchall()
    return [(names[code].name_en, names[code].name_vi, int(count)) for code, count in rows]


def _letter(report: ProviderReport, review: ProviderReview, language: Language) -> str:
    return _LETTER[language].format(
        source=report.source_code,
        day=f"{report.refresh_at:%Y-%m-%d}" if language == "en" else f"{report.refresh_at:%d/%m/%Y}",
        failed=len(report.findings),
        rules=report.rules,
        held=sum(held.records for held in report.held),
        findings=sum(count.findings for count in review.findings),
    )


def _csv(frame: pl.DataFrame) -> bytes:
    """The rows as CSV that a spreadsheet opens as text: with a byte-order mark, and no text that it would take for a formula."""
    stream = io.StringIO(newline="")
    writer = csv.writer(stream)
    writer.writerow(frame.columns)
    for row in frame.iter_rows():
        writer.writerow(
            ["" if cell is None else cell if isinstance(cell, float) else _as_text(str(cell)) for cell in row]
        )
    return stream.getvalue().encode("utf-8-sig")


def _as_text(cell: str) -> str:
    return f"'{cell}" if cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell


def _private(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    os.chmod(folder, 0o700)


def _write(path: Path, data: bytes) -> bool:
    """The file holds `data`, readable by its owner alone; False when it did already."""
    if path.exists() and path.read_bytes() == data:
        return False
    aside = path.with_name(f".{path.name}.part")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(data)
    os.replace(aside, path)
    return True
