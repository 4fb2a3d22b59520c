"""The units and the container files: as far as they can be tried without systemd running and without a container engine.

The commands that they start are started here for real, and asked the question that their health checks ask.
"""

import configparser
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import tomllib
import urllib.request

import pytest
import yaml

from pipelines.settings import PROJECT

DEPLOY = PROJECT / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))


def unit(path):
    """The unit's sections; keys may repeat in systemd, but not in these."""
    reader = configparser.ConfigParser(interpolation=None, strict=True)
    reader.optionxform = str
    reader.read(path, encoding="utf-8")
    return reader


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def mhwg(state, *words):
    environment = {**os.environ, "MHWG_STATE": str(state), "MHWG_SETTINGS": str(PROJECT / "practice" / "mhwg.toml")}
    environment.pop("DAGSTER_HOME", None)
    return subprocess.Popen(
        [sys.executable, "-m", "pipelines.cli", *words],
        env=environment, cwd=state.parent, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_a_unit_runs_without_rights_and_writes_only_the_state(path):
    service = unit(path)["Service"]
    assert service["User"] == "mhwg"
    assert service["ProtectSystem"] == "strict"
    assert service["ReadWritePaths"] == "/var/lib/mhwg"
    assert service["NoNewPrivileges"] == service["PrivateTmp"] == service["ProtectHome"] == "yes"
    assert service["UMask"] == "0077"
    assert service["EnvironmentFile"] == "/etc/mhwg/secrets.env"
    assert re.fullmatch(
        r"/opt/mhwg/\.venv/bin/mhwg service (daemon|webserver --host 127\.0\.0\.1 --port 3000)", service["ExecStart"]
    )
    assert not [key for key in service if "KEY" in key or "TOKEN" in key]
    assert service["CapabilityBoundingSet"] == ""
    assert service["RestrictNamespaces"] == service["LockPersonality"] == "yes"
    assert service["MemoryMax"].endswith("G")
    if path.name == "mhwg-daemon.service":
        assert service["OOMPolicy"] == "continue", "a run that is killed for its size must not take the clock with it"


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_systemd_understands_the_unit(path, tmp_path):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not on this machine")
    # The program of the unit is not at its place here: a copy names one that is.
    copy = tmp_path / path.name
    copy.write_text(path.read_text(encoding="utf-8").replace("/opt/mhwg/.venv/bin/mhwg", "/bin/true"), encoding="utf-8")
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", str(copy)], capture_output=True, text=True)
    told = [line for line in done.stderr.splitlines() if path.name in line]
    assert told == []


def test_the_image_is_locked_and_runs_as_nobody():
    lines = (DEPLOY / "Dockerfile").read_text(encoding="utf-8").splitlines()
    words = [line.split(maxsplit=1) for line in lines if line and not line.startswith(("#", " "))]
    instructions = [word[0] for word in words]
    assert re.search(r"python:3\.\d+-slim-\w+$", dict(words)["FROM"])
    assert "USER 10001:10001" in lines, "a number, so that an engine can tell that it is not root"
    assert any("useradd --uid 10001" in line for line in lines)
    assert instructions.index("USER") > max(n for n, word in enumerate(instructions) if word in ("RUN", "COPY")), (
        "nothing as root after"
    )
    assert "RUN make install" in lines, "the hashed lock is what is installed"
    assert any(line.startswith("HEALTHCHECK") for line in lines)
    rooms = {word[1].split()[0] for word in words if word[0] == "COPY"}
    packages = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]["find"][
        "include"
    ]
    assert {package.rstrip("*") for package in packages} <= rooms
    assert not (DEPLOY / "secrets.env").exists()


def test_the_composition_keeps_root_network_and_disk_to_itself():
    composition = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
    assert sorted(composition["services"]) == ["daemon", "webserver"]
    for name, service in composition["services"].items():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert "state:/var/lib/mhwg" in service["volumes"]
        assert service["command"][:3] == ["mhwg", "service", name]
        assert service["mem_limit"].endswith("g"), "the kernel ends a run that grows without bound, not the machine"
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
        assert "environment" not in service, "secrets stay in their file"


def test_what_they_start_works_and_stops_when_told(tmp_path):
    state, port = tmp_path / "var", free_port()
    state.mkdir()
    assert mhwg(state, "service", "healthy").wait(timeout=120) != 0, "no daemon runs yet"
    running = [mhwg(state, "service", "daemon"), mhwg(state, "service", "webserver", "--port", str(port))]
    try:
        deadline = time.monotonic() + 240
        answer, healthy = None, False
        while time.monotonic() < deadline and (answer is None or not healthy):
            assert all(process.poll() is None for process in running), [process.stdout.read() for process in running]
            time.sleep(2)
            if answer is None:
                try:
                    answer = urllib.request.urlopen(f"http://127.0.0.1:{port}/server_info", timeout=5).status
                except OSError:
                    continue
            else:
                healthy = mhwg(state, "service", "healthy").wait(timeout=120) == 0
        assert answer == 200
        assert healthy
    finally:
        for process in running:
            process.send_signal(signal.SIGTERM)
        codes = [process.wait(timeout=120) for process in running]
    assert all(code in (0, 143, -signal.SIGTERM) for code in codes), codes
