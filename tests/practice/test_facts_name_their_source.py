"""Every fact that the practice servers are held to names where it is known from: DHIS2's documentation, source, release notes or
issues, a standard of the wire, or an observation marked as one."""

import ast
import re
from pathlib import Path

import pytest

FILES = ("test_practice_versions.py", "test_practice_wire.py")
# core, docs and releases are the repositories dhis2/dhis2-core, dhis2/dhis2-docs and dhis2/dhis2-releases.
KNOWN = re.compile(
    r"core: \S+|docs: \S+|releases: 2\.\d+|issue: DHIS2-\d+|RFC \d{4}|captured response|third-party report|practice ground"
)


def docstrings_of(file: str) -> dict[str, str]:
    """Each test of a file with what its docstring says."""
    tree = ast.parse((Path(__file__).parent / file).read_text(encoding="utf-8"))
    return {
        node.name: ast.get_docstring(node) or ""
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


def faults(found: dict[str, str]) -> list[str]:
    """Tests without a source, with one of no known kind, or that hold a quirk to the practice ground's own word."""
    wrong = []
    for name, text in found.items():
        _, _, source = text.partition("Source: ")
        kinds = KNOWN.findall(source)
        if not kinds or (name.startswith("test_quirk_") and set(kinds) == {"practice ground"}):
            wrong.append(name)
    return wrong


@pytest.mark.parametrize("file", FILES)
def test_each_fact_names_its_source(file: str) -> None:
    found = docstrings_of(file)
    assert len(found) > 20
    assert faults(found) == []


def test_a_fact_without_source_is_found_out() -> None:
    said = {
        "test_quirk_1": "Section 9.1.",
        "test_quirk_2": "Source: practice ground.",
        "test_3": "Source: somebody.",
        "test_4": "Source: core: Page.java @2.43.1.",
    }
    assert faults(said) == ["test_quirk_1", "test_quirk_2", "test_3"]
