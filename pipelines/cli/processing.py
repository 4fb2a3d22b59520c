"""`mhwg processing`: the record of processing of personal data. Belongs here: printing. Does not belong here: the record."""

import json

from pipelines.cli.console import console
from pipelines.failures import Exit


def run(*, as_json: bool) -> int:
    """The record is on standard output."""
    from warehouse.catalogue.processing import as_data, record_page

    if as_json:
        console().print_json(json.dumps(as_data(), ensure_ascii=False))
    else:
        from rich.markdown import Markdown

        console().print(Markdown(record_page()))
    return Exit.DONE
