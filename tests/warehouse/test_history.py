"""The history primitive: worlds that can be checked by pencil, and the properties of issue-free bitemporal loading."""

from datetime import UTC, datetime, timedelta

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from warehouse import history, schema
from warehouse.catalogue.table_catalogue import OPEN_END, Column, Table
from warehouse.history import HistoryError, LoadCounts

THING = Table(
    name="core.thing",
    row="one thing of the test world",
    description="A table made for the tests of history.",
    group="dhis2",
    owner="team:test",
    key=("place", "name"),
    history=True,
    column=(
        Column(name="place", type="varchar", description="first key column"),
        Column(name="name", type="varchar", description="second key column"),
        Column(name="size", type="integer", description="the value compared"),
        Column(name="note", type="varchar", description="where it came from", is_provenance=True),
    ),
)
START = datetime(2026, 1, 5, tzinfo=UTC)


def week(number: int) -> datetime:
    return START + timedelta(weeks=number)


def connection() -> duckdb.DuckDBPyConnection:
    con = duckdb.connect()
    con.execute("create schema core")
    con.execute(schema.create_statement(THING))
    con.execute(schema.current_view_statement(THING))
    con.execute(schema.as_of_macro_statement(THING))
    return con


def values(
    rows: dict[tuple[str, str], int | None], deleted: set[tuple[str, str]] = frozenset(), note: str = "r1"
) -> str:
    lines = [
        f"('{place}', '{name}', {'null' if size is None else size}::integer, '{note}', 'receipt', false)"
        for (place, name), size in rows.items()
    ]
    lines += [f"('{place}', '{name}', null, '{note}', 'receipt', true)" for place, name in deleted]
    if not lines:
        lines = ["(null, null, null, null, null, null)"]
        where = " where false"
    else:
        where = ""
    return f"select * from (values {', '.join(lines)}) t(place, name, size, note, receipt_id, is_deleted){where}"


def delta(con, at, rows, deleted=frozenset(), note="r1") -> LoadCounts:
    return history.load(con, THING, values(rows, deleted, note), at, mode="delta")


def snapshot(con, at, rows, scope=None) -> LoadCounts:
    return history.load(con, THING, values(rows), at, mode="snapshot", scope=scope)


def versions(con) -> list[tuple]:
    return con.execute("select place, name, size, recorded_from, recorded_to from core.thing order by all").fetchall()


def shown(con, at: datetime | None = None) -> dict[tuple[str, str], int | None]:
    if at is None:
        rows = con.execute("select place, name, size from core.thing_current").fetchall()
    else:
        rows = con.execute(
            "select place, name, size from core.thing_as_of($at)", {"at": history.as_naive_utc(at)}
        ).fetchall()
    return {(place, name): size for place, name, size in rows}


def test_a_changed_row_is_closed_and_an_equal_row_is_left_alone():
    con = connection()
    assert delta(con, week(0), {("vn", "a"): 1, ("vn", "b"): 2}) == LoadCounts(2, 2, 0, 0, 0)
    assert delta(con, week(1), {("vn", "a"): 5, ("vn", "b"): 2}) == LoadCounts(2, 0, 1, 0, 1)
    naive = [history.as_naive_utc(week(number)) for number in (0, 1)]
    open_end = datetime.fromisoformat(OPEN_END)
    assert versions(con) == [
        ("vn", "a", 1, naive[0], naive[1]),
        ("vn", "a", 5, naive[1], open_end),
        ("vn", "b", 2, naive[0], open_end),
    ]


def test_a_new_receipt_alone_is_no_new_version():
    con = connection()
    delta(con, week(0), {("vn", "a"): 1}, note="first file")
    assert not delta(con, week(1), {("vn", "a"): 1}, note="second file").is_change


def test_null_is_a_value_of_its_own():
    con = connection()
    delta(con, week(0), {("vn", "a"): None})
    assert not delta(con, week(1), {("vn", "a"): None}).is_change
    assert delta(con, week(2), {("vn", "a"): 0}).changed == 1


