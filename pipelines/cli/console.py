"""The two consoles of the command line, and what its verbs ask of an argument. NO_COLOR, width and terminal are rich's to find
out."""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.failures import Exit, Refused

if TYPE_CHECKING:
    from rich.console import Console


@cache
def console() -> "Console":
    """Standard output."""
    from rich.console import Console

    return Console()


@cache
def error_console() -> "Console":
    """Standard error."""
    from rich.console import Console

    return Console(stderr=True, soft_wrap=True)


def file_to_inspect(name: str) -> Path:
    """The file named on the command line. Raises Refused when there is none."""
    path = Path(name)
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise Refused(f"{name}: {what}; name one file.", Exit.NOT_FOUND)
    return path
