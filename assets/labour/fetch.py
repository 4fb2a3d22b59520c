"""Labour files from an inbox folder or from HTTPS addresses, landed once each.

Belongs here: what is new, resuming and conditional requests, hashing, and keyed-hashing the identifiers of registers before
a byte is landed. Does not belong here: reading of bulletins, settings, Dagster.
"""

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import requests

from assets.fetch import AddressFault, fetch, file_name
from assets.inbox import Intake, landed_sha256, standing_files
from assets.labour.encodings import EncodingDoubt
from assets.labour.read import REFUSAL_NAME
from assets.labour.register import SAFE_NAME, holds_identifiers, is_register, pseudonymise
from assets.labour.workbook import UnreadableFile, open_workbook
from methods.pseudonym import Pseudonymiser
from warehouse.landing import Pull, Receipt

log = logging.getLogger(__name__)

SOURCE = "labour"
PullFactory = Callable[[str], Pull]
"""Part code -> a pull of the labour source."""

SUFFIXES = (".xlsx", ".xls", ".ods", ".csv", ".tsv", ".txt", ".html", ".htm", ".toml", ".xlsm")


def pull_inbox(folder: Path, pull_factory: PullFactory, landed: set[str], pseudonymiser: Pseudonymiser) -> Intake:
    """Every file of the inbox whose bytes are new is landed, in name order. The inbox itself is left as it is.

    Names beginning with a dot or ending in `.part`, `.tmp`, `.crdownload` are still being written and wait, as does a file
    that grows under its own name; so do the lock files that Office and LibreOffice leave beside an open workbook.
    """
    pulled = Intake()
    for name, data, sha256 in pulled.new_files(SOURCE, standing_files(complete_files(folder)), set(landed)):
        _land(name, data, f"inbox:{name}", {"sha256": sha256}, pull_factory, pseudonymiser, pulled)
    return pulled


def complete_files(folder: Path) -> list[Path]:
    """The files of an inbox that are there to be read, in name order; an empty list when there is no folder yet."""
    if not folder.is_dir():
        return []
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith((".", "~$")) and path.suffix.lower() in SUFFIXES
    )


def pull_urls(
    urls: Sequence[str],
    pull_factory: PullFactory,
    earlier: Sequence[Receipt],
    pseudonymiser: Pseudonymiser,
    *,
    credential: str | None = None,
    session: requests.Session | None = None,
) -> Intake:
    """Every address whose content is new is landed. Addresses that answer 304 or bring known bytes are counted as known.

    An address that fails is reported in `faults` and the others go on; the pull is broken only for that address.
    """
    pulled = Intake()
    known = landed_sha256(earlier)
    http = session or requests.Session()
    for url in urls:
        previous = next((receipt for receipt in reversed(earlier) if receipt.locator == url), None)
        name = file_name(url)
        try:
            fetched = fetch(http, url, previous.parameters if previous else {}, credential)
        except AddressFault as fault:
            pulled.faults.append(str(fault))
            log.warning("labour: one address failed: %s", fault)
            continue
        if fetched is None:
            pulled.known.append(name)
            continue
        data, headers = fetched
        sha256 = pulled.news(name, data, known)
        if sha256 is not None:
            _land(name, data, url, {"sha256": sha256, **headers}, pull_factory, pseudonymiser, pulled)
    return pulled


def read_urls(urls: Sequence[str], credential: str | None) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of every address, whole and whether known or not. Raises AddressFault at the first that fails."""
    http = requests.Session()
    for url in urls:
        fetched = fetch(http, url, {}, credential)
        if fetched is not None:
            yield file_name(url), fetched[0]


def _land(
    name: str,
    data: bytes,
    locator: str,
    known_by: Mapping[str, str],
    pull_factory: PullFactory,
    pseudonymiser: Pseudonymiser,
    pulled: Intake,
) -> None:
    """`data` is landed under `name`, registers without identifiers. `known_by`: hash and validators that tell it again."""
    landed_name, safe, record_count = safe_form(name, data, pseudonymiser)
    pull = pull_factory("file")
    pull.restart()
    pull.write(landed_name, safe)
    pulled.receipts.append(pull.finish("file", locator, {"name": name, **known_by}, record_count))


def safe_form(name: str, data: bytes, pseudonymiser: Pseudonymiser) -> tuple[str, bytes, int]:
    """What may be written to disk of a received file: its landed name, its bytes and its number of records.

    Bulletins and typed forms name nobody and are landed as they came. Registers are landed without identifiers. A file that
    cannot be read, or that names persons in a form nobody knows, is not landed at all: a note says what it was, so that it
    is counted and reported.
    """
    if name.lower().endswith(".toml"):
        return name, data, 1
    try:
        book = open_workbook(data, name)
    except UnreadableFile as refused:
        return _refusal(name, data, refused.found, "a workbook or a text table", refused.advice, "unreadable")
    except EncodingDoubt as doubt:
        return _refusal(
            name, data, str(doubt), f"one of {', '.join(doubt.candidates)} with two known headers",
            "Save the file as UTF-8 (CSV UTF-8 in Excel) and send it again.", "encoding",
        )  # fmt: skip
    if is_register(book):
        safe, rows = pseudonymise(book, pseudonymiser)
        return SAFE_NAME, safe, rows
    if holds_identifiers(book):
        return _refusal(
            name, data, "columns or numbers that identify persons, in a form that no register layout knows",
            "a contract register in a known form",
            "Nothing of it was stored. Describe its fields in register_layouts/ and send it again.", "unknown_register",
        )  # fmt: skip
    return name, data, 1


def _refusal(name: str, data: bytes, found: str, expected: str, advice: str, code: str) -> tuple[str, bytes, int]:
    note = {"code": code, "found": found, "expected": expected, "advice": advice, "byte_count": len(data)}
    return REFUSAL_NAME, json.dumps(note, ensure_ascii=False, sort_keys=True).encode(), 0
