"""Alerts as they arrive: at a real SMTP server and a real HTTP server on loopback, for runs that really failed."""

import email
import email.policy
import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import dagster as dg
import pytest
from aiosmtpd.controller import Controller

from pipelines.alert_sensors import alert_sensors, failure_alert, success_alerts
from pipelines.alerts import send
from pipelines.run_tags import LAUNCHED_BY, MISSING
from pipelines.settings import load_settings

PERSON = "Nguyễn Thị Mẫu 079188001234"
WHY = "a patient cannot be cured before arriving"


class Mailbox:
    def __init__(self) -> None:
        self.received: list[email.message.EmailMessage] = []

    async def handle_DATA(self, server, session, envelope):  # aiosmtpd names it so
        self.received.append(email.message_from_bytes(envelope.content, policy=email.policy.default))
        return "250 OK"


@pytest.fixture(scope="module")
def mailbox():
    box = Mailbox()
    controller = Controller(box, hostname="127.0.0.1", port=free_port())
    controller.start()
    try:
        yield box, controller.port
    finally:
        controller.stop()


@pytest.fixture(scope="module")
def webhook():
    bodies: list[dict] = []

    class Taker(BaseHTTPRequestHandler):
        def do_POST(self):  # the standard library names it so
            bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Taker)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield bodies, f"http://127.0.0.1:{server.server_port}/hook/secret-part"
    finally:
        server.shutdown()
        server.server_close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def settings(tmp_path: Path, monkeypatch, mailbox, webhook):
    text = f"""
organisation = "Nhóm công tác"
[alerts]
mail_to = ["data@example.org"]
smtp_host = "127.0.0.1"
smtp_port = {mailbox[1]}
smtp_security = "none"
webhook_url_env = "MHWG_ALERT_WEBHOOK"
"""
    (tmp_path / "mhwg.toml").write_text(text, encoding="utf-8")
    monkeypatch.setenv("MHWG_ALERT_WEBHOOK", webhook[1])
    mailbox[0].received.clear()
    webhook[0].clear()
    return load_settings(tmp_path / "mhwg.toml")


@dg.asset(key=["landing", "khm"])
def answers_not() -> None:
    raise dg.Failure("khm: the server did not answer within 60 s; ask its administrator.", allow_retries=False)


@dg.asset(key=["staging", "referral"])
def quotes_a_person() -> None:
    raise ValueError(f"could not convert {PERSON!r} to a date")


@dg.multi_asset(
    specs=[dg.AssetSpec(["core", "referral"])],
    check_specs=[dg.AssetCheckSpec(name, asset=dg.AssetKey(["core", "referral"])) for name in ("order", "mild")],
)
def doubtful():
    yield dg.MaterializeResult(asset_key=["core", "referral"])
    for name, severity in (("order", dg.AssetCheckSeverity.ERROR), ("mild", dg.AssetCheckSeverity.WARN)):
        yield dg.AssetCheckResult(
            asset_key=["core", "referral"],
            check_name=name,
            passed=False,
            severity=severity,
            metadata={"unexpected_rows": 3, "why": WHY, "sample_keys": [PERSON]},
        )


@pytest.fixture(scope="module")
def runs():
    """Runs that ended badly, on an instance of their own: by job name."""
    definitions = dg.Definitions(
        assets=[answers_not, quotes_a_person, doubtful],
        jobs=[
            dg.define_asset_job("refresh_khm", selection=dg.AssetSelection.assets(answers_not)),
            dg.define_asset_job("refresh_vnm", selection=dg.AssetSelection.assets(quotes_a_person)),
            dg.define_asset_job("publish", selection=dg.AssetSelection.assets(doubtful)),
        ],
    )
    with dg.DagsterInstance.ephemeral() as instance:
        found = {}
        for name, tags in (("refresh_khm", {}), ("refresh_vnm", {}), ("publish", {MISSING: "khm failed"})):
            job = definitions.resolve_job_def(name)
            result = job.execute_in_process(instance=instance, raise_on_error=False, tags=tags)
            found[name] = instance.get_run_by_id(result.run_id)
        yield instance, found


