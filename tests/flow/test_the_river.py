"""The whole river as a user runs it: `mhwg refresh` on the practice ground, again with nothing new, again a week later.

The figures asserted are the ministry's published ones (deployments 2022 and 2023, plan of 2022), as printed in the
releases cited in assets/labour/published.
"""

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import duckdb
import polars as pl
import pytest

from methods.linkage import link_quality
from practice.clock import PracticeClock
from practice.labour.registers import canaries as worker_canaries
from practice.survey.questionnaire import CANARY_ASCII, CANARY_FAMILY
from practice.world.region import World

PROJECT = Path(__file__).resolve().parents[2]


def mhwg(state: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "MHWG_STATE": str(state),
        "NO_COLOR": "1",
        "COLUMNS": "160",
        "MHWG_SETTINGS": str(PROJECT / "practice" / "mhwg.toml"),
    }
    environment.pop("DAGSTER_HOME", None)
    return subprocess.run(
        [sys.executable, "-m", "pipelines.cli", *arguments],
        capture_output=True,
        text=True,
        env=environment,
        cwd=state.parent,
    )


def refresh(state: Path) -> dict:
    done = mhwg(state, "refresh", "--json")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return json.loads(done.stdout)


def digests(state: Path) -> dict[str, str]:
    return {
        path.relative_to(state).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(state.rglob("*"))
        if path.is_file() and not path.is_relative_to(state / "dagster")
    }


@pytest.fixture(scope="module")
def river(tmp_path_factory):
    """A state after its first refresh, and what that refresh said."""
    state = tmp_path_factory.mktemp("river") / "var"
    state.mkdir()
    return state, refresh(state)


def released(state: Path, query: str) -> list[tuple]:
    with duckdb.connect(str(state / "release" / "current" / "mhwg.duckdb"), read_only=True) as connection:
        return connection.execute(query).fetchall()


def test_every_source_reached_the_release(river):
    state, said = river
    assert said["release_state"] == "published"
    by_source = {source["source"]: source for source in said["sources"]}
    for name in ("dhis2_vnm", "dhis2_khm", "labour", "survey", "reference", "programme"):
        assert by_source[name]["new"] > 0, name
        assert by_source[name]["fault"] is None
    assert said["checks_passed"] > 300
    assert (state / "release" / "current" / "index.html").exists()


def test_the_real_figures_come_out_right(river):
    state, _ = river
    value = "select value from observation where indicator_code = '{}' and area_code = 'VNM' and period_code = '{}' and sex_code = '{}'"
    whole = " and destination_code = '_T' and age_code = '_T' and category_code = '_T' and origin_code = '_T'"
    assert released(state, value.format("LM01", "2023", "_T") + whole) == [(159986.0,)]
    assert released(state, value.format("LM01", "2023", "F") + whole) == [(55804.0,)]
    assert released(state, value.format("LM01", "2022", "_T") + whole) == [(142779.0,)]
    ((plan,),) = released(state, value.format("LM04", "2022", "_T") + whole)
    assert round(plan, 2) == 158.64


def test_the_failed_checks_are_the_known_mistakes_of_the_practice_ground(river):
    """What docs/quality.md says of them: warnings all, and no others."""
    state, said = river
    with duckdb.connect(str(state / "warehouse.duckdb"), read_only=True) as store:
        failed = store.execute(
            "select distinct rule_code, severity_code from ops.check_result where not is_passed"
        ).fetchall()
    assert sorted(failed) == [
        ("core.data_value.birthplace_sums_to_notified", "warning"),
        ("core.data_value.outcomes_not_more_than_cohort", "warning"),
        ("core.data_value.part_not_more_than_whole", "warning"),
    ]
    assert said["checks_failed"] == 3, "each rule once, however many servers it weighs"


def test_handbooks_of_practice_are_divided_by_real_departures(river):
    """Departures 2023: 80,010 to Japan and 11,626 to the Republic of Korea, as printed (year-2023)."""
    state, _ = river
    with duckdb.connect(str(state / "warehouse.duckdb"), read_only=True) as store:
        ((printed,),) = store.execute(
            "select sum(quantity) from core.programme_count_current where register_code = 'handbooks' and category_code = 'PRINT'"
            " and destination_code in ('JPN', 'KOR') and year(period_start_on) = 2023"
        ).fetchall()
    cell = (
        "select value, numerator, denominator, is_practice, obs_status from observation where indicator_code = 'LM13'"
        " and area_code = '{}' and period_code = '{}' and sex_code = '_T' and destination_code = '_T'"
    )
    ((value, numerator, denominator, is_practice, _),) = released(state, cell.format("VNM", "2023"))
    assert (numerator, denominator, is_practice) == (printed, 80_010 + 11_626, True)
    assert value == pytest.approx(100 * printed / 91_636)
    assert [row[0] is None for row in released(state, cell.format("VNM", "2026"))] == [True], (
        "no departures of 2026 yet"
    )
    assert released(state, cell.format("ASEAN", "2023")) == []
    for table, place in (("RT13", "row_code = '2023' and column_code = 'LM13'"), ("RT15", "row_code = 'LM13'")):
        assert released(
            state, f"select 1 from regional_table('{table}') where {place} and value is not null and is_practice"
        )


