"""Returned workers and what their recruitment cost, as CSV with a DDI codebook: Indonesia 2025 (synthetic).

Cost and first month's earnings of the same job in the worker's own currencies; some paid nothing.
"""

from xml.sax.saxutils import escape, quoteattr

import numpy as np
import polars as pl

from practice.survey.questionnaire import Question, particulars
from practice.survey.sampling import clustered, layout

PER_USD = {"IDR": 16_500.0, "MYR": 4.25, "SGD": 1.30, "TWD": 31.0, "SAR": 3.75}
"""Units of each currency for one US dollar in the practice world (2025); the design of the wave declares the same rates."""

TRUTH = {"paid_nothing": 0.18, "median_months_of_payers": 3.2, "insured": 0.71}
POPULATION = 240_000.0
DESTINATIONS = {1: "Malaysia", 2: "Singapore", 3: "Taiwan (China)", 4: "Saudi Arabia"}
CURRENCIES = {1: "MYR", 2: "SGD", 3: "TWD", 4: "SAR", 5: "IDR"}

QUESTIONS: dict[str, Question] = {
    "case": Question("Case number"),
    "resp_name": Question("Name of the respondent", is_text=True),
    "resp_phone": Question("Telephone", is_text=True),
    "address": Question("Address", is_text=True),
    "strat": Question("Sampling stratum: province group"),
    "village": Question("Village (primary sampling unit)"),
    "wt": Question("Expansion weight"),
    "sex": Question("Sex", {1: "Male", 2: "Female"}),
    "age": Question("Age"),
    "dest": Question("Country of the last job abroad", DESTINATIONS),
    "job_year": Question("Year in which the last job abroad began"),
    "months": Question("Months worked in that job", refused=999),
    "self": Question("Worked on own account", {1: "Yes", 2: "No"}, 8, 9),
    "cost": Question("Recruitment cost borne by the worker, in cost_cur", dont_know=-8, refused=-9),
    "cost_cur": Question("Currency of the cost", CURRENCIES),
    "earn": Question("First month's earnings, in earn_cur", dont_know=-8, refused=-9),
    "earn_cur": Question("Currency of the earnings", CURRENCIES),
    "ins": Question("Was insured for health abroad", {1: "Yes", 2: "No"}, 8, 9),
    "need": Question("Needed care abroad", {1: "Yes", 2: "No"}, 8, 9),
    "lang": Question("Difficulty: language", {1: "Yes", 2: "No"}, 8, 9),
    "docs": Question("Difficulty: documents", {1: "Yes", 2: "No"}, 8, 9),
}


def frame(seed: int) -> pl.DataFrame:
    """The delivered records as text, as a CSV holds them."""
    rng = np.random.default_rng([seed, 5])
    places = layout(rng, strata=6, psus=15, people=20, population=POPULATION)
    n = places.count
    dest = rng.choice([1, 2, 3, 4], n, p=[0.45, 0.15, 0.25, 0.15])
    earnings_usd = np.exp(rng.normal(6.25, 0.35, n)) * np.array([0.8, 1.5, 1.4, 0.9])[dest - 1]
    months_of_earnings = np.where(
        clustered(rng, TRUTH["paid_nothing"], places, 0.6) == 1,
        0.0,
        TRUTH["median_months_of_payers"] * np.exp(rng.normal(0, 0.6, n)),
    )
    pays_at_home = rng.random(n) < 0.6
    cost_code = np.where(pays_at_home, 5, dest)
    names = np.array(["", *[CURRENCIES[code] for code in sorted(CURRENCIES)]])
    rate = np.array([0.0, *[PER_USD[CURRENCIES[code]] for code in sorted(CURRENCIES)]])
    cost = np.round(months_of_earnings * earnings_usd * rate[cost_code], 2)
    earn = np.round(earnings_usd * rate[dest], 2)
    cover = particulars(rng, n, "PMI")
    need = clustered(rng, 0.36, places)
    asked = need == 1
    assert set(names[dest]) <= set(PER_USD)
    values: dict[str, np.ndarray | pl.Series] = {
        "case": np.arange(1, n + 1), "resp_name": cover["name"], "resp_phone": cover["phone"], "address": cover["address"],
        "strat": places.stratum, "village": places.psu, "wt": places.weight.round(6), "sex": np.where(rng.random(n) < 0.62, 2, 1),
        "age": np.clip(rng.normal(33, 8, n), 18, 64).astype(int), "dest": dest, "job_year": rng.integers(2019, 2025, n),
        "months": _spoilt(rng, rng.integers(4, 48, n), [999]), "self": _spoilt(rng, np.where(rng.random(n) < 0.03, 1, 2), [8, 9]),
        "cost": _spoilt(rng, cost, [-8, -9]), "cost_cur": cost_code, "earn": _spoilt(rng, earn, [-8, -9]), "earn_cur": dest,
        "ins": _spoilt(rng, 2 - clustered(rng, TRUTH["insured"], places), [8, 9]), "need": 2 - need,
        "lang": _spoilt(rng, 2 - clustered(rng, 0.35, places), [8, 9]), "docs": _spoilt(rng, 2 - clustered(rng, 0.22, places), [8, 9]),
    }  # fmt: skip
    out = pl.DataFrame(values).with_columns(pl.all().cast(pl.String).str.replace(r"\.0$", ""))
    keep = pl.Series(asked)
    return out.with_columns([pl.when(keep).then(pl.col(name)).alias(name) for name in ("lang", "docs")])


def _spoilt(rng: np.random.Generator, values: np.ndarray, codes: list[int]) -> np.ndarray:
    """`values` with about one answer in a hundred replaced by each of the missing codes."""
    draw = rng.random(len(values))
    out = values.astype(float)
    for place, code in enumerate(codes):
        out[(draw >= place * 0.01) & (draw < (place + 1) * 0.01)] = code
    return out


def codebook(questions: dict[str, Question]) -> str:
    """The DDI-Codebook 2.5 of the file: labels, categories, missing categories."""
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', '<codeBook xmlns="ddi:codebook:2_5" version="2.5"><dataDscr>']
    for name, question in questions.items():
        lines.append(f"<var name={quoteattr(name)}><labl>{escape(question.label)}</labl>")
        for code, label in question.value_labels.items():
            missing = ' missing="Y"' if code in question.missing else ""
            lines.append(f"<catgry{missing}><catValu>{code}</catValu><labl>{escape(label)}</labl></catgry>")
        lines.append("</var>")
    lines.append("</dataDscr></codeBook>")
    return "\n".join(lines) + "\n"
