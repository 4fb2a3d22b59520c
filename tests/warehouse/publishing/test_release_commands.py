"""`mhwg release` on a shelf of two hand-made releases: what it says, with which exit code, and what it leaves."""

import json
import shutil

import polars as pl
import pytest

from warehouse.publishing.comparison import compared
from warehouse.publishing.content import KEY_COLUMNS
from warehouse.publishing.release import current_release, published_frames

FIRST, SECOND = "20261122T220000Z", "20261129T220000Z"


@pytest.fixture
def mhwg(make_release, world, tmp_path, monkeypatch, capsys):
    """Runs a command on two releases: in the second, one figure is revised, one gone, one new."""
    from pipelines.cli import app, call

    state = tmp_path / "state"
    shelf = state / "release"
    shelf.mkdir(parents=True)
    make_release(world, shelf=shelf)
    changed = [dict(row) for row in world if not (row["indicator_code"] == "LM01" and row["destination_code"] == "GRC")]
    for row in changed:
        if row["indicator_code"] == "LM01" and row["period_code"] == "2025" and row["destination_code"] == "_T":
            row["value"] = 128044.0
    changed.append(changed[-1] | {"period_code": "1999"})
    make_release(changed, shelf=shelf)
    monkeypatch.setenv("MHWG_STATE", str(state))
    monkeypatch.delenv("MHWG_SETTINGS", raising=False)

    def run(*arguments):
        code = call(lambda: app(["release", *arguments], standalone_mode=False))
        said = capsys.readouterr()
        if "--json" in arguments and said.out:
            return code, json.loads(said.out)
        return code, said.out + said.err

    run.shelf = shelf
    return run


def test_list_names_every_release_and_its_state(mhwg):
    code, entries = mhwg("list", "--json")
    assert code == 0
    assert [(e["release_id"], e["state"]) for e in entries] == [(FIRST, "superseded"), (SECOND, "current")]
    assert entries[0]["versions"]["policy"] == "test-1"
    assert SECOND in mhwg("list")[1]


def test_verify_answers_with_the_exit_code(mhwg):
    assert mhwg("verify", "--json") == (0, {"release_id": SECOND, "faults": []})
    (mhwg.shelf / FIRST / "en" / "RT01.html").write_text("changed", encoding="utf-8")
    assert mhwg("verify", "2026112", "--json")[0] == 6, "two releases begin like that"
    assert mhwg("verify", FIRST, "--json") == (3, {"release_id": FIRST, "faults": ["changed: en/RT01.html"]})
    assert "changed: en/RT01.html" in mhwg("verify", "previous")[1]


def test_diff_tells_what_readers_see_change(mhwg):
    code, told = mhwg("diff", "--json")
    assert code == 0
    assert (told["before"], told["after"]) == (FIRST, SECOND)
    assert told["counts"] == {"revised": 1, "withdrawn": told["counts"]["withdrawn"], "new": 1}
    revised = told["changes"][0]
    assert (revised["change_code"], revised["value_before"], revised["value_after"]) == ("revised", 121190.0, 128044.0)
    assert mhwg("diff", FIRST, FIRST, "--json")[1]["changes"] == []
    assert "128044" in mhwg("diff")[1]


def test_as_of_finds_what_readers_saw(mhwg):
    for instant, expected in (("2026-11-22", FIRST), ("2026-11-28", FIRST), ("2026-11-29T22:00:00Z", SECOND)):
        code, entry = mhwg("as-of", instant, "--json")
        assert (code, entry["release_id"]) == (0, expected), instant
    code, said = mhwg("as-of", "2026-11-21")
    assert (code, "no release was made by" in said) == (6, True)
    assert mhwg("as-of", "last week")[0] == 6


def test_withdraw_leaves_a_tombstone_and_the_figures_in_the_ledger(mhwg):
    before = pl.read_parquet(mhwg.shelf / SECOND / "data" / "observation.parquet")
    code, said = mhwg("withdraw", "current", "--reason", "The total of 2025 was read twice.", "--json")
    assert (code, said["current"]) == (0, FIRST)
    assert current_release(mhwg.shelf).name == FIRST
    assert [path.name for path in (mhwg.shelf / SECOND).iterdir()] == ["WITHDRAWN.json"]
    grave = json.loads((mhwg.shelf / SECOND / "WITHDRAWN.json").read_text(encoding="utf-8"))
    assert grave["withdrawn_at"] == "2026-11-29T22:00:00Z", "the practice ground's time, not before the newest release"
    assert published_frames(mhwg.shelf)[SECOND].equals(before), "who saw it still has it: the audit must know it"
    entry = mhwg("list", "--json")[1][1]
    assert (entry["state"], entry["reason"]) == ("withdrawn", "The total of 2025 was read twice.")
    assert "Withdrawn since: The total of 2025" in mhwg("as-of", "2026-12-24")[1]
    assert mhwg("diff", FIRST, SECOND)[0] == 6
    assert mhwg("withdraw", FIRST, "--reason", "again")[0] == 6, "the only release that is left stays"
    assert mhwg("withdraw", FIRST, "--reason", " ")[0] == 64


def test_without_a_release_or_a_warehouse_the_answer_is_not_found(mhwg):
    assert mhwg("build")[0] == 6
    code, said = mhwg("as-of", "2026-11-22", "--into", str(mhwg.shelf / "again"))
    assert (code, "made again from the warehouse, and there is none" in " ".join(said.split())) == (6, True)
    assert mhwg("verify", "2019")[0] == 6
    shutil.rmtree(mhwg.shelf)
    assert mhwg("list")[0] == 6
    assert mhwg("verify")[0] == 6


def frame(**values):
    columns = {"value": None, "obs_status": "A", "conf_status": "F", "is_practice": False}
    rows = [
        dict.fromkeys(KEY_COLUMNS, "_T")
        | dict.fromkeys(("value", "lower", "upper", "numerator", "denominator", "n"))
        | columns
        | {"period_code": code}
        | row
        for code, row in values.items()
    ]
    return pl.DataFrame(
        rows, schema_overrides=dict.fromkeys(("value", "lower", "upper", "numerator", "denominator", "n"), pl.Float64)
    )


def test_each_kind_of_change_is_named():
    before = frame(
        a={"value": 1.0}, b={"value": 2.0}, c={"obs_status": "Q"}, d={"value": 4.0}, e={"value": 5.0}, f={"value": 6.0}
    )
    after = frame(
        a={"value": 1.0},
        b={"value": 3.0},
        c={"value": 9.0},
        d={"obs_status": "Q"},
        f={"value": 6.0, "obs_status": "P"},
        g={"value": 7.0},
    )
    told = compared(before, after)
    assert dict(zip(told["period_code"], told["change_code"], strict=True)) == {
        "b": "revised", "d": "hidden", "c": "shown", "e": "withdrawn", "f": "status", "g": "new",
    }  # fmt: skip
    assert compared(after, before)["change_code"].to_list() == [
        "revised",
        "hidden",
        "shown",
        "withdrawn",
        "status",
        "new",
    ]
