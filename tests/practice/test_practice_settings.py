"""practice/mhwg.toml names by UID exactly what the practice servers hold, as a deployment's settings would."""

import tomllib
from pathlib import Path

import pytest

import practice
from practice.world import definitions, geography

SETTINGS = tomllib.loads((Path(practice.__file__).parent / "mhwg.toml").read_text(encoding="utf-8"))
ENTRIES = {entry["code"]: entry for entry in SETTINGS["dhis2"]}
NOT_REQUESTED = {
    "address",
    "reason",
    "needs_interpreter",
    "register_number",
    "adherence_percent",
    "symptoms",
    "note",
    "reported_by",
}


@pytest.mark.parametrize("server", geography.SERVERS)
def test_province_areas_name_every_province(server: str) -> None:
    areas = {u.uid: u.area_code for u in geography.org_units(server) if u.area_code}
    assert ENTRIES[server]["province_areas"] == areas
    roots = {u.uid for u in geography.org_units(server) if u.placements[0].parent_uid is None}
    assert set(ENTRIES[server]["root_org_units"]) == roots


@pytest.mark.parametrize("server", geography.SERVERS)
def test_the_referral_program_is_mapped_without_what_identifies_needlessly(server: str) -> None:
    mapped, program = ENTRIES[server]["referral"], definitions.referral_program(server)
    assert mapped["program"] == program.uid
    assert mapped["tracked_entity_type"] == program.tracked_entity_type
    assert mapped["stages"] == {s.uid: s.concept for s in program.stages}
    assert mapped["attributes"] == {a.uid: a.concept for a in program.attributes if a.concept not in NOT_REQUESTED}
    elements = {e.uid: e.concept for s in program.stages for e in s.elements}
    assert mapped["elements"] == {u: c for u, c in elements.items() if c not in NOT_REQUESTED}
    for concept, codes in mapped["options"].items():
        assert codes == {theirs: ours for ours, theirs in program.options[concept].items()}


@pytest.mark.parametrize("server", geography.SERVERS)
def test_data_sets_are_mapped_whole(server: str) -> None:
    mapped = {entry["code"]: entry for entry in ENTRIES[server]["data_set"]}
    assert mapped.keys() == definitions.data_sets(server).keys()
    for code, made in definitions.data_sets(server).items():
        entry = mapped[code]
        assert (entry["uid"], entry["period_type"], entry["timely_days"]) == (
            made.uid,
            made.period_type,
            made.timely_days,
        )
        assert entry["elements"] == {e.uid: e.concept_code for e in made.elements}
        combos = {c.uid: dict(c.meaning) for e in made.elements for c in e.combo.option_combos}
        assert {
            u: {k: v for k, v in m.items() if k != "migrant_basis"} for u, m in entry["category_option_combos"].items()
        } == combos


def test_the_two_servers_share_only_what_dhis2_or_who_ship() -> None:
    def uids(server: str) -> set[str]:
        return {
            e for made in definitions.data_sets(server).values() for e in (made.uid, *(x.uid for x in made.elements))
        }

    assert uids("vnm") & uids("khm") == {
        "CxI1FHE4oEh", "UwaQ0MJzXBz", "wAHUeGPbH9A", "S3AqkeU4DET", "CWHBMa4nC9J", "kdMT3AuDzj1",
    }  # fmt: skip
