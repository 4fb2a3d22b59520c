"""Files that a source puts at an address come into its inbox, whole, once, and one bad address leaves the others alone."""

import json
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from assets.fetch import bring, file_name
from assets.inbox import Inbox
from assets.programme import assets as programme
from assets.victims import assets as victims
from expectations.scales import GreatExpectationsScales
from warehouse.clock import Refresh
from warehouse.landing import Landing
from warehouse.store import Warehouse
from warehouse.victims import victims_landing

AT = datetime(2026, 7, 6, tzinfo=UTC)
HEADER = "register,area,period,sex,age,origin,destination,category,number,note"
REGISTER = {
    "programme": f"{HEADER}\ntrainings,VNM,2025,,,,,,9,\n",
    "victims": f"{HEADER}\nvictims_received,VNM,2025,,,,,,9,\n",
}


class Server:
    """One file with an ETag for each version, and what was asked of it."""

    def __init__(self, server: HTTPServer, path: str, text: str) -> None:
        self.text, self.version, self.asked = text, 1, []
        server.expect_request(path).respond_with_handler(self.answer)

    def answer(self, request: Request) -> Response:
        self.asked.append((request.headers.get("If-None-Match"), request.headers.get("Authorization")))
        if request.headers.get("If-None-Match") == f'"{self.version}"':
            return Response(status=304)
        return Response(self.text, headers={"ETag": f'"{self.version}"'})


def test_a_file_is_brought_once_and_again_when_it_changed(httpserver: HTTPServer, tmp_path: Path):
    server = Server(httpserver, "/a/register 1.csv", "first")
    inbox = Inbox(tmp_path / "inbox", (httpserver.url_for("/a/register%201.csv"),), "secret token")
    file = inbox.folder / "register 1.csv"
    assert bring("programme", inbox) == []
    assert (file.read_text(), file.stat().st_mode & 0o777) == ("first", 0o600)
    written = file.stat().st_mtime_ns
    assert bring("programme", inbox) == []
    assert file.stat().st_mtime_ns == written
    server.text, server.version = "second", 2
    assert bring("programme", inbox) == []
    assert file.read_text() == "second"
    file.unlink()  # taken away by hand: asked for anew, not "not modified"
    assert bring("programme", inbox) == []
    assert file.read_text() == "second"
    assert server.asked == [(tag, "Bearer secret token") for tag in (None, '"1"', '"1"', None)]
    assert "secret" not in "".join(path.read_text() for path in inbox.folder.iterdir())


def test_an_address_that_fails_is_named_and_its_file_stays(httpserver: HTTPServer, tmp_path: Path):
    Server(httpserver, "/sound.csv", "sound")
    httpserver.expect_request("/gone.csv").respond_with_data("", status=404)
    inbox = Inbox(tmp_path, tuple(httpserver.url_for(f"/{name}.csv") for name in ("gone", "sound")))
    (tmp_path / "gone.csv").write_text("of last week")
    (fault,) = bring("survey", inbox)
    assert fault.startswith("survey: http://")
    assert "gone.csv: the server answered 404; check the address and the credential" in fault
    assert ((tmp_path / "gone.csv").read_text(), (tmp_path / "sound.csv").read_text()) == ("of last week", "sound")
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://x.example/a/b.csv?x=1", "b.csv"),
        ("https://x.example/a%2F..%2F..%2Fb.csv", "b.csv"),
        ("https://x.example/.ssh", "ssh"),
        ("https://x.example/%2E%2E", "index.html"),
        ("https://x.example/", "index.html"),
    ],
)
def test_no_address_names_a_file_outside_the_inbox(url: str, name: str):
    assert file_name(url) == name


@pytest.mark.parametrize("source", ["programme", "victims"])
def test_registers_at_an_address_are_landed_and_a_dead_address_ages(
    source: str, httpserver: HTTPServer, tmp_path: Path
):
    Server(httpserver, "/register.csv", REGISTER[source])
    refresh = Refresh(AT, AT, is_practice=True)
    landing = {"programme": Landing(tmp_path / "landing"), "victims": victims_landing(tmp_path)}[source]

    def landed(*urls: str) -> dg.ExecuteInProcessResult:
        build = {"programme": programme.build, "victims": victims.build}[source]
        return dg.materialize(
            [build(GreatExpectationsScales())[0]],
            resources={
                f"{source}_inbox": Inbox(tmp_path / "inbox", urls),
                "warehouse": Warehouse(tmp_path / "warehouse.duckdb"),
                "landing": Landing(tmp_path / "landing"),
                "refresh": refresh,
            },
        )

    first = landed(httpserver.url_for("/register.csv"))
    assert "inbox:register.csv" in {receipt.locator for receipt in landing.receipts(source)}
    (event,) = first.asset_materializations_for_node(f"landing__{source}")
    assert event.metadata["new_files"].value >= 1
    second = landed("http://127.0.0.1:9/register.csv")
    (check,) = second.get_asset_check_evaluations()
    assert not check.passed
    assert "127.0.0.1:9/register.csv: no complete answer in three attempts" in json.dumps(
        check.metadata["faults"].value
    )
    assert not second.asset_materializations_for_node(f"landing__{source}")  # it ages for a freshness policy
