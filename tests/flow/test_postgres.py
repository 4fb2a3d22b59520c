"""Dagster's storage in a real PostgreSQL: a refresh from start to finish, and what `status` reads of it.

Needs Debian's `postgresql` (CI installs it); without it the tests say so and are skipped.
"""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))[-1:] if Path("/usr/lib/postgresql").exists() else []
pytestmark = pytest.mark.skipif(
    not BINARIES, reason="no PostgreSQL server on this machine (Debian: apt-get install postgresql): storage not tested"
)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    """The URL of a PostgreSQL cluster of its own, gone afterwards. The server refuses to run as root, so then it is run as
    the user that Debian made for it."""
    # Not below pytest's own folder: every session that starts closes that one for all other users again.
    folder = Path(tempfile.mkdtemp(prefix="mhwg-postgres-"))
    options = {}
    if os.geteuid() == 0:
        options = {"user": "postgres", "group": "postgres", "extra_groups": []}
        shutil.chown(folder, "postgres", "postgres")
    port = _free_port()
    data = folder / "data"
    environment = {**os.environ, "LC_ALL": "C"}
    subprocess.run(
        [BINARIES[0] / "initdb", "-D", data, "-A", "trust", "-U", "mhwg", "-E", "UTF8", "--no-sync"],
        check=True, capture_output=True, env=environment, cwd=folder, **options,
    )  # fmt: skip
    server = subprocess.Popen(
        [BINARIES[0] / "postgres", "-D", data, "-h", "127.0.0.1", "-p", str(port), "-k", folder, "-F"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment, cwd=folder, **options,
    )  # fmt: skip
    try:
        for _ in range(600):
            ready = subprocess.run(
                [BINARIES[0] / "pg_isready", "-h", "127.0.0.1", "-p", str(port)], capture_output=True
            )
            if ready.returncode == 0:
                break
            assert server.poll() is None, "PostgreSQL did not start"
            time.sleep(0.1)
        yield f"postgresql+psycopg2://mhwg@127.0.0.1:{port}/postgres"
    finally:
        server.terminate()
        server.wait()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def river(tmp_path_factory: pytest.TempPathFactory, postgres: str, small_rivers: Any):
    """A small installation whose settings name the database, refreshed once."""
    river = small_rivers.new_river(
        tmp_path_factory.mktemp("office"), "http://127.0.0.1:9", dagster={"postgres_url_env": "MHWG_TEST_POSTGRES"}
    )
    river.settings["dhis2"] = []
    river.write_settings()
    river.secrets = {"MHWG_TEST_POSTGRES": postgres}
    said = river.refresh("--source", "programme")
    return river, said


def test_a_refresh_runs_from_start_to_finish(river):
    _, said = river
    assert said["release_state"] == "published"
    assert not any(source["fault"] for source in said["sources"])


def test_runs_and_events_are_in_the_database_and_nowhere_else(river, postgres):
    import psycopg2

    installation, _ = river
    with psycopg2.connect(postgres.replace("+psycopg2", "")) as database, database.cursor() as cursor:
        cursor.execute("select count(*) from runs where status = 'SUCCESS'")
        assert cursor.fetchall()[0][0] == 1
        cursor.execute("select count(*) from event_logs where dagster_event_type = 'ASSET_MATERIALIZATION'")
        assert cursor.fetchall()[0][0] > 3
    assert not list((installation.state / "dagster").rglob("*.db"))


def test_status_reads_the_last_run_from_the_database(river):
    import json

    installation, _ = river
    shown = installation.run("status", "--json")
    assert shown.returncode == 0, shown.stderr
    (last, *_) = json.loads(shown.stdout)["runs"]
    assert (last["job"], last["status"]) == ("refresh", "SUCCESS")
