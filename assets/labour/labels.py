"""Labels in tables -> codes: countries, totals, regions, sexes, in every spelling that was seen.

Belongs here: folding of Vietnamese text for comparison, the alias tables `labels/*.csv` and their lookup. Does not
belong here: encodings (`encodings`), numbers, the meaning of columns (`layout`).
"""

import csv
import re
import unicodedata
from dataclasses import dataclass
from datetime import date
from difflib import get_close_matches
from functools import cache, lru_cache
from pathlib import Path

FOLDER = Path(__file__).parent / "labels"

_TONES = "\u0300\u0301\u0303\u0309\u0323"  # grave, acute, tilde, hook above, dot below
_SYLLABLE = re.compile(r"[^\W\d_]+(?:[\u0300-\u036f]+[^\W\d_]*)*", re.UNICODE)


def _tone_last(match: re.Match[str]) -> str:
    syllable = match.group(0)
    tones = "".join(mark for mark in syllable if mark in _TONES)
    return "".join(mark for mark in syllable if mark not in _TONES) + tones if tones else syllable


@lru_cache(maxsize=65536)
def fold(text: str) -> str:
    """`text` as it is compared: NFC or NFD, "Hoà" or "Hòa", capitals, dashes and spacing no longer make a difference.

    The tone mark is moved behind its syllable, so both tone-mark styles fold alike; vowels keep their quality marks
    (a, ă, â stay three letters).
    """
    decomposed = unicodedata.normalize("NFD", text).casefold().replace("đ", "d\u0335")
    decomposed = _SYLLABLE.sub(_tone_last, decomposed)
    # Tone position inside one syllable may leave other marks in either order; NFC settles them.
    spaced = re.sub(r"[\s\u00a0\u2010-\u2015_\-–—/.,:;()\[\]\"'“”*]+", " ", unicodedata.normalize("NFC", decomposed))
    return spaced.strip()


def strip_marks(text: str) -> str:
    """`text` folded and without any diacritic; only to look for near candidates and never to decide."""
    folded = unicodedata.normalize("NFD", fold(text))
    return "".join(mark for mark in folded if not unicodedata.combining(mark))


@dataclass(frozen=True)
class Alias:
    """One spelling of one code, valid between two dates (both may be open)."""

    label: str
    code: str
    valid_from_on: date | None
    valid_to_on: date | None

    def is_valid(self, on: date | None) -> bool:
        """True when the spelling meant this code on that day, or the day is unknown."""
        if on is None:
            return True
        return (self.valid_from_on is None or self.valid_from_on <= on) and (
            self.valid_to_on is None or on <= self.valid_to_on
        )


class AliasTable:
    """Spellings of one kind of code. An unmatched label is never dropped: the caller reports it with `nearest`."""

    def __init__(self, aliases: list[Alias]) -> None:
        self.aliases = tuple(aliases)
        self._by_fold: dict[str, list[Alias]] = {}
        for alias in aliases:
            self._by_fold.setdefault(fold(alias.label), []).append(alias)

    def code(self, label: str, on: date | None = None) -> str | None:
        """The code that `label` meant on that day, or None. Two codes at once is None too: doubt is not decided here."""
        codes = {alias.code for alias in self._by_fold.get(fold(label), []) if alias.is_valid(on)}
        return codes.pop() if len(codes) == 1 else None

    def nearest(self, label: str, limit: int = 3) -> tuple[str, ...]:
        """Known spellings that look like `label`, best first."""
        plain = {strip_marks(alias.label): alias.label for alias in self.aliases}
        return tuple(plain[match] for match in get_close_matches(strip_marks(label), list(plain), limit, 0.6))


def read_aliases(path: Path) -> AliasTable:
    """The alias table in a CSV of columns label, code, valid_from_on, valid_to_on."""
    with path.open(encoding="utf-8", newline="") as stream:
        return AliasTable(
            [
                Alias(
                    row["label"],
                    row["code"],
                    date.fromisoformat(row["valid_from_on"]) if row.get("valid_from_on") else None,
                    date.fromisoformat(row["valid_to_on"]) if row.get("valid_to_on") else None,
                )
                for row in csv.DictReader(stream)
            ]
        )


@cache
def destinations() -> AliasTable:
    """Destination labels -> ISO 3166-1 alpha-3, `_T` for totals, `_O` for the row of other markets."""
    return read_aliases(FOLDER / "destinations.csv")


@cache
def regions() -> frozenset[str]:
    """Folded labels of the regional subtotals; their rows are verified against their parts and kept out of the facts."""
    with (FOLDER / "regions.csv").open(encoding="utf-8", newline="") as stream:
        return frozenset(fold(row["label"]) for row in csv.DictReader(stream))