def test_unemployment_stands_in_its_table_by_quarter(river):
    """A labour force survey is of a quarter; the column asked for years and was empty."""
    state, _ = river
    shown = released(
        state,
        "select row_code, period_code, is_practice from regional_table('RT19') where column_code = 'MG12' and value is not null",
    )
    assert ("THA", "2025Q3", True) in shown


def test_real_bulletins_are_not_marked_practice_and_invented_patients_are(river):
    state, _ = river
    rows = released(
        state,
        "select indicator_code, bool_or(is_practice), bool_and(is_practice) from observation "
        "where indicator_code in ('LM04', 'TB01', 'TB10', 'TB11', 'UH04') group by all order by all",
    )
    assert {code: (some, every) for code, some, every in rows} == {
        "LM04": (False, False), "TB01": (False, False), "TB10": (True, True), "TB11": (True, True), "UH04": (True, True),
    }  # fmt: skip


def test_small_counts_are_null_with_a_status_in_every_format(river):
    state, _ = river
    assert released(
        state,
        "select count(*) from observation where indicator_code = 'TB10' and (value between 1 and 4 or numerator between 1 and 4)",
    ) == [(0,)]
    ((hidden, with_number),) = released(
        state,
        "select count(*), count(coalesce(value, lower, upper, numerator, denominator)) from observation where obs_status = 'Q'",
    )
    assert hidden > 0
    assert with_number == 0
    csv = pl.read_csv(state / "release" / "current" / "data" / "observation.csv", infer_schema=False)
    suppressed = csv.filter(pl.col("obs_status") == "Q")
    assert suppressed.height == hidden
    assert (
        suppressed.select(pl.col("value", "lower", "upper", "numerator", "denominator").is_not_null().any()).row(0)
        == (False,) * 5
    )


def planted(state):
    """Every identifier that the practice ground's providers hold: the planted names, addresses and birth dates, and the numbers
    and telephones of every patient, by what it is."""
    clock = PracticeClock(state / "practice")
    world, now = World(clock.seed), clock.instant()
    canaries = world.canaries(now)
    patients = [entity.attributes for code in ("vnm", "khm") for entity in world.server(code, now).tracked_entities]
    return {
        "name": canaries.names,
        "address": canaries.addresses,
        "birth date": canaries.birth_dates,
        "national id": {person["national_id"] for person in patients if person.get("national_id")},
        "phone": {person["phone"] for person in patients if person.get("phone")},
        "worker": worker_canaries(now.date()),
        "respondent": {CANARY_FAMILY, CANARY_ASCII},
    }


def test_no_identifier_reached_any_byte_of_any_file(river, leak_search):
    """Files, logs, Dagster's storage, landing, store and releases; the inbox is what providers sent."""
    state, said = river
    needles = planted(state)
    assert {kind: len(texts) > 50 or kind == "respondent" for kind, texts in needles.items()} == dict.fromkeys(
        needles, True
    )
    search = leak_search.LeakSearch(needles)
    assert search.below(state, skipped=lambda path: path.is_relative_to(state / "inbox")) == []
    assert search.kinds_in(json.dumps(said, ensure_ascii=False).encode()) == set()
    # The same search finds them where they are: workers' names in workbooks, respondents in survey files.
    sent = " ".join(search.below(state / "inbox"))
    assert ": worker" in sent
    assert ": respondent" in sent


