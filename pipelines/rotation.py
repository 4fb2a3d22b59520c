"""Changing the pseudonym key: every source is asked again, and the new tokens take the place of the old ones.

Belongs here: the order of the work and what must be true before it begins. Does not belong here: replacing tokens
(`warehouse.rotation`), the command (`pipelines.cli.keys`).

Nothing in the store changes before every source has answered; what the sources that did answer told is kept in `keys/`, readable by
its owner only, so that the next attempt asks the others only. It holds tokens of both keys and is gone when the work is done.
"""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from assets.dhis2.errors import Dhis2Error
from assets.dhis2.extract import learn_tokens
from assets.dhis2.sources import Dhis2Server
from assets.fetch import AddressFault
from assets.labour.fetch import complete_files, read_urls, safe_form
from methods.pseudonym import Pseudonymiser
from pipelines.audit import user
from pipelines.failures import Exit, Refused, SettingsError
from pipelines.settings import Settings
from warehouse.clock import next_recorded_at
from warehouse.erasure import Erasure, add_erasure, erased_digests, erasures
from warehouse.landing import Landing
from warehouse.publishing.shelf import ReleaseShelf
from warehouse.removal import LANDED, note_removal
from warehouse.rotation import (
    Rotated,
    key_ids,
    landed_tokens,
    replace_landed,
    replace_stored,
    retired_tokens,
    stored_tokens,
)
from warehouse.store import Warehouse

RESUMED = timedelta(hours=24)
"""What a source told is used for a day: later it may have other persons."""


@dataclass
class Outcome:
    """What a rotation did, or would do."""

    old_key_id: str | None
    new_key_id: str
    is_dry_run: bool = False
    records: dict[str, int] = field(default_factory=dict)
    """Records or files that each source gave."""
    unseen: int = 0
    """Tokens of current rows that no source sends any more."""
    rotated: Rotated = field(default_factory=Rotated)
    erasures_carried: int = 0
    erasures_left: int = 0

    @property
    def is_done(self) -> bool:
        """True when there was nothing to rotate."""
        return self.old_key_id is None


def require_one_key(settings: Settings, warehouse: Warehouse) -> None:
    """Current tokens are all of the key in force. Raises SettingsError: two keys side by side would tear persons apart."""
    other = _other_key_id(settings, warehouse)
    if other is not None:
        raise SettingsError(
            f"{settings.file.name}: pseudonym.key_id is {settings.pseudonym.key_id!r}, but the warehouse has tokens of "
            f"{other!r}; run `mhwg keys rotate`, or set the key and its id back."
        )


def rotate(
    settings: Settings,
    warehouse: Warehouse,
    servers: Mapping[str, Dhis2Server],
    *,
    now: datetime,
    leave_unseen: bool = False,
    dry_run: bool = False,
    tell: Callable[[str], None] = lambda words: None,
) -> Outcome:
    """Every token is one of the key in force, in every version, in the landing and in quarantine. The caller holds the refresh
    lock.

    Raises SettingsError when the earlier key is not set or is the same, Refused when a source does not answer or does not
    have persons that the store has.
    """
    old_id, new_id = _other_key_id(settings, warehouse), settings.pseudonym.key_id
    outcome = Outcome(old_id, new_id, dry_run)
    if old_id is None:
        if not dry_run and Notebook.path(settings).exists():  # cut off after the last commit
            warehouse.rewrite()
            Notebook.path(settings).unlink()
        return outcome
    state, landing = settings.state_folder, Landing(settings.state_folder / "landing")
    fresh = _new_key(settings, old_id)
    twins = _learned(settings, fresh, servers, now, outcome, tell)
    with warehouse.connect(read_only=True) as connection:
        held = stored_tokens(connection, old_id)
        standing = stored_tokens(connection, old_id, current=True)
    held |= landed_tokens(landing, old_id)
    outcome.unseen = len(standing - twins.keys())
    outcome.rotated.made_anew, outcome.rotated.retired = len(held & twins.keys()), len(held - twins.keys())
    if dry_run:
        return outcome
    if outcome.unseen and not leave_unseen:
        raise Refused(
            f"{outcome.unseen:,} tokens of current rows cannot be made anew: no source sends these persons any more (registers whose "
            "files are gone, records without identifiers). Put the files back into the inbox, or say --leave-unseen: they get names "
            "that no later record will be joined with. Nothing was changed.",
            Exit.REFUSED,
        )

    def retire(token: str) -> str:
        return fresh.token("retired", "token", [token]) or ""

    retired = retired_tokens(held - twins.keys(), retire)
    new_of = {token: twins[token] for token in held & twins.keys()}
    carried = _carry_erasures(state, fresh, outcome)
    shelf = ReleaseShelf(settings.state_folder / "release")
    at = next_recorded_at(now, warehouse.last_refresh_at(), shelf.last_event_at)
    with warehouse.connect() as connection:
        if carried:
            note_removal(connection, carried, "erasure", at, {LANDED: 0})  # they are not here: nothing to erase again
        # The landing first: cut off here, the next attempt finds the old tokens in the store and ends the work.
        lines, _ = replace_landed(landing, {**new_of, **retired}, old_id, new_id)
        outcome.rotated.landed_lines = lines
        receipts = [receipt for source in landing.sources() for receipt in landing.rewritten(source)]
        outcome.rotated.tables = replace_stored(
            connection, warehouse.entries, new_of, retired, old_id, new_id, receipts
        )
    warehouse.rewrite()
    Notebook.path(settings).unlink(missing_ok=True)
    return outcome


