"""The files that survey offices leave in the inbox, written once per wave in the format of each office.

A wave that is already there is never written again: statistical packages stamp the time into the header, and a file that differs
only in that would look like a revised survey. How answers come about is in the file of each survey.
"""

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas
import polars as pl
import pyreadstat

from practice.survey import (
    border_clinics,
    households,
    labour_force,
    overseas_workers,
    returned_workers,
    risk_factors,
)
from practice.survey.questionnaire import Question, answered, particulars, yes_no

DEFAULT_SEED = 20260706

YES_NO = {1: "Yes", 2: "No"}
PHQ = {0: "Not at all", 1: "Several days", 2: "More than half the days", 3: "Nearly every day"}


def _labels(question: Question) -> dict[int | float, str]:
    return dict(question.value_labels.items())


def _sav(frame: pl.DataFrame, questions: dict[str, Question], path: Path, label: str, *, is_zsav: bool = False) -> None:
    """`frame` is an SPSS file at `path` with variable labels, value labels and user-missing codes."""
    pyreadstat.write_sav(
        frame,
        path,
        file_label=label,
        compress=is_zsav,
        row_compress=not is_zsav,
        column_labels={name: question.label for name, question in questions.items()},
        variable_value_labels={name: _labels(q) for name, q in questions.items() if q.value_labels and not q.is_text},
        missing_ranges={name: list(q.missing) for name, q in questions.items() if q.missing},
    )


OVERSEAS_QUESTIONS: dict[str, Question] = {
    "PHIEU": Question("Questionnaire number"),
    "HOTEN": Question("Full name", is_text=True),
    "CCCD": Question("Citizen identity number", is_text=True),
    "DIENTHOAI": Question("Telephone", is_text=True),
    "NGAYSINH": Question("Date of birth", is_text=True),
    "DIACHI": Question("Address of the dormitory room", is_text=True),
    "QG": Question("Country of work", {place.code: place.label for place in overseas_workers.DESTINATIONS}),
    "NGANH": Question("Sector", dict(overseas_workers.SECTORS)),
    "TANG": Question("Sampling stratum"),
    "CUM": Question("Dormitory (primary sampling unit)"),
    "TONGCUM": Question("Dormitories in the stratum"),
    "QUYENSO": Question("Expansion weight"),
    "GIOI": Question("Sex", {1: "Male", 2: "Female"}),
    "TUOI": Question("Age in completed years", refused=99),
    "NAMOK": Question("Completed years in the country of work", dont_know=98),
    "H1": Question("Has any health insurance", YES_NO, 8, 9),
    "H2": Question(
        "Main insurance scheme",
        {
            1: "Statutory scheme of the country of work",
            2: "Private, valid in the country of work",
            3: "Vietnamese social health insurance only",
        },
        8,
        9,
    ),
    "K1": Question("Needed health care in the last 12 months", YES_NO, 8, 9),
    "K2": Question("Looked for care when needed", YES_NO, 8, 9),
    "K3": Question("Got the care that was needed", YES_NO, 8, 9),
    "K4A": Question("Difficulty: language", YES_NO, 8, 9),
    "K4B": Question("Difficulty: cost", YES_NO, 8, 9),
    "K4C": Question("Difficulty: treated unfairly by the provider", YES_NO, 8, 9),
    **{
        f"L{i}": Question(f"PHQ-9 item {i}", PHQ, 8, 9)
        for i in range(1, 10)
    },
    "ST": Question("Has read the health handbook for migrant workers", YES_NO, 8, 9),
    "HL": Question("Health literacy score, 0 to 50", refused=99),
}  # fmt: skip


def overseas_workers_frame(seed: int) -> pl.DataFrame:
    """The delivered sample of the overseas workers' survey, identifying particulars included."""
    rng = np.random.default_rng([seed, 2])
    people = overseas_workers.draw(overseas_workers.population(seed), rng)
    values = {name: people[name].to_numpy() for name in people.columns}
    n = people.height
    cover = particulars(rng, n, "NLD")
    # Some who are not insured where they live still have the scheme at home; a naive "any insurance" counts them.
    home_only = (values["insured"] == 0) & (rng.random(n) < 0.35)
    scheme = np.where(values["insured"] == 1, np.where(rng.random(n) < 0.85, 1, 2), 3)
    any_scheme = (values["insured"] == 1) | home_only
    needed, sought = values["needed_care"] == 1, values["sought_care"] == 1
    questions = OVERSEAS_QUESTIONS
    columns: dict[str, pl.Series] = {
        "PHIEU": pl.Series(np.arange(1, n + 1), dtype=pl.Float64),
        "HOTEN": cover["name"], "CCCD": cover["national_id"], "DIENTHOAI": cover["phone"],
        "NGAYSINH": cover["birth_date"], "DIACHI": cover["address"],
        "QG": people["destination"].cast(pl.Float64), "NGANH": people["sector"].cast(pl.Float64),
        "TANG": people["stratum"].cast(pl.Float64), "CUM": people["psu"].cast(pl.Float64),
        "TONGCUM": people["psus_in_stratum"].cast(pl.Float64), "QUYENSO": people["weight"],
        "GIOI": pl.Series(values["woman"] + 1, dtype=pl.Float64),
        "TUOI": answered(rng, values["age"], questions["TUOI"], spoilt=0.004),
        "NAMOK": answered(rng, values["years_abroad"], questions["NAMOK"]),
        "H1": answered(rng, yes_no(any_scheme), questions["H1"], spoilt=0.006),
    }  # fmt: skip
    columns["H2"] = answered(
        rng, scheme, questions["H2"], (columns["H1"] == 1).fill_null(False).to_numpy(), spoilt=0.006
    )
    columns["K1"] = answered(rng, yes_no(needed), questions["K1"])
    asked = (columns["K1"] == 1).fill_null(False).to_numpy()
    columns["K2"] = answered(rng, yes_no(sought), questions["K2"], asked)
    columns["K3"] = answered(rng, yes_no(values["got_care"]), questions["K3"], asked)
    columns["K4A"] = answered(rng, yes_no(values["language"]), questions["K4A"], asked)
    columns["K4B"] = answered(rng, yes_no(values["cost"]), questions["K4B"], asked)
    seekers = (columns["K2"] == 1).fill_null(False).to_numpy()
    columns["K4C"] = answered(rng, yes_no(values["discrimination"]), questions["K4C"], seekers)
    for i in range(1, 10):
        columns[f"L{i}"] = answered(rng, values[f"phq{i}"], questions[f"L{i}"], spoilt=0.006)
    columns["ST"] = answered(rng, yes_no(values["handbook"]), questions["ST"])
    columns["HL"] = answered(rng, values["literacy"], questions["HL"])
    return pl.DataFrame(columns)


