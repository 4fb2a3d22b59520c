"""What holds for every test: hypothesis judges what a program says, never how long a loaded machine takes to say it."""

import pytest
from hypothesis import settings

settings.register_profile("house", deadline=None)
settings.load_profile("house")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--write-page", action="store_true", help="Write what the March question's play said into docs/time.md."
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long plays come first, so that no worker is left with one of them while the others have ended: the last 6 % of the suite
    took 3 of its 19 minutes on one core. (`make test` keeps this order; pytest-xdist would put modules with many tests first.)"""
    items.sort(key=lambda item: "/tests/flow/" not in item.path.as_posix())
