"""HTTP to one DHIS2 server: requests that are answered with what was asked for, or with a typed error.

Belongs here: sessions, credentials, time-outs, repeats, recognising login pages and cut-off bodies. Does not belong here:
what to ask (`versions`, `tracker`, `aggregate`, `metadata`), what answers mean (`payload`), landing (`extract`).
The only module of this room that knows `requests`.
"""

import base64
import email.utils
import gzip
import io
import json
import logging
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit, urlunsplit

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase

from assets.dhis2.errors import (
    RIGHTS_CODES,
    SPLIT_CODES,
    AccessError,
    AnalyticsMissingError,
    AuthenticationError,
    Dhis2Error,
    FormatNotOfferedError,
    GatewayTimeoutError,
    NotFoundError,
    QueryError,
    ServerFaultError,
    TooLargeError,
    TransientError,
    advice_for,
)

log = logging.getLogger(__name__)

Parameters = Sequence[tuple[str, str]]
Result = TypeVar("Result")

JSON: Final = "application/json"
CSV: Final = "application/csv"
_CSV_TYPES: Final = ("application/csv", "text/csv")
_GZIP_TYPES: Final = ("application/gzip", "application/x-gzip", "application/octet-stream")
_REPEATED_STATUSES: Final = frozenset({429, 502, 503, 504})
_LONGEST_MESSAGE = 300
_ATTEMPTS_AT_504 = 3
"""A proxy's 504 comes after a minute of waiting: a request that met three is made smaller rather than sent a fourth time."""


class Credential(AuthBase):
    """What opens one server. Its text form never shows the secret.

    It is given to requests as an `auth` object, not as a bare header: otherwise a `.netrc` on the machine would silently
    replace it.
    """

    def __init__(self, *, token: str | None = None, username: str | None = None, password: str | None = None) -> None:
        if bool(token) == bool(username):
            raise ValueError("a DHIS2 credential is either a personal access token or a user name with a password")
        # UTF-8, as Spring reads it; requests' own helper would write Latin-1 and lock out half of Viet Nam's passwords.
        pair = base64.b64encode(f"{username}:{password or ''}".encode()).decode()
        self._header = f"ApiToken {token}" if token else f"Basic {pair}"
        self.secrets: tuple[str, ...] = tuple(
            text for text in (token, password, self._header.split(" ", 1)[1]) if text and len(text) >= 4
        )
        self.kind = "token" if token else "basic"

    @classmethod
    def from_text(cls, text: str) -> "Credential":
        """A credential from one environment variable: `user:password`, or a personal access token."""
        text = text.strip()
        if ":" in text:
            username, password = text.split(":", 1)
            return cls(username=username, password=password)
        return cls(token=text)

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = self._header
        return request

    def __repr__(self) -> str:
        return f"Credential(kind={self.kind!r})"


@dataclass(frozen=True)
class RetryPolicy:
    """How often and how long to wait for a server that may recover. Waits double from `first_wait` to `longest_wait`."""

    attempts: int = 5
    first_wait: float = 1.0
    longest_wait: float = 60.0
    longest_retry_after: float = 300.0


class CutOffError(Exception):
    """A body that ends too early, found by whoever reads it; repeated like any other fault of transport."""


@dataclass(frozen=True)
class _Wait:
    """One failed attempt that may be repeated: what to raise in the end, and what the server asked for."""

    error: TransientError
    retry_after: float | None = None


