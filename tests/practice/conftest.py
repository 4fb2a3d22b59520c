"""Fixtures for the practice ground: one world for the session, and servers of any version without sockets."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

import pytest

from practice.dhis2.application import Application
from practice.dhis2.instance import Instance, Limits
from practice.dhis2.messages import Answer, Request
from practice.world.region import World

INSTANT = datetime(2026, 7, 5, 22, 0, tzinfo=UTC)
CREDENTIALS = {"authorization": "ApiToken practice-token", "x-requested-with": "XMLHttpRequest"}


class Asked:
    """One answer, read."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.status = answer.status
        self.headers = answer.headers
        self.content_type = answer.content_type
        self.content = answer.body if isinstance(answer.body, bytes) else b"".join(answer.body)

    @property
    def text(self) -> str:
        return self.content.decode()

    def json(self) -> Any:
        return json.loads(self.content)


class Played:
    """A practice server that is asked without a socket."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.application = Application(instance)

    def get(self, path: str, sent: dict[str, str] | None = None, method: str = "GET", **parameters: object) -> Asked:
        bare, _, query = path.partition("?")
        pairs = parse_qsl(query, keep_blank_values=True)
        for name, value in parameters.items():
            values = value if isinstance(value, list) else [value]
            pairs += [(name, str(v).lower() if isinstance(v, bool) else str(v)) for v in values]
        headers = CREDENTIALS if sent is None else sent
        return Asked(self.application.answer(Request(method, bare, tuple(pairs), headers)))


@pytest.fixture(scope="session")
def world() -> World:
    return World(20260706)


@pytest.fixture(scope="session")
def lean_world(world: World) -> World:
    """The same figures with a third of the patients: what a server answers does not depend on how many there are."""
    lean = World(world.seed, weekly_episodes=7)
    lean.aggregates = world.aggregates
    return lean


@pytest.fixture
def play(lean_world: World) -> Callable[..., Played]:
    """Makes a server: play("2.41", "short-pages", server="khm", at=..., limits=...)."""

    def make(
        version: str = "2.42",
        *quirks: str,
        server: str = "vnm",
        at: datetime = INSTANT,
        limits: Limits | None = None,
        bulk: int = 0,
    ) -> Played:
        return Played(
            Instance(lean_world, server, lambda: at, version=version, quirks=quirks, limits=limits, bulk_values=bulk)
        )

    return make
