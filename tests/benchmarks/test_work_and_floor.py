"""Work and floor of the benchmarks do the same: by the number of rows, at a size that takes no time."""

import json

from benchmarks import history, tracker


def test_a_history_of_a_thousand_rows_gets_a_batch_of_ten(tmp_path):
    folder = str(tmp_path)
    assert history.build(folder, 1000).items() >= {"inserted": 1000, "changed": 0}.items()
    assert history.batch(folder, 1000).items() >= {"inserted": 0, "changed": 10}.items()
    with history._store(folder).connect() as connection:
        before = f"core.figure_as_of(timestamp '{history.START:%Y-%m-%d}')"
        ((now, then),) = connection.execute(
            f"select (select sum(size) from core.figure_current), (select sum(size) from {before})"
        ).fetchall()
    # The sum of i / 2 over 0..999; ten of them are 1 more a week later.
    assert (now, then) == (249750 + 10, 249750)
    assert history.read(folder, as_of=True)["seconds"] >= 0
    assert history.floor_build(folder, 1000)["seconds"] >= 0
    assert not list(tmp_path.glob("floor*"))


def test_a_copied_entity_has_identifiers_of_its_own_and_says_the_same():
    entity = {
        "tracked_entity": "O8nT9H3J95D", "token": "1a3d", "sex": "MALE",
        "enrollments": [{"enrollment": "Q4EzEgspLkQ", "events": [{"event": "BVN1SSVqg6g", "step": "sent"}]}],
    }  # fmt: skip
    line = json.dumps(entity)
    first, again, second = (json.loads(tracker._another(line, copy)) for copy in (1, 1, 2))
    assert first == again
    assert first["sex"] == "MALE"
    assert first["enrollments"][0]["events"][0]["step"] == "sent"

    def identifiers(told):
        enrollment = told["enrollments"][0]
        return {told["tracked_entity"], told["token"], enrollment["enrollment"], enrollment["events"][0]["event"]}

    assert len(identifiers(entity) | identifiers(first) | identifiers(second)) == 12
    assert all(len(uid) == 11 for uid in identifiers(first) - {first["token"]})
