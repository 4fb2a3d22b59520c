"""How interviewers spoil a perfect answer: refusals, don't-knows, blanks, and the identifying particulars on the cover sheet.

Each survey of the practice ground uses these; the questions themselves are in one file per survey.
"""

from dataclasses import dataclass, field

import numpy as np
import polars as pl

CANARY_FAMILY = "Kiểmthử"
"""Every invented respondent bears this family name: found anywhere after the inbox, an identifier has leaked."""

CANARY_ASCII = "Kiemthu"
"""The same in portable files, whose character set has no Vietnamese letters."""


@dataclass(frozen=True)
class Question:
    """One variable of a file: its label, its codes and labels, and the codes that stand for no answer."""

    label: str
    codes: dict[int, str] = field(default_factory=dict)
    dont_know: int | None = None
    refused: int | None = None
    is_text: bool = False

    @property
    def value_labels(self) -> dict[int, str]:
        """Labels of all codes, missing ones included."""
        labels = dict(self.codes)
        if self.dont_know is not None:
            labels[self.dont_know] = "Don't know"
        if self.refused is not None:
            labels[self.refused] = "Refused"
        return labels

    @property
    def missing(self) -> list[int]:
        """The codes that are declared as user-missing."""
        return [code for code in (self.dont_know, self.refused) if code is not None]


def answered(
    rng: np.random.Generator,
    values: np.ndarray,
    question: Question,
    asked: np.ndarray | None = None,
    spoilt: float = 0.012,
) -> pl.Series:
    """`values` as they stand in the file: null where not asked, a share `spoilt` each refused and unknown, a few left blank.

    Spoiling is independent of the answer, so that shares among those who answered have the stated truth.
    """
    out = np.asarray(values, dtype=float).copy()
    draw = rng.random(len(out))
    if question.dont_know is not None:
        out[draw < spoilt] = question.dont_know
    if question.refused is not None:
        out[(draw >= spoilt) & (draw < 2 * spoilt)] = question.refused
    blank = (draw >= 2 * spoilt) & (draw < 2.2 * spoilt)
    out[blank] = np.nan
    if asked is not None:
        out[~np.asarray(asked, dtype=bool)] = np.nan
    return pl.Series(out, dtype=pl.Float64).fill_nan(None)


def yes_no(values: np.ndarray) -> np.ndarray:
    """1 for yes and 2 for no, as questionnaires have it."""
    return np.where(np.asarray(values) == 1, 1, 2)


def particulars(rng: np.random.Generator, count: int, prefix: str) -> pl.DataFrame:
    """Name, national id, telephone, birth date and address of invented people; each value occurs once in the world."""
    numbers = rng.permutation(900_000)[:count] + 100_000
    return pl.DataFrame(
        {
            "name": [f"{CANARY_FAMILY} {prefix} {n}" for n in numbers],
            "national_id": [f"0{n}9{n % 97:02d}771" for n in numbers],
            "phone": [f"+84 9{n} {n % 1000:03d}" for n in numbers],
            "birth_date": [f"{1960 + n % 47}-{1 + n % 12:02d}-{1 + n % 28:02d}" for n in numbers],
            "address": [f"{n} Đường {CANARY_FAMILY}" for n in numbers],
        }
    )