def only_text(box) -> tuple[str, str]:
    (message,) = box.received
    return message["Subject"], message.get_content()


def test_a_source_that_did_not_answer_is_told_in_its_own_sentence_on_both_channels(settings, mailbox, webhook, runs):
    instance, found = runs
    send(settings, failure_alert(settings, instance, found["refresh_khm"]))
    subject, text = only_text(mailbox[0])
    assert subject == "[MHWG] source khm failed"
    assert "Nhóm công tác" in text
    assert "the server did not answer within 60 s; ask its administrator." in text
    assert "last good data" in text
    assert "\n\n" not in text.strip(), "one paragraph"
    (body,) = webhook[0]
    assert body["kind"] == "run_failed"
    assert " ".join(body["text"].split()) == " ".join(text.split())


def test_what_a_library_said_is_not_passed_on(settings, mailbox, webhook, runs):
    instance, found = runs
    send(settings, failure_alert(settings, instance, found["refresh_vnm"]))
    _, text = only_text(mailbox[0])
    assert "ValueError" in text
    assert "staging__referral" in text
    for part in PERSON.split():
        assert part not in text
        assert part not in json.dumps(webhook[0], ensure_ascii=False)


def test_critical_checks_and_missing_sources_are_told_without_samples(settings, mailbox, webhook, runs):
    instance, found = runs
    for alert in success_alerts(settings, instance, found["publish"]):
        send(settings, alert)
    checks, partial = webhook[0]
    assert checks["checks"] == ["core.referral.order"], "a warning wakes nobody"
    assert WHY in checks["text"]
    assert "3 rows" in checks["text"]
    assert partial["missing"] == "khm failed"
    assert PERSON not in json.dumps(webhook[0], ensure_ascii=False)
    assert len(mailbox[0].received) == 2


def test_the_sensors_send_for_the_clock_and_keep_still_for_the_command_line(settings, mailbox, webhook, runs):
    instance, found = runs
    on_failure, on_success = alert_sensors(settings)

    def context(sensor, run, kind):
        (event,) = [
            e.dagster_event for e in instance.all_logs(run.run_id, of_type=kind) if e.dagster_event
        ]  # the run's own last word
        return dg.build_run_status_sensor_context(
            sensor_name=sensor.name, dagster_event=event, dagster_instance=instance, dagster_run=run
        )

    failed = found["refresh_khm"]
    on_failure(context(on_failure, failed, dg.DagsterEventType.RUN_FAILURE).for_run_failure())
    assert len(mailbox[0].received) == 1
    told = failed.with_tags({**failed.tags, LAUNCHED_BY: "cli"})
    on_failure(context(on_failure, told, dg.DagsterEventType.RUN_FAILURE).for_run_failure())
    assert len(mailbox[0].received) == 1
    on_success(context(on_success, found["publish"], dg.DagsterEventType.RUN_SUCCESS))
    assert len(mailbox[0].received) == 3


def test_a_channel_that_is_down_is_named_and_the_other_still_gets_it(settings, webhook, runs, tmp_path):
    instance, found = runs
    text = (tmp_path / "mhwg.toml").read_text(encoding="utf-8")
    lines = [f"smtp_port = {free_port()}" if line.startswith("smtp_port") else line for line in text.splitlines()]
    (tmp_path / "mhwg.toml").write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(OSError, match="could not be sent \\(mail: ConnectionRefusedError\\)"):
        send(load_settings(tmp_path / "mhwg.toml"), failure_alert(settings, instance, found["refresh_khm"]))
    assert len(webhook[0]) == 1


def test_nobody_is_told_when_nobody_is_named(tmp_path):
    (tmp_path / "mhwg.toml").write_text("", encoding="utf-8")
    assert alert_sensors(load_settings(tmp_path / "mhwg.toml")) == []
