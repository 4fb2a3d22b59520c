"""Where a source's files arrive: an inbox folder and addresses to pull. A plain value; reading it is each source's own."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Inbox:
    """An inbox folder, HTTPS addresses pulled on schedule, and the credential for them."""

    folder: Path
    urls: tuple[str, ...] = ()
    credential: str | None = None
