"""What a reader of labour files found wrong, in one shape for every reader.

Belongs here: the `Fault` and its sentence. Does not belong here: the checks that raise it.
"""

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True)
class Fault:
    """One thing that is not as expected in one file. `error`: what stands there was not loaded; `warning`: loaded, but
    someone should look; `note`: how a doubt was settled. Never carries a personal value."""

    code: str
    severity: Severity
    file: str
    sheet: str
    cell: str
    found: str
    expected: str
    advice: str

    @property
    def message(self) -> str:
        """One line: where, what was found, what was expected, what to do."""
        place = (
            self.file + (f", sheet {self.sheet}" if self.sheet else "") + (f", cell {self.cell}" if self.cell else "")
        )
        return f"{place}: found {self.found}; expected {self.expected}. {self.advice}"
