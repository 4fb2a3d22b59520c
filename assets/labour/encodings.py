"""Bytes and font-encoded text -> Unicode (NFC), with the evidence for the choice.

Belongs here: UTF-8, UTF-16, cp1258 and the two Vietnamese font encodings TCVN3 (ABC) and VNI, their detection and both
directions of their tables. Does not belong here: what the text means.

A file is decoded in the one way under which at least two known headers or country names appear, and no other way does as
well. Anything else is doubt, and doubt is an error with the candidates.

TCVN3 writes `ư` as U+00AD, the soft hyphen: a cleaning step that removes soft hyphens destroys the letter, so nothing
here cleans before it decodes. Its accented capitals have no code of their own; fonts such as .VnTimeH draw the small
letters as capitals, so headers arrive in lower case.
"""

import re
import unicodedata
from dataclasses import dataclass
from functools import cache
from typing import Literal

from assets.labour.labels import fold

Encoding = Literal["ascii", "utf-8", "utf-8-sig", "utf-16", "cp1258", "tcvn3", "vni"]

_KNOWN = (
    "thị trường", "tổng số", "tổng cộng", "trong tháng", "lũy kế", "luỹ kế", "trong đó", "nữ", "lao động", "nước ngoài",
    "báo cáo", "nhật bản", "hàn quốc", "đài loan", "trung quốc", "thái lan", "ba lan", "hồng kông", "hồng công",
    "các thị trường khác", "so với", "cùng kỳ", "kế hoạch", "tháng", "năm", "họ và tên", "họ tên", "ngày sinh",
    "giới tính", "hợp đồng", "doanh nghiệp", "số hộ chiếu", "ngày xuất cảnh", "nước tiếp nhận", "ngành nghề",
    "hà nội", "bộ nội vụ", "nơi nhận", "quốc gia", "đầu năm", "thực hiện",
)  # fmt: skip

# TCVN 5712:1993 (TCVN3, "ABC"): one byte per letter, 74 letters. Rows: plain vowel with its five tones.
_TCVN3 = (
    "à\xb5 ả\xb6 ã\xb7 á\xb8 ạ\xb9 ằ\xbb ẳ\xbc ẵ\xbd ắ\xbe ặ\xc6 ầ\xc7 ẩ\xc8 ẫ\xc9 ấ\xca ậ\xcb "
    "è\xcc ẻ\xce ẽ\xcf é\xd0 ẹ\xd1 ề\xd2 ể\xd3 ễ\xd4 ế\xd5 ệ\xd6 ì\xd7 ỉ\xd8 ĩ\xdc í\xdd ị\xde "
    "ò\xdf ỏ\xe1 õ\xe2 ó\xe3 ọ\xe4 ồ\xe5 ổ\xe6 ỗ\xe7 ố\xe8 ộ\xe9 ờ\xea ở\xeb ỡ\xec ớ\xed ợ\xee "
    "ù\xef ủ\xf1 ũ\xf2 ú\xf3 ụ\xf4 ừ\xf5 ử\xf6 ữ\xf7 ứ\xf8 ự\xf9 ỳ\xfa ỷ\xfb ỹ\xfc ý\xfd ỵ\xfe "
    "ă\xa8 â\xa9 ê\xaa ô\xab ơ\xac ư\xad đ\xae Ă\xa1 Â\xa2 Ê\xa3 Ô\xa4 Ơ\xa5 Ư\xa6 Đ\xa7"
)


class EncodingDoubt(Exception):
    """No reading of the text has two known headers, or two readings do equally well. Carries the candidates."""

    def __init__(self, message: str, *, candidates: tuple[str, ...]) -> None:
        super().__init__(message)
        self.candidates = candidates


@dataclass(frozen=True)
class Decoded:
    """Text in NFC, how it was encoded, and why that is believed."""

    text: str
    encoding: str
    evidence: tuple[str, ...]


@cache
def tcvn3_table() -> dict[str, str]:
    """TCVN3 byte (as the Latin-1 character) -> letter."""
    return {pair[1]: pair[0] for pair in _TCVN3.split(" ")}


