"""A survey that nobody knows is added as docs/surveys.md says: inspect, draft, edit, design, inbox; no line of Python for it.

The file is a small labour force survey in Stata's format. The edits are those that a person would make, by replacing lines of the draft.
"""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas
import polars as pl
import pyreadstat
import pytest

from assets.survey.declarations import DeclarationFault, load_designs, load_measures, load_recodes
from assets.survey.estimate import estimate_frame
from assets.survey.inbox import pull_inbox
from assets.survey.inspection import draft_recode
from assets.survey.payload import stage_frames
from warehouse.landing import Landing

NAME = "PHL_labour_force_2026.dta"
AT = datetime(2026, 9, 1, tzinfo=UTC)
EDITS = {
    'survey_code = "COUNTRY_SURVEY"': 'survey_code = "PHL_LFS"',
    'wave_code = "YEAR"': 'wave_code = "2026"',
    "YYYY-MM-DD": "2026-09-01",
    'target = "?"\nsource = "strat"': 'target = "stratum_code"\nsource = "strat"',
    'target = "?"\nsource = "ea"': 'target = "psu_code"\nsource = "ea"',
    'target = "?"\nsource = "fwgt"': 'target = "weight"\nsource = "fwgt"\nminimum = 0',
    'target = "?"\nsource = "sex"\ncodes = { 1 = "?", 2 = "?" }': 'target = "sex_code"\nsource = "sex"\ncodes = { 1 = "M", 2 = "F" }',
    'target = "?"\nsource = "age"': 'target = "age_years"\nsource = "age"\nminimum = 0\nmaximum = 120',
    'target = "?"\nsource = "work"\ncodes = { 1 = "?", 2 = "?", 3 = "?" }': (
        'target = "activity_code"\nsource = "work"\ncodes = { 1 = "employed", 2 = "unemployed", 3 = "outside" }'
    ),
    'missing = { ".a" = "?" }': 'missing = { ".a" = "refused" }',
}
"""What the draft says -> what a person makes of it."""
CONSTANTS = "".join(
    f'\n[[variable]]\ntarget = "{target}"\nconstant = "{value}"\n'
    for target, value in (("country_code", "PHL"), ("migrant_basis_code", "B"), ("migrant_status_code", "0"))
)
DESIGN = """
survey_code = "PHL_LFS"
wave_code = "2026"
title = "Labour force survey, Philippines 2026 (made up for a test)"
producer = "test"
country_code = "PHL"
period_code = "2026"
field_start_on = "2026-01-01"
field_end_on = "2026-03-31"
population = "Residents of 15 and over"
migrant_basis_code = "B"
stages = "Areas, then persons"
strata = "stratum_code"
psu = "psu_code"
weight_kind = "expansion"
is_practice = true
owner = "team:test"
dated = "2026-09-01"
"""


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the delivered file: 4 strata of 5 areas of 40 people; every tenth is unemployed, every fortieth refused."""
    folder = tmp_path_factory.mktemp("office")
    n = 4 * 5 * 40
    number = np.arange(n)
    work = pandas.Series(np.where(number % 10 == 0, 2, np.where(number % 10 < 7, 1, 3)).astype(object))
    work[number % 40 == 5] = "a"
    frame = pandas.DataFrame(
        {
            "fullname": [f"Person {i}" for i in number], "strat": number // 200 + 1, "ea": number // 40 + 1, "fwgt": 250.0 + number % 7,
            "sex": number % 2 + 1, "age": 15 + number % 60, "work": work,
        }
    )  # fmt: skip
    pyreadstat.write_dta(
        frame, folder / NAME, version=14, missing_user_values={"work": ["a"]},
        column_labels=["Name of the member", "Stratum", "Area", "Weight", "Sex", "Age", "Work last week"],
        variable_value_labels={"sex": {1: "Male", 2: "Female"}, "work": {1: "Working", 2: "Looking for work", 3: "Neither"}},
    )  # fmt: skip
    return folder


def test_the_draft_says_what_is_left_to_do(office: Path, tmp_path: Path) -> None:
    """A question mark that nobody answered is refused by name, wherever it stands; it cannot slip in as a code."""
    draft = draft_recode(office / NAME)
    for left, told in (
        ("", "sex: codes 1, 2 still say '?'"),
        ('{ 1 = "?", 2 = "?" }', "missing..a: Input should be 'not_in_universe', 'refused'"),
        ('missing = { ".a" = "?" }', "work: codes 1, 2, 3 still say '?'"),
        ('{ 1 = "?", 2 = "?", 3 = "?" }', "? is not a column of core.survey_person"),
    ):
        draft = draft.replace(left, 'missing = { ".a" = "refused" }' if "missing" in left else "{}") if left else draft
        (tmp_path / "draft.toml").write_text(draft, encoding="utf-8")
        with pytest.raises(DeclarationFault) as refused:
            load_recodes(tmp_path)
        assert str(refused.value).startswith("draft.toml: ")
        assert told in str(refused.value)


def test_an_edited_draft_and_a_design_are_a_survey(office: Path, tmp_path: Path) -> None:
    draft = draft_recode(office / NAME)
    for found, wanted in EDITS.items():
        assert found in draft, found
        draft = draft.replace(found, wanted)
    assert "?" not in draft
    assert 'identifiers = ["fullname"]' in draft
    for folder, text in (("recodes", draft + CONSTANTS), ("designs", DESIGN)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "PHL_labour_force_2026.toml").write_text(text, encoding="utf-8")
    recodes, designs = load_recodes(tmp_path / "recodes"), load_designs(tmp_path / "designs")

    landing = Landing(tmp_path / "landing")
    pulled = pull_inbox(office, lambda part: landing.pull("survey", part, AT, is_practice=True), set(), recodes)
    assert pulled.faults == []
    staged = stage_frames(pulled.receipts, landing, recodes, designs)
    people = staged["staging.survey_person"]
    assert people.filter(pl.col("rejections").list.len() > 0).height == 0
    findings = staged["staging.survey_finding"].filter(pl.col("finding_code") != "identifier_dropped")
    assert findings.height == 0, findings
    reasons = people.filter(pl.col("activity_code").is_null())["missing_codes"]
    assert reasons.len() == 20
    assert all("refused" in reason for reason in reasons)

    estimates = estimate_frame(people, designs, load_measures())
    whole = estimates.filter(
        pl.col("measure_code") == "MG12",
        pl.all_horizontal(pl.col("sex_code", "age_code", "migrant_status_code") == "_T"),
    )
    row = whole.row(0, named=True)
    # Looking for work: 80 of 800. In the labour force: those, and 480 working less the 20 who refused.
    weight = 250.0 + np.arange(800) % 7
    looking = np.arange(800) % 10 == 0
    working = (np.arange(800) % 10 < 7) & ~looking & (np.arange(800) % 40 != 5)
    assert row["n_unweighted"] == 540
    assert row["value"] == pytest.approx(weight[looking].sum() / weight[looking | working].sum(), rel=1e-9)
    assert (row["df"], row["reliability_code"]) == (16, "shown")
