"""Practice servers on real sockets: credentials, sessions, redirects and every failure of the wire.

Numbers of quirks are those of section 17 of the project's notes; sections 2 and 5 say what real servers and proxies do.
"""

import gzip
import http.client
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests

from practice.clock import PracticeClock
from practice.dhis2 import RunningServers, serve
from practice.dhis2.guide import page
from practice.dhis2.instance import Limits
from practice.dhis2.quirks import BY_NAME, QUIRKS, VERSIONS, at_random, played
from practice.world import definitions
from practice.world.region import World

NOW = datetime(2026, 7, 5, 22, 0, tzinfo=UTC)
XHR = {"X-Requested-With": "XMLHttpRequest"}
TOKEN = {"Authorization": "ApiToken practice-token", **XHR}
TB = definitions.data_sets("vnm")["TB_MONTHLY"].uid
PATIENT = Limits(slow_seconds=0.4, retry_after_seconds=3)


@pytest.fixture
def start(world: World) -> Iterator[Callable[..., str]]:
    """Starts one server of Viet Nam and returns its address."""
    running: list[RunningServers] = []

    def make(*quirks: str, version: str = "2.42", bulk: int = 0) -> str:
        running.append(serve(world, lambda: NOW, ("vnm",), version, quirks, limits=PATIENT, bulk_values=bulk))
        return running[-1].urls["vnm"]

    make.running = running  # type: ignore[attr-defined]
    yield make
    for servers in running:
        servers.stop()


def get(url: str, path: str = "/api/organisationUnits?paging=false", **options: object) -> requests.Response:
    settings = {"headers": TOKEN, "timeout": 20, "allow_redirects": False, **options}
    return requests.get(url + path, **settings)  # type: ignore[arg-type]


def test_both_servers_answer_on_loopback(world: World) -> None:
    """Source: practice ground."""
    with serve(world, _StandingClock(NOW)) as servers:
        assert set(servers.urls) == {"vnm", "khm"}
        names = {code: get(url, "/api/system/info").json()["systemName"] for code, url in servers.urls.items()}
        assert names == {"vnm": "Practice ground vnm", "khm": "Practice ground khm"}
        assert all(url.startswith("http://127.0.0.1:") for url in servers.urls.values())
        assert servers.instances["khm"].tally.count("system/info", 200) == 1
    with pytest.raises(requests.ConnectionError):
        get(servers.urls["vnm"], timeout=2)


