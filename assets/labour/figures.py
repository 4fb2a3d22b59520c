"""Published figures, the one shape in which every reader hands them on, and the TOML form for typed press figures.

Belongs here: `Figure`, `Document`, `ReadResult`, and reading of `*.toml` forms with their citation. Does not belong here:
tables (`bulletin`), registers (`register`), which figure is current (SQL model), comparison (`methods.reconciliation`).
"""

import tomllib
from dataclasses import dataclass, field, replace
from datetime import date
from difflib import get_close_matches
from typing import Any

from assets.labour.faults import Fault
from assets.labour.periods import assumed_publication, window_bounds

SERIES = ("deployments", "plan", "plan_lower", "plan_achievement_percent", "year_on_year_percent", "stock")
WINDOWS = ("month", "quarter", "cumulative", "year", "point", "plan_period")


@dataclass(frozen=True)
class Document:
    """One published document: who said it, when, where, in which form. `published_on_basis_code` tells a printed date
    from an assumed one."""

    title: str
    agency_code: str
    kind_code: str
    published_on: date
    published_on_basis_code: str
    source_url: str = ""
    edition_code: str = ""
    language_code: str = "vi"
    is_practice: bool = False


@dataclass(frozen=True)
class Figure:
    """One published figure and where it stands. With `rejections` it is not loaded, and each reason is a sentence."""

    series_code: str
    window_code: str
    period_code: str
    destination_code: str
    sex_code: str
    value: float | None
    precision_code: str = "exact"
    resolution: float = 1.0
    finality_code: str = "provisional"
    confidence_code: str = "confirmed"
    destination_label: str = ""
    pointer: str = ""
    printed: str = ""
    rejections: tuple[str, ...] = ()

    @property
    def fact(self) -> tuple[str, str, str, str, str]:
        """What the figure is about, whoever published it."""
        return (self.series_code, self.window_code, self.period_code, self.destination_code, self.sex_code)


@dataclass(frozen=True)
class ReadResult:
    """What one file holds: its document, sound and rejected figures, contracts of a register, and every fault."""

    file: str
    layout: str
    encoding: str
    document: Document | None
    figures: tuple[Figure, ...] = ()
    contracts: tuple[dict[str, Any], ...] = ()
    faults: tuple[Fault, ...] = ()
    recognised: dict[tuple[str, str], str] = field(default_factory=dict)

    @property
    def sound(self) -> tuple[Figure, ...]:
        """The figures without a reason for rejection."""
        return tuple(figure for figure in self.figures if not figure.rejections)

    @property
    def rejected(self) -> tuple[Figure, ...]:
        """The figures with one."""
        return tuple(figure for figure in self.figures if figure.rejections)

    def facts(self) -> dict[tuple[str, str, str, str, str], float]:
        """The sound figures as fact -> value; what two readings are compared by."""
        return {figure.fact: figure.value for figure in self.sound if figure.value is not None}


def finality(window: str, precision: str, confidence: str) -> str:
    """A completed year's exact and confirmed figure is final; everything published within the year is provisional."""
    return "final" if window == "year" and precision == "exact" and confidence == "confirmed" else "provisional"


_DOCUMENT_KEYS = {"title", "source", "agency", "kind", "published_on", "note", "figure", "is_practice"}
_FIGURE_KEYS = {
    "series", "window", "period", "destination", "sex", "value", "precision", "resolution", "confidence", "printed",
}  # fmt: skip
_ALLOWED = {
    "series": set(SERIES),
    "window": set(WINDOWS),
    "sex": {"_T", "F", "M"},
    "precision": {"exact", "rounded", "at_least"},
    "confidence": {"confirmed", "computed", "unverified"},
}


