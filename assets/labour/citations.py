"""The published figures that were read and cited: the truth that the readers must bring back.

Belongs here: `published/documents.csv` and `published/figures.csv`, typed. Does not belong here: reading of bulletins;
nothing here reaches the warehouse but through a file in the inbox.
"""

import csv
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent / "published"


@dataclass(frozen=True)
class CitedFigure:
    """One figure as published, with what was printed and how sure the citation is."""

    document_code: str
    series_code: str
    window_code: str
    period_code: str
    destination_code: str
    sex_code: str
    value: float
    precision_code: str
    resolution: float
    confidence_code: str
    printed: str

    @property
    def fact(self) -> tuple[str, str, str, str, str]:
        """What the figure is about, whoever published it."""
        return (self.series_code, self.window_code, self.period_code, self.destination_code, self.sex_code)


@dataclass(frozen=True)
class CitedDocument:
    """One published document: form in which the practice ground writes it, agency, source as cited, date and its basis."""

    document_code: str
    form_code: str
    agency_code: str
    title: str
    source: str
    period_code: str
    published_on: date
    published_on_basis_code: str
    note: str
    figures: tuple[CitedFigure, ...]


@cache
def cited_documents() -> tuple[CitedDocument, ...]:
    """Every cited document with its figures, by date of publication."""
    figures: dict[str, list[CitedFigure]] = {}
    with (FOLDER / "figures.csv").open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            figure = CitedFigure(
                row["document_code"], row["series_code"], row["window_code"], row["period_code"], row["destination_code"],
                row["sex_code"], float(row["value"]), row["precision_code"], float(row["resolution"]),
                row["confidence_code"], row["printed"],
            )  # fmt: skip
            figures.setdefault(figure.document_code, []).append(figure)
    with (FOLDER / "documents.csv").open(encoding="utf-8", newline="") as stream:
        documents = [
            CitedDocument(
                row["document_code"], row["form_code"], row["agency_code"], row["title"], row["source"], row["period_code"],
                date.fromisoformat(row["published_on"]), row["published_on_basis_code"], row["note"],
                tuple(figures.get(row["document_code"], ())),
            )
            for row in csv.DictReader(stream)
        ]  # fmt: skip
    return tuple(sorted(documents, key=lambda document: (document.published_on, document.document_code)))
