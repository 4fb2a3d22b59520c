"""`mhwg init`: a settings file with a comment on every key. Asks nothing: what can be found out is found out."""

import os
from pathlib import Path
from string import Template
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pipelines.cli.console import console
from pipelines.failures import Exit, Refused
from pipelines.settings import PROJECT, Schedule, Settings, environment, load_settings

TEMPLATE = Template("""\
# Settings of this installation, written by `mhwg init`. Secrets never stand here: they come from the environment.
# `mhwg doctor` says what is missing.

organisation = "$organisation"

# Everything that is written: warehouse, landed files, releases, Dagster's storage. Relative to this file.
state = "var"

[schedule]
cron = "$cron"            # when the sources start: minute, hour, day, month, weekday (1 = Monday)
deadline_cron = "$deadline"   # when the release is built without those that have not ended
retention_cron = "$retention"   # when what may no longer be kept is removed (docs/processing-record.md)
timezone = "$zone"

[pseudonym]
# Identifiers are hashed with this key in memory before anything is written. At least 32 characters, kept outside this
# machine's backups: export MHWG_PSEUDONYM_KEY="$$(openssl rand -hex 32)"
key_id = "k1"
key_env = "MHWG_PSEUDONYM_KEY"
# key_file = "/etc/mhwg/pseudonym.key"   # instead of the variable: mode 0600, outside the home and the state folder

# Inboxes: folders below the state folder, and HTTPS addresses pulled on schedule (credential_env names a variable with a
# token or user:password).
[labour]
inbox = "inbox/labour"
urls = []

[survey]
inbox = "inbox/survey"
urls = []

[programme]
inbox = "inbox/programme"
urls = []

# Registers on victims of trafficking: an inbox, a landing and a store of their own.
[victims]
inbox = "victims/inbox"
urls = []

[alerts]
# One paragraph by mail and webhook when a run or a critical check fails. Without mail_to and webhook_url_env nobody is told.
mail_to = []
# mail_from = "mhwg@example.org"
# smtp_host = "smtp.example.org"
# smtp_port = 587
# smtp_security = "starttls"                     # starttls, tls or none
# smtp_credential_env = "MHWG_SMTP_CREDENTIAL"   # variable with user:password
# webhook_url_env = "MHWG_ALERT_WEBHOOK"         # variable with the address

[dagster]
# Runs and events are kept in SQLite files in the state folder. For PostgreSQL name a variable with its URL.
# postgres_url_env = "MHWG_DAGSTER_POSTGRES_URL"   # postgresql+psycopg2://user:password@host:5432/database

[warehouse]
# Memory of the warehouse's queries in MiB. They begin with memory_mb and spill to disk; one that cannot spill and does not fit is
# done again with more, up to most_memory_mb (half of the machine's memory when left out).
# memory_mb = 256
# most_memory_mb = 4096

# DHIS2 servers: one [[dhis2]] each, with the UIDs of what is collected. `mhwg sources discover` drafts the mapping from the
# server itself, practice/mhwg.toml explains every key, docs/dhis2.md connects a server step by step.
#
# [[dhis2]]
# code = "vnm"
# name = "National server of Viet Nam"
# country = "VNM"
# url = "https://dhis2.example.org"
# credential_env = "MHWG_DHIS2_VNM_CREDENTIAL"
# root_org_units = []
# data_from = 2024-01-01
""")


def run(target: str | None) -> int:
    """The settings file stands where `mhwg` looks for it. Raises Refused when one is there already."""
    path = Path(target).resolve() if target else Path(environment().get("MHWG_SETTINGS") or PROJECT / "mhwg.toml")
    if path.is_dir():
        path = path / "mhwg.toml"
    text = TEMPLATE.substitute(
        organisation=Settings.model_fields["organisation"].default,
        cron=Schedule().cron,
        deadline=Schedule().deadline_cron,
        retention=Schedule().retention_cron,
        zone=zone_of_machine() or Schedule().timezone,
    )
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as fault:
        raise Refused(f"{path} exists and is left as it is; edit it, or move it away first.", Exit.REFUSED) from fault
    except (FileNotFoundError, NotADirectoryError, PermissionError) as fault:
        raise Refused(
            f"{path} cannot be written: {fault.strerror}; name a folder that is yours.", Exit.NOT_FOUND
        ) from fault
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)
    settings = load_settings(path)
    out = console()
    out.print(f"Wrote {path}", highlight=False, soft_wrap=True)
    if path != PROJECT / "mhwg.toml":
        out.print(f"  export MHWG_SETTINGS={path}", highlight=False, soft_wrap=True)
    out.print(
        f'  export {settings.pseudonym.key_env}="$(openssl rand -hex 32)"   (keep it; without it nothing can be matched)',
        highlight=False,
        soft_wrap=True,
    )
    out.print(
        "Next: `mhwg sources discover` drafts the mapping of a server, `mhwg doctor` says what is missing.",
        highlight=False,
        soft_wrap=True,
    )
    return Exit.DONE


def zone_of_machine() -> str | None:
    """The machine's time zone by name; None when it has none, or only UTC, which says nothing about an office."""
    named = environment().get("TZ", "").lstrip(":")
    if not named:
        link = Path("/etc/localtime")
        parts = link.resolve().parts if link.is_symlink() else ()
        named = "/".join(parts[parts.index("zoneinfo") + 1 :]) if "zoneinfo" in parts else ""
    try:
        return None if not named or named in ("UTC", "Etc/UTC", "Universal") or not ZoneInfo(named).key else named
    except (ZoneInfoNotFoundError, ValueError):
        return None
