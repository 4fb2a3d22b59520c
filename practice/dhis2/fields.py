"""The `fields` parameter: which properties of an object an answer shows, nested as deep as asked.

Grammar: `a,b[c,d[*]],!e`, `*` and `:all` for everything, `~rename(x)` and `::rename(x)`. Where objects come from does not
belong here.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from practice.dhis2.messages import Refused

_PRESETS = {
    ":identifiable": ("id", "name", "code", "created", "lastUpdated"),
    ":nameable": ("id", "name", "shortName", "code", "created", "lastUpdated"),
    ":persistable": ("*",),
    ":owner": ("*",),
    ":all": ("*",),
    ":simple": ("*",),
}


@dataclass
class Fields:
    """One level of a `fields` expression."""

    everything: bool = False
    without: set[str] = field(default_factory=set)
    named: dict[str, "Fields | None"] = field(default_factory=dict)
    renamed: dict[str, str] = field(default_factory=dict)

    def shows(self, name: str) -> bool:
        """True when the property is shown at this level."""
        return name not in self.without and (self.everything or name in self.named)


def parse_fields(text: str) -> Fields:
    """The expression as a tree.

    *Raises* Refused (400) when brackets do not close.
    """
    fields, rest = _parse(text, 0)
    if rest != len(text):
        raise Refused(400, f"fields: unexpected {text[rest]!r} at {rest}", "E1003")
    return fields


def _parse(text: str, at: int) -> tuple[Fields, int]:
    level, name = Fields(), ""
    last = ""
    while at < len(text):
        mark = text[at]
        if mark == "[":
            inner, at = _parse(text, at + 1)
            if at >= len(text) or text[at] != "]":
                raise Refused(400, "fields: a bracket is not closed", "E1003")
            last = _add(level, name)
            level.named[last] = inner
            name = ""
        elif mark in ",]":
            if name:
                last = _add(level, name)
                name = ""
            if mark == "]":
                return level, at
        elif mark == "(":
            end = text.index(")", at)
            name += text[at : end + 1]
            at = end
        else:
            name += mark
        at += 1
    if name:
        _add(level, name)
    return level, at


def _add(level: Fields, name: str) -> str:
    name = name.strip()
    for mark in ("~", "::"):
        if mark in name:
            name, _, rule = name.partition(mark)
            if rule.startswith("rename("):
                level.renamed[name] = rule[7:-1]
    if name == "*" or name in (":all", ":owner", ":persistable", ":simple"):
        level.everything = True
    elif name in _PRESETS:
        for preset in _PRESETS[name]:
            level.named.setdefault(preset, None)
    elif name.startswith("!"):
        level.without.add(name[1:])
    else:
        level.named.setdefault(name, None)
    return name


def project(value: Any, fields: Fields, expand: Callable[[str, dict[str, Any]], dict[str, Any]] | None = None) -> Any:
    """The object, or each object of a list, with only the properties shown.

    `expand` turns a reference ({id: ...}) into the object it names when the expression asks for more than it holds.
    """
    if isinstance(value, list):
        return [project(item, fields, expand) for item in value]
    if not isinstance(value, dict):
        return value
    if fields.everything and not fields.named:
        return {name: held for name, held in value.items() if name not in fields.without}
    shown: dict[str, Any] = {}
    name: str
    names = value if fields.everything else [name for name in fields.named if name in value]
    for name in names:
        if name in fields.without:
            continue
        held = value[name]
        inner = fields.named.get(name)
        if inner is not None:
            if expand is not None:
                held = [expand(name, h) for h in held] if isinstance(held, list) else expand(name, held)
            held = project(held, inner, expand)
        label = fields.renamed.get(name, name)
        shown[label] = held
    return shown
