"""A second refresh beside a running one, a status meanwhile, Ctrl-C, and the refresh after it - as real processes and signals."""

import json
import signal
import time
from typing import Any

import pytest

from warehouse.locks import holder_of


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory, small_rivers: Any) -> dict[str, Any]:
    """What each command said, in the order of a bad morning: refresh, second refresh, status, Ctrl-C, refresh."""
    river = small_rivers.new_river(tmp_path_factory.mktemp("office"), "http://127.0.0.1:9")
    river.settings["dhis2"] = []
    river.write_settings()
    running = river.start("refresh", "--source", "programme")
    while not (river.state / "warehouse.duckdb").exists():
        assert running.poll() is None, running.communicate()
        time.sleep(0.05)
    found: dict[str, Any] = {"holder": holder_of(river.state / "locks" / "refresh.lock")}
    found["second"] = river.run("refresh")
    found["status"] = river.run("status", "--json")
    found["was_running"] = running.poll() is None
    running.send_signal(signal.SIGINT)
    output, fault = running.communicate()
    found["stopped"] = (running.returncode, output, fault)
    found["release_then"] = (river.state / "release" / "current").exists()
    found["after"] = river.refresh("--source", "programme")
    found["status_after"] = json.loads(river.run("status", "--json").stdout)
    return found


def test_a_second_refresh_says_who_is_running(told):
    assert told["was_running"]
    assert told["second"].returncode == 5
    assert told["holder"].split(",")[1].strip() in told["second"].stderr
    assert "Traceback" not in told["second"].stderr


def test_status_answers_while_a_refresh_writes(told):
    assert told["status"].returncode == 0
    assert json.loads(told["status"].stdout)["running"] == told["holder"]


def test_ctrl_c_ends_with_130_in_one_sentence(told):
    code, _, fault = told["stopped"]
    assert code == 130, fault
    assert "The last good state stands." in fault
    assert "Traceback" not in fault
    assert not told["release_then"]


def test_the_next_refresh_completes_and_nothing_is_left_open(told):
    assert told["after"]["release_state"] == "published"
    assert not any(source["fault"] for source in told["after"]["sources"])
    state = told["status_after"]
    assert (state["running"], state["busy"]) == (None, None)
    assert state["runs"][0]["status"] == "SUCCESS"
