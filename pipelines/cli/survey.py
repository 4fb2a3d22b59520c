"""`mhwg survey inspect`: variables, labels and missing codes of one survey file, and a first recode to be edited."""

import json
from dataclasses import asdict

from pipelines.cli.console import console, file_to_inspect
from pipelines.failures import Exit, Refused


def inspect_file(name: str, *, draft: bool, as_json: bool) -> int:
    """The file is described; nothing of it was loaded. Raises Refused when it cannot be read or is of no known format."""
    from assets.survey.faults import SurveyFault
    from assets.survey.inspection import draft_recode, inspect, summary_lines

    path = file_to_inspect(name)
    try:
        if draft:
            print(draft_recode(path), end="")
            return Exit.DONE
        summaries = inspect(path)
    except SurveyFault as fault:
        raise Refused(str(fault), Exit.REFUSED) from fault
    if as_json:
        content = {"file": path.name, "variables": [asdict(summary) for summary in summaries]}
        console().print_json(json.dumps(content, ensure_ascii=False))
    else:
        for line in summary_lines(path, summaries):
            print(line)
    return Exit.DONE