def test_registers_of_victims_lie_apart_and_only_their_figures_come_out(river):
    state, _ = river
    register = b"victims_received"
    holding = {path.relative_to(state) for path in state.rglob("*") if path.is_file() and register in path.read_bytes()}
    assert {path.parts[0] for path in holding} == {"victims"}
    assert {path.parts[1] for path in holding} >= {"inbox", "landing", "victims.duckdb"}
    with duckdb.connect(str(state / "victims" / "victims.duckdb"), read_only=True) as connection:
        query = """select sum(quantity) from restricted.victim_count_current
            where register_code = 'victims_received' and period_start_on = '2025-01-01'"""
        ((received,),) = connection.execute(query).fetchall()
    shown = "select denominator from observation where indicator_code = 'TP02' and area_code = 'VNM' and period_code = '2025'"
    totals = " and ".join(f"{name}_code = '_T'" for name in ("sex", "age", "origin", "destination", "category"))
    assert (received,) in released(state, f"{shown} and {totals}")


def test_pairing_is_as_good_as_its_page_says(river):
    """The links of the warehouse against what really happened between the two practice servers."""
    state, _ = river
    clock = PracticeClock(state / "practice")
    with duckdb.connect(str(state / "warehouse.duckdb"), read_only=True) as connection:
        paired = connection.sql("select * from core.referral_current").pl()
        known = {
            uid for (uid,) in connection.execute("select enrollment_uid from core.referral_record_current").fetchall()
        }
    truth = [
        (episode.sending_enrollment_uid, episode.receiving_enrollment_uids[0])
        for episode in World(clock.seed).true_referrals(clock.instant())
        if episode.kind in ("linked", "duplicate")
        and episode.receiving_enrollment_uids
        and {episode.sending_enrollment_uid, episode.receiving_enrollment_uids[0]} <= known
    ]
    quality = link_quality(paired, truth)
    assert min(quality.precision or 0, quality.recall or 0) >= 0.98
    told = (PROJECT / "docs" / "methods" / "referral-linkage.md").read_text(encoding="utf-8")
    assert quality.summary in told, f"the page tells other figures than measured: {quality.summary}"


def test_a_backup_brings_a_wrecked_state_back(river, tmp_path):
    state, _ = river
    kept = json.loads(mhwg(state, "backup", "--to", str(tmp_path), "--json").stdout)
    before = {name: digest for name, digest in digests(state).items() if not name.startswith(("locks/", "audit/"))}
    (state / "warehouse.duckdb").write_bytes(b"wrecked")
    shutil.rmtree(state / "release")
    refused = mhwg(state, "restore", kept["file"])
    assert (refused.returncode, "--replace" in refused.stderr) == (3, True)
    assert "Restored" in mhwg(state, "restore", kept["file"], "--replace").stdout
    after = digests(state)
    assert {name: after.get(name) for name in before} == before
    added = {name.split("/")[0] for name in set(after) - set(before)}
    assert added <= {"replaced-1", "settings", "locks", "audit"}
    # What the tests below do to this state they do to a restored one: status answers, a refresh finds nothing new.
    shutil.rmtree(state / "replaced-1")
    assert mhwg(state, "status").returncode == 0


def test_a_second_refresh_is_no_refresh(river):
    state, first = river
    before = digests(state)
    said = refresh(state)
    assert said["release_state"] == "unchanged"
    assert said["release_id"] == first["release_id"]
    assert not any(source["is_change"] for source in said["sources"])
    assert digests(state) == before


@pytest.fixture(scope="module")
def week_later(river, tmp_path_factory):
    """A copy of the state a week later, what its refresh said, and what a reader who stayed saw before and after it."""
    state, _ = river
    later = tmp_path_factory.mktemp("later") / "var"
    shutil.copytree(state, later, symlinks=True)
    count = "select count(*), sum(value) from observation"
    with duckdb.connect(str(later / "release" / "current" / "mhwg.duckdb"), read_only=True) as reader:
        shown = reader.execute(count).fetchall()
        assert mhwg(later, "practice", "advance").returncode == 0
        said = refresh(later)
        return later, said, shown, reader.execute(count).fetchall()


def test_a_week_later_only_changes_come_and_an_open_reader_keeps_its_release(river, week_later):
    _, first = river
    later, said, shown, still_shown = week_later
    assert said["release_state"] == "published"
    assert said["release_id"] > first["release_id"]
    for source in said["sources"]:
        if source["source"] in ("dhis2_vnm", "dhis2_khm"):
            assert source["new"] > 0
            assert source["changed"] > 0
            assert source["deleted"] > 0
            assert source["new"] < 5000  # a week, not the whole server
    assert still_shown == shown
    with duckdb.connect(str(later / "warehouse.duckdb"), read_only=True) as warehouse:
        closed = warehouse.execute(
            "select count(*) from core.referral_record where recorded_to < timestamp '9999-12-31'"
        ).fetchall()
    assert closed[0][0] > 0


