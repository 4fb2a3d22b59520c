"""When the release of a week is built, as a table of situations that can be followed by hand."""

from datetime import UTC, datetime, timedelta

import pytest

from pipelines.cron import CronError, parse_cron
from pipelines.weekly import Attempt, decide

TICK = datetime(2026, 7, 5, 22, 0, tzinfo=UTC)  # Monday 2026-07-06 05:00 in Viet Nam
DEADLINE = TICK + timedelta(hours=4)


def attempt(state, minutes=0):
    return Attempt(state, TICK + timedelta(minutes=minutes))


def at(minutes, attempts, builds=(), failed=0):
    return decide(TICK, DEADLINE, TICK + timedelta(minutes=minutes), attempts, list(builds), failed)


def test_it_waits_while_a_source_runs_before_the_deadline():
    decision = at(30, {"a": attempt("done"), "b": attempt("open")})
    assert not decision.is_build
    assert "waiting for b until 2026-07-06 02:00 UTC" in decision.reason


def test_it_builds_as_soon_as_the_last_source_has_ended():
    decision = at(30, {"a": attempt("done"), "b": attempt("done")})
    assert (decision.is_build, decision.seen, decision.missing) == (True, {"a", "b"}, "")


def test_a_failed_source_stops_nobody_and_is_named():
    decision = at(30, {"a": attempt("done"), "b": attempt("failed")})
    assert (decision.is_build, decision.seen, decision.missing) == (True, {"a"}, "b failed")


def test_at_the_deadline_it_builds_without_the_late_and_the_unstarted():
    decision = at(240, {"a": attempt("done"), "b": attempt("open"), "c": None, "d": attempt("failed")})
    assert (decision.is_build, decision.seen, decision.missing) == (True, {"a"}, "d failed, b late, c late")


def test_seconds_between_tick_and_first_run_do_not_move_the_deadline():
    # The deadline schedule looks at 09:00:00 sharp; runs begin some seconds after 05:00.
    assert at(240, {"a": attempt("done", 0.5), "b": attempt("open", 0.6)}).is_build


def test_a_late_source_that_comes_in_is_built_in_and_nothing_twice():
    late = {"a": attempt("done"), "b": attempt("done", 300)}
    assert not at(310, {"a": attempt("done"), "b": attempt("open", 1)}, [frozenset("a")]).is_build
    repaired = at(320, late, [frozenset("a")])
    assert (repaired.is_build, repaired.missing) == (True, "")
    assert not at(330, late, [frozenset("a"), frozenset("ab")]).is_build


def test_a_machine_that_was_off_at_the_tick_gives_its_sources_the_same_time():
    on_tuesday = 26 * 60
    sources = {"a": attempt("done", on_tuesday), "b": attempt("open", on_tuesday + 1)}
    assert not at(on_tuesday + 30, sources).is_build
    assert at(on_tuesday + 241, sources).missing == "b late"


def test_nothing_is_built_when_no_source_was_started():
    assert "no source has started" in at(1000, {"a": None, "b": None}).reason


def test_a_build_that_keeps_failing_is_left_to_a_person():
    sources = {"a": attempt("done")}
    assert at(10, sources, [], 1).is_build
    assert not at(10, sources, [], 2).is_build


# Monday 2026-07-06 is the practice calendar's first Monday; the UTC instants are seven hours before Viet Nam's clock.
@pytest.mark.parametrize(
    ("expression", "now", "last", "following"),
    [
        ("0 5 * * 1", "2026-07-06T12:00", "2026-07-05T22:00", "2026-07-12T22:00"),
        ("0 5 * * 1", "2026-07-05T22:00", "2026-07-05T22:00", "2026-07-12T22:00"),
        ("30 6 1 * *", "2026-07-15T00:00", "2026-06-30T23:30", "2026-07-31T23:30"),
        ("*/15 * * * *", "2026-07-06T12:07", "2026-07-06T12:00", "2026-07-06T12:15"),
        ("0 5,17 * * 1-5", "2026-07-04T00:00", "2026-07-03T10:00", "2026-07-05T22:00"),
        ("0 0 13 * 5", "2026-07-06T00:00", "2026-07-02T17:00", "2026-07-09T17:00"),
        ("0 5 29 2 *", "2026-07-06T00:00", "2024-02-28T22:00", "2028-02-28T22:00"),
    ],
)
def test_ticks_of_a_cron_expression(expression, now, last, following):
    cron = parse_cron(expression, "Asia/Ho_Chi_Minh")
    instant = datetime.fromisoformat(now).replace(tzinfo=UTC)
    assert cron.until(instant) == datetime.fromisoformat(last).replace(tzinfo=UTC)
    assert cron.after(instant) == datetime.fromisoformat(following).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    "expression", ["0 5 * *", "61 5 * * 1", "0 5 * * mon", "0 5 * * 1-", "*/0 * * * *", "5-1 * * * *"]
)
def test_a_cron_expression_that_is_none_is_refused(expression):
    with pytest.raises(CronError):
        parse_cron(expression, "UTC")


def test_cron_agrees_with_dagsters_own_reading():
    from dagster._utils.schedules import cron_string_iterator

    for expression in ("0 5 * * 1", "15 3 1,15 * *", "0 */6 * * 0", "5 4 * 2 7"):
        ours = datetime(2026, 1, 1, tzinfo=UTC)
        theirs = cron_string_iterator(ours.timestamp(), expression, "Asia/Ho_Chi_Minh")
        for _ in range(30):
            ours = parse_cron(expression, "Asia/Ho_Chi_Minh").after(ours)
            assert next(t for t in theirs if t.timestamp() >= ours.timestamp()).timestamp() == ours.timestamp()
