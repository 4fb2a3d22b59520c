"""One self-contained page on one provider's data quality, in English or Vietnamese, that opens without a network.

Belongs here: the look of that page. Great Expectations' own pages load styles and scripts from elsewhere, so they are bare offline.
Does not belong here: what is on it (`provider_report`), the pages of a release (`warehouse.publishing`).
"""

import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Literal

from expectations.provider_report import ProviderReport, TrendPoint
from expectations.provider_review import PeriodRate, ProviderReview
from methods.outliers import statement

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
        "outage": "The last refresh of this source failed ({fault}). The figures rest on data received on {day}.",
        "review": "What the review asks",
        "finding": "Finding",
        "count": "Open",
        "ask": "Units to ask first",
        "missing": "Missing reports",
        "other": "Other findings",
        "values": "Values to look at",
        "values_text": "The least likely first; all of them are in findings.csv.",
        "kind": "Finding",
        "period": "Period",
        "concept": "Element or rule",
        "found": "Found",
        "expect": "Expected",
        "note": "DHIS2's outlier screen",
        "silent": "Where DHIS2's outlier screen is silent",
        "silent_share": "{series} of {all} series",
        "rates": "Reports received, by month",
        "rates_text": "Share of the monthly reports owed that came (and came in time): {series}.",
        "fields": "Fields that changed",
        "expected": "Rows expected and found",
        "expected_text": "Expected from the reports owed, or from what came before.",
        "series": "What",
        "slice": "Period or file",
        "found_rows": "Rows",
        "band": "Expected",
        "band_value": "{low} to {high}",
        "reports": "Reports received of those owed",
        "outside": "outside",
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
        "outage": "Lần cập nhật gần nhất của nguồn này không thành công ({fault}). Số liệu dựa trên dữ liệu nhận ngày {day}.",
        "review": "Điều cần làm rõ",
        "finding": "Phát hiện",
        "count": "Còn mở",
        "ask": "Đơn vị cần hỏi trước",
        "missing": "Báo cáo còn thiếu",
        "other": "Phát hiện khác",
        "values": "Giá trị cần xem lại",
        "values_text": "Khó xảy ra nhất đứng trước; toàn bộ nằm trong findings.csv.",
        "kind": "Phát hiện",
        "period": "Kỳ",
        "concept": "Chỉ tiêu hoặc quy tắc",
        "found": "Thực có",
        "expect": "Dự kiến",
        "note": "Bộ lọc ngoại lai của DHIS2",
        "silent": "Nơi bộ lọc ngoại lai của DHIS2 không lên tiếng",
        "silent_share": "{series} trên {all} chuỗi",
        "rates": "Báo cáo đã nhận theo tháng",
        "rates_text": "Tỷ lệ báo cáo tháng đến hạn đã nhận (và đúng hạn): {series}.",
        "fields": "Trường dữ liệu đã thay đổi",
        "expected": "Số dòng dự kiến và thực có",
        "expected_text": "Dự kiến theo số báo cáo đến hạn, hoặc theo các lần trước.",
        "series": "Nội dung",
        "slice": "Kỳ hoặc tệp",
        "found_rows": "Số dòng",
        "band": "Dự kiến",
        "band_value": "{low} đến {high}",
        "reports": "Báo cáo đã nhận trên số đến hạn",
        "outside": "ngoài khoảng",
        "sent": "Các bản ghi bị từ chối được giao riêng, chỉ cho đơn vị cung cấp này.",
    },
}

LONG_CELL = 24
"""Characters from which a column is one of sentences."""

