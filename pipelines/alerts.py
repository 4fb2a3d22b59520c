"""Telling people when a run failed, a check failed or a release had to do without a source: one paragraph by mail and webhook.

Belongs here: the words of an alert, and sending it. Does not belong here: noticing (`pipelines.alert_sensors`, `pipelines.cli`).

No personal data: names of sources, tables, checks and steps, counts, and the sentences of this project's own faults, which
carry none (CONVENTIONS.md). What a library said is not passed on, because it may quote a value.
"""

import json
import logging
import smtplib
import ssl
import urllib.request
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Any

from pipelines.machine_faults import machine_sentence
from pipelines.settings import Alerts, Settings

log = logging.getLogger(__name__)

SEND_SECONDS = 20.0
OWN_FAULTS = frozenset(
    {
        "Failure",  # dagster.Failure as the assets raise it, with the source's own sentence
        "Refused",
        "SettingsError",
        "StoreError",
        "StoreLocked",
        "OutOfMemory",
        "LockHeld",
        "LandingError",
        "CriticalRuleFailed",
        "WeighingFailed",
        "HistoryError",
        "CatalogueError",
        "MappingError",
    }
)
"""Faults whose sentence may be passed on. Faults of the DHIS2 client are wrapped in Failure by its assets."""
SHOWN_CHECKS = 5


@dataclass(frozen=True)
class FailedCheck:
    """One check that failed: its table, its rule, how many rows, and why the rule exists."""

    table: str
    rule: str
    rows: int
    why: str


@dataclass(frozen=True)
class Alert:
    """What a person reads: a subject and one paragraph; `facts` say the same for a program."""

    subject: str
    text: str
    facts: dict[str, Any]


def run_failed(organisation: str, job: str, run_id: str, step: str | None, fault_class: str, sentence: str) -> Alert:
    """The alert for a run that failed. `sentence` is used only when the fault is one of ours."""
    what = source_of(job)
    told = sentence.strip().splitlines()[0] if fault_class in OWN_FAULTS and sentence.strip() else ""
    told = told or machine_sentence(fault_class, sentence) or ""
    reason = told or f"A fault of kind {fault_class} ended step {step or 'start'}; the run's log has the details."
    keeps = (
        "Its last good data stay in use and the other sources go on; the next refresh tries again."
        if job.startswith("refresh_")
        else "The last good release is untouched."
    )
    return Alert(
        f"{what} failed",
        f"{organisation}: {what} failed. {reason} {keeps} Look at run {run_id[:8]} in the Dagster UI, or run "
        f"`mhwg status`; when it is mended, `mhwg refresh` repairs the week.",
        {"kind": "run_failed", "job": job, "run": run_id, "step": step, "fault": fault_class},
    )


def checks_failed(organisation: str, job: str, run_id: str, failed: Sequence[FailedCheck]) -> Alert:
    """The alert for a run that ended well although checks of severity critical failed."""
    what = source_of(job)
    shown = "; ".join(
        f"{check.table} breaks {check.rule}" + (f" ({check.rows:,} rows)" if check.rows else "") + f": {check.why}"
        for check in failed[:SHOWN_CHECKS]
    )
    more = f" and {len(failed) - SHOWN_CHECKS} more" if len(failed) > SHOWN_CHECKS else ""
    return Alert(
        f"{len(failed)} failed check{'s' if len(failed) > 1 else ''} in {what}",
        f"{organisation}: {len(failed)} critical check{'s' if len(failed) > 1 else ''} failed in {what}: {shown}{more}. "
        f"Rows that a check holds back are in quarantine with their reasons (`mhwg status`); look at run {run_id[:8]}.",
        {"kind": "checks_failed", "job": job, "run": run_id, "checks": [f"{c.table}.{c.rule}" for c in failed]},
    )


def partial_release(organisation: str, run_id: str, missing: str) -> Alert:
    """The alert for a release that was built without sources."""
    return Alert(
        f"release without {missing}",
        f"{organisation}: the weekly release was built without {missing}; those figures rest on the last good data of the "
        f"source. A source that comes in later is built in by itself; look at its run, mend it and start it again.",
        {"kind": "partial_release", "run": run_id, "missing": missing},
    )


def source_of(job: str) -> str:
    """What a job is called in a sentence."""
    if job == "publish":
        return "the release build"
    if job.startswith("refresh_"):
        return f"source {job.removeprefix('refresh_')}"
    return "the refresh" if job == "refresh" else f"job {job}"


def send(settings: Settings, alert: Alert) -> None:
    """The alert has been handed to every channel of the settings. Raises OSError (also of SMTP) when one did not take it."""
    alerts = settings.alerts
    faults: list[str] = []
    for channel, is_wanted in ((_mail, bool(alerts.mail_to)), (_post, bool(alerts.webhook_url_env))):
        if not is_wanted:
            continue
        try:
            channel(settings, alerts, alert)
        except (OSError, smtplib.SMTPException) as fault:
            faults.append(f"{channel.__name__.strip('_')}: {type(fault).__name__}")
    if faults:
        raise OSError(f"the alert {alert.subject!r} could not be sent ({', '.join(faults)}); look at [alerts].")


def _mail(settings: Settings, alerts: Alerts, alert: Alert) -> None:
    message = EmailMessage()
    message["Subject"] = f"[{alerts.prefix}] {alert.subject}"
    message["From"] = alerts.mail_from
    message["To"] = ", ".join(alerts.mail_to)
    message.set_content(alert.text + "\n")
    context = ssl.create_default_context()
    kind = smtplib.SMTP_SSL if alerts.smtp_security == "tls" else smtplib.SMTP
    options: dict[str, Any] = {"context": context} if alerts.smtp_security == "tls" else {}
    with kind(alerts.smtp_host, alerts.smtp_port, timeout=SEND_SECONDS, **options) as server:
        if alerts.smtp_security == "starttls":
            server.starttls(context=context)
        secret = settings.secret(alerts.smtp_credential_env)
        if secret:
            user, _, password = secret.partition(":")
            server.login(user, password)
        server.send_message(message)


def _post(settings: Settings, alerts: Alerts, alert: Alert) -> None:
    body = json.dumps({"subject": alert.subject, "text": alert.text, **alert.facts}, ensure_ascii=False).encode()
    request = urllib.request.Request(
        settings.secret(alerts.webhook_url_env) or "",
        data=body,
        headers={"Content-Type": "application/json; charset=utf-8"},
        method="POST",
    )
    with urllib.request.urlopen(request, timeout=SEND_SECONDS) as answer:
        answer.read()


def failed_checks(evaluations: Iterable[Any]) -> list[FailedCheck]:
    """Of Dagster's check evaluations those that failed and are critical, without sample keys."""
    found = []
    for evaluation in evaluations:
        if evaluation.passed or evaluation.severity.name != "ERROR":
            continue
        metadata = {name: value.value for name, value in evaluation.metadata.items()}
        rows, why = metadata.get("unexpected_rows", 0), metadata.get("why", "not everything could be taken in")
        found.append(
            FailedCheck(
                ".".join(evaluation.asset_key.path), evaluation.check_name, int(rows or 0), str(why).rstrip(".")
            )
        )
    return found