def test_a_snapshot_closes_only_within_its_scope():
    con = connection()
    snapshot(con, week(0), {("vn", "a"): 1, ("kh", "a"): 1})
    counts = snapshot(con, week(1), {("vn", "b"): 1}, scope={"place": "vn"})
    assert (counts.inserted, counts.closed) == (1, 1)
    assert shown(con) == {("vn", "b"): 1, ("kh", "a"): 1}


def test_an_empty_snapshot_closes_its_whole_scope():
    con = connection()
    snapshot(con, week(0), {("vn", "a"): 1, ("kh", "a"): 1})
    assert snapshot(con, week(1), {}, scope={"place": "kh"}).closed == 1
    assert shown(con) == {("vn", "a"): 1}


def test_deleted_rows_vanish_from_the_current_view_only():
    con = connection()
    delta(con, week(0), {("vn", "a"): 1})
    assert delta(con, week(1), {}, deleted={("vn", "a")}).closed == 1
    assert shown(con) == {}
    assert shown(con, week(0)) == {("vn", "a"): 1}
    assert delta(con, week(2), {("vn", "a"): 1}).inserted == 1
    assert shown(con, week(1)) == {}


def test_a_deletion_of_what_was_never_there_writes_nothing():
    con = connection()
    assert delta(con, week(0), {}, deleted={("vn", "ghost")}) == LoadCounts(received=1)


@pytest.mark.parametrize(
    ("batch", "words"),
    [
        (
            "select * from (values ('a','b',1,'n','r',false),('a','b',2,'n','r',false)) t(place,name,size,note,receipt_id,is_deleted)",
            "1 repeated",
        ),
        ("select * from (values (null,'b',1,'n','r',false)) t(place,name,size,note,receipt_id,is_deleted)", "1 empty"),
    ],
)
def test_repeated_and_empty_keys_are_refused(batch, words):
    with pytest.raises(HistoryError, match=words):
        history.load(connection(), THING, batch, week(0), mode="delta")


@pytest.mark.parametrize("names", [("a", "a", "b"), ("b", "a", "b"), ("a", "b", "b"), ("b", "a", "a")])
@pytest.mark.parametrize("before", [{}, {("kh", "a"): 1}], ids=["nothing held", "another place held"])
def test_a_first_batch_that_repeats_a_key_leaves_nothing(names, before):
    con = connection()
    snapshot(con, week(0), before, scope={"place": "kh"})
    held = versions(con)
    lines = ", ".join(f"('vn', '{name}', {size}, 'n', 'r')" for size, name in enumerate(names))
    batch = f"select * from (values {lines}) t(place, name, size, note, receipt_id)"
    with pytest.raises(HistoryError, match="1 repeated"):
        history.load(con, THING, batch, week(0), mode="snapshot", scope={"place": "vn"})
    assert versions(con) == held
    assert snapshot(con, week(0), {("vn", "a"): 1}, scope={"place": "vn"}) == LoadCounts(received=1, inserted=1)


@pytest.mark.parametrize("names", [("a", "b", "c"), ("c", "a", "b")])
def test_a_first_batch_stands_in_the_order_of_its_key(names):
    con = connection()
    for place in ("vn", "kh"):
        rows = {(place, name): size for size, name in enumerate(names)}
        assert snapshot(con, week(0), rows, scope={"place": place}) == LoadCounts(received=3, inserted=3)
    stored = con.execute("select place, name from core.thing order by rowid").fetchall()
    assert stored == [(place, name) for place in ("vn", "kh") for name in "abc"]


def test_a_first_batch_with_rows_of_another_scope_is_held_against_them():
    con = connection()
    snapshot(con, week(0), {("kh", "a"): 1, ("kh", "b"): 1}, scope={"place": "kh"})
    counts = snapshot(con, week(1), {("vn", "a"): 1, ("kh", "a"): 1, ("kh", "b"): 2}, scope={"place": "vn"})
    assert counts == LoadCounts(received=3, inserted=1, changed=1, unchanged=1)
    assert shown(con) == {("vn", "a"): 1, ("kh", "a"): 1, ("kh", "b"): 2}