def read_figure_form(data: bytes, name: str) -> ReadResult:
    """The figures typed into a TOML form, with their citation. Every fault of the form is reported, sound figures load.

    A figure marked `unverified` is never exact: the form says so or the figure is rejected.
    """
    faults: list[Fault] = []

    def fault(cell: str, found: str, expected: str, advice: str) -> str:
        entry = Fault("figure_form", "error", name, "", cell, found, expected, advice)
        faults.append(entry)
        return entry.message

    try:
        raw = tomllib.loads(data.decode("utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as broken:
        fault("", f"no valid TOML ({broken})", "a figure form in UTF-8 TOML", "Mend the line named.")
        return ReadResult(name, "figure-form", "utf-8", None, faults=tuple(faults))
    for key in sorted(set(raw) - _DOCUMENT_KEYS):
        near = get_close_matches(key, sorted(_DOCUMENT_KEYS), 1)
        fault(key, f"key {key!r}", f"one of {', '.join(sorted(_DOCUMENT_KEYS))}", f"Nearest: {near or 'none'}.")
    missing = [key for key in ("title", "source", "figure") if not raw.get(key)]
    if missing:
        fault(
            "",
            f"no {', '.join(missing)}",
            "title, source and at least one [[figure]]",
            "Add them: no figure without a citation.",
        )
        return ReadResult(name, "figure-form", "utf-8", None, faults=tuple(faults))

    if not isinstance(raw["figure"], list) or not all(isinstance(entry, dict) for entry in raw["figure"]):
        fault("figure", "figure that is no table", "[[figure]]", "Write each figure under its own [[figure]].")
        return ReadResult(name, "figure-form", "utf-8", None, faults=tuple(faults))
    figures: list[Figure] = []
    ends: list[date] = []
    for number, entry in enumerate(raw["figure"], 1):
        place = f"figure {number}"
        reasons = []
        for key in sorted(set(entry) - _FIGURE_KEYS):
            near = get_close_matches(key, sorted(_FIGURE_KEYS), 1)
            reasons.append(fault(place, f"key {key!r}", "a known key", f"Nearest: {near or 'none'}."))
        values = {"destination": "_T", "sex": "_T", "precision": "exact", "resolution": 1.0, "confidence": "confirmed"}
        values |= {"printed": ""} | entry
        for key, allowed in _ALLOWED.items():
            if not isinstance(values.get(key), str) or values[key] not in allowed:
                reasons.append(
                    fault(place, f"{key} = {values.get(key)!r}", f"one of {', '.join(sorted(allowed))}", "Correct it.")
                )
        if not isinstance(values.get("value"), int | float) or isinstance(values.get("value"), bool):
            reasons.append(fault(place, f"value = {values.get('value')!r}", "a number", "Type digits only: 111507."))
        if values["confidence"] == "unverified" and values["precision"] == "exact":
            reasons.append(
                fault(place, "an unverified figure marked exact", "rounded or at_least", "Find the source first.")
            )
        try:
            end = window_bounds(str(values.get("window")), str(values.get("period")))[1]
            if not str(values.get("series", "")).startswith("plan"):
                # A plan of the year is printed long before the year ends.
                ends.append(end)
        except (ValueError, KeyError):
            reasons.append(
                fault(
                    place,
                    f"period = {values.get('period')!r}",
                    "a period of that window, such as 2023 or 202310",
                    "Correct it.",
                )
            )
        figures.append(
            Figure(
                series_code=str(values.get("series", "")),
                window_code=str(values.get("window", "")),
                period_code=str(values.get("period", "")),
                destination_code=str(values["destination"]),
                sex_code=str(values["sex"]),
                value=float(str(values["value"])) if not reasons else None,
                precision_code=str(values["precision"]),
                resolution=_positive(values["resolution"]),
                finality_code=finality(str(values.get("window")), str(values["precision"]), str(values["confidence"])),
                confidence_code=str(values["confidence"]),
                destination_label=str(values["destination"]),
                pointer=f"{name}!{place}",
                printed=str(values["printed"]),
                rejections=tuple(reasons),
            )
        )
    published = raw.get("published_on")
    basis = "stated"
    if not isinstance(published, date):
        published, basis = assumed_publication(max(ends)) if ends else None, "assumed"
    if published is None:
        return ReadResult(name, "figure-form", "utf-8", None, tuple(figures), faults=tuple(faults))
    document = Document(
        title=str(raw["title"]),
        agency_code=str(raw.get("agency", "press")),
        kind_code=str(raw.get("kind", "press")),
        published_on=published,
        published_on_basis_code=basis,
        source_url=str(raw["source"]),
        edition_code="figure-form",
        is_practice=bool(raw.get("is_practice", False)),
    )
    return ReadResult(name, "figure-form", "utf-8", document, tuple(figures), faults=tuple(faults))


def _positive(value: object) -> float:
    """A resolution; 1 where the form gives no positive number, which is what an exact count has."""
    return float(value) if isinstance(value, int | float) and value > 0 else 1.0


def rejected(figure: Figure, *reasons: str) -> Figure:
    """`figure` with further reasons not to load it."""
    return replace(figure, rejections=(*figure.rejections, *reasons))
