"""The practice servers as a child process: started once for a run, early or when asked for, and gone afterwards."""

import urllib.request
from pathlib import Path

import pytest

from pipelines import practice_ground as module
from pipelines.failures import SettingsError
from pipelines.practice_ground import practice_ground, starting_ground
from pipelines.settings import Settings, load_settings


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.delenv("MHWG_SETTINGS", raising=False)
    monkeypatch.setenv("MHWG_STATE", str(tmp_path / "var"))
    return load_settings()


@pytest.fixture
def children(monkeypatch: pytest.MonkeyPatch) -> list[module._Child]:
    """Every child that is started, in order."""
    made: list[module._Child] = []
    start = module._started

    def noted(settings: Settings) -> module._Child:
        made.append(start(settings))
        return made[-1]

    monkeypatch.setattr(module, "_started", noted)
    return made


def left(settings: Settings) -> list[str]:
    return [
        path.name
        for path in (settings.state_folder / "practice").iterdir()
        if "servers" in path.name or "ready" in path.name
    ]


def test_servers_started_early_are_those_of_the_run_and_gone_after_it(
    settings: Settings, children: list[module._Child]
):
    with starting_ground(settings):
        with practice_ground(settings) as ground:
            assert ground.urls is not None
            for url in ground.urls.values():
                with urllib.request.urlopen(url, timeout=60) as answer:  # the login page: somebody is there
                    assert answer.status == 200
        assert len(children) == 1
        assert children[0].process.poll() is not None
        with practice_ground(settings):  # the early ones are taken: these are others
            assert len(children) == 2
    assert all(child.process.poll() is not None for child in children)
    assert left(settings) == []


def test_servers_that_no_run_took_are_gone(settings: Settings, children: list[module._Child]):
    with pytest.raises(RuntimeError, match="before the run"), starting_ground(settings):
        raise RuntimeError("before the run")
    assert [child.process.poll() is not None for child in children] == [True]
    assert left(settings) == []


def test_servers_that_cannot_start_say_why(settings: Settings, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module.sys, "executable", "/bin/false")
    with pytest.raises(SettingsError, match="did not start"), starting_ground(settings), practice_ground(settings):
        pass
    assert left(settings) == []


def test_real_sources_start_nothing(settings: Settings, children: list[module._Child]):
    real = settings.model_copy(update={"practice": False})
    with starting_ground(real), practice_ground(real) as ground:
        assert ground.urls is None
    assert children == []
