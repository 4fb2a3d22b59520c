"""Pseudonyms: one person, one token, for whoever holds the key; nothing to be learned for whoever does not.

Belongs here: canonical forms of identifiers and their keyed hash. Does not belong here: which attributes are identifiers
(settings), where keys live (`pipelines.settings`), when to hash (`assets.dhis2.extract`: in memory, before a byte lands).

A token is HMAC-SHA-256 over a canonical string that names the programme and the kind of identifier, so that tokens of two
programmes cannot be joined. A plain SHA-256 of a 12-digit citizen number is reversed by trying all of them.
"""

import hashlib
import hmac
import re
import unicodedata
from collections.abc import Collection, Sequence
from datetime import date

TOKEN_HEX_LENGTH = 40
"""Characters kept of the hexadecimal HMAC: 160 bits, far beyond any chance collision."""

_MINIMUM_KEY_BYTES = 12
_SEPARATOR = "\x1f"


class PseudonymKeyError(ValueError):
    """The key is too short to protect anybody. Set a longer one in the environment; the message never shows the key."""


def canonical_text(text: str) -> str:
    """One spelling per text: NFC, casefolded, white space trimmed and single."""
    folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())
    return " ".join(folded.split())


def canonical_digits(text: str) -> str:
    """The digits of a national number, written in ASCII whatever the script (Khmer digits included)."""
    return "".join(str(unicodedata.digit(sign)) for sign in text if sign.isdigit())


def canonical_date(text: str) -> str:
    """An ISO calendar date, or "" when the text holds none. A time of day is cut off, never converted."""
    match = re.match(r"(\d{4})-(\d{2})-(\d{2})(?!\d)", text.strip())
    if not match:
        return ""
    try:
        return date(int(match[1]), int(match[2]), int(match[3])).isoformat()
    except ValueError:
        return ""


def canonical_name(*parts: str) -> str:
    """The words of a person's name in a fixed order and without tone marks.

    Viet Nam writes the family name first, Cambodian forms often last, and marks get lost on the way: the same patient is
    "Nguyễn Văn An" on one side and "An Van Nguyen" on the other.
    """
    words = canonical_text(" ".join(parts)).replace("đ", "d").replace("-", " ").split()
    bare = (
        "".join(sign for sign in unicodedata.normalize("NFD", word) if not unicodedata.combining(sign))
        for word in words
    )
    return " ".join(sorted(word for word in bare if word))


class Pseudonymiser:
    """Makes tokens with one key. Its text forms show the key's id, never the key.

    `erased`: digests (`erasure_digest`) of the persons and records that were erased and must not be written again.
    `earlier`: the hash under the key before this one, while tokens are made anew at the source: `twins` then has, for every
    token that is made, the one that the same identifiers had.
    """

    def __init__(
        self, key: str | bytes, key_id: str, erased: Collection[str] = (), *, earlier: "Pseudonymiser | None" = None
    ) -> None:
        raw = key.encode() if isinstance(key, str) else key
        if len(raw) < _MINIMUM_KEY_BYTES:
            raise PseudonymKeyError(
                f"pseudonym key {key_id!r} has {len(raw)} bytes, at least {_MINIMUM_KEY_BYTES} are needed: "
                "put a random key of 32 bytes or more into the environment."
            )
        self._key = raw
        self.key_id = key_id
        self._erased = frozenset(erased)
        self._earlier = earlier
        self.twins: dict[str, str] = {}
        """Earlier token -> token, of the identifiers seen since this object was made; empty without an earlier key."""
        self._before: dict[str, str] = {}
        self.carried: set[str] = set()
        """Digests under this key of erased persons and records that were known by the earlier one."""

    def __repr__(self) -> str:
        return f"Pseudonymiser(key_id={self.key_id!r})"

    def token(self, programme: str, kind: str, parts: Sequence[str]) -> str | None:
        """The token of canonical `parts` within `programme`, or None when a part is empty: no identifier, no token."""
        if not parts or not all(parts):
            return None
        message = _SEPARATOR.join(["mhwg", programme, kind, *parts])
        made = hmac.new(self._key, message.encode(), hashlib.sha256).hexdigest()[:TOKEN_HEX_LENGTH]
        if self._earlier is not None and (before := self._earlier.token(programme, kind, parts)):
            self.twins[before] = made
            self._before[made] = before
        return made

    def erasure_digest(self, kind: str, text: str) -> str:
        """What is kept of an erased person or record: enough to know it again, and for nobody without the key."""
        message = _SEPARATOR.join(["mhwg", "erased", kind, text])
        return hmac.new(self._key, message.encode(), hashlib.sha256).hexdigest()

    def is_erased(self, kind: str, text: str | None) -> bool:
        """True for a person (`person`: the token) or a record (`record`: server and UID; `contract`: the token) that was erased.

        Whoever hashes identifiers asks before a byte is written: a source goes on sending those whom it was not told to forget.
        """
        if text is None:
            return False
        if self._erased and self.erasure_digest(kind, text) in self._erased:
            return True
        if self._earlier is None:
            return False
        before = self._before.get(text, text)  # the UID of a record is the same under every key
        if not self._earlier.is_erased(kind, before):
            return False
        self.carried.add(self.erasure_digest(kind, text))
        return True

    def person_token(
        self,
        programme: str,
        *,
        national_id: str = "",
        family_name: str = "",
        given_name: str = "",
        birth_date: str = "",
    ) -> tuple[str | None, str]:
        """The person's token and what it rests on: `national_id`, else `name_birth` (name and full birth date), else `_U`.

        A national number beats a name because names repeat; a name without a birth date makes no token at all: two
        "Nguyen Van An" would become one person.
        """
        number = canonical_digits(national_id)
        if token := self.token(programme, "national_id", [number]):
            return token, "national_id"
        name, born = canonical_name(family_name, given_name), canonical_date(birth_date)
        if token := self.token(programme, "name_birth", [name, born]):
            return token, "name_birth"
        return None, "_U"