class _StandingClock:
    """A clock that stands still."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def instant(self) -> datetime:
        return self.at


def test_the_clock_is_read_at_every_request(world: World, tmp_path: object) -> None:
    """Source: practice ground."""
    clock = PracticeClock(tmp_path)  # type: ignore[arg-type]
    with serve(world, clock, ("khm",)) as servers:
        before = get(servers.urls["khm"], "/api/system/info").json()["serverDate"]
        clock.advance()
        after = get(servers.urls["khm"], "/api/system/info").json()["serverDate"]
    assert (before, after) == ("2026-07-06T05:00:00.000", "2026-07-13T05:00:00.000")


# -- credentials (section 2) ----------------------------------------------------------------------------------------


def test_quirk_19_the_login_page(start: Callable[..., str]) -> None:
    """Section 2.2: 302 to an HTML page with 200 when followed; 401 JSON with X-Requested-With.

    Source: core: FormLoginBasicAuthenticationEntryPoint.java, Http401LoginUrlAuthenticationEntryPoint.java @2.40.12,
    @2.42.5.2, @2.43.1.
    """
    url = start()
    first = get(url, "/api/me.json", headers={})
    assert first.status_code == 302
    assert first.headers["Location"].startswith("/dhis-web-login")
    followed = requests.get(f"{url}/api/me.json", timeout=20)
    assert (followed.status_code, followed.headers["Content-Type"].split(";")[0]) == (200, "text/html")
    refused = get(url, "/api/me.json", headers=XHR)
    assert (refused.status_code, refused.json()["message"]) == (401, "Unauthorized")


@pytest.mark.parametrize(
    "headers", [{"Authorization": "Bearer practice-token"}, {"Authorization": "Basic cHJhY3RpY2U6d3Jvbmc="}]
)
def test_wrong_credentials_are_401(start: Callable[..., str], headers: dict[str, str]) -> None:
    """Section 2.1: ApiToken, not Bearer; section 2.2: a WebMessage.

    Source: docs: web-api/overview.md (ApiToken); core: DhisWebApiWebSecurityConfig.java @2.42.5.2.
    """
    asked = get(start(), headers={**headers, **XHR})
    assert (asked.status_code, asked.json()["status"]) == (401, "ERROR")


def test_quirk_20_an_expired_token(start: Callable[..., str]) -> None:
    """Section 2.2: 401 and WWW-Authenticate: ApiToken.

    Source: core: DhisWebApiWebSecurityConfig.java @2.42.5.2; docs: web-api/overview.md.
    """
    for url, headers in ((start("expired-token"), TOKEN), (start(), {"Authorization": "ApiToken other"})):
        asked = get(url, headers=headers)
        assert asked.status_code == 401
        assert asked.headers["WWW-Authenticate"] == "ApiToken"


def test_quirk_21_sessions_of_basic_and_their_cap(start: Callable[..., str]) -> None:
    """Section 2.3: each Basic request without cookie opens a session; the eleventh evicts the first, which is sent to logout.

    Source: core: ConfigurationKey.java @2.42.5.2 (max.sessions.per_user 10), DhisWebApiWebSecurityConfig.java (expiredUrl).
    """
    url = start("session-cap")
    session = requests.Session()
    session.auth = ("practice", "practice")
    assert session.get(f"{url}/api/me", timeout=20).status_code == 200
    assert session.get(f"{url}/api/me", timeout=20).status_code == 200
    tally = start.running[0].instances["vnm"].tally  # type: ignore[attr-defined]
    assert tally.sessions == 1
    for _ in range(10):
        requests.get(f"{url}/api/me", auth=("practice", "practice"), timeout=20)
    assert tally.sessions == 11
    evicted = session.get(f"{url}/api/me", timeout=20, allow_redirects=False)
    assert (evicted.status_code, evicted.headers["Location"]) == (302, "/dhis-web-commons-security/logout.action")
    get(url)
    assert tally.sessions == 11, "a token opens no session"


def test_quirk_22_https_redirect(start: Callable[..., str]) -> None:
    """Section 2.4: nginx answers 301 from http to https.

    Source: third-party report (sites behind nginx).
    """
    url = start("https-redirect")
    asked = get(url, "/api/me?fields=id")
    assert (asked.status_code, asked.headers["Location"]) == (301, url.replace("http:", "https:") + "/api/me?fields=id")


# -- failures (quirks 23 and 24) ------------------------------------------------------------------------------------


def statuses(url: str, count: int) -> list[int]:
    return [get(url, "/api/dataSets").status_code for _ in range(count)]


@pytest.mark.parametrize(
    ("quirk", "status"),
    [("too-many-requests", 429), ("bad-gateway", 502), ("unavailable", 503), ("gateway-timeout", 504)],
)
def test_quirk_23_proxies_fail_twice_then_answer(start: Callable[..., str], quirk: str, status: int) -> None:
    """Section 2.4: from proxies, with an HTML body; 429 carries Retry-After.

    Source: core: no 429 in main code @2.42.5.2, so it comes from proxies; RFC 6585 (429), RFC 9110 (502, 503, 504,
    Retry-After).
    """
    url = start(quirk)
    assert statuses(url, 12) == [200, 200, status, status, 200, 200] * 2
    statuses(url, 2)
    failed = get(url, "/api/dataSets")
    assert failed.status_code == status
    assert failed.headers["Content-Type"].startswith("text/html")
    assert failed.headers.get("Retry-After") == ("3" if status == 429 else None)
    assert get(url, "/api/system/info").status_code == 200, "the check before a pull never meets a failure"


def test_quirk_23_a_server_error_is_a_web_message(start: Callable[..., str]) -> None:
    """Source: core: CrudControllerAdvice.java @2.42.5.2 (WebMessage)."""
    url = start("server-error")
    assert statuses(url, 3) == [200, 200, 500]


def test_quirk_23_the_connection_is_reset(start: Callable[..., str]) -> None:
    """Source: RFC 9293 (RST)."""
    url = start("reset")
    assert statuses(url, 2) == [200, 200]
    for _ in range(2):
        with pytest.raises(requests.ConnectionError):
            get(url, "/api/dataSets")
    assert statuses(url, 2) == [200, 200]


def test_quirk_23_an_answer_slower_than_the_read_timeout(start: Callable[..., str]) -> None:
    """Source: docs: core PR #25175 (nginx's proxy_read_timeout of 60 s in the recommended configuration)."""
    url = start("slow")
    assert statuses(url, 2) == [200, 200]
    with pytest.raises(requests.ReadTimeout):
        get(url, "/api/dataSets", timeout=(5, 0.1))


