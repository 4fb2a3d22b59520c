"""One self-contained page on one provider's data quality, in English or Vietnamese, that opens without a network.

Belongs here: the look of that page. Great Expectations' own pages load styles and scripts from elsewhere, so they are bare offline.
Does not belong here: what is on it (`provider_report`), the pages of a release (`warehouse.publishing`).
"""

from collections.abc import Sequence
from html import escape
from typing import Literal

from expectations.provider_report import ProviderReport, TrendPoint

Language = Literal["en", "vi"]

_WORDS: dict[Language, dict[str, str]] = {
    "en": {
        "title": "Data quality of {source}",
        "as_at": "Last load {at} (UTC). {failed} of {rules} rules failed.",
        "fix": "What to fix",
        "none": "Nothing: every rule held.",
        "rule": "What is expected",
        "why": "Why it matters",
        "rows": "Rows",
        "severity": "Severity",
        "owner": "Owner",
        "critical": "critical",
        "warning": "warning",
        "info": "for information",
        "held": "Records held back",
        "held_none": "No record is held back.",
        "reason": "Reason",
        "where": "Where, for example",
        "units": "Units with most records held",
        "unit": "Unit",
        "trend": "Trend",
        "trend_text": "Failed rules in each load: {series}.",
        "books": "Rows received and what became of them",
        "table": "Table",
        "received": "Received",
        "staged": "Taken",
        "quarantined": "Held",
        "duplicates": "Doubled",
        "balanced": "Accounted for",
        "yes": "yes",
        "no": "NO",
        "unrun": "This rule could not be evaluated and counts as failed.",
        "sent": "Rejected records themselves are handed over separately, to this provider only.",
    },
    "vi": {
        "title": "Chất lượng dữ liệu của {source}",
        "as_at": "Lần nạp gần nhất {at} (UTC). {failed} trên {rules} quy tắc không đạt.",
        "fix": "Cần sửa",
        "none": "Không có: mọi quy tắc đều đạt.",
        "rule": "Điều mong đợi",
        "why": "Vì sao quan trọng",
        "rows": "Số dòng",
        "severity": "Mức độ",
        "owner": "Phụ trách",
        "critical": "nghiêm trọng",
        "warning": "cảnh báo",
        "info": "để biết",
        "held": "Bản ghi bị giữ lại",
        "held_none": "Không có bản ghi nào bị giữ lại.",
        "reason": "Lý do",
        "where": "Vị trí, ví dụ",
        "units": "Đơn vị có nhiều bản ghi bị giữ nhất",
        "unit": "Đơn vị",
        "trend": "Xu hướng",
        "trend_text": "Số quy tắc không đạt trong từng lần nạp: {series}.",
        "books": "Số dòng nhận được và kết quả xử lý",
        "table": "Bảng",
        "received": "Nhận",
        "staged": "Dùng",
        "quarantined": "Giữ lại",
        "duplicates": "Trùng",
        "balanced": "Khớp sổ",
        "yes": "có",
        "no": "KHÔNG",
        "unrun": "Quy tắc này không chạy được và được tính là không đạt.",
        "sent": "Các bản ghi bị từ chối được giao riêng, chỉ cho đơn vị cung cấp này.",
    },
}

_STYLE = """
:root { color-scheme: light dark; --ink: #1b2733; --paper: #fff; --line: #cfd8e0; --soft: #f3f6f8; --bad: #a4262c; --mid: #8a5a00; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4eaf0; --paper: #141b22; --line: #3a4752; --soft: #1d262f;
  --bad: #ff9b95; --mid: #f0c060; } }
body { margin: 0 auto; max-width: 62rem; padding: 1.5rem 1rem 4rem; font: 16px/1.5 system-ui, sans-serif;
  color: var(--ink); background: var(--paper); }
h1 { font-size: 1.6rem; line-height: 1.25; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
.wide { overflow-x: auto; } table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .45rem .6rem; border-bottom: 1px solid var(--line); overflow-wrap: anywhere; }
th { background: var(--soft); } td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.critical { color: var(--bad); font-weight: 600; } .warning { color: var(--mid); }
svg { width: 100%; height: auto; } @media print { body { max-width: none; } }
"""


