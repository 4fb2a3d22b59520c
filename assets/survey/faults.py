"""What can go wrong with a survey extract, each fault carrying the facts that tell whose it is and what to do.

Rejected records are not faults (they go to quarantine with their reasons), nor are findings (they are reported and published).
"""


class SurveyFault(Exception):
    """The declaration and the file do not fit; the message says which file, which variable, and what was expected."""

    def __init__(self, message: str, *, file: str, variable: str | None = None) -> None:
        super().__init__(message)
        self.file = file
        self.variable = variable


class UnreadableSurveyFile(SurveyFault):
    """The file is not of the format that its name says, or is damaged; ask the provider to send it again."""


class DeclarationFault(SurveyFault):
    """A recode, design or measure file contradicts itself or the catalogue; mend the TOML file that is named."""
