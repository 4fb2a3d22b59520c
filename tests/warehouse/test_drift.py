"""Schema drift: every kind of change is named, and follows its policy."""

from pathlib import Path

import pytest

from warehouse.catalogue.table_catalogue import CatalogueError
from warehouse.drift import Decision, DriftPolicy, Field, confirmed, decide, load_policy, recognise

EXPECTED = [
    Field("market", "text", aliases=("destination market",)),
    Field("total", "number"),
    Field("women", "number"),
    Field("remark", "text", is_required=False),
]
SOUND = {"market": "text", "total": "number", "women": "number", "remark": "text"}


def after(**changes: str | None) -> dict[str, str]:
    received: dict[str, str | None] = {**SOUND, **changes}
    return {name: kind for name, kind in received.items() if kind is not None}


def decided(received: dict[str, str], policy: DriftPolicy | None = None) -> Decision:
    return decide(recognise(EXPECTED, received), policy or DriftPolicy())


def test_no_change_is_no_difference() -> None:
    decision = decided(SOUND)
    assert (decision.differences, decision.is_stopped, decision.explanation("labour")) == ((), False, "")


def test_a_new_field_is_accepted_and_named() -> None:
    decision = decided(after(province="text"))
    assert [(d.kind, d.got) for d in decision.differences] == [("new", "province")]
    assert not decision.is_stopped
    assert "'province'" in decision.explanation("labour")


def test_a_missing_field_stops_the_source() -> None:
    decision = decided(after(total=None))
    assert [(d.kind, d.field) for d in decision.stopping] == [("missing", "total")]
    assert "last good data stay" in decision.explanation("labour")


def test_a_missing_optional_field_does_not() -> None:
    decision = decided(after(remark=None))
    assert [d.kind for d in decision.differences] == ["missing_optional"]
    assert not decision.is_stopped


def test_a_known_alias_is_mapped_when_the_policy_says_so() -> None:
    received = {"destination market": "text", "total": "number", "women": "number", "remark": "text"}
    assert decided(received).is_stopped
    mapped = decided(received, DriftPolicy(renamed="map"))
    assert (mapped.renames, mapped.is_stopped) == ({"destination market": "market"}, False)


def test_a_likely_renaming_is_proposed_and_never_mapped() -> None:
    received = {"market": "text", "totals": "number", "women": "number", "remark": "text"}
    decision = decided(received, DriftPolicy(renamed="map"))
    assert [(d.kind, d.field, d.got, d.certain) for d in decision.differences] == [
        ("renamed", "total", "totals", False)
    ]
    assert (decision.renames, decision.is_stopped) == ({}, True)


def test_a_like_name_of_another_type_is_no_renaming() -> None:
    received = {"market": "text", "totals": "text", "women": "number", "remark": "text"}
    assert {d.kind for d in recognise(EXPECTED, received)} == {"missing", "new"}


def test_a_retyped_field_stops_the_source_also_behind_an_alias() -> None:
    decision = decided(
        {"destination market": "number", "total": "text", "women": "number", "remark": "text"},
        DriftPolicy(renamed="map"),
    )
    assert [(d.field, d.got) for d in decision.stopping] == [("market", "number"), ("total", "text")]


def test_the_shipped_policy_knows_its_sources() -> None:
    assert load_policy("labour").renamed == "map"
    assert load_policy("dhis2").renamed == "stop"
    assert load_policy("unheard of") == load_policy("default")


def test_an_unknown_key_of_the_policy_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text('[default]\nretypped = "stop"\n', encoding="utf-8")
    with pytest.raises(CatalogueError, match="known keys"):
        load_policy("default", path)


def test_a_column_without_values_is_not_retyped() -> None:
    assert recognise(EXPECTED, after(women="empty")) == ()


def test_what_a_person_confirmed_does_not_stop_again(tmp_path: Path) -> None:
    path = tmp_path / "drift.toml"
    path.write_text(
        '[[confirmed]]\nsource = "labour"\npart = "register/a"\nkind = "missing"\nfield = "women"\n'
        'why = "no longer asked"\nby = "Nguyen Van A"\n',
        encoding="utf-8",
    )
    differences = recognise(EXPECTED, after(women=None))
    assert decide(differences, DriftPolicy()).is_stopped
    assert not decide(differences, DriftPolicy(), confirmed("labour", "register/a", path)).is_stopped
    assert decide(differences, DriftPolicy(), confirmed("labour", "register/b", path)).is_stopped
    path.write_text('[[confirmed]]\nsource = "labour"\n', encoding="utf-8")
    with pytest.raises(CatalogueError, match=r"drift\.toml"):
        confirmed("labour", "register/a", path)