class Dhis2Client:
    """One server. Thread-safe: all threads share one HTTP session, one cookie jar and a limit of parallel requests.

    DHIS2 opens a server session for every request that brings no cookie and evicts a user's oldest beyond ten, so the
    first request goes alone and the others use its cookie.
    """

    def __init__(
        self,
        url: str,
        credential: Credential,
        *,
        server: str = "",
        connect_timeout: float = 10.0,
        read_timeout: float = 120.0,
        retry: RetryPolicy | None = None,
        max_parallel: int = 4,
        ca_bundle: str | None = None,
        proxy: str | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.password:
            raise ValueError(
                f"server {server!r}: the address must be http(s)://host[/context] without user name or password in it"
            )
        self._base = urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/").removesuffix("/api"), "", ""))
        self.server = server or parts.hostname
        self.retry = retry or RetryPolicy()
        self.max_parallel = max_parallel
        self.request_count = 0
        self.repeat_count = 0
        self._secrets = credential.secrets
        self._timeout = (connect_timeout, read_timeout)
        self._sleep = sleep
        self._places = threading.BoundedSemaphore(max_parallel)
        self._first_request = threading.Lock()
        self._has_session = False
        self._counting = threading.Lock()
        self._session = requests.Session()
        self._session.auth = credential
        self._session.headers.update({"X-Requested-With": "XMLHttpRequest", "User-Agent": "mhwg-warehouse"})
        # Given with each request: those of the session yield to REQUESTS_CA_BUNDLE and HTTPS_PROXY of the environment.
        self._route: dict[str, Any] = {}
        if ca_bundle:
            self._route["verify"] = ca_bundle
        if proxy:
            self._route["proxies"] = {"http": proxy, "https": proxy}
        adapter = HTTPAdapter(pool_connections=1, pool_maxsize=max_parallel, max_retries=0)
        self._session.mount("http://", adapter)
        self._session.mount("https://", adapter)

    def __repr__(self) -> str:
        return f"Dhis2Client({self._base!r}, server={self.server!r})"

    @property
    def url(self) -> str:
        """Address of the server, without `/api`; https once the server has upgraded us."""
        return self._base

    def close(self) -> None:
        """Connections are closed."""
        self._session.close()

    def get_json(self, endpoint: str, parameters: Parameters = (), *, headers: Mapping[str, str] | None = None) -> Any:
        """The parsed JSON answer of `/api/<endpoint>`. Raises Dhis2Error."""

        def parse(stream: io.BufferedIOBase) -> Any:
            body = stream.read()
            try:
                return json.loads(body.decode("utf-8-sig"))
            except (UnicodeDecodeError, json.JSONDecodeError) as fault:
                raise CutOffError("the JSON body does not close") from fault
            except RecursionError as fault:
                raise ServerFaultError(
                    "the JSON answer nests brackets deeper than any answer of DHIS2.",
                    server=self.server,
                    endpoint=endpoint,
                    advice="Look at what answers at this address; nothing of it was read.",
                ) from fault

        return self.read(endpoint, parameters, parse, accept=JSON, headers=headers)

    def read(
        self,
        endpoint: str,
        parameters: Parameters,
        consume: Callable[[io.BufferedIOBase], Result],
        *,
        accept: str,
        headers: Mapping[str, str] | None = None,
    ) -> Result:
        """What `consume` makes of the body of `/api/<endpoint>`, read as a stream: memory does not grow with its length.

        `consume` is called again from the start when the body breaks off, so it must not keep what it did before.
        Raises Dhis2Error; TransientError after the last repeat.
        """
        for attempt in range(1, self.retry.attempts + 1):
            outcome = self._attempt(endpoint, parameters, consume, accept, headers or {})
            if not isinstance(outcome, _Wait):
                return outcome
            if (
                attempt >= self._most_attempts(type(outcome.error))
                or (outcome.retry_after or 0) > self.retry.longest_retry_after
            ):
                raise outcome.error
            backoff = min(self.retry.longest_wait, self.retry.first_wait * 2 ** (attempt - 1))
            wait = max(outcome.retry_after or 0.0, backoff * random.uniform(1.0, 1.1))
            with self._counting:
                self.repeat_count += 1
            log.info("%s %s: attempt %d failed, waiting %.1f s", self.server, endpoint, attempt, wait)
            self._sleep(wait)
        raise AssertionError("the loop above returns or raises")

    # One attempt ------------------------------------------------------------------------------------------------------

    def _attempt(
        self,
        endpoint: str,
        parameters: Parameters,
        consume: Callable[[io.BufferedIOBase], Result],
        accept: str,
        headers: Mapping[str, str],
    ) -> Result | _Wait:
        try:
            with self._places, self._answer(endpoint, parameters, accept, headers) as response:
                failure = self._judge(response, endpoint, accept)
                if failure is not None:
                    return failure
                with _body_of(response) as stream:
                    return consume(stream)
        except requests.exceptions.SSLError as fault:
            raise AuthenticationError(
                "the server's certificate is not trusted.",
                server=self.server,
                endpoint=endpoint,
                advice="Set ca_bundle in the settings to the certificate authority of this server.",
            ) from fault
        except (CutOffError, gzip.BadGzipFile, EOFError) as fault:
            return self._wait(endpoint, f"the answer is cut off ({fault}).", fault)
        except requests.exceptions.Timeout as fault:
            return self._wait(endpoint, "no answer within the time-out.", fault)
        except (
            requests.exceptions.ConnectionError,
            requests.exceptions.ChunkedEncodingError,
            requests.exceptions.ContentDecodingError,
        ) as fault:
            return self._wait(endpoint, f"the connection failed ({type(fault).__name__}).", fault)
        except requests.exceptions.RequestException as fault:
            raise QueryError(
                f"the request cannot be sent ({type(fault).__name__}).",
                server=self.server,
                endpoint=endpoint,
                advice="Check the address, proxy and ca_bundle in the settings.",
            ) from fault

    def _wait(
        self,
        endpoint: str,
        what: str,
        cause: BaseException | None = None,
        *,
        kind: type[TransientError] = TransientError,
    ) -> _Wait:
        error = kind(
            what,
            server=self.server,
            endpoint=endpoint,
            advice=f"Repeated {self._most_attempts(kind) - 1} times; the next run tries again.",
        )
        error.__cause__ = cause
        return _Wait(error)

    def _most_attempts(self, kind: type[TransientError]) -> int:
        at_504 = issubclass(kind, GatewayTimeoutError)
        return min(self.retry.attempts, _ATTEMPTS_AT_504) if at_504 else self.retry.attempts

    @contextmanager
    def _answer(
        self, endpoint: str, parameters: Parameters, accept: str, headers: Mapping[str, str]
    ) -> Iterator[requests.Response]:
        response = self._send(endpoint, parameters, accept, headers)
        location = response.headers.get("Location", "")
        if response.is_redirect and self._upgrades(response.url, location):
            response.close()
            response = self._send(endpoint, parameters, accept, headers)
        try:
            yield response
        finally:
            response.close()

    def _send(
        self, endpoint: str, parameters: Parameters, accept: str, headers: Mapping[str, str]
    ) -> requests.Response:
        if self._has_session:
            return self._get(endpoint, parameters, accept, headers)
        with self._first_request:
            response = self._get(endpoint, parameters, accept, headers)
            self._has_session = self._has_session or response.ok
            return response

    def _get(self, endpoint: str, parameters: Parameters, accept: str, headers: Mapping[str, str]) -> requests.Response:
        with self._counting:
            self.request_count += 1
        try:
            return self._session.get(
                f"{self._base}/api/{endpoint}",
                params=list(parameters),
                headers={"Accept": accept, **headers},
                timeout=self._timeout,
                allow_redirects=False,
                stream=True,
                **self._route,
            )
        except requests.exceptions.RequestException:
            raise
        except OSError as fault:
            # requests looks for the file itself, before it connects.
            raise QueryError(
                f"the certificate authority {self._route.get('verify')} cannot be read ({type(fault).__name__}).",
                server=self.server,
                endpoint=endpoint,
                advice="ca_bundle in the settings is the path of a PEM file on this machine.",
            ) from fault

    def _upgrades(self, asked: str, location: str) -> bool:
        """True, and the base address is https from now on, when `location` is the same resource of the same host by https."""
        before, after = urlsplit(asked), urlsplit(location)
        if before.scheme != "http" or after.scheme != "https" or before.hostname != after.hostname:
            return False
        if before.path != after.path:
            return False
        base = urlsplit(self._base)
        self._base = urlunsplit(("https", after.netloc, base.path, "", ""))
        log.info("%s: upgraded to https", self.server)
        return True

    # What an answer is ------------------------------------------------------------------------------------------------

    def _judge(self, response: requests.Response, endpoint: str, accept: str) -> _Wait | None:
        """None for an answer of the kind asked for; a wait for one worth repeating; raises for the others."""
        status = response.status_code
        if 300 <= status < 400:
            raise self._redirected(response, endpoint)
        if status == 200:
            if _is_of_kind(response, accept):
                return None
            kind = response.headers.get("Content-Type", "no content type").split(";")[0]
            raise AuthenticationError(
                f"answered 200 with {kind} in place of {accept}: a login page or a proxy's page.",
                server=self.server,
                endpoint=endpoint,
                advice="Check that the address is DHIS2's own and that no proxy strips the Authorization header.",
                http_status=status,
            )
        message = self._web_message(response)
        if status in _REPEATED_STATUSES and not (status == 504 and message):
            fault = GatewayTimeoutError if status == 504 else TransientError
            failure = self._wait(endpoint, f"answered {status}.", kind=fault)
            return _Wait(failure.error, _retry_after(response))
        raise self._refused(status, message, endpoint)

    def _redirected(self, response: requests.Response, endpoint: str) -> AuthenticationError:
        place = urlsplit(response.headers.get("Location", ""))
        if "logout" in place.path or "expired" in place.path:
            what, advice = (
                "the server ended our session.",
                "More than ten sessions of this user are open: give this pipeline a user of its own.",
            )
        elif "login" in place.path:
            what, advice = (
                "redirected to the login page.",
                "The credential did not reach DHIS2 or is not valid: check it, and that no proxy strips it.",
            )
        else:
            what, advice = (
                f"redirected to {place.hostname or 'another path'}, which is not followed with a credential.",
                "Put the final address of the server into the settings.",
            )
        return AuthenticationError(
            what, server=self.server, endpoint=endpoint, advice=advice, http_status=response.status_code
        )

    def _refused(self, status: int, message: Mapping[str, Any], endpoint: str) -> Dhis2Error:
        code = message.get("errorCode")
        code = str(code) if code else None
        said = self._scrubbed(str(message.get("message") or ""))
        what = f"answered {status}{f' {code}' if code else ''}{f': {said}' if said else ''}."
        facts: dict[str, Any] = {
            "server": self.server,
            "endpoint": endpoint,
            "advice": advice_for(code, status),
            "http_status": status,
            "error_code": code,
        }
        if status == 401:
            facts["advice"] = (
                "Renew the token or password in the environment; access tokens expire after 30 days by default."
            )
            return AuthenticationError(what, **facts)
        if status in (414, 504) or code in SPLIT_CODES:
            return TooLargeError(what, **facts)
        if status == 403 or code in RIGHTS_CODES:
            return AccessError(what, **facts)
        if code == "E7144":
            return AnalyticsMissingError(what, **facts)
        if status == 404:
            return NotFoundError(what, **facts)
        if status == 406:
            return FormatNotOfferedError(what, **facts)
        if status >= 500:
            return ServerFaultError(what, **facts)
        return QueryError(what, **facts)

    def _web_message(self, response: requests.Response) -> Mapping[str, Any]:
        """DHIS2's own description of an error, or an empty mapping when a proxy or Tomcat answered.

        An error whose body breaks off is not understood: E7128 asks for less, E2010 for a right. It surfaces as the transport's
        fault and is asked again, but for a status that says all without its body.
        """
        if not response.headers.get("Content-Type", "").startswith(JSON):
            return {}
        try:
            body = response.content
        except requests.exceptions.RequestException:
            if response.status_code in _REPEATED_STATUSES | {401, 403}:
                return {}
            raise
        try:
            message = json.loads(body.decode("utf-8-sig"))
        except (ValueError, RecursionError):
            return {}
        return message if isinstance(message, dict) else {}

    def _scrubbed(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text[:_LONGEST_MESSAGE].rstrip(". ")


def _is_of_kind(response: requests.Response, accept: str) -> bool:
    kind = response.headers.get("Content-Type", "").split(";")[0].strip().lower()
    if accept == CSV:
        return kind in _CSV_TYPES or kind in _GZIP_TYPES
    return kind == accept or (accept == JSON and (kind.endswith("+json") or kind in _GZIP_TYPES))


class _Stream(io.RawIOBase):
    """A response body as a raw readable stream; faults of transport surface as requests' own exceptions."""

    def __init__(self, response: requests.Response) -> None:
        self._chunks = response.iter_content(chunk_size=1 << 16)
        self._left = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._left:
            try:
                self._left = next(self._chunks)
            except StopIteration:
                return 0
        count = min(len(buffer), len(self._left))
        buffer[:count] = self._left[:count]
        self._left = self._left[count:]
        return count


@contextmanager
def _body_of(response: requests.Response) -> Iterator[io.BufferedIOBase]:
    """The body as a buffered stream. A gzip *file* (no Content-Encoding, as `compression=gzip` sends it) is unpacked."""
    stream: io.BufferedIOBase = io.BufferedReader(_Stream(response), buffer_size=1 << 18)
    assert isinstance(stream, io.BufferedReader)
    packed = stream.peek(2)[:2] == b"\x1f\x8b"
    yield gzip.GzipFile(fileobj=stream, mode="rb") if packed else stream


def _retry_after(response: requests.Response) -> float | None:
    """Seconds the server asks us to wait. A date is measured against the server's own Date header, not our clock."""
    text = response.headers.get("Retry-After", "").strip()
    if not text:
        return None
    if text.isdigit():
        return float(text)
    until = email.utils.parsedate_tz(text)
    now = email.utils.parsedate_tz(response.headers.get("Date", ""))
    if until is None or now is None:
        return None
    return max(0.0, float(email.utils.mktime_tz(until) - email.utils.mktime_tz(now)))


def server_clock(url: str, timeout: float = 5.0) -> datetime | None:
    """What time the web server at `url` has, by the Date of its answer; no credential is sent. None when it does not say.

    Raises TransientError when it does not answer.
    """
    try:
        answer = requests.head(url, timeout=timeout, allow_redirects=False)
    except requests.RequestException as fault:
        host = urlsplit(url).netloc
        raise TransientError(
            f"{host} does not answer ({type(fault).__name__})", server=host, endpoint="/", advice="try again later"
        ) from fault
    found = answer.headers.get("Date")
    try:
        return email.utils.parsedate_to_datetime(found).astimezone(UTC) if found else None
    except ValueError:
        return None
