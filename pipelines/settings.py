"""Settings: one TOML file, and secrets from the environment. Read once, when asked for; nothing is read at import.

Belongs here: where the settings file is, what it may say, and every use of `os.environ` in the project. Does not belong
here: building objects from settings (`pipelines.resources`).

Without a settings file the practice ground's own (`practice/mhwg.toml`) is used: synthetic data, marked in every output.
"""

import os
import tomllib
from collections.abc import MutableMapping
from datetime import date
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from pipelines.cron import Cron, parse_cron
from pipelines.failures import SettingsError

PROJECT = Path(__file__).resolve().parent.parent
PRACTICE_SETTINGS = PROJECT / "practice" / "mhwg.toml"
# SQLAlchemy 2.1 takes a bare postgresql:// for psycopg 3; Dagster's storage brings psycopg2.
POSTGRES_SCHEME = "postgresql+psycopg2://"
SQLITE_MARK = "# Storage in SQLite"
LAUNCH_SECONDS = 300
"""How long Dagster's daemon waits for the process that holds the definitions, for instance to start a run."""
PRACTICE_CREDENTIAL = "practice-token"
# Not a secret: it protects invented people, and a fixed key keeps the practice ground the same on every machine.
PRACTICE_KEY = "the practice ground holds no real person"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Schedule(_Part):
    """When the sources start, when the release is built without those that have not ended, and when what may no longer be kept
    is removed; all weekly."""

    cron: str = "0 5 * * 1"
    deadline_cron: str = "0 9 * * 1"
    retention_cron: str = "0 3 * * 2"
    timezone: str = "Asia/Ho_Chi_Minh"

    @field_validator("timezone")
    @classmethod
    def _zone_exists(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except Exception as fault:
            raise ValueError(f"{name!r} is not a time zone, expected a name such as Asia/Ho_Chi_Minh") from fault
        return name

    @field_validator("cron", "deadline_cron", "retention_cron")
    @classmethod
    def _cron_is_understood(cls, expression: str) -> str:
        parse_cron(expression, "UTC")
        return expression

    @property
    def ticks(self) -> Cron:
        """When the sources start."""
        return parse_cron(self.cron, self.timezone)

    @property
    def deadlines(self) -> Cron:
        """When the release is built at the latest."""
        return parse_cron(self.deadline_cron, self.timezone)


class Pseudonym(_Part):
    """Which key hashes identifiers: its id, stored beside every token, and the environment variable that holds it, or the file
    that does (`key_file`, outside the home and the state folder, readable by its owner only)."""

    key_id: str = "k1"
    key_env: str = "MHWG_PSEUDONYM_KEY"
    key_file: str | None = None

    @property
    def old_key_env(self) -> str:
        """The variable that holds the key before this one, while `mhwg keys rotate` runs."""
        return f"{self.key_env}_OLD"


class Alerts(_Part):
    """Who is told when a run or a check failed. Without `mail_to` and `webhook_url_env` nobody is.

    The address of a webhook is a secret (whoever knows it can post), so it comes from the environment, as passwords do.
    """

    mail_to: tuple[str, ...] = ()
    mail_from: str = "mhwg@localhost"
    smtp_host: str = "localhost"
    smtp_port: int = 587
    smtp_security: Literal["starttls", "tls", "none"] = "starttls"
    smtp_credential_env: str | None = None
    webhook_url_env: str | None = None
    prefix: str = "MHWG"

    @property
    def is_wanted(self) -> bool:
        """True when somebody is to be told."""
        return bool(self.mail_to or self.webhook_url_env)


class DagsterStorage(_Part):
    """Where Dagster keeps runs and events: SQLite files in the state folder, or a PostgreSQL database whose URL is in the
    environment variable `postgres_url_env` (needs the extra `postgres`)."""

    postgres_url_env: str | None = None


class Store(_Part):
    """Memory of the warehouse's queries, in MiB. They begin with `memory_mb` (256 when left out) and spill to disk; one that does
    not fit and cannot spill is done again with more, up to `most_memory_mb`: half of the machine's, or of its container's,
    when left out."""

    memory_mb: int | None = Field(default=None, ge=64)
    most_memory_mb: int | None = Field(default=None, ge=64)


class FileSource(_Part):
    """A source that sends files: an inbox folder (relative to the state folder) and HTTPS addresses pulled on schedule."""

    inbox: str
    urls: tuple[str, ...] = ()
    credential_env: str | None = None


class ReferenceSource(FileSource):
    """Reference series: the inbox for CSV and SDMX-CSV, and the public services to ask for newer editions; none unless named."""

    inbox: str = "inbox/reference"
    services: tuple[Literal["gho", "sdg", "world_bank", "ilostat"], ...] = ()
    base_urls: dict[str, str] = {}


class Settings(BaseModel):
    """Everything an installation may choose. `dhis2` entries are read by `assets.dhis2.mapping`, which refuses unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    practice: bool = False
    state: str = "var"
    organisation: str = "Migrant Health Working Group of Viet Nam"
    schedule: Schedule = Schedule()
    pseudonym: Pseudonym = Pseudonym()
    alerts: Alerts = Alerts()
    dagster: DagsterStorage = DagsterStorage()
    warehouse: Store = Store()
    labour: FileSource = FileSource(inbox="inbox/labour")
    survey: FileSource = FileSource(inbox="inbox/survey")
    programme: FileSource = FileSource(inbox="inbox/programme")
    victims: FileSource = FileSource(inbox="victims/inbox")
    reference: ReferenceSource = ReferenceSource()
    dhis2: tuple[dict[str, Any], ...] = ()
    corrections: str | None = None
    """Folder of this installation's corrections ledger, relative to the settings file."""
    file: Path = Field(default=PRACTICE_SETTINGS, exclude=True)

    @field_validator("dhis2")
    @classmethod
    def _codes_are_names(cls, entries: tuple[dict[str, Any], ...]) -> tuple[dict[str, Any], ...]:
        codes = [entry.get("code") for entry in entries]
        for code in codes:
            if not isinstance(code, str) or not code.isidentifier() or code != code.lower():
                raise ValueError(
                    f"dhis2.code {code!r}: expected a short lower-case name such as 'vnm', it becomes part of asset keys"
                )
        if len(set(codes)) != len(codes):
            raise ValueError(f"dhis2.code: {codes} names one server twice")
        return entries

    @property
    def state_folder(self) -> Path:
        """Folder of everything the pipeline writes; relative paths start at the settings file, for practice at the project."""
        override = os.environ.get("MHWG_STATE")
        base = PROJECT if self.file == PRACTICE_SETTINGS else self.file.parent
        return (Path(override) if override else base / self.state).resolve()

    @property
    def corrections_folders(self) -> tuple[Path, ...]:
        """Folders of corrections besides the shipped one."""
        return ((self.file.parent / self.corrections).resolve(),) if self.corrections else ()

    @property
    def dagster_home(self) -> Path:
        """DAGSTER_HOME of this installation."""
        return self.state_folder / "dagster"

    def inbox(self, source: FileSource) -> Path:
        """Inbox folder of a file source."""
        return (self.state_folder / source.inbox).resolve()

    def make_inboxes(self) -> None:
        """Every inbox of the state folder stands, for its owner alone. One that lies elsewhere is its owner's to make."""
        for source in (self.labour, self.survey, self.programme, self.victims, self.reference):
            folder = self.inbox(source)
            if folder.is_relative_to(self.state_folder):
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def dhis2_codes(self) -> tuple[str, ...]:
        """Codes of the DHIS2 servers, in file order."""
        return tuple(entry["code"] for entry in self.dhis2)

    def dhis2_starts(self) -> dict[str, date]:
        """First day of which each server's data are collected, where the settings name one."""
        return {e["code"]: e["data_from"] for e in self.dhis2 if isinstance(e.get("data_from"), date)}

    def credential(self, env: str | None) -> str | None:
        """The secret in environment variable `env`. Raises SettingsError when it is named, unset and the sources are real."""
        if env is None:
            return None
        secret = os.environ.get(env)
        if secret:
            return secret
        if self.practice:
            return PRACTICE_CREDENTIAL
        raise SettingsError(
            f"{self.file.name}: the environment variable {env} is not set; export it with a personal access token of the "
            "service user (or user:password) and run again."
        )

    def secret(self, env: str | None) -> str | None:
        """The text in environment variable `env`, on the practice ground too. Raises SettingsError when it is named and unset."""
        if env is None:
            return None
        text = os.environ.get(env)
        if not text:
            raise SettingsError(
                f"{self.file.name}: the environment variable {env} is named there and not set; export it."
            )
        return text

    def pseudonym_key(self) -> bytes:
        """The key of the keyed hash. Raises SettingsError when it is missing or short and the sources are real, or when it lies
        where others can read it."""
        secret = os.environ.get(self.pseudonym.key_env) or self._key_in_file()
        if not secret and self.practice:
            return PRACTICE_KEY.encode()
        if not secret or len(secret) < 32:
            raise SettingsError(
                f"{self.file.name}: the environment variable {self.pseudonym.key_env} must hold the pseudonym key, at least 32 "
                "characters, kept outside this machine's backups (for instance: openssl rand -hex 32)."
            )
        return secret.encode()

    def old_pseudonym_key(self) -> bytes | None:
        """The key before this one, if it is set: only while tokens are made anew under a new key."""
        secret = os.environ.get(self.pseudonym.old_key_env)
        if secret or not self.practice:
            return secret.encode() if secret else None
        return PRACTICE_KEY.encode()

    def _key_in_file(self) -> str | None:
        """The key in `key_file`. Raises SettingsError when the file is missing, open to others, or in the home or the state."""
        if self.pseudonym.key_file is None:
            return None
        path = (self.file.parent / self.pseudonym.key_file).resolve()
        for folder, what in (
            (self.state_folder, "the state folder"),
            (Path.home().resolve(), "the home of this account"),
        ):
            if path.is_relative_to(folder) and folder != Path("/"):
                raise SettingsError(
                    f"{self.file.name}: pseudonym.key_file {path} lies in {what}, beside the tokens that it protects; keep it "
                    "elsewhere, for instance /etc/mhwg/pseudonym.key."
                )
        try:
            mode = path.stat().st_mode & 0o777
            if mode & 0o077:
                raise SettingsError(
                    f"{self.file.name}: pseudonym.key_file {path} has mode {mode:04o}: others may read the key; chmod 600 {path}, "
                    "and rotate the key if somebody may have (docs/runbook.md)."
                )
            return path.read_text(encoding="ascii").strip()
        except (FileNotFoundError, NotADirectoryError) as fault:
            raise SettingsError(f"{self.file.name}: pseudonym.key_file {path} does not exist.") from fault
        except (PermissionError, UnicodeDecodeError) as fault:
            raise SettingsError(
                f"{self.file.name}: pseudonym.key_file {path} cannot be read by this account, or is not plain text."
            ) from fault


def settings_file() -> Path:
    """The file in force: MHWG_SETTINGS, else mhwg.toml beside the project, else the practice ground's."""
    named = os.environ.get("MHWG_SETTINGS")
    if named:
        return Path(named).resolve()
    own = PROJECT / "mhwg.toml"
    return own if own.exists() else PRACTICE_SETTINGS


def load_settings(path: Path | None = None) -> Settings:
    """The settings in force. Raises SettingsError for a file that is missing, not TOML, or says what no setting means."""
    path = path or settings_file()
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as fault:
        raise SettingsError(f"settings file {path} does not exist; `mhwg init` writes one.") from fault
    except (OSError, UnicodeDecodeError) as fault:
        why = (fault.strerror or "").lower() if isinstance(fault, OSError) else "it is not UTF-8 text"
        raise SettingsError(
            f"settings file {path} cannot be read by this account: {why}. For the service: root:mhwg and mode 640."
        ) from fault
    except tomllib.TOMLDecodeError as fault:
        raise SettingsError(f"{path.name}: not valid TOML: {fault}.") from fault
    try:
        return Settings.model_validate({**raw, "file": path})
    except ValidationError as fault:
        lines = []
        for error in fault.errors():
            key = ".".join(str(part) for part in error["loc"])
            near = get_close_matches(str(error["loc"][-1]), list(Settings.model_fields), 1)
            hint = f" (nearest known key: {near[0]})" if error["type"] == "extra_forbidden" and near else ""
            lines.append(f"{key}: {error['msg']}{hint}")
        raise SettingsError(f"{path.name}: " + " | ".join(lines)) from fault


def environment() -> MutableMapping[str, str]:
    """The process environment, for handing to child processes; the one other door to `os.environ`."""
    return os.environ


def _storage_block(settings: Settings) -> str:
    """The part of dagster.yaml that names PostgreSQL; empty for SQLite. The URL itself stays in the environment."""
    env = settings.dagster.postgres_url_env
    if env is None:
        return ""
    url = settings.secret(env) or ""
    if not url.startswith(POSTGRES_SCHEME):
        raise SettingsError(
            f"{settings.file.name}: {env} must hold a URL that begins with {POSTGRES_SCHEME}, such as "
            f"{POSTGRES_SCHEME}user:password@host:5432/database; found {url.partition('://')[0] or 'nothing'}://"
        )
    return f"storage:\n  postgres:\n    postgres_url:\n      env: {env}\n"


def use_dagster_home(settings: Settings) -> Path:
    """DAGSTER_HOME is this installation's, with the shipped dagster.yaml in it, unless the caller set one."""
    home = Path(os.environ.setdefault("DAGSTER_HOME", str(settings.dagster_home)))
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    shipped = (PROJECT / "dagster.yaml").read_text(encoding="utf-8")
    storage = _storage_block(settings)
    if storage:
        # The shipped file's SQLite storage is its last part; PostgreSQL takes its place.
        shipped = shipped.partition(SQLITE_MARK)[0] + storage
    target = home / "dagster.yaml"
    if not target.exists() or target.read_text(encoding="utf-8") != shipped:
        target.write_text(shipped, encoding="utf-8")
    os.environ.setdefault("DAGSTER_DISABLE_TELEMETRY", "1")
    # Dagster stores the planned events of a run one by one unless told to hand them over together (pipelines/event_log.py).
    os.environ.setdefault("DAGSTER_EVENT_BATCH_SIZE", "1000")
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    # Starting a run's process took 61 s on two cores under load (2026-11-26), and Dagster gives up after 60.
    os.environ.setdefault("DAGSTER_GRPC_TIMEOUT_SECONDS", str(LAUNCH_SECONDS))
    return home
