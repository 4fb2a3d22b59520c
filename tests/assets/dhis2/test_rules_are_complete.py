"""Every one of the client's 45 rules has a test that carries its number."""

import re
from pathlib import Path

RULES = range(1, 46)


def test_each_of_the_45_rules_is_a_test_by_its_number() -> None:
    names = [
        name
        for path in Path(__file__).parent.glob("test_*.py")
        for name in re.findall(r"^def (test_rule_\d\d_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert len(names) == len(set(names))
    assert {int(name.split("_")[2]) for name in names} == set(RULES)
