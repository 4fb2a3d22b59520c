"""Addresses from which a source's files are pulled: one whole answer for each, asked for again only when it has changed.

Belongs here: the request (conditional, resumed, bounded), and bringing files into an inbox. Does not belong here: what a file means,
DHIS2's and the public services' interfaces (`assets.dhis2.client`, `assets.reference.fetch`).
"""

import hashlib
import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

import requests

from assets.inbox import Inbox
from assets.limits import TooLarge, limits

log = logging.getLogger(__name__)

TIMEOUT_SECONDS = (10, 60)
_CHUNK_BYTES = 1 << 12
"""Small, because the chunk in which a connection breaks is lost and asked for again."""
_SEEN = ".addresses.json"
"""Beside the files of an inbox: what each address sent last, so that it is asked for newer only."""


class AddressFault(Exception):
    """An address could not be read. `is_retryable`: another attempt may help. The message says which and what to do."""

    def __init__(self, message: str, *, url: str, is_retryable: bool) -> None:
        super().__init__(message)
        self.url = url
        self.is_retryable = is_retryable


def file_name(url: str) -> str:
    """The name of what an address sends: the last part of its path, never a way out of a folder."""
    return PurePosixPath(unquote(urlsplit(url).path)).name.lstrip(".") or "index.html"


def bring(source_code: str, inbox: Inbox) -> list[str]:
    """The inbox has what each of its addresses sends now, under the name in the address; a sentence for each that failed, whose
    earlier file stays. An address that has not changed leaves its file as it is."""
    if not inbox.urls:
        return []
    inbox.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    seen_at = inbox.folder / _SEEN
    seen: dict[str, dict[str, str]] = json.loads(seen_at.read_text(encoding="utf-8")) if seen_at.exists() else {}
    faults = []
    with requests.Session() as http:
        for url in inbox.urls:
            target = inbox.folder / file_name(url)
            known = seen.get(url, {})
            is_here = target.is_file() and hashlib.sha256(target.read_bytes()).hexdigest() == known.get("sha256")
            try:
                fetched = fetch(http, url, known if is_here else {}, inbox.credential)
            except AddressFault as fault:
                faults.append(f"{source_code}: {fault}")
                log.warning("%s: one address failed: %s", source_code, fault)
                continue
            if fetched is not None:
                data, validators = fetched
                if not target.is_file() or target.read_bytes() != data:
                    _put(target, data)
                seen[url] = {"sha256": hashlib.sha256(data).hexdigest(), **validators}
    _put(seen_at, json.dumps({url: seen[url] for url in inbox.urls if url in seen}, indent=1).encode())
    return faults


def _put(target: Path, data: bytes) -> None:
    """The file is there whole, or as it was."""
    partial = target.with_name(f".{target.name}.part")
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as stream:
        stream.write(data)
    os.replace(partial, target)


def fetch(
    http: requests.Session, url: str, previous: Mapping[str, object], credential: str | None
) -> tuple[bytes, dict[str, str]] | None:
    """The bytes of an address and the validators to send next time, or None when it has not changed."""
    if urlsplit(url).scheme != "https" and urlsplit(url).hostname not in ("127.0.0.1", "localhost", "::1"):
        raise AddressFault(f"{url}: not HTTPS; give the https address in the settings.", url=url, is_retryable=False)
    headers = {"Authorization": f"Bearer {credential}"} if credential else {}
    if previous.get("etag"):
        headers["If-None-Match"] = str(previous["etag"])
    if previous.get("last_modified"):
        headers["If-Modified-Since"] = str(previous["last_modified"])
    collected = bytearray()
    validator = ""
    for attempt in range(3):
        request_headers = dict(headers)
        if collected:
            # If-Range: the rest of the same version, or the whole of a newer one; never a mixture.
            request_headers["Range"] = f"bytes={len(collected)}-"
            if validator:
                request_headers["If-Range"] = validator
        try:
            with http.get(url, headers=request_headers, timeout=TIMEOUT_SECONDS, stream=True) as answer:
                if answer.status_code == 304:
                    return None
                if answer.status_code == 429 or answer.status_code >= 500:
                    raise requests.ConnectionError(f"status {answer.status_code}")
                if answer.status_code >= 400:
                    raise AddressFault(
                        f"{url}: the server answered {answer.status_code}; check the address and the credential.",
                        url=url,
                        is_retryable=False,
                    )
                if answer.status_code != 206:
                    collected.clear()
                validator = answer.headers.get("ETag", "") or answer.headers.get("Last-Modified", "")
                for chunk in answer.iter_content(_CHUNK_BYTES):
                    collected.extend(chunk)
                    limits().hold("file_bytes", len(collected), f"more than {len(collected):,} bytes so far")
                expected = answer.headers.get("Content-Length")
                if (
                    expected
                    and not answer.headers.get("Content-Encoding")
                    and answer.status_code == 200
                    and len(collected) < int(expected)
                ):
                    raise requests.ConnectionError("connection closed before the whole file came")
                return bytes(collected), {
                    key: value
                    for key, value in (
                        ("etag", answer.headers.get("ETag", "")),
                        ("last_modified", answer.headers.get("Last-Modified", "")),
                    )
                    if value
                }
        except TooLarge as fault:
            raise AddressFault(f"{url}: {fault}.", url=url, is_retryable=False) from fault
        except requests.RequestException as fault:
            if attempt == 2:
                raise AddressFault(
                    f"{url}: no complete answer in three attempts ({type(fault).__name__}); try again later.",
                    url=url,
                    is_retryable=True,
                ) from fault
    raise AssertionError("unreachable: the last attempt returns or raises")