def test_quirk_23_slow_drip_is_whole_in_the_end(start: Callable[..., str]) -> None:
    """Source: RFC 9112 (a message body may come in any pieces)."""
    whole = get(start(), "/api/dataElements?paging=false&fields=*").content
    assert get(start("slow-drip"), "/api/dataElements?paging=false&fields=*").content == whole


def test_quirk_24_truncated_json(start: Callable[..., str]) -> None:
    """Half a body under 200: short of its Content-Length.

    Source: RFC 9112 (a body short of its Content-Length is incomplete).
    """
    url = start("truncated-json")
    statuses(url, 2)
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        get(url, "/api/dataSets")
    statuses(url, 5)
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=20)
    connection.request("GET", "/api/dataSets", headers=TOKEN)
    answer = connection.getresponse()
    assert answer.status == 200
    with pytest.raises(http.client.IncompleteRead) as caught:
        answer.read()
    connection.close()
    assert len(caught.value.partial) < int(answer.headers["Content-Length"])
    with pytest.raises(json.JSONDecodeError):
        json.loads(caught.value.partial)


def test_wrong_content_type_and_byte_order_mark(start: Callable[..., str]) -> None:
    """Section 2.5 and issue reports: JSON called HTML; bodies that begin with a byte order mark.

    Source: a captured response (a login page saved as api/me.json on 2.40.0.1); RFC 8259 (byte order mark).
    """
    url = start("wrong-content-type")
    kinds = [get(url, "/api/dataSets").headers["Content-Type"] for _ in range(3)]
    assert kinds[0].startswith("application/json")
    assert kinds[2].startswith("text/html")
    marked = get(start("byte-order-mark"), "/api/dataSets")
    assert marked.content.startswith(b"\xef\xbb\xbf{")


def test_gzip_encoding_is_only_for_those_who_accept_it(start: Callable[..., str]) -> None:
    """Section 7.2: Accept-Encoding is answered by the proxy.

    Source: RFC 9110 (Accept-Encoding).
    """
    url = start("gzip")
    raw = requests.get(f"{url}/api/dataSets", headers={**TOKEN, "Accept-Encoding": "gzip"}, stream=True, timeout=20)
    assert raw.headers["Content-Encoding"] == "gzip"
    assert json.loads(gzip.decompress(raw.raw.read(decode_content=False)))["dataSets"]
    plain = get(url, "/api/dataSets", headers={**TOKEN, "Accept-Encoding": "identity"})
    assert "Content-Encoding" not in plain.headers


def test_an_unknown_page_is_tomcat_html_and_an_unknown_resource_json(start: Callable[..., str]) -> None:
    """Source: core: CrudControllerAdvice.java @2.42.5.2 (E1005); third-party report (Tomcat's HTML)."""
    url = start()
    assert get(url, "/nothing").headers["Content-Type"].startswith("text/html")
    assert get(url, "/api/nothing").json()["httpStatusCode"] == 404