def quality_page(report: ProviderReport, language: Language) -> str:
    """The whole page as HTML: no script, no style, font or image from elsewhere, nothing of a record but counts and places."""
    words = _WORDS[language]
    title = words["title"].format(source=report.source_code)
    summary = words["as_at"].format(
        at=f"{report.refresh_at:%Y-%m-%d %H:%M}", failed=len(report.findings), rules=report.rules
    )
    sections = [
        _findings(report, words),
        _held(report, words),
        _units(report, words),
        _trend(report.trend, words),
        _books(report, words),
    ]
    return (
        f'<!doctype html>\n<html lang="{language}">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        f"<h1>{escape(title)}</h1>\n<p>{escape(summary)}</p>\n{''.join(sections)}<p>{escape(words['sent'])}</p>\n"
        "</main>\n</body>\n</html>\n"
    )


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]], numbers: frozenset[int]) -> str:
    head = "".join(
        f'<th scope="col"{_number(place, numbers)}>{escape(heading)}</th>' for place, heading in enumerate(headings)
    )
    body = "".join(
        "<tr>" + "".join(f"<td{_number(place, numbers)}>{cell}</td>" for place, cell in enumerate(row)) + "</tr>\n"
        for row in rows
    )
    return f'<div class="wide"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table></div>\n'


def _number(place: int, numbers: frozenset[int]) -> str:
    return ' class="number"' if place in numbers else ""


def _findings(report: ProviderReport, words: dict[str, str]) -> str:
    if not report.findings:
        return f"<h2>{escape(words['fix'])}</h2>\n<p>{escape(words['none'])}</p>\n"
    rows = [
        (
            f'<span class="{escape(finding.severity)}">{escape(words[finding.severity])}</span>',
            f'<span lang="en">{escape(finding.says)}</span><br><small>{escape(finding.rule_code)}</small>',
            escape(words["unrun"]) if finding.raised else f'<span lang="en">{escape(finding.why)}</span>',
            f"{finding.rows:,}",
            escape(finding.owner),
        )
        for finding in report.findings
    ]
    headings = [words[name] for name in ("severity", "rule", "why", "rows", "owner")]
    return f"<h2>{escape(words['fix'])}</h2>\n" + _table(headings, rows, frozenset({3}))


def _held(report: ProviderReport, words: dict[str, str]) -> str:
    if not report.held:
        return f"<h2>{escape(words['held'])}</h2>\n<p>{escape(words['held_none'])}</p>\n"
    rows = [
        (
            f'<span lang="en">{escape(held.reason)}</span>',
            f"{held.records:,}",
            "<br>".join(escape(pointer) for pointer in held.pointers),
        )
        for held in report.held
    ]
    return f"<h2>{escape(words['held'])}</h2>\n" + _table(
        [words["reason"], words["rows"], words["where"]], rows, frozenset({1})
    )


def _units(report: ProviderReport, words: dict[str, str]) -> str:
    if not report.units:
        return ""
    rows = [(escape(unit.unit), f"{unit.records:,}") for unit in report.units]
    return f"<h2>{escape(words['units'])}</h2>\n" + _table([words["unit"], words["rows"]], rows, frozenset({1}))


def _books(report: ProviderReport, words: dict[str, str]) -> str:
    if not report.reconciliation:
        return ""
    rows = [
        (
            escape(book.table),
            *(f"{number:,}" for number in (book.received, book.staged, book.quarantined, book.duplicates)),
            escape(words["yes"] if book.is_balanced else words["no"]),
        )
        for book in report.reconciliation
    ]
    headings = [words[name] for name in ("table", "received", "staged", "quarantined", "duplicates", "balanced")]
    return f"<h2>{escape(words['books'])}</h2>\n" + _table(headings, rows, frozenset({1, 2, 3, 4}))


def _trend(trend: Sequence[TrendPoint], words: dict[str, str]) -> str:
    """Failed rules by load as bars, with the same numbers in words for those who cannot see them."""
    if len(trend) < 2:
        return ""
    shown = trend[-26:]
    series = ", ".join(f"{point.refresh_at:%Y-%m-%d} {point.failed}" for point in shown)
    text = words["trend_text"].format(series=series)
    top = max(1, *(point.failed for point in shown))
    step = 600 / len(shown)
    bars = "".join(
        f'<rect x="{index * step + 2:.1f}" y="{110 - 100 * point.failed / top:.1f}" width="{step - 4:.1f}" '
        f'height="{100 * point.failed / top:.1f}" fill="currentColor" opacity="0.65"><title>{point.refresh_at:%Y-%m-%d}: '
        f"{point.failed}</title></rect>"
        for index, point in enumerate(shown)
    )
    return (
        f"<h2>{escape(words['trend'])}</h2>\n"
        f'<svg viewBox="0 0 600 130" role="img" aria-label="{escape(text)}">{bars}'
        f'<line x1="0" y1="110.5" x2="600" y2="110.5" stroke="currentColor"/>'
        f'<text x="0" y="126" font-size="12" fill="currentColor">{shown[0].refresh_at:%Y-%m-%d}</text>'
        f'<text x="600" y="126" font-size="12" fill="currentColor" text-anchor="end">{shown[-1].refresh_at:%Y-%m-%d}</text>'
        "</svg>\n"
        f"<p>{escape(text)}</p>\n"
    )
