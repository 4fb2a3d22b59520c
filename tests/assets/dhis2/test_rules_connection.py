"""Rules 1-11 of the client: connection and failure. Each test is named by its rule."""

import io
import json
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from assets.dhis2.client import CSV, JSON, Credential, Dhis2Client, RetryPolicy
from assets.dhis2.errors import (
    AccessError,
    AnalyticsMissingError,
    AuthenticationError,
    Dhis2Error,
    FormatNotOfferedError,
    NotFoundError,
    QueryError,
    ServerFaultError,
    TooLargeError,
    TransientError,
)

TOKEN = "d2pat_0123456789abcdefSECRET"
LOGIN_PAGE = "<html><body><form action='/dhis-web-login'>Password</form></body></html>"


def message(code: str | None, text: str = "said", http: int = 409) -> dict[str, Any]:
    found = {"httpStatus": "x", "httpStatusCode": http, "status": "ERROR", "message": text}
    return {**found, "errorCode": code} if code else found


def test_rule_01_each_request_has_the_header_accept_and_time_outs(
    httpserver: HTTPServer, client: Dhis2Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    httpserver.expect_request("/api/me").respond_with_json({})
    seen: list[Any] = []
    send = client._session.send
    monkeypatch.setattr(
        client._session, "send", lambda request, **kw: seen.append(kw["timeout"]) or send(request, **kw)
    )
    client.get_json("me")
    request = httpserver.log[0][0]
    assert request.headers["X-Requested-With"] == "XMLHttpRequest"
    assert request.headers["Accept"] == JSON
    assert seen == [(10.0, 5.0)]
    assert all(part > 0 for part in seen[0])


def test_rule_01_an_answer_slower_than_the_time_out_is_given_up(httpserver: HTTPServer) -> None:
    release = threading.Event()
    httpserver.expect_request("/api/me").respond_with_handler(lambda request: release.wait(20) and Response("late"))
    client = Dhis2Client(
        httpserver.url_for("/"),
        Credential(token=TOKEN),
        read_timeout=0.2,
        retry=RetryPolicy(attempts=1),
        sleep=lambda s: None,
    )
    try:
        with pytest.raises(TransientError, match="time-out"):
            client.get_json("me")
    finally:
        release.set()


def test_rule_02_a_token_is_sent_as_apitoken(httpserver: HTTPServer, client: Dhis2Client) -> None:
    httpserver.expect_request("/api/me").respond_with_json({})
    client.get_json("me")
    assert httpserver.log[0][0].headers["Authorization"] == f"ApiToken {TOKEN}"


def test_rule_02_basic_credentials_and_netrc_do_not_mix(
    httpserver: HTTPServer, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text(
        "machine localhost login other password intruder\nmachine 127.0.0.1 login other password intruder\n"
    )
    monkeypatch.setenv("NETRC", str(netrc))
    httpserver.expect_request("/api/me").respond_with_json({})
    Dhis2Client(httpserver.url_for("/"), Credential.from_text("reader:pässword:with:colons")).get_json("me")
    authorization = httpserver.log[0][0].authorization
    assert authorization is not None
    assert (authorization.username, authorization.password) == ("reader", "pässword:with:colons")


def test_rule_02_no_secret_in_logs_errors_or_text_forms(
    httpserver: HTTPServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for secret_text, parts in (
        (TOKEN, [TOKEN]),
        ("reader:hunter2hunter2", ["hunter2hunter2", "cmVhZGVyOmh1bnRlcjJodW50ZXIy"]),
    ):
        credential = Credential.from_text(secret_text)
        client = Dhis2Client(httpserver.url_for("/"), credential, retry=RetryPolicy(attempts=2), sleep=lambda s: None)

        def echo(request: Request) -> Response:
            said = f"header was {request.headers['Authorization']} of {TOKEN}"
            return Response(json.dumps(message("E1006", said)), 409, content_type=JSON)

        httpserver.clear()
        httpserver.expect_request("/api/me").respond_with_handler(echo)
        httpserver.expect_request("/api/down").respond_with_data("busy", 503)
        texts = [repr(credential), str(credential), repr(client), str(vars(credential).keys())]
        for endpoint in ("me", "down"):
            with pytest.raises(Dhis2Error) as caught:
                client.get_json(endpoint)
            texts += [str(caught.value), repr(caught.value), repr(caught.value.__dict__)]
        texts.append(caplog.text)
        for part in parts:
            assert not [text for text in texts if part in text]


def test_rule_02_an_address_with_a_password_is_refused() -> None:
    with pytest.raises(ValueError, match="without user name or password") as caught:
        Dhis2Client("https://user:secretword@example.org", Credential(token=TOKEN))
    assert "secretword" not in str(caught.value)


@pytest.mark.parametrize("place", ["/dhis-web-login", "/dhis-web-login/", "http://elsewhere.example/api/me", "/other"])
def test_rule_03_redirects_are_not_followed(httpserver: HTTPServer, client: Dhis2Client, place: str) -> None:
    httpserver.expect_request("/api/me").respond_with_data("", 302, headers={"Location": place})
    httpserver.expect_request("/dhis-web-login").respond_with_data(LOGIN_PAGE, content_type="text/html")
    httpserver.expect_request("/other").respond_with_json({})
    with pytest.raises(AuthenticationError):
        client.get_json("me")
    assert len(httpserver.log) == 1


def test_rule_03_an_evicted_session_is_named(httpserver: HTTPServer, client: Dhis2Client) -> None:
    place = "/dhis-web-commons-security/logout.action"
    httpserver.expect_request("/api/me").respond_with_data("", 302, headers={"Location": place})
    with pytest.raises(AuthenticationError, match="More than ten sessions"):
        client.get_json("me")


def test_rule_03_https_of_the_same_host_is_followed_with_the_credential(monkeypatch: pytest.MonkeyPatch) -> None:
    import requests

    client = Dhis2Client("http://dhis.example.org/ctx", Credential(token=TOKEN))
    seen: list[tuple[str, str]] = []

    def send(request: requests.PreparedRequest, **kw: Any) -> requests.Response:
        assert request.url
        seen.append((request.url, request.headers["Authorization"]))
        response = requests.Response()
        response.url = request.url
        response.request = request
        if request.url.startswith("http:"):
            response.status_code = 301
            response.headers["Location"] = request.url.replace("http:", "https:")
            response.raw = io.BytesIO(b"")
        else:
            response.status_code = 200
            response.headers["Content-Type"] = JSON
            response.raw = io.BytesIO(b'{"id": "x"}')
        return response

    monkeypatch.setattr(client._session, "send", send)
    assert client.get_json("me") == {"id": "x"}
    assert client.get_json("me") == {"id": "x"}
    assert [url.split(":")[0] for url, _ in seen] == ["http", "https", "https"]
    assert {header for _, header in seen} == {f"ApiToken {TOKEN}"}
    assert client.url == "https://dhis.example.org/ctx"


def test_rule_04_a_login_page_with_200_is_an_authentication_error(httpserver: HTTPServer, client: Dhis2Client) -> None:
    httpserver.expect_request("/api/me").respond_with_data(LOGIN_PAGE, content_type="text/html;charset=UTF-8")
    httpserver.expect_request("/api/dataValueSets.csv").respond_with_data(LOGIN_PAGE, content_type="text/html")
    with pytest.raises(AuthenticationError, match="login page"):
        client.get_json("me")
    landed: list[bytes] = []
    with pytest.raises(AuthenticationError):
        client.read("dataValueSets.csv", [], lambda stream: landed.append(stream.read()), accept=CSV)
    assert landed == []


def test_rule_04_json_in_place_of_csv_is_not_landed(httpserver: HTTPServer, client: Dhis2Client) -> None:
    httpserver.expect_request("/api/dataValueSets.csv").respond_with_json({"dataValues": []})
    with pytest.raises(AuthenticationError):
        client.read("dataValueSets.csv", [], lambda stream: stream.read(), accept=CSV)


@pytest.mark.parametrize(("status", "kind"), [(401, AuthenticationError), (403, AccessError)])
def test_rule_05_401_and_403_are_not_repeated(
    httpserver: HTTPServer, client: Dhis2Client, status: int, kind: type[Dhis2Error]
) -> None:
    httpserver.expect_request("/api/me").respond_with_json(message(None, "no", status), status=status)
    with pytest.raises(kind) as caught:
        client.get_json("me")
    assert len(httpserver.log) == 1
    assert not caught.value.is_retryable
    assert caught.value.advice


@pytest.mark.parametrize("status", [400, 409])
@pytest.mark.parametrize("code", ["E1003", "E2000", "E2002", "E2012", "E7124", "E7144", "E7132", "E8200", None])
def test_rule_06_400_and_409_are_never_repeated(
    httpserver: HTTPServer, client: Dhis2Client, status: int, code: str | None
) -> None:
    httpserver.expect_request("/api/x").respond_with_json(message(code, "the reason given", status), status=status)
    with pytest.raises(Dhis2Error) as caught:
        client.get_json("x")
    assert len(httpserver.log) == 1
    assert caught.value.error_code == code
    assert "the reason given" in str(caught.value)
    assert (code or "") in str(caught.value)
    assert not caught.value.is_retryable


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("E1006", AccessError),
        ("E2010", AccessError),
        ("E2011", AccessError),
        ("E2012", AccessError),
        ("E7120", AccessError),
        ("E7121", AccessError),
        ("E7217", AccessError),
        ("E7144", AnalyticsMissingError),
        ("E2002", QueryError),
        ("E7128", TooLargeError),
        ("E7131", TooLargeError),
        ("E7136", TooLargeError),
    ],
)
def test_rule_06_codes_say_who_is_to_act(
    httpserver: HTTPServer, client: Dhis2Client, code: str, kind: type[Dhis2Error]
) -> None:
    httpserver.expect_request("/api/x").respond_with_json(message(code), status=409)
    with pytest.raises(kind) as caught:
        client.get_json("x")
    assert type(caught.value) is kind


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (414, "URI too long", TooLargeError),
        (504, message(None, "Tracker export exceeded its time budget of 60s", 504), TooLargeError),
        (404, "<html>Tomcat</html>", NotFoundError),
        (406, "not acceptable", FormatNotOfferedError),
        (500, "<html>oops</html>", ServerFaultError),
    ],
)
def test_rule_07_requests_that_are_too_large_are_told_apart(
    httpserver: HTTPServer, client: Dhis2Client, status: int, body: Any, kind: type[Dhis2Error]
) -> None:
    if isinstance(body, str):
        httpserver.expect_request("/api/x").respond_with_data(body, status, content_type="text/html")
    else:
        httpserver.expect_request("/api/x").respond_with_json(body, status=status)
    with pytest.raises(kind):
        client.get_json("x")
    assert len(httpserver.log) == 1


