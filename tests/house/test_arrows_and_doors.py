"""The picture of the house, kept by reading every import: arrows point down, one door per dependency, charters and docstrings."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
ROOMS = ("pipelines", "assets", "expectations", "warehouse", "methods", "practice")
MAY_IMPORT = {
    "methods": set(),
    "warehouse": {"methods"},
    "assets": {"warehouse", "methods"},
    "expectations": {"warehouse", "methods"},
    "pipelines": {"assets", "expectations", "warehouse", "methods"},
    "practice": {"assets", "expectations", "warehouse", "methods", "pipelines"},
}
DOORS = {
    "dagster": r"pipelines/(?!cli/).*|pipelines/cli/(refresh|status|dev)\.py"
    r"|assets/(.*/)?assets\.py|assets/(core|indicators|release|declare)\.py",
    "requests": r"assets/(.*/)?(client|fetch)\.py",
    "urllib3": r"assets/.*/(client|fetch)\.py",
    "great_expectations": r"expectations/.*",
    "duckdb_sqlalchemy": r"expectations/.*",
    "sqlalchemy": r"expectations/.*|pipelines/event_log\.py",
    "duckdb": r"warehouse/.*",
    "xlsxwriter": r"warehouse/publishing/.*",
    "sdmx": r"warehouse/publishing/.*",
    "jinja2": r"warehouse/publishing/.*",
    "altair": r"warehouse/publishing/.*",
    "vl_convert": r"warehouse/publishing/.*",
    "svy": r"methods/.*",
    "pyreadstat": r"assets/survey/.*",
    "fastexcel": r"assets/labour/.*|assets/programme/.*",
    "typer": r"pipelines/cli/.*",
    "rich": r"pipelines/cli/.*",
}


def sources() -> list[Path]:
    return sorted(path for room in ROOMS for path in (PROJECT / room).rglob("*.py"))


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names.add(node.module or "")
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def relative(path: Path) -> str:
    return path.relative_to(PROJECT).as_posix()


def test_there_is_something_to_keep():
    assert len(sources()) > 50


def test_arrows_point_down_only():
    wrong = []
    for path in sources():
        room = relative(path).split("/")[0]
        for name in imported(path):
            top = name.split(".")[0]
            if top not in ROOMS or top == room or top in MAY_IMPORT[room]:
                continue
            if top == "practice" and relative(path) == "pipelines/cli/practice.py":
                continue  # the one exception that the design names: the command line's practice verb
            wrong.append(f"{relative(path)} imports {name}")
    assert wrong == []


@pytest.mark.parametrize("library", sorted(DOORS))
def test_one_door_per_dependency(library):
    pattern = re.compile(DOORS[library])
    wrong = [
        relative(path)
        for path in sources()
        if not relative(path).startswith("practice/")  # the practice ground may use anything
        and any(name.split(".")[0] == library for name in imported(path))
        and not pattern.fullmatch(relative(path))
    ]
    assert wrong == []


def test_great_expectations_is_imported_inside_functions_only():
    # 2.6 s and 224 MB at import: a command that does not weigh must not pay for it.
    wrong = []
    for path in sources():
        for node in tree(path).body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
                if any(name.split(".")[0] == "great_expectations" for name in names):
                    wrong.append(relative(path))
    assert wrong == []


def test_only_the_settings_read_the_environment():
    # practice/ may use anything; everything else asks pipelines.settings
    wrong = [
        f"{relative(path)}:{node.lineno}"
        for path in sources()
        if not relative(path).startswith("practice/") and relative(path) != "pipelines/settings.py"
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Attribute)
        and node.attr in ("environ", "getenv")
        and isinstance(node.value, ast.Name)
        and node.value.id == "os"
    ]
    assert wrong == []


def test_the_study_does_no_input_output_and_reads_no_clock():
    forbidden = {"open", "print", "input"}
    wrong = []
    for path in (PROJECT / "methods").rglob("*.py"):
        tops = {name.split(".")[0] for name in imported(path)}
        if tops & {"pathlib", "os", "socket", "time", "logging", "tempfile", "subprocess"}:
            wrong.append(f"{relative(path)} imports {tops}")
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in forbidden:
                wrong.append(f"{relative(path)}:{node.lineno} calls {node.func.id}")
            if isinstance(node, ast.Attribute) and node.attr in ("now", "today", "utcnow"):
                wrong.append(f"{relative(path)}:{node.lineno} asks for the time")
    assert wrong == []


def test_asset_modules_keep_annotations_alive():
    # Dagster: "Cannot annotate context parameter" under postponed evaluation.
    wrong = [
        relative(path)
        for path in sources()
        if "dagster" in {name.split(".")[0] for name in imported(path)} and "__future__.annotations" in imported(path)
    ]
    assert wrong == []


def test_every_module_has_a_charter():
    wrong = [relative(path) for path in sources() if not ast.get_docstring(tree(path))]
    assert wrong == []


def test_every_public_class_and_function_says_what_is_true_afterwards():
    wrong = []
    for path in sources():
        for node in tree(path).body:
            if (
                isinstance(node, ast.ClassDef | ast.FunctionDef)
                and not node.name.startswith("_")
                and not ast.get_docstring(node)
            ):
                wrong.append(f"{relative(path)}:{node.lineno} {node.name}")
    assert wrong == []


def test_no_module_is_called_by_what_it_is_not():
    wrong = [
        relative(path) for path in sources() if path.stem in ("utils", "util", "helpers", "helper", "common", "misc")
    ]
    assert wrong == []


def test_no_packages_below_tests():
    assert [relative(path) for path in (PROJECT / "tests").rglob("__init__.py")] == []


def test_nothing_is_left_for_later_in_the_code():
    wrong = [
        f"{relative(path)}:{number}"
        for path in sources()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if re.search(r"#.*\b(TODO|FIXME|XXX)\b", line)
    ]
    assert wrong == []