def test_a_table_in_the_terminal_and_the_status(river):
    state, said = river
    table = mhwg(state, "table", "rt01", "--language", "vi")
    assert table.returncode == 0
    assert "159.986" in table.stdout
    listed = mhwg(state, "table")
    assert "RT04" in listed.stdout
    status = mhwg(state, "status", "--json")
    assert json.loads(status.stdout)["release"] == said["release_id"]


def test_mistakes_end_with_their_exit_code_and_no_traceback(river, tmp_path):
    state, _ = river
    for arguments, code in (
        (("table", "RT99"), 6),
        (("table", "RT01", "-l", "fr"), 64),
        (("nonsense",), 64),
        (("practice", "advance", "0"), 64),
    ):
        done = mhwg(state, *arguments)
        assert done.returncode == code, (arguments, done.stderr)
        assert "Traceback" not in done.stderr
        assert done.stderr.strip()
    empty = tmp_path / "empty"
    empty.mkdir()
    done = mhwg(empty, "status")
    assert (done.returncode, "mhwg refresh" in done.stderr) == (6, True)


def test_an_erased_person_is_gone_from_every_byte_and_the_figures_say_why(river, tmp_path):
    state, _ = river
    copy = tmp_path / "var"
    shutil.copytree(state, copy, symlinks=True)
    with duckdb.connect(str(copy / "warehouse.duckdb"), read_only=True) as store:
        ((token, records),) = store.execute(
            """select person_token, count(distinct instance_code || enrollment_uid) from core.referral_record_current
            where person_token is not null group by all order by 2 desc, 1 limit 1"""
        ).fetchall()
        ((last,),) = store.execute("select max(recorded_from) from indicator.observation").fetchall()
    assert any(token.encode() in path.read_bytes() for path in copy.rglob("*") if path.is_file())
    done = mhwg(copy, "erase", token, "--yes", "--json")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    told = json.loads(done.stdout)
    assert told["tables"]["core.referral_record"] >= records >= 1
    assert told["tables_after"] == told["files_after"] == {}
    holding = [path for path in copy.rglob("*") if path.is_file() and token.encode() in path.read_bytes()]
    assert holding == []
    with duckdb.connect(str(copy / "warehouse.duckdb"), read_only=True) as store:
        causes = store.execute(
            "select distinct cause_code from indicator.change where refresh_at > ?", [last]
        ).fetchall()
        failed = store.execute(
            "select rule_code from ops.check_result where refresh_at > ? and not is_passed and severity_code = 'critical'",
            [last],
        ).fetchall()
    assert causes == [("erasure",)]
    assert failed == []


# The release of the practice ground: every format, every page, every question to the shelf ----------------------------------


def checks_of(name: str) -> ModuleType:
    """The checks that the publishing tests make on their small world, for this release."""
    path = PROJECT / "tests" / "warehouse" / "publishing" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"checks_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def shelved(week_later):
    """The newest release, whose files rest on an earlier one: versions, marks of revised figures, receipts of two pulls."""
    later, *_ = week_later
    return SimpleNamespace(folder=(later / "release" / "current").resolve())


def test_every_page_of_the_whole_release_stays_small(shelved):
    pages = {
        path.relative_to(shelved.folder).as_posix(): path.stat().st_size for path in shelved.folder.rglob("*.html")
    }
    assert len(pages) > 150
    assert {"en/asean.html", "vi/TB11.html", "vi/corridors.html"} <= pages.keys()
    assert {name: size for name, size in pages.items() if size >= 500_000} == {}


@pytest.mark.parametrize(
    "check",
    [
        "test_every_format_holds_the_same_figures",
        "test_every_format_holds_the_same_table_cells",
        "test_pages_print_the_same_texts_as_the_tables",
    ],
)
def test_every_cell_is_the_same_in_database_csv_parquet_workbook_terminal_and_page(shelved, check):
    getattr(checks_of("test_publishing_release"), check)(shelved)


def test_every_cell_is_the_same_in_sdmx_and_fits_its_structure(shelved):
    checks = checks_of("test_publishing_sdmx")
    messages = checks.read_messages(shelved.folder)
    assert len(messages[1].data[0].obs) > 10_000
    checks.test_sdmx_ml_holds_the_figures_of_the_release(shelved, messages)
    checks.test_sdmx_csv_holds_the_same_rows(shelved)
    checks.test_the_data_fit_the_structure(messages)


