"""Addresses: conditional requests, resuming, hashing, and one bad address that leaves the others alone."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from assets.inbox import Intake
from assets.labour.citations import cited_documents
from assets.labour.fetch import pull_urls
from practice.labour.bulletins import document_bytes
from warehouse.landing import Receipt

AT = datetime(2026, 7, 6, tzinfo=UTC)
BULLETIN = document_bytes(next(found for found in cited_documents() if found.document_code == "year-2023"))


@pytest.fixture
def pull(tmp_path: Path, labour_world: Callable[[Path], Any]) -> Callable[..., Intake]:
    """Pulls addresses into the landing folder of a world."""
    world = labour_world(tmp_path)

    def pulled(*urls: str, earlier: list[Receipt] | None = None, **more: Any) -> Intake:
        return pull_urls(
            urls,
            lambda part: world.landing.pull("labour", part, AT, is_practice=False),
            earlier or [],
            world.pseudonymiser,
            **more,
        )

    return pulled


def test_a_file_is_landed_with_its_address_hash_and_validators(
    httpserver: HTTPServer, pull: Callable[..., Intake]
) -> None:
    httpserver.expect_request("/thang 10.xlsx").respond_with_data(BULLETIN, headers={"ETag": '"v1"'})
    url = httpserver.url_for("/thang%2010.xlsx")
    (receipt,) = pull(url).receipts
    assert receipt.locator == url
    assert receipt.parameters["name"] == "thang 10.xlsx"
    assert receipt.parameters["etag"] == '"v1"'


def test_an_unchanged_address_answers_304_and_brings_nothing(
    httpserver: HTTPServer, pull: Callable[..., Intake]
) -> None:
    def answer(request: Request) -> Response:
        if request.headers.get("If-None-Match") == '"v1"':
            return Response(status=304)
        return Response(BULLETIN, headers={"ETag": '"v1"'})

    httpserver.expect_request("/a.xlsx").respond_with_handler(answer)
    url = httpserver.url_for("/a.xlsx")
    first = pull(url)
    second = pull(url, earlier=first.receipts)
    assert (len(first.receipts), second.receipts, second.known) == (1, [], ["a.xlsx"])


def test_known_bytes_under_another_address_are_not_landed_again(
    httpserver: HTTPServer, pull: Callable[..., Intake]
) -> None:
    for name in ("/a.xlsx", "/b.xlsx"):
        httpserver.expect_request(name).respond_with_data(BULLETIN)
    pulled = pull(httpserver.url_for("/a.xlsx"), httpserver.url_for("/b.xlsx"))
    assert (len(pulled.receipts), pulled.known) == (1, ["b.xlsx"])


def test_a_download_cut_off_is_resumed_where_it_stopped(httpserver: HTTPServer, pull: Callable[..., Intake]) -> None:
    asked: list[tuple[str | None, str | None]] = []

    def answer(request: Request) -> Response:
        asked.append((request.headers.get("Range"), request.headers.get("If-Range")))
        if len(asked) == 1:
            # The first part, under the length of the whole.
            cut = Response(BULLETIN[:6000], headers={"ETag": '"v1"'})
            cut.headers["Content-Length"] = str(len(BULLETIN))
            cut.automatically_set_content_length = False
            return cut
        start = int(str(request.headers["Range"]).removeprefix("bytes=").rstrip("-"))
        return Response(BULLETIN[start:], status=206, headers={"ETag": '"v1"'})

    httpserver.expect_request("/a.xlsx").respond_with_handler(answer)
    (receipt,) = pull(httpserver.url_for("/a.xlsx")).receipts
    assert len(asked) == 2
    assert asked[1][0] == "bytes=4096-", "whole chunks are kept"
    assert asked[1][1] == '"v1"'
    assert receipt.byte_count == len(BULLETIN)


def test_one_bad_address_leaves_the_others_alone(httpserver: HTTPServer, pull: Callable[..., Intake]) -> None:
    httpserver.expect_request("/gone.xlsx").respond_with_data("no", status=404)
    httpserver.expect_request("/a.xlsx").respond_with_data(BULLETIN)
    pulled = pull(httpserver.url_for("/gone.xlsx"), "http://example.org/x.xlsx", httpserver.url_for("/a.xlsx"))
    assert len(pulled.receipts) == 1
    assert len(pulled.faults) == 2
    assert "404" in pulled.faults[0]
    assert "not HTTPS" in pulled.faults[1]


def test_a_busy_server_is_asked_again(httpserver: HTTPServer, pull: Callable[..., Intake]) -> None:
    httpserver.expect_ordered_request("/a.xlsx").respond_with_data("busy", status=503)
    httpserver.expect_ordered_request("/a.xlsx").respond_with_data(BULLETIN)
    assert len(pull(httpserver.url_for("/a.xlsx")).receipts) == 1


def test_the_credential_is_sent_and_never_stored(httpserver: HTTPServer, pull: Callable[..., Intake]) -> None:
    httpserver.expect_request("/a.xlsx", headers={"Authorization": "Bearer secret-token"}).respond_with_data(BULLETIN)
    (receipt,) = pull(httpserver.url_for("/a.xlsx"), credential="secret-token").receipts
    assert "secret-token" not in str(receipt)