def _other_key_id(settings: Settings, warehouse: Warehouse) -> str | None:
    if not warehouse.exists:
        return None
    warehouse.bring_up_to_date()
    with warehouse.connect(read_only=True) as connection:
        found = {name for name in key_ids(connection) if name.removesuffix("-retired") != settings.pseudonym.key_id} - {
            f"{settings.pseudonym.key_id}-retired"
        }
    if len(found) > 1:
        raise Refused(
            f"the warehouse has tokens of several other keys ({', '.join(sorted(found))}); rotate from one to the next.",
            Exit.REFUSED,
        )
    return next(iter(found), None)


def _new_key(settings: Settings, old_id: str) -> Pseudonymiser:
    """The hash under the key in force, which knows the one before it."""
    old, new = settings.old_pseudonym_key(), settings.pseudonym_key()
    if old is None:
        raise SettingsError(
            f"{settings.file.name}: {settings.pseudonym.old_key_env} must hold the key {old_id!r} while tokens are made anew; it is "
            "what tells whose token becomes which. Remove it afterwards."
        )
    if old == new:
        raise SettingsError(
            f"{settings.file.name}: {settings.pseudonym.key_env} and {settings.pseudonym.old_key_env} hold the same key; a new id "
            "needs a new key (openssl rand -hex 32)."
        )
    digests = erased_digests(settings.state_folder)
    earlier = Pseudonymiser(old, old_id, digests)
    return Pseudonymiser(new, settings.pseudonym.key_id, digests, earlier=earlier)


def _learned(
    settings: Settings,
    fresh: Pseudonymiser,
    servers: Mapping[str, Dhis2Server],
    now: datetime,
    outcome: Outcome,
    tell: Callable[[str], None],
) -> dict[str, str]:
    """Earlier token -> token, of everybody whom the sources have. Sources that told it within a day are not asked again."""
    kept = Notebook.read(settings, now)
    missing = []
    for server in servers.values():
        name = server.source_code
        if server.mapping.referral is None or name in kept.sources:
            continue
        tell(f"{name}: every record is read again under the new key ...")
        try:
            kept.sources[name] = learn_tokens(server.client(), server.mapping, fresh)
        except Dhis2Error as fault:
            missing.append(f"{name}: {fault}")
            continue
        kept.write(settings, fresh)
    try:
        kept.sources["labour"] = _read_registers(settings, fresh)
    except AddressFault as fault:
        missing.append(f"labour: {fault}")
    kept.write(settings, fresh)
    if missing:
        raise Refused(
            "every source must answer before a token is changed, or persons would be torn apart: " + " | ".join(missing)
            + " Nothing was changed; run it again, sources that answered today are not asked again.",
            Exit.REFUSED,
        )  # fmt: skip
    outcome.records = dict(kept.sources)
    fresh.carried |= set(kept.carried)
    return kept.twins


def _read_registers(settings: Settings, fresh: Pseudonymiser) -> int:
    """Every register that lies in the inbox or at its address was hashed by `fresh`; the number of files."""
    count = 0
    credential = settings.credential(settings.labour.credential_env) if settings.labour.urls else None
    files = [(path.name, path.read_bytes()) for path in complete_files(settings.inbox(settings.labour))]
    for name, data in (*files, *read_urls(settings.labour.urls, credential)):
        landed, _, _ = safe_form(name, data, fresh)
        count += landed.endswith(".jsonl")
    return count


def _carry_erasures(state: Path, fresh: Pseudonymiser, outcome: Outcome) -> str | None:
    """Erased persons whom a source still sends are on the list under the new key too; the id of that entry."""
    before = [erasure for erasure in erasures(state) if erasure.key_id == outcome.old_key_id]
    known = sum(len(erasure.digests) for erasure in before)
    outcome.erasures_carried = len(fresh.carried)
    outcome.erasures_left = max(0, known - len(fresh.carried))
    if not fresh.carried:
        return None
    at = datetime.now(UTC)
    entry = f"rotation-{at:%Y%m%dT%H%M%S}-{os.urandom(3).hex()}"
    digests = tuple(sorted(fresh.carried))
    add_erasure(state, Erasure(entry, at.isoformat(timespec="seconds"), user(), fresh.key_id, digests))
    return entry


@dataclass
class Notebook:
    """What the sources told so far: records by source, twins of their tokens, erased ones among them, and since when."""

    at: str
    sources: dict[str, int] = field(default_factory=dict)
    twins: dict[str, str] = field(default_factory=dict)
    carried: list[str] = field(default_factory=list)

    @staticmethod
    def path(settings: Settings) -> Path:
        """Where it lies while a rotation is not done."""
        return settings.state_folder / "keys" / f"rotation-to-{settings.pseudonym.key_id}.json"

    @classmethod
    def read(cls, settings: Settings, now: datetime) -> "Notebook":
        """The notebook of an attempt of today, or a new one."""
        path = cls.path(settings)
        if path.exists():
            kept = cls(**json.loads(path.read_text(encoding="utf-8")))
            if timedelta(0) <= now - datetime.fromisoformat(kept.at) <= RESUMED:
                return kept
        return cls(now.isoformat())

    def write(self, settings: Settings, fresh: Pseudonymiser) -> None:
        """It stands with what `fresh` has learned, readable by its owner only."""
        self.twins |= fresh.twins
        self.carried = sorted({*self.carried, *fresh.carried})
        path = self.path(settings)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        aside = path.with_suffix(".part")
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            json.dump(asdict(self), stream)
        os.replace(aside, path)
