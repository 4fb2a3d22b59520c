"""How a pull tells how far it is: one log line in a while, by name and count only."""

import logging
from collections.abc import Callable

PULL_LOG = "mhwg.pull"


def pull_progress(source: str) -> Callable[[str, int, int | None], None]:
    """A callback for a source's pull: part, units done, units in all. Every unit of a short pull, one in ten of a long one."""
    log = logging.getLogger(PULL_LOG)

    def tell(part: str, done: int, total: int | None) -> None:
        if total is None or total <= 20 or done % max(1, total // 10) == 0 or done == total:
            words = f" of {total}" if total else ""
            log.info("%s: %s %s%s", source, part, done, words, extra={"is_last": done == total})

    return tell


def tell_indicator(code: str, rows: int) -> None:
    """One indicator was computed."""
    logging.getLogger(PULL_LOG).info("indicators: %s, %s cells", code, rows)