@cache
def vni_table() -> dict[str, str]:
    """VNI sequence (one or two Latin-1 characters) -> letter, both cases, built from its rule: base letter, then a mark."""
    grave, acute, hook, tilde, dot = "\u0300", "\u0301", "\u0309", "\u0303", "\u0323"
    circumflex, breve, horn = "\u0302", "\u0306", "\u031b"
    tones = {"ø": grave, "ù": acute, "û": hook, "õ": tilde, "ï": dot}
    table = {
        "ñ": "đ",
        "ô": "o" + horn,
        "ö": "u" + horn,
        "æ": "i" + hook,
        "ó": "i" + tilde,
        "ò": "i" + dot,
        "î": "y" + dot,
    }
    for base in "aeouy":
        table |= {base + mark: base + tone for mark, tone in tones.items() if base + mark != "yï"}
    for base in "ôö":
        table |= {base + mark: table[base] + tone for mark, tone in tones.items()}
    round_marks = {"â": "", "à": grave, "á": acute, "å": hook, "ã": tilde, "ä": dot}
    for base in "aeo":
        table |= {base + mark: base + circumflex + tone for mark, tone in round_marks.items()}
    short_marks = {"ê": "", "è": grave, "é": acute, "ú": hook, "ü": tilde, "ë": dot}
    table |= {"a" + mark: "a" + breve + tone for mark, tone in short_marks.items()}
    table = {key: unicodedata.normalize("NFC", letter) for key, letter in table.items()}
    return table | {key.upper(): letter.upper() for key, letter in table.items()}


def from_tcvn3(text: str) -> str:
    """Text shown by a TCVN3 font, as Unicode."""
    return text.translate({ord(byte): letter for byte, letter in tcvn3_table().items()})


def from_vni(text: str) -> str:
    """Text shown by a VNI font, as Unicode. Two-character sequences win over single ones."""
    table = vni_table()
    keys = sorted(table, key=len, reverse=True)
    return re.sub("|".join(map(re.escape, keys)), lambda match: table[match.group(0)], text)


def to_tcvn3(text: str) -> str:
    """Unicode text as a TCVN3 font needs it. Capitals with a tone become small letters: the encoding has no others."""
    back = {letter: byte for byte, letter in tcvn3_table().items()}
    return "".join(
        back.get(letter) or back.get(letter.lower(), letter) for letter in unicodedata.normalize("NFC", text)
    )


def to_vni(text: str) -> str:
    """Unicode text as a VNI font needs it."""
    back = {letter: sequence for sequence, letter in vni_table().items()}
    return "".join(back.get(letter, letter) for letter in unicodedata.normalize("NFC", text))


def to_cp1258(text: str) -> bytes:
    """Unicode text in Windows code page 1258: quality marks stay on the letter, tones become combining bytes."""
    tones = "\u0300\u0301\u0303\u0309\u0323"
    out = []
    for letter in unicodedata.normalize("NFC", text):
        parts = unicodedata.normalize("NFD", letter)
        tone = "".join(mark for mark in parts if mark in tones)
        body = unicodedata.normalize("NFC", "".join(mark for mark in parts if mark not in tones))
        out.append(body + tone)
    return "".join(out).encode("cp1258")


def known_words(text: str) -> tuple[str, ...]:
    """Which known headers and names stand in `text` as whole words; only words with a Vietnamese letter prove anything."""
    folded = f" {fold(text)} "
    return tuple(dict.fromkeys(word for word in _KNOWN if f" {fold(word)} " in folded))


