"""The sensors that notice: a run that failed, a run whose critical checks failed, a release built without a source.

Belongs here: reading Dagster's storage into alerts. Does not belong here: their words and their sending (`pipelines.alerts`).
"""

import dagster as dg

from pipelines.alerts import Alert, checks_failed, failed_checks, partial_release, run_failed, send
from pipelines.run_tags import LAUNCHED_BY, MISSING
from pipelines.settings import Settings
from pipelines.weekly import check_evaluations


def alert_sensors(settings: Settings) -> list[dg.SensorDefinition]:
    """Two sensors, running from the start when `[alerts]` names somebody; a run of the command line tells its own story."""
    if not settings.alerts.is_wanted:
        return []

    @dg.run_failure_sensor(
        name="alert_when_a_run_fails",
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="One paragraph by mail and webhook when a run failed.",
    )
    def alert_when_a_run_fails(context: dg.RunFailureSensorContext) -> dg.SkipReason | None:
        if context.dagster_run.tags.get(LAUNCHED_BY) == "cli":
            return dg.SkipReason("the command line told it")
        send(settings, failure_alert(settings, context.instance, context.dagster_run))
        return None

    @dg.run_status_sensor(
        run_status=dg.DagsterRunStatus.SUCCESS,
        name="alert_when_checks_fail",
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="One paragraph when a run ended well but critical checks failed, or the release lacks a source.",
    )
    def alert_when_checks_fail(context: dg.RunStatusSensorContext) -> dg.SkipReason | None:
        if context.dagster_run.tags.get(LAUNCHED_BY) == "cli":
            return dg.SkipReason("the command line told it")
        found = success_alerts(settings, context.instance, context.dagster_run)
        for alert in found:
            send(settings, alert)
        return None if found else dg.SkipReason("nothing to tell")

    return [alert_when_a_run_fails, alert_when_checks_fail]


def failure_alert(settings: Settings, instance: dg.DagsterInstance, run: dg.DagsterRun) -> Alert:
    """The alert for a failed run, from its first failed step; without one, the run's own words."""
    failures = [
        entry.dagster_event
        for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
        if entry.dagster_event
    ]
    step, fault_class, sentence = None, "Interrupted", ""
    if failures:
        error = failures[0].step_failure_data.error
        while error is not None and error.cause is not None and error.cls_name not in ("Failure",):
            error = error.cause
        step = failures[0].step_key
        if error is not None:
            fault_class, sentence = error.cls_name or "unknown", error.message.partition(":")[2] or error.message
        described = failures[0].step_failure_data.user_failure_data
        if described is not None and described.description:
            fault_class, sentence = "Failure", described.description
    return run_failed(settings.organisation, run.job_name, run.run_id, step, fault_class, sentence)


def success_alerts(settings: Settings, instance: dg.DagsterInstance, run: dg.DagsterRun) -> list[Alert]:
    """What there is to tell about a run that ended well."""
    found = []
    failed = failed_checks(check_evaluations(instance, run.run_id))
    if failed:
        found.append(checks_failed(settings.organisation, run.job_name, run.run_id, failed))
    missing = run.tags.get(MISSING)
    if missing:
        found.append(partial_release(settings.organisation, run.run_id, missing))
    return found


def tell(settings: Settings, instance: dg.DagsterInstance, run_id: str) -> str | None:
    """What there is to tell about a run of the command line has been sent; the sentence of a channel that did not take it."""
    run = instance.get_run_by_id(run_id)
    if run is None or not settings.alerts.is_wanted:
        return None
    found = success_alerts(settings, instance, run) if run.is_success else [failure_alert(settings, instance, run)]
    try:
        for alert in found:
            send(settings, alert)
    except OSError as fault:
        return str(fault)
    return None
