"""`mhwg dev`: the Dagster UI and daemon on the same state."""

import subprocess
import sys

from pipelines.cli.console import console
from pipelines.failures import Exit
from pipelines.settings import PROJECT, environment, load_settings, use_dagster_home


def run(host: str, port: int) -> int:
    """The UI answers until Ctrl-C."""
    settings = load_settings()
    home = use_dagster_home(settings)
    console().print(f"Dagster UI on [bold]http://{host}:{port}[/], state in {home.parent}. Ctrl-C ends.")
    command = [
        sys.executable,
        "-m",
        "dagster",
        "dev",
        "-w",
        str(PROJECT / "workspace.yaml"),
        "-h",
        host,
        "-p",
        str(port),
    ]
    try:
        return subprocess.call(command, env=dict(environment()), cwd=home)
    except KeyboardInterrupt:
        return Exit.DONE
