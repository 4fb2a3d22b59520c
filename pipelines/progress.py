"""How a run tells what it is doing: Dagster's step events as plain log records that a terminal can show.

Belongs here: the logger that turns step events into short lines. Does not belong here: drawing them (`pipelines.cli`).
"""

import logging
from typing import ClassVar

import dagster as dg

STEP_LOG = "mhwg.steps"


class _StepHandler(logging.Handler):
    """Forwards the start, end and failure of steps; drops everything else, so no row and no value passes."""

    WORDS: ClassVar[dict[str, str]] = {
        "STEP_START": "start",
        "STEP_SUCCESS": "done",
        "STEP_FAILURE": "failed",
        "STEP_SKIPPED": "skipped",
    }

    def emit(self, record: logging.LogRecord) -> None:
        event = getattr(record, "dagster_event", None) or getattr(record, "dagster_meta", {}).get("dagster_event")
        kind = getattr(event, "event_type_value", None)
        if event is not None and kind in self.WORDS:
            logging.getLogger(STEP_LOG).info("%s", event.step_key, extra={"step_state": self.WORDS[kind]})


def _progress(_: dg.InitLoggerContext) -> logging.Logger:
    logger = logging.Logger("mhwg.dagster", logging.DEBUG)
    logger.addHandler(_StepHandler())
    return logger


progress_logger = dg.LoggerDefinition(_progress, description="Step events for the terminal.")
"""The Dagster logger that feeds the terminal's progress display."""