def repair_fonts(text: str, fonts: tuple[str, ...] = ()) -> Decoded:
    """Unicode `text`, undone from TCVN3 or VNI when it was typed for such a font. `fonts`: font names of the file, as evidence.

    Raises EncodingDoubt when the text has letters beyond ASCII, no reading shows two known words, and a font encoding is
    a live possibility; plain Unicode text with unknown words stays as it is.
    """
    text = unicodedata.normalize("NFC", text)
    if text.isascii():
        return Decoded(text, "ascii", ("only ASCII characters",))
    if _is_vietnamese(text):
        return Decoded(text, "utf-8", ("letters that only Unicode has",))
    readings = {"utf-8": text, "tcvn3": from_tcvn3(text), "vni": unicodedata.normalize("NFC", from_vni(text))}
    chosen, words = _best(readings)
    hints = tuple(
        f"font {font}" for font in fonts if font.lower().startswith((".vn", "vni")) and chosen in ("tcvn3", "vni")
    )
    if chosen is not None:
        return Decoded(readings[chosen], chosen, (f"known words: {', '.join(words[:4])}", *hints))
    counts = {name: len(known_words(reading)) for name, reading in readings.items()}
    if counts["utf-8"] >= max(counts["tcvn3"], counts["vni"]) and counts["utf-8"] > 0:
        return Decoded(text, "utf-8", ("no font encoding reads better",))
    if not any("\x80" <= letter <= "\xff" for letter in text):
        return Decoded(text, "utf-8", ("no letter that a font encoding uses",))
    raise EncodingDoubt(
        "the text fits no encoding: fewer than two known headers in any reading", candidates=tuple(readings)
    )


def decode(data: bytes) -> Decoded:
    """The text in `data` and how it was encoded. Raises EncodingDoubt naming the candidates when nothing proves one."""
    for bom, codec, name in (
        (b"\xef\xbb\xbf", "utf-8-sig", "utf-8-sig"),
        (b"\xff\xfe", "utf-16", "utf-16"),
        (b"\xfe\xff", "utf-16", "utf-16"),
    ):
        if data.startswith(bom):
            inner = repair_fonts(_decoded(data, codec))
            return Decoded(inner.text, name, (f"byte order mark of {codec}", *inner.evidence))
    zeros_even, zeros_odd = data[0:400:2].count(0), data[1:400:2].count(0)
    if zeros_even + zeros_odd > 10:
        codec = "utf-16-le" if zeros_odd > zeros_even else "utf-16-be"
        inner = repair_fonts(_decoded(data, codec))
        return Decoded(inner.text, "utf-16", (f"every other byte is zero: {codec} without byte order mark",))
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return _decode_single_byte(data)
    inner = repair_fonts(text)
    return Decoded(inner.text, inner.encoding, ("valid UTF-8", *inner.evidence))


def _decoded(data: bytes, codec: str) -> str:
    """Text in the codec that its mark announces. Raises EncodingDoubt when the bytes break the promise."""
    try:
        return data.decode(codec)
    except UnicodeDecodeError as fault:
        raise EncodingDoubt(f"looks like {codec}, but byte {fault.start} does not fit", candidates=(codec,)) from fault


def _decode_single_byte(data: bytes) -> Decoded:
    latin = data.decode("latin-1")
    readings = {
        "tcvn3": from_tcvn3(latin),
        "vni": from_vni(data.decode("cp1252", errors="replace")),
        "cp1258": data.decode("cp1258", errors="replace"),
    }
    readings = {name: unicodedata.normalize("NFC", reading) for name, reading in readings.items()}
    chosen, words = _best(readings)
    if chosen is None:
        found = {name: len(known_words(reading)) for name, reading in readings.items()}
        raise EncodingDoubt(
            "not UTF-8, and no single-byte reading shows two known headers more than the others "
            f"(known words: {', '.join(f'{name} {count}' for name, count in found.items())})",
            candidates=tuple(readings),
        )
    return Decoded(readings[chosen], chosen, ("not valid UTF-8", f"known words: {', '.join(words[:4])}"))


def _best(readings: dict[str, str]) -> tuple[str | None, tuple[str, ...]]:
    """The reading with the most known words, when it has two at least and no other has as many."""
    words = {name: known_words(reading) for name, reading in readings.items()}
    order = sorted(words, key=lambda name: len(words[name]), reverse=True)
    first, second = order[0], order[1]
    if len(words[first]) >= 2 and len(words[first]) > len(words[second]):
        return first, words[first]
    return None, ()


def _is_vietnamese(text: str) -> bool:
    """True when letters appear that no font encoding shows: ă, đ, ơ, ư and the letters with two marks."""
    return bool(re.search("[\u1ea0-\u1ef9\u0102\u0103\u0110\u0111\u01a0\u01a1\u01af\u01b0]", text))