def test_rule_07_a_proxy_that_gives_up_thrice_asks_for_less(
    httpserver: HTTPServer, client: Dhis2Client, waits: list[float]
) -> None:
    """nginx waits a minute before each plain 504: what met three of them is too much for this server, if it lives at all."""
    httpserver.expect_request("/api/x").respond_with_data("<html>nginx</html>", 504, content_type="text/html")
    with pytest.raises(TooLargeError, match="Repeated 2 times") as caught:
        client.get_json("x")
    assert caught.value.is_retryable, "at the smallest request it is the server that is down"
    assert isinstance(caught.value, TransientError)
    assert len(httpserver.log) == 3


def failing_first(times: int, status: int, headers: dict[str, str] | None = None) -> Callable[[Request], Response]:
    count = iter(range(10_000))

    def answer(request: Request) -> Response:
        if next(count) < times:
            return Response("<html>proxy</html>", status, content_type="text/html", headers=headers)
        return Response('{"ok": true}', content_type=JSON)

    return answer


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_rule_08_503_twice_then_200_is_three_requests(
    httpserver: HTTPServer, client: Dhis2Client, waits: list[float], status: int
) -> None:
    httpserver.expect_request("/api/x").respond_with_handler(failing_first(2, status))
    assert client.get_json("x") == {"ok": True}
    assert len(httpserver.log) == 3
    assert len(waits) == 2
    assert waits[1] > waits[0] > 0