# -- the bulk data set ------------------------------------------------------------------------------------------------


def test_bulk_values_are_streamed_and_complete(start: Callable[..., str]) -> None:
    """Source: core: DataValueSetController.java (no paging, streams)."""
    url = start(bulk=30_000)
    bulk = start.running[0].instances["vnm"].bulk  # type: ignore[attr-defined]
    assert bulk.values == 36_000
    query = f"dataSet={bulk.data_set_uid}&orgUnit={bulk.root}&children=true"
    answer = get(url, f"/api/dataValueSets.csv?{query}&startDate=2021-01-01&endDate=2025-12-31", stream=True)
    assert answer.headers["Transfer-Encoding"] == "chunked"
    rows = answer.text.splitlines()[1:]
    assert len(set(rows)) == bulk.values
    part = get(url, f"/api/dataValueSets.json?{query}&startDate=2021-01-01&endDate=2021-03-31").json()["dataValues"]
    assert len(part) == bulk.values * 3 // 60
    assert {value["period"] for value in part} == {"202101", "202102", "202103"}


# -- the list of quirks -----------------------------------------------------------------------------------------------


def test_every_number_of_section_17_has_a_quirk() -> None:
    """Source: practice ground."""
    assert {quirk.number for quirk in QUIRKS} == set(range(1, 40))
    assert len(BY_NAME) == len(QUIRKS)
    assert all(set(quirk.versions) <= set(VERSIONS) for quirk in QUIRKS)


def test_quirks_are_switched_by_name() -> None:
    """Source: practice ground."""
    assert "short-pages" in played("2.42", ())
    assert "short-pages" not in played("2.42", ("no-short-pages",))
    assert "reset" in played("2.40", ("reset",))
    assert "no-analytics" in played("2.42", ("no-analytics",)), "a quirk whose own name begins with no-"
    with pytest.raises(ValueError, match="no quirk"):
        played("2.42", ("nonsense",))
    for name in ("no-late-bump", "no-tracker-shape", "stale-parameters"):
        with pytest.raises(ValueError, match="cannot be switched"):
            played("2.42", (name,))


@pytest.mark.parametrize("version", VERSIONS)
def test_random_quirks_are_repeatable_and_let_a_pull_end(version: str) -> None:
    """Source: practice ground."""
    chosen = {seed: at_random(seed, version) for seed in range(30)}
    assert chosen == {seed: at_random(seed, version) for seed in range(30)}
    assert len(set(chosen.values())) > 15
    drawn = {name for names in chosen.values() for name in names}
    assert not any(BY_NAME[name].stops for name in drawn)
    assert "short-pages" not in drawn, "rows announced and never shown end a pull where short pages are not legal"
    assert all(played(version, names) > played(version, ()) for names in chosen.values())


def test_an_unknown_version_or_server_is_refused(world: World) -> None:
    """Source: practice ground."""
    with pytest.raises(ValueError, match=r"2\.39"):
        serve(world, lambda: NOW, version="2.39")
    with pytest.raises(ValueError, match="lao"):
        serve(world, lambda: NOW, ("lao",))


def test_nothing_is_logged(start: Callable[..., str], capfd: pytest.CaptureFixture[str]) -> None:
    """Source: practice ground."""
    url = start("reset")
    for _ in range(4):
        try:
            get(url, f"/api/dataValueSets?dataSet={TB}")
        except requests.ConnectionError:
            continue
    assert capfd.readouterr() == ("", "")


def test_the_page_of_quirks_is_up_to_date() -> None:
    """Source: practice ground."""
    written = (Path(__file__).parents[2] / "docs" / "practice-quirks.md").read_text(encoding="utf-8")
    assert written == page(), "write it again: python -m practice.dhis2.guide > docs/practice-quirks.md"
