"""What is wrong with an installation, found before a Monday finds it: each finding says what to do.

Belongs here: looking. Every check is a function from settings to findings, listed in CHECKS; safety checks join the list.
Does not belong here: printing (`pipelines.cli.doctor`), mending.
"""

import os
import shutil
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pipelines.audit import commands_done
from pipelines.failures import SettingsError
from pipelines.privacy import open_to_others
from pipelines.settings import Settings

Level = Literal["ok", "warning", "fault"]

LEAST_FREE = 1 << 30
COMFORTABLE_FREE = 10 << 30
LOOPBACK = ("localhost", "127.0.0.1", "::1")
CLOCK_SECONDS = 60
"""How far two clocks may be apart that both follow a time server, an answer's way included."""
WRONG_CLOCK_SECONDS = 600
BACKUP_DAYS = 8
"""One week and a day: a weekly backup that was taken this week or last."""
BUILT_AFTER = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: in order, doubtful, or to be mended, with what to do."""

    subject: str
    level: Level
    text: str


def examine(settings: Settings) -> list[Finding]:
    """Every check, in order."""
    return [finding for check in CHECKS for finding in check(settings)]


def python(_: Settings) -> Iterator[Finding]:
    """The interpreter is new enough."""
    running = ".".join(map(str, sys.version_info[:3]))
    is_fit = sys.version_info >= (3, 11)
    yield Finding(
        "python", "ok" if is_fit else "fault", running if is_fit else f"{running}; Python 3.11 or newer is needed."
    )


def disk(settings: Settings) -> Iterator[Finding]:
    """There is room for the next refresh: twice the warehouse, and a gigabyte at least."""
    folder = _existing(settings.state_folder)
    free = shutil.disk_usage(folder).free
    store = settings.state_folder / "warehouse.duckdb"
    needed = max(LEAST_FREE, 2 * store.stat().st_size if store.exists() else 0)
    told = f"{free / (1 << 30):.1f} GiB free at {folder}"
    if free < needed:
        yield Finding("disk", "fault", f"{told}; a refresh may need {needed / (1 << 30):.1f} GiB. Make room.")
    elif free < COMFORTABLE_FREE:
        yield Finding("disk", "warning", f"{told}; releases and landed files grow, plan for more.")
    else:
        yield Finding("disk", "ok", told)


def clock(settings: Settings) -> Iterator[Finding]:
    """The machine's clock is neither before this software nor before what it has written."""
    now = datetime.now(UTC)
    written = [
        datetime.fromtimestamp(path.stat().st_mtime, UTC)
        for path in (settings.state_folder / "warehouse.duckdb", settings.state_folder / "release")
        if path.exists()
    ]
    latest = max([BUILT_AFTER, *written])
    if now < latest:
        yield Finding(
            "clock",
            "fault",
            f"the clock says {now:%Y-%m-%d %H:%M} UTC, but the state was written at {latest:%Y-%m-%d %H:%M} UTC. Set it "
            "(timedatectl set-ntp true); until then new data are recorded one second after the last.",
        )
    else:
        yield Finding("clock", "ok", f"{now:%Y-%m-%d %H:%M} UTC")


def settings_file(settings: Settings) -> Iterator[Finding]:
    """Which settings are in force."""
    if settings.practice:
        yield Finding(
            "settings", "ok", f"{settings.file.name}: the practice ground; `mhwg init` begins an installation."
        )
    elif not settings.dhis2:
        yield Finding("settings", "warning", f"{settings.file}: no [[dhis2]] server is named there.")
    else:
        yield Finding("settings", "ok", f"{settings.file}: servers {', '.join(settings.dhis2_codes())}")


