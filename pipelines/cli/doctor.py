"""`mhwg doctor`: what is wrong with this installation, and what to do about it."""

import json
from dataclasses import asdict

from pipelines.cli.console import console
from pipelines.doctor import examine
from pipelines.failures import Exit
from pipelines.settings import load_settings

SIGNS = {"ok": "[green]✓[/]", "warning": "[yellow]![/]", "fault": "[red]✗[/]"}


def run(*, as_json: bool) -> int:
    """Every check has been made; REFUSED when something must be mended before the next refresh."""
    from rich.text import Text

    findings = examine(load_settings())
    faults = [finding for finding in findings if finding.level == "fault"]
    if as_json:
        console().print_json(json.dumps([asdict(finding) for finding in findings], ensure_ascii=False))
    else:
        for finding in findings:
            console().print(SIGNS[finding.level], Text(f"{finding.subject}: {finding.text}"), soft_wrap=True)
        console().print(f"{len(faults)} to mend." if faults else "Nothing to mend.", style="bold")
    return Exit.REFUSED if faults else Exit.DONE
