"""What Dagster's freshness policies see of a source that failed in a run of everything: no materialisation, on a real instance.

A policy judges by the last materialisation of an asset (`dagster._core.definitions.freshness_evaluator`), the same field that is read
here.
"""

import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from pytest_httpserver import HTTPServer

from assets.declare import landing_key, table_key
from assets.dhis2 import assets as dhis2
from assets.dhis2.sources import servers_from_settings
from assets.inbox import Inbox
from assets.labour import assets as labour
from assets.reference import assets as reference
from assets.reference.feeds import services
from assets.reference.fetch import ReferenceServices
from methods.pseudonym import Pseudonymiser
from pipelines.cli.refresh import _told_of_asset
from warehouse.clock import Refresh
from warehouse.landing import Landing
from warehouse.store import Warehouse

AT = datetime(2026, 7, 5, 22, tzinfo=UTC)
PRACTICE = Path(__file__).resolve().parents[2] / "practice" / "mhwg.toml"


class NoScales:
    """Scales without rules."""

    def weigh(self, *_: object) -> list[object]:
        return []

    def checks_for(self, _: object) -> list[object]:
        return []


class Week:
    """One installation whose sources are refreshed in a run of everything, again and again."""

    def __init__(self, folder: Path, instance: dg.DagsterInstance) -> None:
        self.folder, self.instance, self.at = folder, instance, AT
        self.warehouse = Warehouse(folder / "warehouse.duckdb")

    def refresh(self, assets: Any, **resources: Any) -> dg.ExecuteInProcessResult:
        """A run that went on to its end in spite of what failed."""
        self.at += timedelta(days=7)
        result = dg.materialize(
            [made for made in assets if all(key.path[0] != "backfill" for key in made.keys)],
            instance=self.instance,
            resources={
                "warehouse": self.warehouse,
                "landing": Landing(self.folder / "landing"),
                "refresh": Refresh(self.at, self.at, is_practice=False),
                "scales": NoScales(),
                "pseudonymiser": Pseudonymiser("a key that is long enough for tests", "test-key"),
                **resources,
            },
        )
        assert result.success
        return result

    def materialised(self, key: dg.AssetKey) -> str | None:
        """Run of the last materialisation, from the record that a freshness policy is judged by."""
        records = self.instance.get_asset_records([key])
        last = records[0].asset_entry.last_materialization if records else None
        return last.run_id if last else None

    def landed_rows(self, key: dg.AssetKey) -> object:
        """What the last materialisation says of the records that it landed."""
        last = self.instance.get_latest_materialization_event(key)
        assert last
        assert last.asset_materialization
        return last.asset_materialization.metadata["dagster/row_count"].value


@pytest.fixture
def week(tmp_path: Path) -> Iterator[Week]:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        yield Week(tmp_path, instance)


def told(result: dg.ExecuteInProcessResult, name: str) -> list[Any]:
    """What the summary of the refresh reads under this name."""
    return [found[name] for found in map(_told_of_asset, result.all_events) if name in found]


def red(result: dg.ExecuteInProcessResult) -> list[dg.AssetKey]:
    """Assets whose check `pulled` failed."""
    return [
        found.asset_key
        for found in result.get_asset_check_evaluations()
        if found.check_name == "pulled" and not found.passed
    ]


def test_a_server_that_never_answered_leaves_nothing_fresh(week: Week, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/api/system/info").respond_with_data("", status=401)
    entry = tomllib.loads(PRACTICE.read_text(encoding="utf-8"))["dhis2"][0] | {"url": httpserver.url_for("/")}
    servers = servers_from_settings([entry], {}, lambda _: "token", is_practice=False)
    (code,) = servers
    result = week.refresh(dhis2.build([code], NoScales()), dhis2_servers=servers, ground=None)
    assert red(result) == [landing_key(f"dhis2_{code}")]
    assert week.materialised(landing_key(f"dhis2_{code}")) is None
    assert week.materialised(table_key("core.data_value")) is None
    assert told(result, "mhwg/fault_source") == [f"dhis2_{code}"]
    assert [source["source"] for (source,) in told(result, "mhwg/sources")] == [f"dhis2_{code}"]


def test_an_inbox_is_fresh_and_an_address_that_fails_is_not(week: Week, httpserver: HTTPServer) -> None:
    """Three weeks: nothing new lies there, the address fails, it answers again."""
    url = httpserver.url_for("/bulletin.html")
    assets = labour.build(NoScales())
    (week.folder / "inbox").mkdir()

    def refresh(*urls: str) -> dg.ExecuteInProcessResult:
        return week.refresh(assets, labour_inbox=Inbox(week.folder / "inbox", urls))

    key = landing_key("labour")
    looked = refresh()
    assert week.materialised(key) == looked.run_id
    assert week.landed_rows(key) == 0
    httpserver.expect_request("/bulletin.html").respond_with_data("", status=404)
    failed = refresh(url)
    assert red(failed) == [key]
    assert week.materialised(key) == looked.run_id
    assert week.materialised(table_key("core.labour_figure")) == failed.run_id, "the inbox was looked at"
    httpserver.clear()
    httpserver.expect_request("/bulletin.html").respond_with_data("<table><tr><td>a page</td></tr></table>")
    answered = refresh(url)
    assert week.materialised(key) == answered.run_id
    (receipt,) = Landing(week.folder / "landing").receipts("labour")
    assert week.landed_rows(key) == receipt.record_count == 1


def test_a_service_that_fails_does_not_make_the_reference_series_fresh(week: Week, httpserver: HTTPServer) -> None:
    """What is shipped with the code is loaded all the same."""
    httpserver.no_handler_status_code = 404
    addresses = dict.fromkeys(services(), httpserver.url_for("").rstrip("/"))
    asked = ReferenceServices(week.folder / "inbox", ("world_bank",), addresses)
    result = week.refresh(reference.build(NoScales()), reference_services=asked)
    assert red(result) == [landing_key("reference")]
    assert week.materialised(landing_key("reference")) is None
    assert week.materialised(table_key("core.area")) == result.run_id
    assert week.warehouse.read("select count(*) as n from core.area_current")["n"].item() > 0
