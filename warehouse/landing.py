"""Landing: what was received, as received, content-addressed and hashed, before anything reads it.

Belongs here: the folder `landing/`, the `Pull` that sources write into, the `Receipt` that describes it. Does not belong
here: HTTP, parsing, the decision what to keep (`warehouse.load`). Identifiers are keyed-hashed by the source before a byte
comes here.

    landing/.incoming/<source>-<part>/        pages of a running pull; a broken pull resumes here
    landing/<source>/<digest>/receipt.json    the receipt
    landing/<source>/<digest>/files/...       the payload
    landing/<source>/.pulls/<instant>.json    a complete pull that waits to be loaded: its receipts and watermark
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any


class LandingError(Exception):
    """The landing folder is not what it should be: a payload is missing or its bytes changed. The message says which, and what
    to type; `found` is the message without that, for who has mended it already."""

    def __init__(self, found: str, receipt: "Receipt", root: Path) -> None:
        super().__init__(f"{found}; {_how_to_mend(receipt, root)}")
        self.found = found
        self.source = receipt.source_code
        self.file = receipt.path


@dataclass(frozen=True)
class Receipt:
    """One pull or one file as received. `receipt_id` is derived from source, part, kind and payload: same bytes, same receipt."""

    receipt_id: str
    source_code: str
    part_code: str
    kind_code: str
    locator: str
    parameters: Mapping[str, Any]
    payload_sha256: str
    file_count: int
    byte_count: int
    record_count: int
    received_at: str
    published_on: str | None
    server_version: str | None
    server_at: str | None
    watermark: str | None
    agency: str | None
    is_practice: bool
    path: str


def _how_to_mend(receipt: Receipt, root: Path) -> str:
    """What a person does about a damaged receipt, by the kind of its source. The folder must go first: a file whose receipt
    lies there is known and not taken in again, and what was read from a server in part is no part of a full answer."""
    command = f"mhwg refresh --source {receipt.source_code}"
    if receipt.source_code.startswith("dhis2_"):
        again = f"run `{command} --full`, which asks the server for everything again"
    elif receipt.locator.startswith("inbox:"):
        again = f"run `{command}` with {receipt.locator.removeprefix('inbox:')} in the inbox"
    else:
        again = f"run `{command}`, which takes {receipt.locator} in again"
    return f"put {root / receipt.path} back from a backup, or remove that folder and {again}."


def _safe(name: str) -> str:
    """`name` as one file name: no separators, no leading dot. Path traversal in a received name must not leave the folder."""
    cleaned = re.sub(r"[^\w.\- ()]", "_", name, flags=re.UNICODE).strip(" .")
    return cleaned[:150] or "unnamed"


def _file_sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


class Pull:
    """One running pull of one part of a source. Pages written here survive a crash and are found again by the next run."""

    def __init__(
        self, landing: "Landing", source_code: str, part_code: str, received_at: datetime, is_practice: bool
    ) -> None:
        self._landing = landing
        self.source_code = source_code
        self.part_code = part_code
        self.received_at = received_at
        self.is_practice = is_practice
        self.folder = landing.root / ".incoming" / _safe(f"{source_code}-{part_code}")
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def write(self, name: str, data: bytes) -> Path:
        """`data` stands under `name`, whole or not at all."""
        with self.open(name) as stream:
            stream.write(data)
        return self.folder / _safe(name)

    @contextmanager
    def open(self, name: str) -> Iterator[IO[bytes]]:
        """A binary stream whose content appears under `name` only when the block ends without a fault."""
        target = self.folder / _safe(name)
        partial = target.with_name("." + target.name + ".part")
        with partial.open("wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(partial, target)

    def written(self, name: str) -> bool:
        """True when `name` was written whole, now or before a crash."""
        return (self.folder / _safe(name)).exists()

    def read(self, name: str) -> bytes:
        """The bytes written under `name`."""
        return (self.folder / _safe(name)).read_bytes()

    def names(self) -> list[str]:
        """Names written so far, in order."""
        return sorted(path.name for path in self.folder.iterdir() if not path.name.startswith("."))

    def restart(self) -> None:
        """The folder is empty: what an earlier, different pull left there is gone."""
        shutil.rmtree(self.folder)
        self.folder.mkdir(parents=True, mode=0o700)

    def finish(
        self,
        kind: str,
        locator: str,
        parameters: Mapping[str, Any],
        record_count: int,
        *,
        published_on: str | None = None,
        server_version: str | None = None,
        server_at: str | None = None,
        watermark: str | None = None,
        agency: str | None = None,
    ) -> Receipt:
        """The pull is complete: its files are content-addressed and described. `parameters` must hold no secret."""
        for partial in self.folder.glob(".*.part"):  # begun by a process that was killed, and never asked for again
            partial.unlink()
        names = self.names()
        digests = {name: _file_sha256(self.folder / name) for name in names}
        payload = hashlib.sha256(
            "\n".join(f"{digest}  {name}" for name, digest in digests.items()).encode()
        ).hexdigest()
        receipt_id = hashlib.sha256(f"{self.source_code}\n{self.part_code}\n{kind}\n{payload}".encode()).hexdigest()[
            :16
        ]
        target = self._landing.root / _safe(self.source_code) / receipt_id
        receipt = Receipt(
            receipt_id=receipt_id,
            source_code=self.source_code,
            part_code=self.part_code,
            kind_code=kind,
            locator=locator,
            parameters=dict(parameters),
            payload_sha256=payload,
            file_count=len(names),
            byte_count=sum((self.folder / name).stat().st_size for name in names),
            record_count=record_count,
            received_at=self.received_at.isoformat(),
            published_on=published_on,
            server_version=server_version,
            server_at=server_at,
            watermark=watermark,
            agency=agency,
            is_practice=self.is_practice,
            path=str(target.relative_to(self._landing.root)),
        )
        if target.exists() and self._landing.is_intact(target):
            shutil.rmtree(self.folder)
            # The bytes are known; what is new is the watermark that came with them.
            earlier = self._landing.receipt(target)
            return replace(receipt, received_at=earlier.received_at)
        shutil.rmtree(target, ignore_errors=True)  # damaged since: what was received now takes its place
        staging = self._landing.root / ".incoming" / f".{receipt_id}"
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(mode=0o700)
        os.replace(self.folder, staging / "files")
        (staging / "receipt.json").write_text(
            json.dumps(asdict(receipt), ensure_ascii=False, indent=1, sort_keys=True), encoding="utf-8"
        )
        target.parent.mkdir(mode=0o700, exist_ok=True)
        os.replace(staging, target)
        return receipt


class Landing:
    """The landing folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def pull(self, source_code: str, part_code: str, received_at: datetime, *, is_practice: bool) -> Pull:
        """A pull of one part of a source, resumed where an interrupted one of the same name stopped."""
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        return Pull(self, source_code, part_code, received_at, is_practice)

    def receipt(self, folder: Path) -> Receipt:
        """The receipt in a landed folder."""
        return Receipt(**json.loads((folder / "receipt.json").read_text(encoding="utf-8")))

    def receipts(self, source_code: str) -> list[Receipt]:
        """Every landed receipt of a source, oldest first."""
        folder = self.root / _safe(source_code)
        if not folder.exists():
            return []
        found = [self.receipt(path) for path in folder.iterdir() if (path / "receipt.json").exists()]
        return sorted(found, key=lambda receipt: (receipt.received_at, receipt.part_code, receipt.receipt_id))

    def files(self, receipt: Receipt) -> list[Path]:
        """The payload files of a receipt, in name order. Raises LandingError when they are not all there."""
        folder = self.root / receipt.path / "files"
        paths = sorted(path for path in folder.iterdir() if not path.name.startswith(".")) if folder.exists() else []
        if len(paths) != receipt.file_count:
            raise LandingError(
                f"landing of {receipt.source_code}: receipt {receipt.receipt_id} describes {receipt.file_count} files, "
                f"{len(paths)} are in {receipt.path}",
                receipt,
                self.root,
            )
        return paths

    def verify(self, receipt: Receipt) -> None:
        """The landed bytes are those received. Raises LandingError naming the first receipt that differs."""
        digests = {path.name: _file_sha256(path) for path in self.files(receipt)}
        payload = hashlib.sha256(
            "\n".join(f"{digest}  {name}" for name, digest in digests.items()).encode()
        ).hexdigest()
        if payload != receipt.payload_sha256:
            raise LandingError(
                f"landing of {receipt.source_code}: the bytes of {receipt.path} are not those received "
                f"(sha256 {payload[:12]}, expected {receipt.payload_sha256[:12]})",
                receipt,
                self.root,
            )

    def is_intact(self, folder: Path) -> bool:
        """True when a landed folder has its receipt and the bytes that the receipt describes."""
        try:
            self.verify(self.receipt(folder))
        except (LandingError, FileNotFoundError, ValueError):
            return False
        return True

    def note_pull(self, receipts: Sequence[Receipt], received_at: datetime) -> None:
        """The receipts, with the watermarks they carry, wait as one pull to be loaded. A pull without receipts leaves no note.

        The note comes last: a pull that broke off has none, and its landed parts are pulled again.
        """
        if not receipts:
            return
        folder = self.root / _safe(receipts[0].source_code) / ".pulls"
        # Numbered, so that a pull at the same instant does not hide one that still waits.
        number = len(list(folder.glob("*.json"))) if folder.exists() else 0
        self._write_note(receipts[0].source_code, f"{received_at.astimezone(UTC):%Y%m%dT%H%M%SZ}-{number:03}", receipts)

    def _write_note(self, source_code: str, stamp: str, receipts: Sequence[Receipt]) -> None:
        folder = self.root / _safe(source_code) / ".pulls"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        aside = folder / f".{stamp}.part"
        aside.write_text(
            json.dumps([asdict(receipt) for receipt in receipts], ensure_ascii=False, indent=1, sort_keys=True),
            encoding="utf-8",
        )
        os.replace(aside, folder / f"{stamp}.json")

    def note_again(self, source_code: str, receipt_ids: Collection[str]) -> None:
        """The landed receipts with these ids wait to be loaded once more, oldest first and before what waits already: how
        a mended reader reaches files of long ago."""
        waiting = {receipt.receipt_id for pull in self.waiting_pulls(source_code) for receipt in pull}
        again = [
            receipt
            for receipt in self.receipts(source_code)
            if receipt.receipt_id in receipt_ids and receipt.receipt_id not in waiting
        ]
        if again:
            self._write_note(source_code, "0-again", again)

    def waiting_pulls(self, source_code: str) -> list[list[Receipt]]:
        """Pulls that wait to be loaded, oldest first: this refresh's, and those of a refresh that was cut off."""
        folder = self.root / _safe(source_code) / ".pulls"
        notes = sorted(folder.glob("*.json")) if folder.exists() else []
        return [[Receipt(**entry) for entry in json.loads(note.read_text(encoding="utf-8"))] for note in notes]

    def settle_pulls(self, source_code: str) -> None:
        """No pull of the source waits any more: each was loaded, or brought nothing new."""
        shutil.rmtree(self.root / _safe(source_code) / ".pulls", ignore_errors=True)

    def rewrite(self, receipt: Receipt, keep: Callable[[bytes], bytes | None]) -> tuple[Receipt, int]:
        """The landed JSON lines of a receipt are those that `keep` hands back; returns the receipt as it is now and the number of
        lines that are gone or changed. Files in another form are left as they are.

        The one exception to "raw is immutable": a person who is erased or whose period is over must be gone from here too. The
        receipt keeps its id and says in `parameters` how many lines were removed and what the payload's digest was as received.
        Cut off half-way, the next call ends what was begun.
        """
        folder = self.root / receipt.path
        begun = folder / ".rewriting"
        changed = 0
        for path in self.files(receipt):
            if path.suffix != ".jsonl":
                continue
            lines = path.read_bytes().splitlines(keepends=True)
            kept = [keep(line) for line in lines]
            differing = sum(new != old for new, old in zip(kept, lines, strict=True))
            if not differing:
                continue
            begun.touch(mode=0o600)
            changed += differing
            aside = path.with_name("." + path.name + ".part")
            aside.write_bytes(b"".join(line for line in kept if line is not None))
            os.replace(aside, path)
        if not begun.exists():
            return receipt, 0
        files = {path.name: path for path in self.files(receipt)}
        payload = hashlib.sha256(
            "\n".join(f"{_file_sha256(path)}  {name}" for name, path in files.items()).encode()
        ).hexdigest()
        removed = {
            "removed_lines": int(receipt.parameters.get("removed_lines", 0)) + changed,
            "received_sha256": receipt.parameters.get("received_sha256", receipt.payload_sha256),
        }
        after = replace(
            receipt,
            payload_sha256=payload,
            byte_count=sum(path.stat().st_size for path in files.values()),
            parameters={**receipt.parameters, **removed},
        )
        self._write_receipt(folder, after)
        self._renote(after)
        begun.unlink()
        return after, changed

    def rewritten(self, source_code: str) -> list[Receipt]:
        """Receipts of the source of which lines were removed since they were received."""
        return [receipt for receipt in self.receipts(source_code) if "received_sha256" in receipt.parameters]

    def sources(self) -> list[str]:
        """Sources that have something landed."""
        if not self.root.exists():
            return []
        return sorted(path.name for path in self.root.iterdir() if path.is_dir() and not path.name.startswith("."))

    def drop_incoming(self, pattern: re.Pattern[bytes]) -> int:
        """No page of a broken pull has what `pattern` finds: the whole pull is gone and begins anew; the number of pulls."""
        dropped = 0
        for folder in sorted((self.root / ".incoming").glob("*")) if self.root.exists() else []:
            if any(pattern.search(path.read_bytes()) for path in folder.rglob("*") if path.is_file()):
                shutil.rmtree(folder)
                dropped += 1
        return dropped

    @staticmethod
    def _write_receipt(folder: Path, receipt: Receipt) -> None:
        aside = folder / ".receipt.part"
        aside.write_text(json.dumps(asdict(receipt), ensure_ascii=False, indent=1, sort_keys=True), encoding="utf-8")
        os.replace(aside, folder / "receipt.json")

    def _renote(self, receipt: Receipt) -> None:
        """A waiting pull that has the receipt has it as it is now."""
        folder = self.root / _safe(receipt.source_code) / ".pulls"
        for note in sorted(folder.glob("*.json")) if folder.exists() else []:
            entries = [Receipt(**entry) for entry in json.loads(note.read_text(encoding="utf-8"))]
            if any(entry.receipt_id == receipt.receipt_id for entry in entries):
                now = [
                    replace(
                        entry,
                        payload_sha256=receipt.payload_sha256,
                        byte_count=receipt.byte_count,
                        parameters={**entry.parameters, **receipt.parameters},
                    )
                    if entry.receipt_id == receipt.receipt_id
                    else entry
                    for entry in entries
                ]
                self._write_note(receipt.source_code, note.stem, now)

    def discard(self, receipt: Receipt) -> None:
        """The landed files of a pull that brought nothing new are gone."""
        shutil.rmtree(self.root / receipt.path, ignore_errors=True)