def _write_overseas_workers(path: Path, seed: int) -> None:
    label = "Survey of health and insurance of Vietnamese workers abroad 2025 (synthetic)"
    _sav(overseas_workers_frame(seed), OVERSEAS_QUESTIONS, path, label)


def _write_labour_force(path: Path, seed: int) -> None:
    people = labour_force.frame(seed)
    # pyreadstat takes mixed columns (numbers and the letters of extended missing values) from pandas only.
    columns = {name: people[name].to_list() for name in people.columns}
    questions = labour_force.QUESTIONS
    pyreadstat.write_dta(
        pandas.DataFrame(columns),
        path,
        file_label="Labour force survey, third quarter 2025 (synthetic)",
        column_labels={name: question.label for name, question in questions.items()},
        version=14,
        variable_value_labels={name: _labels(question) for name, question in questions.items() if question.codes},
        missing_user_values=labour_force.EXTENDED,
    )


def _write_households(path: Path, seed: int) -> None:
    _sav(
        households.frames(seed)[0],
        households.HOUSEHOLD_QUESTIONS,
        path,
        "Household survey 2025, households (synthetic)",
    )


def _write_women(path: Path, seed: int) -> None:
    label = "Household survey 2025, women (synthetic)"
    _sav(households.frames(seed)[1], households.WOMAN_QUESTIONS, path, label, is_zsav=True)


def _write_returned_workers(path: Path, seed: int) -> None:
    returned_workers.frame(seed).write_csv(path)


def _write_returned_workers_codebook(path: Path, seed: int) -> None:
    path.write_text(returned_workers.codebook(returned_workers.QUESTIONS), encoding="utf-8")


def _write_border_clinics(path: Path, seed: int) -> None:
    labels: dict[str, str | None] = {name: question.label for name, question in border_clinics.QUESTIONS.items()}
    pyreadstat.write_por(border_clinics.frame(seed), path, column_labels=labels)


def _write_risk_factors(path: Path, seed: int) -> None:
    risk_factors.frame(seed).write_parquet(path)


WAVES: dict[str, tuple[datetime, Callable[[Path, int], None]]] = {
    "THA_labour_force_2025Q3.dta": (datetime(2026, 2, 10, tzinfo=UTC), _write_labour_force),
    "KHM_households_2025_hh.sav": (datetime(2026, 4, 1, tzinfo=UTC), _write_households),
    "KHM_households_2025_wm.zsav": (datetime(2026, 4, 1, tzinfo=UTC), _write_women),
    "VNM_overseas_workers_health_2025.sav": (datetime(2026, 5, 18, tzinfo=UTC), _write_overseas_workers),
    "MYS_risk_factors_2025.parquet": (datetime(2026, 6, 1, tzinfo=UTC), _write_risk_factors),
    "IDN_returned_workers_2025.xml": (datetime(2026, 6, 15, tzinfo=UTC), _write_returned_workers_codebook),
    "IDN_returned_workers_2025.csv": (datetime(2026, 6, 15, tzinfo=UTC), _write_returned_workers),
    "LAO_border_clinics_2026.por": (datetime(2026, 7, 10, tzinfo=UTC), _write_border_clinics),
}
"""File name -> when the office publishes it, and what writes it. The last one comes in the first simulated week."""


def write_inbox(folder: Path, instant: datetime, seed: int = DEFAULT_SEED) -> list[Path]:
    """Every wave published by `instant` lies in `folder`; returns the files that were new. Existing files are left untouched."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    written = []
    for name, (published_at, write) in WAVES.items():
        path = folder / name
        if published_at > instant or path.exists():
            continue
        aside = folder / f".part.{name}"  # the suffix stays: writers choose the format by it
        write(aside, seed)
        os.replace(aside, path)
        written.append(path)
    return written
