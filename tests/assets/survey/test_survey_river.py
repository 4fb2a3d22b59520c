"""One wave from the inbox to estimates: nothing identifying lands, nothing is lost, and the stated truth comes out."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import polars as pl
import pytest

from assets.inbox import Intake
from assets.survey.declarations import Measure, Recode, WaveDesign, load_designs, load_measures, load_recodes
from assets.survey.estimate import estimate_frame
from assets.survey.faults import SurveyFault
from assets.survey.inbox import landed_digests, pull_inbox
from assets.survey.payload import stage_frames
from practice.survey import overseas_workers, returned_workers
from practice.survey.files import DEFAULT_SEED, write_inbox
from practice.survey.questionnaire import CANARY_ASCII, CANARY_FAMILY
from warehouse.catalogue.table_catalogue import load_codelist, tables
from warehouse.landing import Landing, Pull

AT = datetime(2026, 11, 2, tzinfo=UTC)
MODELS = Path(__file__).parents[3] / "warehouse" / "models" / "core"


class River:
    """Inbox, landing, staging and estimates of the practice surveys, made once."""

    def __init__(self, folder: Path) -> None:
        self.inbox, self.landing = folder / "inbox", Landing(folder / "landing")
        write_inbox(self.inbox, AT)
        self.recodes: dict[tuple[str, str], Recode] = load_recodes()
        self.designs: dict[tuple[str, str], WaveDesign] = load_designs()
        self.measures: list[Measure] = load_measures()
        self.pulled: Intake = pull_inbox(self.inbox, self.pull_factory, set(), self.recodes)
        self.staged = stage_frames(self.pulled.receipts, self.landing, self.recodes, self.designs)
        everyone = self.staged["staging.survey_person"]
        self.people = everyone.filter(pl.col("rejections").list.len() == 0)
        self.estimates = estimate_frame(self.people, self.designs, self.measures)

    @property
    def pull_factory(self) -> Callable[[str], Pull]:
        return lambda part: self.landing.pull("survey", part, AT, is_practice=True)

    def one(self, survey: str, measure: str, **cell: str) -> dict[str, object]:
        """The single estimate of a cell; what is not named is `_T`."""
        keys = ("sex_code", "age_code", "migrant_status_code", "origin_code", "destination_code", "category_code")
        found = self.estimates.filter(
            pl.col("survey_code") == survey,
            pl.col("measure_code") == measure,
            *[pl.col(key) == cell.get(key, "_T") for key in keys],
        )
        return (
            found.row(0, named=True) if found.height == 1 else pytest.fail(f"{found.height} rows for {measure} {cell}")
        )


@pytest.fixture(scope="module")
def river(tmp_path_factory: pytest.TempPathFactory) -> River:
    """The practice surveys, taken through once for the module."""
    return River(tmp_path_factory.mktemp("survey"))


def test_every_published_wave_lands_without_a_fault(river: River) -> None:
    """As many receipts as recodes; each names its wave and counts its persons."""
    assert river.pulled.faults == []
    assert {(r.parameters["survey_code"], r.parameters["wave_code"]) for r in river.pulled.receipts} == set(
        river.recodes
    )
    assert all(receipt.record_count > 0 for receipt in river.pulled.receipts)


def test_a_second_look_into_the_same_inbox_lands_nothing(river: River) -> None:
    """The delivery is known by its bytes; writing the inbox again does not touch the files either."""
    before = {path: path.stat().st_mtime_ns for path in river.inbox.iterdir()}
    assert write_inbox(river.inbox, AT) == []
    assert {path: path.stat().st_mtime_ns for path in river.inbox.iterdir()} == before
    again = pull_inbox(river.inbox, river.pull_factory, landed_digests(river.pulled.receipts), river.recodes)
    assert again.receipts == []
    assert sorted(again.known) == sorted(plan.part_code for plan in river.recodes.values())


def test_no_identifier_reaches_the_landing(river: River) -> None:
    """Canaries stand in the inbox files and in no landed byte, decoded Parquet included."""
    recode = river.recodes[("VNM_OWHS", "2025")]
    delivered = (river.inbox / recode.files[0].name).read_bytes()
    assert CANARY_FAMILY.encode() in delivered
    for path in river.landing.root.rglob("*"):
        if not path.is_file():
            continue
        text = path.read_bytes()
        if path.suffix == ".parquet":
            frame = pl.read_parquet(path)
            assert not {
                name for plan in river.recodes.values() for file in plan.files for name in file.identifiers
            } & set(frame.columns)
            text += frame.write_csv().encode()
        assert CANARY_FAMILY.encode() not in text, path.name
        assert CANARY_ASCII.encode() not in text, path.name


def test_dropped_identifiers_are_reported(river: River) -> None:
    """What was not read is named, so that nobody has to believe it."""
    findings = river.staged["staging.survey_finding"].filter(pl.col("survey_code") == "VNM_OWHS")
    dropped = findings.filter(pl.col("finding_code") == "identifier_dropped")["source_variable"].to_list()
    assert sorted(dropped) == sorted(river.recodes[("VNM_OWHS", "2025")].files[0].identifiers)


def test_staged_frames_have_the_columns_of_the_catalogue(river: River) -> None:
    """Column for column, with keys that are unique and values that are in their code lists."""
    for name, frame in river.staged.items():
        table = tables()[name]
        assert frame.columns == [*table.column_names, "rejections"]
        assert not frame.select(table.key).is_duplicated().any()
        for column in table.own_columns:
            if column.codelist:
                known = {code.code for code in load_codelist(column.codelist)}
                assert set(frame[column.name].drop_nulls().unique()) <= known, column.name


def test_the_models_select_the_columns_of_their_tables(river: River) -> None:
    """Each core model runs over its staging frame and gives the core entry's batch columns in order."""
    con = duckdb.connect()
    con.execute("create schema staging")
    for name, frame in river.staged.items():
        con.register("frame", frame.drop("rejections").to_arrow())
        con.execute(f"create table {name} as select * from frame")
        core = name.replace("staging", "core")
        got = con.execute((MODELS / f"{core.split('.')[1]}.sql").read_text(encoding="utf-8"))
        assert tuple(column[0] for column in got.description) == tables()[core].batch_columns
        assert len(got.fetchall()) == frame.height