_STYLE = """
:root { color-scheme: light dark; --ink: #1b2733; --paper: #fff; --line: #cfd8e0; --soft: #f3f6f8; --bad: #a4262c; --mid: #8a5a00; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4eaf0; --paper: #141b22; --line: #3a4752; --soft: #1d262f;
  --bad: #ff9b95; --mid: #f0c060; } }
body { margin: 0 auto; max-width: 62rem; padding: 1.5rem 1rem 4rem; font: 16px/1.5 system-ui, sans-serif;
  color: var(--ink); background: var(--paper); }
h1 { font-size: 1.6rem; line-height: 1.25; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
.wide { overflow-x: auto; } table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .45rem .6rem; border-bottom: 1px solid var(--line); min-width: 5.5rem; }
/* Sentences keep a readable width and places of files may break: on a phone the table scrolls, its words do not fall apart. */
td.text, th.text { min-width: 13rem; overflow-wrap: anywhere; }
.axis { display: flex; justify-content: space-between; font-size: .85rem; }
th { background: var(--soft); }
td.number, th.number { min-width: 0; text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.critical { color: var(--bad); font-weight: 600; } .warning { color: var(--mid); }
svg { width: 100%; height: auto; } @media print { body { max-width: none; } }
"""


def quality_page(report: ProviderReport, language: Language, review: ProviderReview | None = None) -> str:
    """The whole page as HTML: no script, no style, font or image from elsewhere, nothing of a record but counts and places."""
    words = _WORDS[language]
    title = words["title"].format(source=report.source_code)
    summary = words["as_at"].format(
        at=f"{report.refresh_at:%Y-%m-%d %H:%M}", failed=len(report.findings), rules=report.rules
    )
    review = review or ProviderReview()
    sections = [
        _outage(review, words),
        _findings(report, words, language),
        _held(report, words),
        _units(report, words),
        _review(review, words, language),
        _values(review, words, language),
        _silences(review, words, language),
        _rates(review.rates, words),
        _slices(review, words),
        _changed_fields(review, words),
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
    texts = frozenset(
        place for place in range(len(headings)) if max(_longest_line(row[place]) for row in rows) > LONG_CELL
    )
    head = "".join(
        f'<th scope="col"{_class(place, numbers, texts)}>{escape(heading)}</th>'
        for place, heading in enumerate(headings)
    )
    body = "".join(
        "<tr>"
        + "".join(f"<td{_class(place, numbers, texts)}>{cell}</td>" for place, cell in enumerate(row))
        + "</tr>\n"
        for row in rows
    )
    return f'<div class="wide"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table></div>\n'


def _class(place: int, numbers: frozenset[int], texts: frozenset[int]) -> str:
    name = "number" if place in numbers else "text" if place in texts else ""
    return f' class="{name}"' if name else ""


def _longest_line(cell: str) -> int:
    """Characters of the longest line of a cell, tags left out."""
    return max(len(re.sub(r"<[^>]+>", "", line)) for line in cell.split("<br>"))


def _in_language(english: str, vietnamese: str, language: Language) -> str:
    """A sentence in the page's language; in English, and marked as such, where nobody has put it into Vietnamese."""
    if language == "vi" and vietnamese:
        return escape(vietnamese)
    return f'<span lang="en">{escape(english)}</span>'


def _findings(report: ProviderReport, words: dict[str, str], language: Language) -> str:
    if not report.findings:
        return f"<h2>{escape(words['fix'])}</h2>\n<p>{escape(words['none'])}</p>\n"
    rows = [
        (
            f'<span class="{escape(finding.severity)}">{escape(words[finding.severity])}</span>',
            _in_language(finding.says, finding.says_vi, language) + f"<br><small>{escape(finding.rule_code)}</small>",
            escape(words["unrun"]) if finding.raised else _in_language(finding.why, finding.why_vi, language),
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


def _outage(review: ProviderReview, words: dict[str, str]) -> str:
    if review.last_good_on is None:
        return ""
    text = words["outage"].format(fault=review.fault, day=review.last_good_on.isoformat())
    return f'<p class="critical">{escape(text)}</p>\n'


def _review(review: ProviderReview, words: dict[str, str], language: Language) -> str:
    parts = []
    if review.findings:
        rows = [
            (escape(count.name_vi if language == "vi" else count.name_en), f"{count.findings:,}")
            for count in review.findings
        ]
        parts.append(
            f"<h2>{escape(words['review'])}</h2>\n" + _table([words["finding"], words["count"]], rows, frozenset({1}))
        )
    if review.units:
        units = [(escape(unit.unit), f"{unit.missing_reports:,}", f"{unit.other_findings:,}") for unit in review.units]
        headings = [words["unit"], words["missing"], words["other"]]
        parts.append(f"<h2>{escape(words['ask'])}</h2>\n" + _table(headings, units, frozenset({1, 2})))
    return "".join(parts)


def _slices(review: ProviderReview, words: dict[str, str]) -> str:
    if not review.slices:
        return ""
    rows = [
        (
            escape(found.series),
            escape(found.slice),
            f"{found.rows:,}"
            + (f' <span class="warning">{escape(words["outside"])}</span>' if found.is_outside else ""),
            escape(words["band_value"].format(low=f"{found.low:,}", high=f"{found.high:,}")),
            f"{found.received:,} / {found.owed:,}" if found.owed is not None else "",
        )
        for found in review.slices
    ]
    headings = [words[name] for name in ("series", "slice", "found_rows", "band", "reports")]
    return f"<h2>{escape(words['expected'])}</h2>\n<p>{escape(words['expected_text'])}</p>\n" + _table(
        headings, rows, frozenset({2, 3, 4})
    )


def _values(review: ProviderReview, words: dict[str, str], language: Language) -> str:
    if not review.values:
        return ""
    rows = [
        (
            escape(value.name_vi if language == "vi" else value.name_en),
            escape(value.unit),
            escape(value.period_code),
            escape(value.concept_code),
            _amount(value.found),
            _amount(value.expected),
            escape(statement(value.silence_code, language)),
        )
        for value in review.values
    ]
    headings = [words[name] for name in ("kind", "unit", "period", "concept", "found", "expect", "note")]
    return f"<h2>{escape(words['values'])}</h2>\n<p>{escape(words['values_text'])}</p>\n" + _table(
        headings, rows, frozenset({4, 5})
    )


def _amount(value: float | None) -> str:
    return "" if value is None else f"{value:,.1f}".removesuffix(".0")


def _silences(review: ProviderReview, words: dict[str, str], language: Language) -> str:
    if not review.silences:
        return ""
    lines = "".join(
        f"<li>{escape(words['silent_share'].format(series=f'{found.series:,}', all=f'{found.all_series:,}'))}: "
        f"{escape(statement(found.silence_code, language))}</li>"
        for found in review.silences
    )
    return f"<h2>{escape(words['silent'])}</h2>\n<ul>{lines}</ul>\n"


def _changed_fields(review: ProviderReview, words: dict[str, str]) -> str:
    if not review.changed_fields:
        return ""
    lines = "".join(f'<li lang="en">{escape(line)}</li>' for line in review.changed_fields)
    return f"<h2>{escape(words['fields'])}</h2>\n<ul>{lines}</ul>\n"


def _rates(rates: Sequence[PeriodRate], words: dict[str, str]) -> str:
    """Share of reports received by month as bars, the part in time darker, with the same numbers in words."""
    if len(rates) < 2:
        return ""
    series = ", ".join(f"{rate.period_code} {100 * rate.received:.0f} % ({100 * rate.in_time:.0f} %)" for rate in rates)
    text = words["rates_text"].format(series=series)
    step = 600 / len(rates)
    bars = "".join(
        f'<rect x="{index * step + 2:.1f}" y="{110 - 100 * share:.1f}" width="{step - 4:.1f}" height="{100 * share:.1f}" '
        f'fill="currentColor" opacity="{opacity}"/>'
        for index, rate in enumerate(rates)
        for share, opacity in ((rate.received, 0.35), (rate.in_time, 0.6))
    )
    return (
        f"<h2>{escape(words['rates'])}</h2>\n"
        f'<svg viewBox="0 0 600 111" role="img" aria-label="{escape(text)}">{bars}'
        f'<line x1="0" y1="110.5" x2="600" y2="110.5" stroke="currentColor"/>'
        f'</svg>\n<div class="axis" aria-hidden="true"><span>{escape(rates[0].period_code)}</span>'
        f"<span>{escape(rates[-1].period_code)}</span></div>\n"
        f"<p>{escape(text)}</p>\n"
    )


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
        f'<svg viewBox="0 0 600 111" role="img" aria-label="{escape(text)}">{bars}'
        f'<line x1="0" y1="110.5" x2="600" y2="110.5" stroke="currentColor"/>'
        f'</svg>\n<div class="axis" aria-hidden="true"><span>{shown[0].refresh_at:%Y-%m-%d}</span>'
        f"<span>{shown[-1].refresh_at:%Y-%m-%d}</span></div>\n"
        f"<p>{escape(text)}</p>\n"
    )


_RUN_WORDS: dict[Language, dict[str, str]] = {
    "en": {
        "title": "Data quality of the last refresh, by provider",
        "at": "As of {at} (UTC). One page per provider, to be sent to that provider.",
        "provider": "Provider",
        "last": "Last load",
        "rules": "Rules",
        "failed": "Failed",
        "held": "Held back",
        "findings": "Findings",
        "state": "State",
        "good": "refreshed",
        "old": "data of {day}",
        "between": "Between sources",
    },
    "vi": {
        "title": "Chất lượng dữ liệu của lần cập nhật gần nhất, theo đơn vị cung cấp",
        "at": "Tính đến {at} (UTC). Mỗi đơn vị cung cấp có một trang riêng để gửi.",
        "provider": "Đơn vị cung cấp",
        "last": "Lần nạp gần nhất",
        "rules": "Quy tắc",
        "failed": "Không đạt",
        "held": "Bị giữ lại",
        "findings": "Phát hiện",
        "state": "Tình trạng",
        "good": "đã cập nhật",
        "old": "dữ liệu ngày {day}",
        "between": "Giữa các nguồn",
    },
}


def run_page(
    providers: Sequence[tuple[ProviderReport, ProviderReview]],
    places: Mapping[str, str],
    between_sources: Sequence[tuple[str, str, int]],
    language: Language,
) -> str:
    """The page of one refresh: every provider in a row, with a link to its page, and what disagrees between sources.

    `places`: the folder of each provider's page, from this page's. `between_sources`: name in English and Vietnamese of a
    comparison, and its open findings.
    """
    words = _RUN_WORDS[language]
    rows = [
        (
            f'<a href="{escape(places[report.source_code])}/quality.{language}.html">{escape(report.source_code)}</a>',
            f"{report.refresh_at:%Y-%m-%d %H:%M}",
            f"{report.rules:,}",
            f"{len(report.findings):,}",
            f"{sum(held.records for held in report.held):,}",
            f"{sum(count.findings for count in review.findings):,}",
            escape(words["old"].format(day=review.last_good_on.isoformat()) if review.last_good_on else words["good"]),
        )
        for report, review in providers
    ]
    headings = [words[name] for name in ("provider", "last", "rules", "failed", "held", "findings", "state")]
    at = max((report.refresh_at for report, _ in providers), default=None)
    disagreeing = [(escape(vi if language == "vi" else en), f"{count:,}") for en, vi, count in between_sources]
    between = (
        f"<h2>{escape(words['between'])}</h2>\n"
        + _table([_WORDS[language]["finding"], _WORDS[language]["count"]], disagreeing, frozenset({1}))
        if disagreeing
        else ""
    )
    return (
        f'<!doctype html>\n<html lang="{language}">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(words['title'])}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        f"<h1>{escape(words['title'])}</h1>\n<p>{escape(words['at'].format(at=f'{at:%Y-%m-%d %H:%M}' if at else '-'))}</p>\n"
        f"{_table(headings, rows, frozenset({2, 3, 4, 5}))}{between}</main>\n</body>\n</html>\n"
    )
