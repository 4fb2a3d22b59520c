"""Column lineage of small SELECTs, each followed by eye, and of every model in the house."""

import pytest

from warehouse.catalogue.indicator_catalogue import indicator_catalogue
from warehouse.catalogue.table_catalogue import tables
from warehouse.indicator_sql import compiled_models
from warehouse.lineage import MODELS, column_lineage, joint_lineage, model_lineage


@pytest.mark.parametrize(
    ("sql", "wanted"),
    [
        ("select x, y as z from staging.t", {"x": {("staging.t", "x")}, "z": {("staging.t", "y")}}),
        ("select a.x + b.y as s from core.t a join core.u b using (k)", {"s": {("core.t", "x"), ("core.u", "y")}}),
        ("select x from core.t_current where y > 1", {"x": {("core.t", "x")}}),
        (
            "with a as (select x, y as z from core.t) select coalesce(a.z, a.x) as w, 1 as one from a",
            {"w": {("core.t", "x"), ("core.t", "y")}, "one": set()},
        ),
        (
            "select sum(v) filter (where k = 'a') as total from (select v, k from core.t) q group by all",
            {"total": {("core.t", "v"), ("core.t", "k")}},
        ),
        (
            "select x as n from core.t union all select y from core.u",
            {"n": {("core.t", "x"), ("core.u", "y")}},
        ),
        (
            "select case when a.x then b.y else null end as c from core.t a, core.u b",
            {"c": {("core.t", "x"), ("core.u", "y")}},
        ),
    ],
)
def test_a_column_comes_from_what_it_is_computed_from(sql, wanted):
    assert {name: set(origins) for name, origins in column_lineage(sql).items()} == wanted


def test_every_core_model_tells_where_its_columns_come_from():
    for path in sorted((MODELS / "core").glob("*.sql")):
        table = f"core.{path.stem}"
        lineage = model_lineage(table)
        named = [name for name in tables()[table].batch_columns if lineage.get(name)]
        assert len(named) >= len(tables()[table].batch_columns) * 0.8, (
            table,
            sorted(set(tables()[table].batch_columns) - set(named)),
        )
        for origins in lineage.values():
            for origin, column in origins:
                assert origin in tables(), (table, origin)
                assert column in tables()[origin].column_names, (table, origin, column)


def test_observations_tell_where_their_columns_come_from():
    """Out of the SQL that computes each indicator: a notification rate is made of DHIS2's values and of a population."""
    catalogue = indicator_catalogue()
    models = compiled_models(catalogue)
    assert models == compiled_models(catalogue), "the same text, so that a digest of it tells a change of the SQL"
    lineage = joint_lineage(models)
    table = tables()["indicator.observation"]
    named = {name for name in table.column_names if lineage.get(name)}
    assert {"area_code", "value", "numerator", "denominator", "lower", "upper", "receipt_ids", "is_practice"} <= named
    assert {("core.data_value", "value_number"), ("core.labour_contract", "departed_on")} <= lineage["denominator"]
    assert lineage["lower"] >= {("estimate.survey_estimate", "lower"), ("core.reference_value", "lower")}
    for origins in lineage.values():
        for origin, column in origins:
            assert column in tables()[origin].column_names, (origin, column)


def test_what_several_selects_fill_comes_from_all_of_them():
    assert joint_lineage(["select x as n from core.t", "select y as n, z from core.u"]) == {
        "n": {("core.t", "x"), ("core.u", "y")},
        "z": {("core.u", "z")},
    }