def test_rule_08_waits_grow_and_are_capped(httpserver: HTTPServer, waits: list[float]) -> None:
    policy = RetryPolicy(attempts=9, first_wait=1.0, longest_wait=10.0)
    client = Dhis2Client(httpserver.url_for("/"), Credential(token=TOKEN), retry=policy, sleep=waits.append)
    httpserver.expect_request("/api/x").respond_with_data("busy", 503)
    with pytest.raises(TransientError) as caught:
        client.get_json("x")
    assert caught.value.is_retryable
    assert len(httpserver.log) == 9
    assert waits[:4] == sorted(waits[:4])
    assert all(wait <= 11.0 for wait in waits)
    assert waits[-1] >= 10.0


def test_rule_08_retry_after_is_honoured(httpserver: HTTPServer, client: Dhis2Client, waits: list[float]) -> None:
    httpserver.expect_request("/api/x").respond_with_handler(failing_first(1, 429, {"Retry-After": "7"}))
    assert client.get_json("x") == {"ok": True}
    assert waits == [7.0]


def test_rule_08_a_wait_beyond_reason_ends_the_run(
    httpserver: HTTPServer, client: Dhis2Client, waits: list[float]
) -> None:
    httpserver.expect_request("/api/x").respond_with_handler(failing_first(1, 503, {"Retry-After": "86400"}))
    with pytest.raises(TransientError):
        client.get_json("x")
    assert waits == []