def test_every_empty_answer_says_why(river: River) -> None:
    """In a wave that asked a question, an empty cell has exactly one reason, and a filled cell none."""
    asked = {
        (w["survey_code"], w["wave_code"]): set(w["asked_columns"])
        for w in river.staged["staging.survey_wave"].iter_rows(named=True)
    }
    for key, wave in river.people.partition_by(["survey_code", "wave_code"], as_dict=True).items():
        reasons = [json.loads(text) for text in wave["missing_codes"]]
        for name in asked[key] - {"country_code"}:  # type: ignore[index]
            empty = wave[name].is_null().to_list()
            assert [name in reason for reason in reasons] == empty, (key, name)
    kinds = {reason for text in river.people["missing_codes"] for reason in json.loads(text).values()}
    assert kinds == {"not_in_universe", "refused", "dont_know", "error"}


@pytest.mark.parametrize("destination", ["_T", "JPN", "TWN", "KOR", "MYS", "THA"])
@pytest.mark.parametrize(
    ("measure", "column", "universe"), [("UH04", "insured", None), ("UH06", "language", "needed_care")]
)
def test_the_stated_truth_is_within_four_standard_errors(
    river: River, destination: str, measure: str, column: str, universe: str | None
) -> None:
    """The population of the practice ground is known; one sample in 15 000 would be further off than four errors."""
    workers = overseas_workers.population(DEFAULT_SEED)
    if destination != "_T":
        code = next(place.code for place in overseas_workers.DESTINATIONS if place.iso3 == destination)
        workers = workers.filter(pl.col("destination") == code)
    if universe:
        workers = workers.filter(pl.col(universe) == 1)
    truth = float(workers[column].mean())  # type: ignore[arg-type]
    row = river.one("VNM_OWHS", measure, destination_code=destination)
    assert abs(float(row["value"]) - truth) < 4 * float(row["se"])  # type: ignore[arg-type]
    assert row["reliability_code"] == "shown"
    assert row["interval_code"] == "logit95"


def test_a_scheme_that_is_not_valid_abroad_does_not_count(river: River) -> None:
    """ "Any insurance" would be some eight points too high."""
    people = river.people.filter(pl.col("survey_code") == "VNM_OWHS", pl.col("insurance_scheme_code") == "home_only")
    assert people.height > 100
    assert people["is_insured"].all()
    assert not people["is_insured_here"].any()


