"""HTTP to a public statistical service: the body asked for, or a typed fault. The only module of this room that knows `requests`.

Belongs here: time-outs, repeats, refusing what is no answer (a login or error page, an endless body, another host). Does not belong here:
what to ask and what answers mean (`feeds`, `gho`, `sdg`, `world_bank`, `sdmx_csv`).
"""

import logging
import time
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

import requests

from assets.reference.feeds import Ask

log = logging.getLogger(__name__)

TIMEOUT_SECONDS: Final = (10.0, 90.0)
ATTEMPTS: Final = 4
LONGEST_WAIT: Final = 60.0
LARGEST_BODY: Final = 64 * 1024 * 1024
_REPEATED: Final = frozenset({429, 500, 502, 503, 504})


class ServiceFault(Exception):
    """A service did not give what it was asked for. `is_retryable`: another attempt may help; the message says which and what to do."""

    def __init__(self, message: str, *, service: str, is_retryable: bool, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.service = service
        self.is_retryable = is_retryable
        self.retry_after = retry_after


class ServiceClient:
    """One public service. No credential is ever sent; redirects to another host are not followed."""

    def __init__(self, service: str, base_url: str, *, sleep: Callable[[float], None] = time.sleep) -> None:
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
            raise ServiceFault(
                f"{service}: {base_url!r} is no http(s) address; correct base_urls in [reference] of the settings.",
                service=service,
                is_retryable=False,
            )
        self.service = service
        self.base_url = base_url.rstrip("/")
        self._sleep = sleep
        self._session = requests.Session()
        self._session.headers.update({"User-Agent": "mhwg-warehouse"})
        self._session.trust_env = False  # a .netrc of the machine is no business of a public service

    def close(self) -> None:
        """Connections are closed."""
        self._session.close()

    def get(self, ask: Ask) -> bytes | None:
        """The body of the answer; None when SDMX says by 404 that there is nothing.

        Raises ServiceFault at once for what another attempt cannot help, after the last repeat otherwise.
        """
        fault: ServiceFault | None = None
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return self._attempt(ask)
            except ServiceFault as found:
                fault = found
                if not found.is_retryable or attempt == ATTEMPTS:
                    raise
                wait = found.retry_after or min(LONGEST_WAIT, 2.0 ** (attempt - 1))
                log.info("%s: attempt %d failed, waiting %.0f s", self.service, attempt, wait)
                self._sleep(wait)
        raise AssertionError("the loop above returns or raises") from fault

    def _attempt(self, ask: Ask) -> bytes | None:
        try:
            with self._session.get(
                f"{self.base_url}/{ask.path}",
                params=list(ask.parameters),
                headers={"Accept": ask.accept},
                timeout=TIMEOUT_SECONDS,
                allow_redirects=False,
                stream=True,
            ) as response:
                self._judge(response, ask)
                return None if response.status_code == 404 else self._body(response)
        except requests.exceptions.RequestException as fault:
            raise self._fault(f"the connection failed ({type(fault).__name__})", retryable=True) from fault

    def _judge(self, response: requests.Response, ask: Ask) -> None:
        status = response.status_code
        if status == 404 and "csv" in ask.accept:
            return
        if status in _REPEATED:
            after = response.headers.get("Retry-After", "")
            wait = min(float(after), LONGEST_WAIT) if after.isdigit() else None
            raise self._fault(f"answered {status}", retryable=True, retry_after=wait)
        if status != 200:
            place = f" to {urlsplit(response.headers.get('Location', '')).hostname}" if 300 <= status < 400 else ""
            raise self._fault(
                f"answered {status}{place} for {ask.path}; check the code in services.toml and base_urls in the settings",
                retryable=False,
            )
        kind = response.headers.get("Content-Type", "").split(";")[0].strip().lower()
        if "html" in kind:
            raise self._fault(
                "answered with a page in place of data: a proxy or a login page stands between", retryable=False
            )

    def _body(self, response: requests.Response) -> bytes:
        body = bytearray()
        for chunk in response.iter_content(1 << 16):
            body += chunk
            if len(body) > LARGEST_BODY:
                raise self._fault(f"sent more than {LARGEST_BODY >> 20} MB; the request is too wide", retryable=False)
        expected = response.headers.get("Content-Length", "")
        if expected.isdigit() and not response.headers.get("Content-Encoding") and len(body) < int(expected):
            raise self._fault("broke off in the middle of its answer", retryable=True)
        return bytes(body)

    def _fault(self, what: str, *, retryable: bool, retry_after: float | None = None) -> ServiceFault:
        told = f"reference service {self.service}: {what}. The figures loaded before go on serving."
        return ServiceFault(told, service=self.service, is_retryable=retryable, retry_after=retry_after)
