"""Org units: where they lie, no finer than allowed, and where they hung in the tree at each time."""

from collections.abc import Callable
from dataclasses import astuple
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.dhis2.assets import batches
from assets.dhis2.extract import pull_instance
from assets.dhis2.geometry import coarse_place
from assets.dhis2.mapping import InstanceMapping
from assets.loading import load_source
from methods.pseudonym import Pseudonymiser
from warehouse.landing import Landing
from warehouse.metadata_diff import metadata_diff
from warehouse.store import Warehouse

BOX = [[[104.0, 10.0], [106.0, 10.0], [106.0, 11.0], [104.0, 11.0], [104.0, 10.0]]]


@pytest.mark.parametrize(
    ("geometry", "place"),
    [
        ({"type": "Point", "coordinates": [105.12345, 10.98765]}, ("Point", 105.12, 10.99)),
        ({"type": "Point", "coordinates": [105.12345, 10.98765, 7.0]}, ("Point", 105.12, 10.99)),
        ({"type": "Polygon", "coordinates": BOX}, ("Polygon", 105.0, 10.5)),
        ({"type": "MultiPolygon", "coordinates": [BOX, [[[108.0, 10.0]]]]}, ("MultiPolygon", 106.0, 10.5)),
        ({"type": "Point", "coordinates": [10.98765, 105.12345]}, None),
        ({"type": "Point", "coordinates": []}, None),
        ({"type": "Point", "coordinates": ["105", "10"]}, None),
        ({"coordinates": [105.0, 10.0]}, None),
        (None, None),
        ("POINT(105 10)", None),
    ],
)
def test_a_place_is_one_point_rounded_or_none(geometry: Any, place: tuple[str, float, float] | None) -> None:
    found = coarse_place(geometry, 2)
    assert (tuple(found.values()) if found else None) == place


@given(st.floats(-180, 180), st.floats(-90, 90), st.integers(0, 5))
def test_nothing_finer_than_the_settings_allow_is_kept(longitude: float, latitude: float, decimals: int) -> None:
    place = coarse_place({"type": "Point", "coordinates": [longitude, latitude]}, decimals)
    assert place is not None
    for kept, exact in ((place["longitude"], longitude), (place["latitude"], latitude)):
        assert kept == round(kept, decimals)
        assert abs(kept - exact) <= 0.5 * 10**-decimals + 1e-9


class NoScales:
    """Lets everything pass."""

    def weigh(self, connection: Any, table: Any, context: Any) -> list[Any]:
        return []

    def checks_for(self, table: Any) -> list[Any]:
        return []


def test_a_unit_that_moves_in_the_tree_keeps_where_it_hung_before(
    stub_world: Any, settings: Callable[..., InstanceMapping], pseudonymiser: Pseudonymiser, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """The clinic moves from one province to the other, then closes and a merged one opens: three versions, each dated."""
    world = stub_world(42)
    mapping = settings()
    landing, store = Landing(tmp_path / "landing"), Warehouse(tmp_path / "w.duckdb")
    place = {"type": "Point", "coordinates": [105.43219, 10.51234]}
    clinic = {
        "id": "Facility001",
        "name": "Clinic",
        "level": 3,
        "openingDate": "2010-01-01T00:00:00.000",
        "geometry": place,
    }
    provinces = [
        {"id": uid, "name": uid, "level": 2, "path": f"/RootVnm0001/{uid}", "parent": {"id": "RootVnm0001"}}
        for uid in ("Province001", "Province002")
    ]
    roots = [{"id": uid, "name": uid, "level": 1, "path": f"/{uid}"} for uid in ("RootVnm0001", "RootKhm0001")]
    shown: list[dict[str, Any]] = []
    answer = world.document

    def document(path: str, query: dict[str, str]) -> Any:
        if path != "organisationUnits":
            return answer(path, query)
        text = query["filter"].split(":", 2)[2]
        return {path: [unit for unit in shown if text in unit["path"] or unit["id"] in text]}

    monkeypatch.setattr(world, "document", document)
    times = [datetime(2025, 6, 2, tzinfo=UTC), datetime(2025, 7, 7, tzinfo=UTC), datetime(2025, 8, 4, tzinfo=UTC)]
    for at, province, closed in zip(
        times, ("Province001", "Province002", "Province002"), (None, None, "2025-07-31"), strict=True
    ):
        hung = {**clinic, "path": f"/RootVnm0001/{province}/Facility001", "parent": {"id": province}}
        if closed:
            hung["closedDate"] = f"{closed}T00:00:00.000"
        shown[:] = [*roots, *provinces, hung]
        pulled = pull_instance(
            world.client(), mapping, lambda part, at=at: landing.pull("dhis2_stub", part, at, is_practice=True), None,
            pseudonymiser,
        )  # fmt: skip
        landing.note_pull(pulled.receipts, at)
        report = load_source(store, landing, NoScales(), "dhis2_stub", at, batches(mapping, landing))
        assert report.fault is None
        world.tick(days=28)
    versions = store.read(
        """select parent_uid, province_area_code, closed_on::varchar as closed_on, longitude_degrees, latitude_degrees, recorded_from
        from core.org_unit where org_unit_uid = 'Facility001' order by recorded_from"""
    ).rows()
    assert [row[:3] for row in versions] == [
        ("Province001", "VN34-91", None),
        ("Province002", "KH-20", None),
        ("Province002", "KH-20", "2025-07-31"),
    ]
    assert {row[3:5] for row in versions} == {(105.43, 10.51)}
    assert [row[5] for row in versions] == [at.replace(tzinfo=None) for at in times]
    before = store.read("select parent_uid from core.org_unit_as_of('2025-06-30') where org_unit_uid = 'Facility001'")
    assert before["parent_uid"].to_list() == ["Province001"]
    told = metadata_diff(store, "stub", times[0])
    assert told is not None
    moved, closed_later = (change for change in told.changes if change.uid == "Facility001")
    assert ("parent_uid", "Province001", "Province002") in [astuple(found) for found in moved.properties]
    assert [astuple(found) for found in closed_later.properties] == [("closed_on", None, date(2025, 7, 31))]
    earlier = store.read(
        "select valid_from_on::varchar, valid_to_on::varchar, path, country_code, province_area_code"
        " from core.org_unit_earlier_place_current order by all"
    ).rows()
    assert earlier == [("0001-01-01", "2025-07-06", "/RootVnm0001/Province001/Facility001", "VNM", "VN34-91")]
    written = b"".join(path.read_bytes() for path in (tmp_path / "landing").rglob("*") if path.is_file())
    assert b"105.43" in written
    assert b"105.432" not in written