def secrets(settings: Settings) -> Iterator[Finding]:
    """Every secret that the settings name is set; none is shown."""
    wanted: list[tuple[str, Callable[[], object]]] = [("pseudonym key", settings.pseudonym_key)]
    named = [entry.get("credential_env") for entry in settings.dhis2]
    named += [
        source.credential_env
        for source in (settings.labour, settings.survey, settings.programme, settings.victims, settings.reference)
    ]
    wanted += [(env, lambda env=env: settings.credential(env)) for env in named if env]  # type: ignore[misc]
    others = (settings.alerts.smtp_credential_env, settings.alerts.webhook_url_env, settings.dagster.postgres_url_env)
    wanted += [(env, lambda env=env: settings.secret(env)) for env in others if env]  # type: ignore[misc]
    for name, ask in wanted:
        try:
            ask()
        except SettingsError as fault:
            yield Finding(name, "fault", str(fault))
        else:
            yield Finding(name, "ok", "set" if not settings.practice else "set, or not needed on the practice ground")


def permissions(settings: Settings) -> Iterator[Finding]:
    """The state belongs to us, can be written, and nobody else can read it."""
    folder = settings.state_folder
    if not folder.exists():
        yield Finding("state folder", "ok", f"{folder} will be made by the first refresh.")
        return
    if not os.access(folder, os.W_OK | os.X_OK):
        yield Finding(
            "state folder", "fault", f"{folder} cannot be written by this user; chown it or run as its owner."
        )
        return
    found = list(open_to_others(settings))
    for path in found:
        mode = stat.S_IMODE(path.stat().st_mode)
        yield Finding(
            "permissions",
            "fault",
            f"{path} has mode {mode:04o}: others than its owner may read it; chmod {'700' if path.is_dir() else '600'} {path}",
        )
    if not settings.practice and settings.file.exists() and settings.file.stat().st_mode & stat.S_IWOTH:
        yield Finding(
            "permissions", "fault", f"{settings.file} may be written by anybody, who then decides where data come from and go; "
            f"chmod o-w {settings.file}",
        )  # fmt: skip
    if not found:
        yield Finding("permissions", "ok", f"only the owner may read {folder}")


def addresses(settings: Settings) -> Iterator[Finding]:
    """Sources are asked over https, but on this machine."""
    urls = [(f"dhis2 {entry['code']}", str(entry.get("url", ""))) for entry in settings.dhis2]
    for name, source in (
        ("labour", settings.labour),
        ("survey", settings.survey),
        ("programme", settings.programme),
        ("victims", settings.victims),
        ("reference", settings.reference),
    ):
        urls += [(name, url) for url in source.urls]
    urls += [(f"reference {name}", url) for name, url in sorted(settings.reference.base_urls.items())]
    for name, url in urls:
        parts = urlsplit(url)
        if parts.scheme == "https" or (parts.hostname or "") in LOOPBACK:
            yield Finding(name, "ok", f"{parts.scheme}://{parts.netloc}")
        else:
            yield Finding(
                name,
                "fault",
                f"{parts.scheme or 'no scheme'}://{parts.netloc} is not encrypted: tokens and patients' records would be "
                "readable on the way. Use the https address.",
            )


def alerts(settings: Settings) -> Iterator[Finding]:
    """What is sent to tell of failures is encrypted on the way."""
    wanted = settings.alerts
    if wanted.mail_to and wanted.smtp_security == "none" and wanted.smtp_host not in LOOPBACK:
        yield Finding(
            "alerts", "warning", f"mail goes to {wanted.smtp_host} unencrypted, its password too; set smtp_security."
        )
    if wanted.webhook_url_env and not settings.practice:
        with suppress(SettingsError):  # `secrets` tells of one that is not set
            parts = urlsplit(settings.secret(wanted.webhook_url_env) or "")
            if parts.scheme != "https" and (parts.hostname or "") not in LOOPBACK:
                yield Finding(
                    "alerts",
                    "warning",
                    f"the address in {wanted.webhook_url_env} is not https; whoever listens may post too.",
                )


