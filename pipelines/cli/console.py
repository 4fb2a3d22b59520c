"""The two consoles of the command line. NO_COLOR, width and terminal are rich's to find out."""

from functools import cache
from typing import TYPE_CHECKING

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