def test_estimates_have_the_columns_and_keys_of_the_catalogue(river: River) -> None:
    """Unique keys, codes of the lists, practice data marked, provenance kept."""
    table = tables()["estimate.survey_estimate"]
    assert river.estimates.columns == [column.name for column in table.own_columns]
    assert not river.estimates.select(table.key).is_duplicated().any()
    for column in table.own_columns:
        if column.codelist:
            known = {code.code for code in load_codelist(column.codelist)}
            assert set(river.estimates[column.name].drop_nulls().unique()) <= known, column.name
    assert river.estimates["is_practice"].all()
    assert river.estimates["receipt_id"].null_count() == 0


def test_an_unmapped_code_goes_to_quarantine_with_its_reason(river: River) -> None:
    """The wave is recoded without code 5 of the country question: those persons are rejected, the others stay."""
    plan = river.recodes[("VNM_OWHS", "2025")]
    poorer = [
        v.model_copy(update={"codes": {c: t for c, t in v.codes.items() if c != "5"}}) if v.source == "QG" else v
        for v in plan.variables
    ]
    changed = {plan.key: plan.model_copy(update={"variables": tuple(poorer)})}
    receipt = next(r for r in river.pulled.receipts if r.parameters["survey_code"] == "VNM_OWHS")
    staged = stage_frames([receipt], river.landing, changed, river.designs)
    rejected = staged["staging.survey_person"].filter(pl.col("rejections").list.len() > 0)
    assert (
        rejected.height
        == river.people.filter(pl.col("survey_code") == "VNM_OWHS", pl.col("destination_code") == "THA").height
    )
    assert rejected["rejections"].explode().unique().to_list() == ["QG = 5 is not in the recode of destination_code"]
    findings = staged["staging.survey_finding"].filter(pl.col("finding_code") == "unmapped_label")
    assert findings["detail"].to_list() == ["'Thailand' has no place in the recode of destination_code"]
    assert staged["staging.survey_wave"]["rejected_count"][0] == rejected.height


def test_labels_that_contradict_the_recode_are_reported(river: River) -> None:
    """Code 1 is Japan in the file; a recode written for "Jordan" is told so."""
    plan = river.recodes[("VNM_OWHS", "2025")]
    other = [
        v.model_copy(update={"labels": {**v.labels, "1": "Jordan"}}) if v.source == "QG" else v for v in plan.variables
    ]
    changed = {plan.key: plan.model_copy(update={"variables": tuple(other)})}
    receipt = next(r for r in river.pulled.receipts if r.parameters["survey_code"] == "VNM_OWHS")
    findings = stage_frames([receipt], river.landing, changed, river.designs)["staging.survey_finding"]
    row = findings.filter(pl.col("finding_code") == "label_contradiction").row(0, named=True)
    assert (row["source_variable"], row["source_code"]) == ("QG", "1")
    assert "'Japan'" in row["detail"]
    assert "'Jordan'" in row["detail"]


def test_a_wave_comes_when_its_office_publishes_it(tmp_path: Path) -> None:
    """The border clinics publish on 10 July 2026: absent on the first Monday, there a week later; nothing else is rewritten."""
    names = {path.name for path in write_inbox(tmp_path, datetime(2026, 7, 5, 22, tzinfo=UTC))}
    assert "LAO_border_clinics_2026.por" not in names
    assert len(names) >= 6
    assert [p.name for p in write_inbox(tmp_path, datetime(2026, 7, 12, 22, tzinfo=UTC))] == [
        "LAO_border_clinics_2026.por"
    ]


def test_women_carry_their_household_and_no_row_is_lost_or_doubled(river: River) -> None:
    """Many women to one household: as many persons as in the women's file, each with the household's area and status."""
    women = river.people.filter(pl.col("wave_code") == "2025WM")
    assert women.height == next(r.record_count for r in river.pulled.receipts if r.parameters["wave_code"] == "2025WM")
    assert women["settlement_code"].null_count() == 0
    per_house = women.group_by("psu_code", "household_number").agg(
        pl.col("household_size").n_unique().alias("sizes"), pl.len().alias("women")
    )
    assert per_house["sizes"].max() == 1
    assert per_house["women"].max() == 2