@pytest.fixture
def rude_server() -> Iterator[Callable[[list[bytes | None]], str]]:
    """A raw socket server that answers each connection with the next of the given bytes, or resets it (None)."""
    listener = socket.create_server(("127.0.0.1", 0))
    answers: list[bytes | None] = []

    def run() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.recv(65536)
                answer = answers.pop(0)
                if answer is None:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
                else:
                    connection.sendall(answer)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()

    def start(script: list[bytes | None]) -> str:
        answers.extend(script)
        return f"http://127.0.0.1:{listener.getsockname()[1]}"

    yield start
    listener.close()


WHOLE = (
    b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 12\r\nConnection: close\r\n\r\n{"ok": true}'
)
SHORT = WHOLE[:-4]
UNCLOSED = (
    b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n{"events": [{"event": "a"}, {"ev'
)


@pytest.mark.parametrize(
    "broken", [None, SHORT, UNCLOSED], ids=["reset", "short of Content-Length", "JSON that does not close"]
)
def test_rule_08_and_10_resets_and_cut_off_bodies_are_repeated(
    rude_server: Callable[[list[bytes | None]], str], waits: list[float], broken: bytes | None
) -> None:
    url = rude_server([broken, broken, WHOLE])
    client = Dhis2Client(url, Credential(token=TOKEN), sleep=waits.append)
    assert client.get_json("x") == {"ok": True}
    assert len(waits) == 2


def _refusal(status: str, body: bytes, announced: int) -> bytes:
    return (
        f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {announced}\r\nConnection: close\r\n\r\n"
    ).encode() + body


def test_rule_10_an_error_whose_body_breaks_off_is_asked_again(
    rude_server: Callable[[list[bytes | None]], str], waits: list[float]
) -> None:
    """Without its body E7128 (ask for less) could not be told from a wrong query, and the pull would stop: seen with
    `truncated-json` at analytics."""
    body = b'{"httpStatusCode":409,"errorCode":"E7128","message":"too large"}'
    url = rude_server([_refusal("409 Conflict", body[:20], len(body)), _refusal("409 Conflict", body, len(body))])
    client = Dhis2Client(url, Credential(token=TOKEN), sleep=waits.append)
    with pytest.raises(TooLargeError):
        client.get_json("analytics")
    assert len(waits) == 1


def test_rule_05_a_401_whose_body_breaks_off_is_not_repeated(
    rude_server: Callable[[list[bytes | None]], str], waits: list[float]
) -> None:
    url = rude_server([_refusal("401 Unauthorized", b'{"mess', 40)])
    client = Dhis2Client(url, Credential(token=TOKEN), sleep=waits.append)
    with pytest.raises(AuthenticationError):
        client.get_json("me")
    assert waits == []


def test_rule_08_a_retry_after_date_is_measured_by_the_servers_clock(
    rude_server: Callable[[list[bytes | None]], str], waits: list[float]
) -> None:
    # Both dates lie years before today: by our clock there would be nothing to wait for.
    busy = (
        b"HTTP/1.1 503 Busy\r\nDate: Mon, 06 Jul 2020 05:00:00 GMT\r\nRetry-After: Mon, 06 Jul 2020 05:00:30 GMT\r\n"
        b"Content-Length: 0\r\nConnection: close\r\n\r\n"
    )
    client = Dhis2Client(rude_server([busy, WHOLE]), Credential(token=TOKEN), sleep=waits.append)
    assert client.get_json("x") == {"ok": True}
    assert waits == [30.0]


@pytest.fixture
def parallel_server() -> Iterator[HTTPServer]:
    with HTTPServer(threaded=True) as server:
        yield server


def test_rule_09_a_hundred_parallel_requests_open_one_server_session(parallel_server: HTTPServer) -> None:
    sessions: list[str] = []
    lock = threading.Lock()

    def answer(request: Request) -> Response:
        response = Response("{}", content_type=JSON)
        if "JSESSIONID" not in request.cookies:
            with lock:
                sessions.append(f"s{len(sessions)}")
                response.set_cookie("JSESSIONID", sessions[-1])
        return response

    parallel_server.expect_request("/api/x").respond_with_handler(answer)
    client = Dhis2Client(parallel_server.url_for("/"), Credential(token=TOKEN), max_parallel=10)
    with ThreadPoolExecutor(20) as pool:
        list(pool.map(lambda number: client.get_json("x"), range(100)))
    assert client.request_count == 100
    assert sessions == ["s0"]


def test_rule_09_no_more_requests_at_once_than_is_polite(parallel_server: HTTPServer) -> None:
    running, most = 0, 0
    lock = threading.Lock()
    pause = threading.Event()

    def answer(request: Request) -> Response:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        pause.wait(0.01)
        with lock:
            running -= 1
        return Response("{}", content_type=JSON)

    parallel_server.expect_request("/api/x").respond_with_handler(answer)
    client = Dhis2Client(parallel_server.url_for("/"), Credential(token=TOKEN), max_parallel=3)
    with ThreadPoolExecutor(12) as pool:
        list(pool.map(lambda number: client.get_json("x"), range(30)))
    assert 1 < most <= 3


def test_rule_10_a_bom_is_no_reason_to_fail(httpserver: HTTPServer, client: Dhis2Client) -> None:
    httpserver.expect_request("/api/x").respond_with_data(b'\xef\xbb\xbf{"ok": 1}', content_type=JSON)
    assert client.get_json("x") == {"ok": 1}


@pytest.mark.parametrize("address", ["", "/", "/api", "/api/"])
def test_rule_11_only_plain_api_paths(httpserver: HTTPServer, address: str) -> None:
    httpserver.expect_request("/ctx/api/me").respond_with_json({})
    client = Dhis2Client(httpserver.url_for("/ctx") + address, Credential(token=TOKEN))
    client.get_json("me")
    assert [request.path for request, _ in httpserver.log] == ["/ctx/api/me"]