def clocks_of_servers(settings: Settings) -> Iterator[Finding]:
    """This machine's clock agrees with those of the servers: receipts and ages rest on it. Watermarks do not."""
    if settings.practice:
        return
    from assets.dhis2.client import server_clock
    from assets.dhis2.errors import Dhis2Error

    for entry in settings.dhis2:
        name = f"clock of {entry['code']}"
        try:
            theirs = server_clock(str(entry.get("url", "")))
        except Dhis2Error as fault:
            yield Finding(name, "warning", f"not compared: {fault}.")
            continue
        if theirs is None:
            yield Finding(name, "warning", "not compared: the server does not say what time it is.")
            continue
        seconds = round((datetime.now(UTC) - theirs).total_seconds())
        if abs(seconds) <= CLOCK_SECONDS:
            yield Finding(name, "ok", f"{abs(seconds)} s apart")
        else:
            yield Finding(
                name,
                "fault" if abs(seconds) > WRONG_CLOCK_SECONDS else "warning",
                f"this machine's clock is {abs(seconds):,} s {'ahead of' if seconds > 0 else 'behind'} the server's; one of them "
                "is wrong. Here: timedatectl set-ntp true.",
            )


def backups(settings: Settings) -> Iterator[Finding]:
    """There is a backup, and not an old one: in `backups` of the state folder, or by the audit log where it went elsewhere."""
    if settings.practice or not (settings.state_folder / "warehouse.duckdb").exists():
        return
    taken = [
        datetime.fromtimestamp(path.stat().st_mtime, UTC)
        for path in (settings.state_folder / "backups").glob("mhwg-backup-*.tar")
    ]
    taken += commands_done(settings.state_folder, "backup")
    if not taken:
        yield Finding(
            "backup", "warning", "none was ever taken; `mhwg backup --to FOLDER` on another disk, every week."
        )
        return
    days = (datetime.now(UTC) - max(taken)).days
    level: Level = "ok" if days <= BACKUP_DAYS else "warning"
    what = "" if level == "ok" else "; `mhwg backup --to FOLDER` on another disk, every week"
    yield Finding("backup", level, f"the newest is {days} days old{what}.")


def store(settings: Settings) -> Iterator[Finding]:
    """The warehouse and the victims' store open and were built from this catalogue; no data on trafficking stand in the warehouse."""
    if not (settings.state_folder / "warehouse.duckdb").exists():
        yield Finding("warehouse", "ok", "none yet; the first refresh builds it.")
        return
    from warehouse import schema
    from warehouse.migrations.victims_apart import is_in_warehouse
    from warehouse.store import StoreError, StoreLocked, Warehouse, stored_fingerprint
    from warehouse.victims import victims_beside

    warehouse = Warehouse(settings.state_folder / "warehouse.duckdb")
    for name, kept in (("warehouse", warehouse), ("victims' store", victims_beside(warehouse))):
        if not kept.exists:
            continue
        try:
            with kept.connect(read_only=True) as connection:
                is_current = stored_fingerprint(connection) == schema.fingerprint(kept.entries.values())
            if kept is warehouse and is_in_warehouse(warehouse):
                yield Finding(
                    name,
                    "fault",
                    "data on trafficking of an older program stand in it; `mhwg upgrade` moves them apart.",
                )
                continue
        except StoreLocked as fault:
            yield Finding(name, "ok", f"{fault}")
        except StoreError as fault:
            yield Finding(name, "fault", str(fault))
        else:
            yield Finding(
                name,
                "ok",
                "built from this catalogue"
                if is_current
                else "built from another catalogue; the next refresh brings it up to date",
            )


def shelf(settings: Settings) -> Iterator[Finding]:
    """Beside the releases lies nothing that publishing did not put there; it leaves such a thing alone."""
    from warehouse.publishing.release import strangers_on

    for path in strangers_on(settings.state_folder / "release"):
        yield Finding(
            "release folder",
            "warning",
            f"{path} is no release and was not put there by publishing, which leaves it alone; move it elsewhere.",
        )


def _existing(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path


CHECKS: tuple[Callable[[Settings], Iterable[Finding]], ...] = (
    python,
    disk,
    clock,
    settings_file,
    secrets,
    permissions,
    addresses,
    alerts,
    clocks_of_servers,
    backups,
    store,
    shelf,
)
