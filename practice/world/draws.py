"""Repeatable randomness and identifiers for the practice world.

Every draw belongs to a path of names below the seed, so that adding one kind of record does not move the others. Nothing
here knows what is drawn.
"""

import hashlib
import random

_ALPHABET = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
_LETTERS = _ALPHABET[:52]
# Two digits of base 62 at a time: the world needs some ten thousand identifiers at every start.
_PAIRS = [low + high for high in _ALPHABET for low in _ALPHABET]


def stream(seed: int, *path: object) -> random.Random:
    """A random stream that depends on the seed and the path only.

    The text is hashed first: Python's own seeding by string is stable too, but by tuple it is not.
    """
    digest = hashlib.blake2b("/".join([str(seed), *map(str, path)]).encode(), digest_size=8).digest()
    return random.Random(int.from_bytes(digest, "big"))


def uid(*path: object) -> str:
    """The DHIS2 identifier (a letter and ten letters or digits) of the thing named by the path."""
    number = int.from_bytes(hashlib.blake2b("/".join(map(str, path)).encode(), digest_size=12).digest(), "big")
    number, first = divmod(number, 52)
    rest = ""
    for _ in range(5):
        number, place = divmod(number, 3844)
        rest += _PAIRS[place]
    return _LETTERS[first] + rest
