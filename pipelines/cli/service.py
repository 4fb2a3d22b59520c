"""`mhwg service`: one long-running part of the installation, in the foreground, for systemd, a container or a terminal.

Belongs here: preparing DAGSTER_HOME and becoming the process. Does not belong here: units and container files (`deploy/`).
"""

import os
import sys

from pipelines.failures import Exit, Refused
from pipelines.settings import PROJECT, environment, load_settings, use_dagster_home

PARTS = ("webserver", "daemon", "healthy")


def run(part: str, host: str, port: int) -> int:
    """This process has become the part, so that a stop signal reaches it; `healthy` ends 0 while the daemon works."""
    if part not in PARTS:
        raise Refused(f"{part} is no part of the installation; expected one of {', '.join(PARTS)}.", Exit.USAGE)
    settings = load_settings()
    home = use_dagster_home(settings)
    settings.make_inboxes()
    workspace = ["-w", str(PROJECT / "workspace.yaml")]
    module, words = {
        "webserver": ("dagster_webserver", [*workspace, "-h", host, "-p", str(port)]),
        "daemon": ("dagster._daemon", ["run", *workspace]),
        "healthy": ("dagster._daemon", ["liveness-check"]),
    }[part]
    os.chdir(home)
    os.execve(sys.executable, [sys.executable, "-m", module, *words], dict(environment()))