def test_a_scope_that_is_no_part_of_the_key_does_not_hide_what_is_open():
    con = connection()
    delta(con, week(0), {("vn", "a"): 1}, note="one")
    batch = values({("vn", "a"): 2}, note="two")
    history.load(con, THING, batch, week(1), mode="snapshot", scope={"note": "two"})
    assert shown(con) == {("vn", "a"): 2}


def test_system_time_only_moves_on():
    con = connection()
    delta(con, week(1), {("vn", "a"): 1})
    with pytest.raises(HistoryError, match="only moves on"):
        delta(con, week(0), {("vn", "b"): 1})


# Property tests. A history of weeks; each week is a set of changes (value, or None-marker for a deletion).
KEYS = st.tuples(st.sampled_from(["vn", "kh"]), st.sampled_from(["a", "b", "c"]))
CHANGES = st.dictionaries(KEYS, st.one_of(st.just("deleted"), st.integers(0, 3)), max_size=6)
WEEKS = st.lists(CHANGES, min_size=1, max_size=5)


def play(con, weeks, split=lambda changes: [changes], twice=False):
    for number, changes in enumerate(weeks):
        for part in split(changes):
            rows = {key: value for key, value in part.items() if value != "deleted"}
            gone = {key for key, value in part.items() if value == "deleted"}
            delta(con, week(number), rows, gone)
            if twice:
                assert not delta(con, week(number), rows, gone).is_change


def states(weeks):
    state: dict[tuple[str, str], int] = {}
    for changes in weeks:
        for key, value in changes.items():
            if value == "deleted":
                state.pop(key, None)
            else:
                state[key] = value
        yield dict(state)


@settings(max_examples=20, deadline=None)
@given(WEEKS)
def test_as_of_any_time_is_the_state_that_was_current_then(weeks):
    con = connection()
    play(con, weeks)
    for number, state in enumerate(states(weeks)):
        assert shown(con, week(number)) == state
        assert shown(con, week(number) + timedelta(days=6, hours=23)) == state
    assert shown(con) == state


@settings(max_examples=20, deadline=None)
@given(WEEKS, st.randoms(use_true_random=False))
def test_split_and_order_within_a_refresh_do_not_show(weeks, random):
    def shuffled(changes):
        keys = list(changes)
        random.shuffle(keys)
        cut = random.randint(0, len(keys))
        return [{key: changes[key] for key in keys[:cut]}, {key: changes[key] for key in keys[cut:]}]

    whole, parts = connection(), connection()
    play(whole, weeks)
    play(parts, weeks, shuffled)
    assert versions(whole) == versions(parts)


@settings(max_examples=15, deadline=None)
@given(WEEKS)
def test_running_a_batch_twice_changes_nothing(weeks):
    con, once = connection(), connection()
    play(con, weeks, twice=True)
    play(once, weeks)
    assert versions(con) == versions(once)


@settings(max_examples=20, deadline=None)
@given(WEEKS)
def test_no_overlap_and_no_empty_version_per_key(weeks):
    con = connection()
    play(con, weeks)
    assert con.execute("select count(*) from core.thing where recorded_from >= recorded_to").fetchall() == [(0,)]
    overlaps = con.execute(
        """select count(*) from core.thing a join core.thing b using (place, name)
        where a.rowid < b.rowid and a.recorded_from < b.recorded_to and b.recorded_from < a.recorded_to"""
    ).fetchall()
    assert overlaps == [(0,)]


@settings(max_examples=15, deadline=None)
@given(WEEKS)
def test_snapshots_and_deltas_tell_the_same_history(weeks):
    by_delta, by_snapshot = connection(), connection()
    play(by_delta, weeks)
    for number, state in enumerate(states(weeks)):
        snapshot(by_snapshot, week(number), state)
    assert versions(by_delta) == versions(by_snapshot)