def test_indicator_files_and_pages_hold_the_figures_of_the_release(shelved):
    """The file of an indicator has every figure of it; its page lists figures that are in the release, and hidden ones as `c`."""
    frame = pl.read_parquet(shelved.folder / "data" / "observation.parquet")
    text_of = checks_of("test_publishing_release").text_of
    for (code,), part in frame.group_by("indicator_code"):
        own = pl.read_csv(shelved.folder / "data" / "indicators" / f"{code}.csv", infer_schema=False)
        assert own.height == part.height
        assert (
            own["value"].drop_nulls().cast(pl.Float64).sort().to_list() == part["value"].drop_nulls().sort().to_list()
        )
        page = (shelved.folder / "en" / f"{code}.html").read_text(encoding="utf-8")
        body = page.split('id="figures"')[1].split("<tbody>")[1].split("</tbody>")[0]
        shown = [text_of(cell.split("</td>")[0]) for cell in body.split('<td class="num')[1:]]
        assert len(shown) == min(part.height, 300)
        numbers = {
            float(text.strip("()").split(" ")[0].replace(",", "").replace("\u2212", "-"))
            for text in shown
            if text[0] in "(0123456789"
        }
        values = part["value"].drop_nulls().to_list()
        assert all(min(abs(number - value) for value in values) <= 0.5 for number in numbers), code
        if part.height <= 300:
            assert shown.count("c") == part.filter(pl.col("conf_status") != "F").height
            assert sum(text.startswith("\N{EN DASH}") for text in shown) == part.filter(pl.col("value") == 0).height


def test_the_shelf_answers_for_both_releases(river, week_later):
    """list, verify, diff and build on a refreshed warehouse, with nothing new since."""
    _, first = river
    later, said, *_ = week_later
    entries = json.loads(mhwg(later, "release", "list", "--json").stdout)
    assert [(entry["release_id"], entry["state"]) for entry in entries] == [
        (first["release_id"], "superseded"),
        (said["release_id"], "current"),
    ]
    for entry in entries:
        checked = mhwg(later, "release", "verify", entry["release_id"], "--json")
        assert (checked.returncode, json.loads(checked.stdout)["faults"]) == (0, [])
    told = json.loads(mhwg(later, "release", "diff", "--json").stdout)
    assert (told["before"], told["after"]) == (first["release_id"], said["release_id"])
    assert {"revised", "hidden", "shown", "new"} <= told["counts"].keys()
    hidden = [one for one in told["changes"] if one["change_code"] == "hidden"]
    assert all(one["value_after"] is None and one["status_after"] == "Q" for one in hidden)
    before = digests(later / "release")
    built = mhwg(later, "release", "build", "--json")
    assert (built.returncode, json.loads(built.stdout)["release_state"]) == (0, "unchanged")
    assert digests(later / "release") == before


def test_the_first_release_is_made_again_byte_for_byte_from_a_warehouse_that_went_on(river, week_later, tmp_path):
    _, first = river
    later, *_ = week_later
    made = mhwg(
        later, "release", "as-of", first["release_id"][:4] + "-07-06", "--into", str(tmp_path / "again"), "--json"
    )
    answer = json.loads(made.stdout)
    assert (answer["release_id"], answer["is_same_program"], answer["differences"]) == (first["release_id"], True, [])
    assert digests(tmp_path / "again") == digests(later / "release" / first["release_id"])


def test_a_withdrawn_release_leaves_a_tombstone_and_is_remembered_by_the_audit(week_later, tmp_path):
    """The last of this state: afterwards the release of the week before is shown again."""
    later, said, *_ = week_later
    state = tmp_path / "var"
    shutil.copytree(later, state, symlinks=True)
    done = mhwg(state, "release", "withdraw", "current", "--reason", "A figure was read twice.", "--json")
    assert done.returncode == 0, done.stderr
    grave = state / "release" / said["release_id"]
    assert [path.name for path in grave.iterdir()] == ["WITHDRAWN.json"]
    told = json.loads((grave / "WITHDRAWN.json").read_text(encoding="utf-8"))
    assert told["reason"] == "A figure was read twice."
    assert told["withdrawn_at"] == f"{PracticeClock(state / 'practice').instant():%Y-%m-%dT%H:%M:%SZ}", "simulated time"
    assert (state / "release" / "current").resolve().name == json.loads(done.stdout)["current"] < said["release_id"]
    assert (state / "release" / ".ledger" / f"{said['release_id']}.parquet").exists()
    assert mhwg(state, "table", "RT01").returncode == 0
    assert mhwg(state, "release", "verify", said["release_id"]).returncode != 0
