"""What holds for every test: hypothesis judges what a program says, never how long a loaded machine takes to say it."""

import pytest
from hypothesis import settings

settings.register_profile("house", deadline=None)
settings.load_profile("house")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--write-page", action="store_true", help="Write what the March question's play said into docs/time.md."
    )