@settings(max_examples=40, deadline=None)
@given(WEEKS, st.sampled_from(["delta", "snapshot"]), st.sampled_from([None, {"place": "vn"}]))
def test_a_look_ahead_says_whether_the_load_changes_anything(weeks, mode, scope):
    con = connection()
    for number, changes in enumerate(weeks):
        told = {key: value for key, value in changes.items() if not scope or key[0] == scope["place"]}
        rows = {key: value for key, value in told.items() if value != "deleted"}
        gone = {key for key, value in told.items() if value == "deleted"} if mode == "delta" else set()
        # The second time is what a full pull with nothing new brings: the same rows under another receipt.
        for note in ("r1", "r2"):
            batch = values(rows, gone, note)
            before = versions(con)
            foreseen = history.would_change(con, THING, batch, mode=mode, scope=scope)
            assert versions(con) == before
            assert history.load(con, THING, batch, week(number), mode=mode, scope=scope).is_change is foreseen
        assert foreseen is False


def test_rows_whose_values_changed_places_are_something_new():
    # Equal in number and in every column's own sum: only whole rows tell them apart.
    con = connection()
    assert snapshot(con, week(0), {("vn", "a"): 1, ("vn", "b"): 2, ("kh", "a"): 2, ("kh", "b"): 1}).inserted == 4
    swapped = values({("vn", "a"): 2, ("vn", "b"): 1, ("kh", "a"): 1, ("kh", "b"): 2})
    assert history.would_change(con, THING, swapped, mode="snapshot")
    narrower = "select place, name, size::tinyint as size, note, receipt_id, is_deleted from ({})"
    same = values({("kh", "b"): 1, ("kh", "a"): 2, ("vn", "b"): 2, ("vn", "a"): 1})
    assert not history.would_change(con, THING, narrower.format(same), mode="snapshot")


@settings(max_examples=25, deadline=None)
@given(WEEKS, st.sampled_from([1, 2, 3]), st.sampled_from(["delta", "snapshot"]))
def test_portions_leave_what_one_sort_leaves(weeks, sorted_rows, mode):
    whole, portioned = connection(), connection()
    for con, limit in ((whole, history.SORTED_ROWS), (portioned, sorted_rows)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(history, "SORTED_ROWS", limit)
            for number, state in enumerate(states(weeks)):
                gone = {("vn", "a")} - set(state) if mode == "delta" else set()
                history.load(con, THING, values(state, gone), week(number), mode=mode)
    as_they_stand = "select place, name, size, recorded_from, recorded_to from core.thing order by rowid"
    assert portioned.execute(as_they_stand).fetchall() == whole.execute(as_they_stand).fetchall()


def test_rows_of_one_leading_key_are_cut_by_the_next(monkeypatch):
    monkeypatch.setattr(history, "SORTED_ROWS", 10)
    con = connection()
    rows = {("vn", f"n{number:03d}"): number for number in reversed(range(95))} | {("kh", "a"): 1}
    assert snapshot(con, week(0), rows) == LoadCounts(received=96, inserted=96)
    stands = con.execute("select place, name from core.thing order by rowid").fetchall()
    assert stands == sorted(rows)
    source, parameters = f"({values(rows)})", {}
    cuts = history._cuts(con, THING.key, source, parameters, 96)
    assert len(cuts) == 9
    assert all(len(cut) == 2 and cut[0] == "vn" for cut in cuts)
    assert cuts == sorted(set(cuts))


def test_a_batch_that_says_something_else_each_time_is_refused():
    # 60 rows when they are counted, 40 when they are written.
    con = connection()
    con.execute("create sequence asked")
    rows = values({("vn", f"n{number:02d}"): number for number in range(60)})
    with pytest.raises(HistoryError, match=r"40 rows were written of a batch of 60.*whole key"):
        history.load(con, THING, f"select * from ({rows}) where nextval('asked') <= 100", week(0), mode="delta")


def test_a_value_replaced_within_one_refresh_leaves_the_earlier_version_whole():
    # Found by the split property: writing 1, then 2, then 1 again in one refresh must not leave a zero-length version.
    con = connection()
    delta(con, week(0), {("vn", "a"): 1})
    delta(con, week(1), {("vn", "a"): 2})
    delta(con, week(1), {("vn", "a"): 1})
    assert len(versions(con)) == 1
    assert shown(con, week(1)) == {("vn", "a"): 1}
