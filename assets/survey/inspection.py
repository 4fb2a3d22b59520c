"""What is in a survey file, and a first draft of its recode: the first hour with a new survey, shortened.

Reads descriptions and, for variables with few values, how often each code occurs; never a value of a variable that looks like an
identifier or has many distinct values. The draft is a proposal to be edited: it maps nothing by itself.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from assets.survey.readers import Variable, describe, read

MAX_CODES = 30
"""More distinct values than this and a variable is a measurement or an identifier; its values are not listed."""

_IDENTIFYING = re.compile(
    r"name|phone|tel|address|birth.?date|date.?of.?birth|passport|identity|id.?card|gps|lat(itude)?$|lon(gitude)?$|e-?mail"
    r"|ho.?ten|họ|tên|dia.?chi|địa chỉ|dien.?thoai|điện thoại|cccd|cmnd|ngay.?sinh|ngày sinh",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class VariableSummary:
    """One variable: its description, how many records are blank, and its codes with their counts where that is safe."""

    variable: Variable
    blank_count: int
    record_count: int
    counts: dict[str, int]
    looks_identifying: bool


def inspect(path: Path) -> list[VariableSummary]:
    """A summary of every variable of the file, in file order. Identifying variables are named and not read."""
    variables = describe(path)
    suspects = {
        name for name, variable in variables.items() if _IDENTIFYING.search(name) or _IDENTIFYING.search(variable.label)
    }
    safe = [name for name in variables if name not in suspects]
    frame = read(path, safe).frame if safe else None
    summaries = []
    for name, variable in variables.items():
        if frame is None or name in suspects:
            summaries.append(VariableSummary(variable, 0, 0, {}, True))
            continue
        column = frame[name]
        counts: dict[str, int] = {}
        # Stata declares no missing codes: that .a to .z are some is said by their occurring.
        letters = sorted(code for code in column.drop_nulls().unique() if re.fullmatch(r"\.[a-z]", str(code)))
        variable = replace(variable, missing=tuple(dict.fromkeys([*variable.missing, *letters])))
        if column.n_unique() <= MAX_CODES:
            tally = column.drop_nulls().value_counts(sort=True).rows()
            counts = {str(code): int(count) for code, count in sorted(tally, key=lambda row: _sort_key(str(row[0])))}
        summaries.append(VariableSummary(variable, column.null_count(), frame.height, counts, False))
    return summaries


def summary_lines(path: Path, summaries: Sequence[VariableSummary]) -> list[str]:
    """The summaries as plain lines for a terminal: variables, their codes with labels and counts, their missing codes."""
    records = max((summary.record_count for summary in summaries), default=0)
    hidden = sum(summary.looks_identifying for summary in summaries)
    lines = [f"{path.name}: {records} records, {len(summaries)} variables, {hidden} of them identifying and not read"]
    for summary in summaries:
        variable = summary.variable
        head = f"{variable.name}: {variable.label}" if variable.label else variable.name
        if summary.looks_identifying:
            lines.append(f"{head} (looks identifying: not read)")
            continue
        notes = [
            f"{summary.blank_count} blank" if summary.blank_count else "",
            f"asked of {variable.universe}" if variable.universe else "",
        ]
        lines.append(f"{head}" + "".join(f"; {note}" for note in notes if note))
        single = [code for code in variable.missing if " thru " not in code]
        for code in dict.fromkeys([*summary.counts, *variable.value_labels, *single]):
            label = variable.value_labels.get(code, "no label" if variable.value_labels else "")
            missing = " (missing code)" if code in single else ""
            count = summary.counts.get(code, 0) if summary.counts else ""
            lines.append(f"    {code:>8}  {count:>9}  {label}{missing}".rstrip())
        if not summary.counts and summary.blank_count < summary.record_count:
            lines.append(f"    more than {MAX_CODES} values: a measurement or a key, not listed")
        lines.extend(f"    {span}: missing range" for span in variable.missing if " thru " in span)
    return [
        *lines,
        "",
        "--draft prints a recode with every variable of the file, to be edited and saved in assets/survey/recodes.",
    ]


def draft_recode(path: Path) -> str:
    """A recode in TOML with every variable of the file: identifiers listed, codes and labels filled in, targets left to the editor."""
    summaries = inspect(path)
    identifiers = ", ".join(f'"{s.variable.name}"' for s in summaries if s.looks_identifying)
    lines = [
        f"# Draft for {path.name}. Delete what is not wanted (it will never be read), give each variable a target column of",
        "# core.survey_person, say who was asked (universe), and sort missing codes into refused, dont_know, error.",
        'survey_code = "COUNTRY_SURVEY"', 'wave_code = "YEAR"', 'owner = "team:..."', 'dated = "YYYY-MM-DD"',
        "", "[[file]]", 'role = "person"', f'name = "{path.name}"', f"identifiers = [{identifiers}]",
    ]  # fmt: skip
    for summary in summaries:
        if summary.looks_identifying:
            continue
        variable = summary.variable
        lines += ["", "[[variable]]", 'target = "?"', f'source = "{variable.name}"']
        missing = [code for code in variable.missing if " thru " not in code]
        codes = [code for code in (list(summary.counts) or list(variable.value_labels)) if code not in missing]
        labelled = {code: variable.value_labels[code] for code in codes if code in variable.value_labels}
        if labelled:
            lines.append("codes = { " + ", ".join(f'{_key(code)} = "?"' for code in codes) + " }")
            lines.append(
                "labels = { " + ", ".join(f"{_key(code)} = {_quoted(text)}" for code, text in labelled.items()) + " }"
            )
        if missing:
            lines.append("missing = { " + ", ".join(f'{_key(code)} = "?"' for code in missing) + " }")
        ranges = [code for code in variable.missing if " thru " in code]
        notes = [
            variable.label,
            *(f"missing {span}" for span in ranges),
            f"{summary.blank_count} of {summary.record_count} blank",
        ]
        lines.append("# " + "; ".join(note.replace("\n", " ") for note in notes if note))
    return "\n".join(lines) + "\n"


def _sort_key(code: str) -> tuple[int, float, str]:
    try:
        return 0, float(code), code
    except ValueError:
        return 1, 0.0, code


def _key(code: str) -> str:
    return code if re.fullmatch(r"[A-Za-z0-9_-]+", code) else _quoted(code)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
    return f'"{escaped}"'