def test_a_household_listed_twice_stops_the_join(river: River) -> None:
    """many_to_one is declared; a repeated household would double its women."""
    receipt = next(r for r in river.pulled.receipts if r.parameters["wave_code"] == "2025WM")
    household = next(path for path in river.landing.files(receipt) if path.name == "household.parquet")
    before = household.read_bytes()
    frame = pl.read_parquet(household)
    try:
        pl.concat([frame, frame.head(1)]).write_parquet(household)
        with pytest.raises(SurveyFault, match="rows of household repeat the key"):
            stage_frames([receipt], river.landing, river.recodes, river.designs)
    finally:
        household.write_bytes(before)


def test_a_sample_that_is_not_one_of_probability_is_marked_unreliable(river: River) -> None:
    """Border clinics: a share, status U by its flag, and no standard error anywhere."""
    clinics = river.estimates.filter(pl.col("survey_code") == "LAO_BC")
    assert clinics.height > 5
    assert clinics["se"].null_count() == clinics["lower"].null_count() == clinics.height
    assert set(clinics["reliability_code"]) <= {"unreliable", "suppressed"}
    assert set(clinics["interval_code"]) == {None}


def test_refused_citizenship_is_an_unknown_status_not_a_resident(river: River) -> None:
    """Stata's .a and .b of the citizenship question: status 99, two reasons kept apart."""
    people = river.people.filter(pl.col("survey_code") == "THA_LFS")
    unknown = people.filter(pl.col("migrant_status_code") == "99")
    assert unknown.height == people["citizenship_code"].null_count() > 50
    reasons = {json.loads(text)["citizenship_code"] for text in unknown["missing_codes"]}
    assert reasons == {"refused", "dont_know"}


def test_the_median_of_all_workers_is_below_that_of_those_who_paid(river: River) -> None:
    """One in five paid nothing; leaving them out would raise the indicator by more than its interval."""
    everyone, payers = river.one("IDN_RMW", "MG01"), river.one("IDN_RMW", "MG01.payers")
    assert everyone["interval_code"] == "woodruff95"
    assert abs(float(payers["value"]) - returned_workers.TRUTH["median_months_of_payers"]) < 4 * float(payers["se"])  # type: ignore[arg-type]
    assert float(everyone["upper"]) < float(payers["value"])  # type: ignore[arg-type]


def test_parts_of_hardship_add_up_to_the_total(river: River) -> None:
    """Impoverishing plus large is the total of SDG 3.8.2, exactly, because they are one sample."""
    parts = [float(river.one("KHM_MHS", "UH02", category_code=code)["value"]) for code in ("impoverishing", "large")]  # type: ignore[arg-type]
    assert sum(parts) == pytest.approx(float(river.one("KHM_MHS", "UH02")["value"]), rel=1e-12)  # type: ignore[arg-type]


def test_normalised_weights_publish_no_population_counts(river: River) -> None:
    """The household survey's weights sum to the sample; its numerators would be read as people."""
    households = river.estimates.filter(pl.col("survey_code") == "KHM_MHS")
    assert households["numerator"].null_count() == households["denominator"].null_count() == households.height


def test_a_file_that_no_recode_knows_is_named_and_the_others_land(river: River, tmp_path: Path) -> None:
    """One stray file is a fault; it does not keep the rest of the inbox out."""
    write_inbox(tmp_path / "inbox", AT)
    (tmp_path / "inbox" / "unknown.csv").write_text("a\n1\n", encoding="utf-8")
    landing = Landing(tmp_path / "landing")
    pulled = pull_inbox(
        tmp_path / "inbox", lambda part: landing.pull("survey", part, AT, is_practice=True), set(), river.recodes
    )
    assert len(pulled.receipts) == len(river.recodes)
    assert [fault.split(":")[0] for fault in pulled.faults] == ["unknown.csv"]


def test_two_worlds_of_one_seed_are_equal_and_of_another_are_not() -> None:
    """The practice surveys are a function of their seed."""
    assert overseas_workers.population(1).equals(overseas_workers.population(1))
    assert not overseas_workers.population(1).equals(overseas_workers.population(2))
    assert returned_workers.frame(7).equals(returned_workers.frame(7))


def test_the_order_of_respondents_does_not_change_a_published_digit(river: River) -> None:
    """Shuffled persons give the same rows: otherwise each refresh would find revisions that nobody made."""
    shuffled = river.people.sample(fraction=1.0, shuffle=True, seed=11)
    assert estimate_frame(shuffled, river.designs, river.measures).equals(river.estimates)
