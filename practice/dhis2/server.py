"""Practice servers on real sockets, and the failures of the wire that they can play.

`serve` starts one server for each instance; what they answer is the application's business. Nothing is logged.
"""

import contextlib
import gzip
import itertools
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Protocol
from urllib.parse import parse_qsl, urlsplit

from practice.dhis2.application import Application
from practice.dhis2.instance import Instance, Limits
from practice.dhis2.messages import Answer, Request, html_answer, web_message
from practice.world.region import World

_ROUND = 6
# Which of six consecutive data requests a failure hits: twice in a row where a retry must fail once, too.
_HITS = {
    "too-many-requests": (2, 3), "bad-gateway": (2, 3), "unavailable": (2, 3), "gateway-timeout": (2, 3), "reset": (2, 3),
    "server-error": (2,), "slow": (2,), "truncated-json": (2,), "wrong-content-type": (2,),
}  # fmt: skip
_FIRST_HIT = min(min(places) for places in _HITS.values())
_SMALL = 1460


class Ticking(Protocol):
    """Anything that tells the simulated instant."""

    def instant(self) -> datetime:
        """The simulated instant."""
        ...


class _Handler(BaseHTTPRequestHandler):
    """One connection; `server` is a `_Server`."""

    protocol_version = "HTTP/1.1"
    server_version = "nginx"
    sys_version = ""
    # Head and body go out in two writes; without this the second waits 40 ms for the client's acknowledgement of the first.
    disable_nagle_algorithm = True
    server: "_Server"

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: a request line may hold what nobody should read."""

    def do_GET(self) -> None:
        self._serve("GET")

    def do_HEAD(self) -> None:
        self._serve("HEAD")

    def do_POST(self) -> None:
        self._serve("POST")

    def do_PUT(self) -> None:
        self._serve("PUT")

    def _serve(self, method: str) -> None:
        target = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length) if length else b""
        query = tuple(parse_qsl(target.query, keep_blank_values=True))
        request = Request(method, target.path, query, {k.lower(): v for k, v in self.headers.items()}, body)
        instance = self.server.application.instance
        failure = self.server.next_failure(target.path)
        answer = self._failed(failure, request) or self.server.application.answer(request)
        with instance.lock:
            instance.tally.requests.append((method, target.path, answer.status if failure != "reset" else 0))
            instance.tally.failures += failure is not None
        if failure == "reset":
            self._reset()
            return
        if failure == "slow":
            self.server.stopping.wait(instance.limits.slow_seconds)
        if failure == "wrong-content-type":
            answer.content_type = "text/html;charset=UTF-8"
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._send(request, answer, cut=failure == "truncated-json")

    def _failed(self, failure: str | None, request: Request) -> Answer | None:
        instance = self.server.application.instance
        if instance.plays("https-redirect"):
            host = self.headers.get("Host", "127.0.0.1")
            return html_answer(301, "301 Moved Permanently", "nginx", Location=f"https://{host}{self.path}")
        if failure == "too-many-requests":
            return html_answer(
                429, "429 Too Many Requests", "nginx", Retry_After=str(instance.limits.retry_after_seconds)
            )
        if failure == "server-error":
            return web_message(500, "ERROR", "Could not commit JPA transaction")
        pages = {"bad-gateway": (502, "502 Bad Gateway"), "unavailable": (503, "503 Service Temporarily Unavailable"),
                 "gateway-timeout": (504, "504 Gateway Time-out")}  # fmt: skip
        if failure in pages:
            status, title = pages[failure]
            return html_answer(status, title, "nginx")
        return None

    def _reset(self) -> None:
        """Close with a reset instead of a farewell."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()

    def _send(self, request: Request, answer: Answer, *, cut: bool) -> None:
        instance = self.server.application.instance
        body = answer.body
        headers = {"Content-Type": answer.content_type, **answer.headers}
        if (
            instance.plays("byte-order-mark")
            and "html" not in answer.content_type
            and "gzip" not in answer.content_type
        ):
            body = b"\xef\xbb\xbf" + body if isinstance(body, bytes) else itertools.chain([b"\xef\xbb\xbf"], body)
        if cut and not isinstance(body, bytes):
            body = b"".join(body)
        if instance.plays("gzip") and "gzip" in request.headers.get("accept-encoding", ""):
            body = gzip.compress(body if isinstance(body, bytes) else b"".join(body), mtime=0)
            headers["Content-Encoding"] = "gzip"
        self.send_response(answer.status)
        for name, value in headers.items():
            self.send_header(name, value)
        if isinstance(body, bytes):
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if request.method != "HEAD":
                self._write(body[: len(body) // 2] if cut else body)
            if cut:
                self.close_connection = True
            return
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        if request.method == "HEAD":
            return
        for part in body:
            if part:
                self._write(b"%x\r\n%s\r\n" % (len(part), part))
        self._write(b"0\r\n\r\n")

    def _write(self, data: bytes) -> None:
        instance = self.server.application.instance
        if not instance.plays("slow-drip"):
            self.wfile.write(data)
            return
        for start in range(0, len(data), _SMALL):
            self.wfile.write(data[start : start + _SMALL])
            self.wfile.flush()
            time.sleep(instance.limits.drip_seconds)


class _Server(ThreadingHTTPServer):
    """A listening practice server."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], application: Application) -> None:
        self.application = application
        self.stopping = threading.Event()
        self._count = itertools.count()
        super().__init__(address, _Handler)

    def next_failure(self, path: str) -> str | None:
        """The failure that this request meets, if any: data requests are counted, and each quirk hits some of every six."""
        instance = self.application.instance
        quirks, aimed = instance.quirks & _HITS.keys(), instance.limits.fails_at
        if not quirks or "/api/" not in path:
            return None
        if not path.startswith(aimed) if aimed else path.endswith(("system/info", "/api/me")):
            return None
        place = next(self._count) + (_FIRST_HIT if aimed else 0)
        # Several failures take turns, round by round.
        turns = sorted(quirks)
        quirk = turns[(place // _ROUND) % len(turns)]
        return quirk if place % _ROUND in _HITS[quirk] else None

    def handle_error(self, request: object, client_address: object) -> None:
        """Nothing: clients that hang up are part of the practice."""


class RunningServers:
    """The servers of one practice ground; `urls` by server code, `instances` to look into them."""

    def __init__(self, servers: dict[str, _Server]) -> None:
        self._servers = servers
        self.urls = {code: f"http://{s.server_address[0]!s}:{s.server_address[1]}" for code, s in servers.items()}
        self.instances = {code: s.application.instance for code, s in servers.items()}
        self._threads = [
            threading.Thread(target=s.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
            for s in servers.values()
        ]
        for thread in self._threads:
            thread.start()

    def wait(self) -> None:
        """Blocks until the servers stop; Ctrl-C passes through."""
        for thread in self._threads:
            while thread.is_alive():
                thread.join(timeout=1)

    def stop(self) -> None:
        """Every server has stopped listening."""
        for server in self._servers.values():
            server.stopping.set()
            server.shutdown()
            server.server_close()
        for thread in self._threads:
            thread.join(timeout=5)

    def __enter__(self) -> "RunningServers":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def serve(
    world: World, clock: Ticking | Callable[[], datetime], instances: Sequence[str] = ("vnm", "khm"),
    version: str | Mapping[str, str] = "2.42", quirks: Iterable[str] | Mapping[str, Iterable[str]] = (),
    host: str = "127.0.0.1", ports: Mapping[str, int] | None = None, *, limits: Limits | None = None, bulk_values: int = 0,
) -> RunningServers:  # fmt: skip
    """Practice servers are listening, one for each code of `instances`.

    `clock` tells the simulated instant at every request. `version` and `quirks` hold for all servers, or by code; a quirk of
    the version is switched off by "no-" before its name. Without `ports` free ones are taken. `bulk_values` adds a data set
    of that many values to each server.

    *Raises* ValueError for an unknown instance, version or quirk; OSError when a port is taken.
    """
    now = clock if callable(clock) else clock.instant
    made: dict[str, _Server] = {}
    try:
        for code in instances:
            own_version = version if isinstance(version, str) else version.get(code, "2.42")
            own_quirks = quirks.get(code, ()) if isinstance(quirks, Mapping) else quirks
            instance = Instance(
                world, code, now, version=own_version, quirks=tuple(own_quirks), limits=limits, bulk_values=bulk_values
            )
            world.server(code, instance.instant())
            made[code] = _Server((host, (ports or {}).get(code, 0)), Application(instance))
    except BaseException:
        for server in made.values():
            server.server_close()
        raise
    return RunningServers(made)
