"""`mhwg practice`: the only code outside the practice ground that imports it."""

import json
import os
import shutil
import sys
import threading
from datetime import datetime
from pathlib import Path

from pipelines.cli.console import console
from pipelines.failures import Exit, Refused
from pipelines.settings import Settings, load_settings
from practice.clock import PracticeClock
from warehouse.locks import held


def _practice_settings() -> Settings:
    settings = load_settings()
    if not settings.practice:
        raise Refused(
            f"{settings.file.name} names real sources; the practice ground is for installations without a settings file.",
            Exit.SETTINGS,
        )
    return settings


def clock_of(settings: Settings) -> PracticeClock:
    """The simulated clock of this installation."""
    return PracticeClock(settings.state_folder / "practice")


def fill_inboxes(settings: Settings, instant: datetime) -> None:
    """The inboxes hold what the providers would have sent by `instant`; files already there are left alone."""
    from practice.labour import write_inbox as write_labour
    from practice.programme import write_inbox as write_programme
    from practice.programme import write_victims
    from practice.survey.files import write_inbox as write_survey

    for write, source in (
        (write_labour, settings.labour),
        (write_survey, settings.survey),
        (write_programme, settings.programme),
        (write_victims, settings.victims),
    ):
        folder = settings.inbox(source)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        write(folder, instant)


def serve(ready_file: str | None, version: str, quirks: tuple[str, ...], random_seed: int | None = None) -> int:
    """The practice servers answer until standard input closes (with a ready file) or Ctrl-C.

    With `random_seed` three quirks are drawn, under which a pull must still end with everything; the same seed draws the same.
    """
    from practice.dhis2 import serve as serve_dhis2
    from practice.dhis2.quirks import VERSIONS, at_random, played
    from practice.world.region import World

    settings = _practice_settings()
    if version not in VERSIONS:
        raise Refused(f"--version {version}: there are {', '.join(VERSIONS)}.", Exit.USAGE)
    if random_seed is not None:
        quirks += at_random(random_seed, version)
    try:
        played(version, quirks)
    except ValueError as fault:
        raise Refused(f"--quirk: {fault}.", Exit.USAGE) from fault
    clock = clock_of(settings)
    with held(
        settings.state_folder / "locks" / "inboxes.lock", "the practice inboxes", "practice serve", patience_seconds=60
    ):
        fill_inboxes(settings, clock.instant())
    running = serve_dhis2(World(clock.seed), clock, settings.dhis2_codes(), version=version, quirks=quirks)
    try:
        if ready_file:
            target = Path(ready_file)
            aside = target.with_suffix(".part")
            aside.write_text(
                json.dumps({"instant": clock.instant().isoformat(), "urls": dict(running.urls)}), encoding="utf-8"
            )
            os.replace(aside, target)
            sys.stdin.read()
        else:
            for code, url in running.urls.items():
                console().print(f"[bold]{code}[/]  {url}/api/system/info   (Authorization: ApiToken practice-token)")
            if quirks:
                console().print(f"Quirks beside those of {version}: {', '.join(quirks)}")
            console().print(f"Simulated time: {clock.instant().isoformat()}. Ctrl-C ends.")
            _sleep_until_interrupted()
    except KeyboardInterrupt:
        pass
    finally:
        running.stop()
    return Exit.DONE


def advance(weeks: int, *, as_json: bool = False) -> int:
    """Simulated time has moved on."""
    instant = clock_of(_practice_settings()).advance(weeks)
    if as_json:
        print(json.dumps({"instant": instant.isoformat()}))
        return Exit.DONE
    console().print(f"The practice ground stands at {instant:%Y-%m-%d %H:%M} UTC. `mhwg refresh` brings what changed.")
    return Exit.DONE


def reset(*, yes: bool, as_json: bool = False) -> int:
    """The practice state is gone; the next refresh starts over."""
    settings = _practice_settings()
    folder = settings.state_folder
    if not yes:
        raise Refused(
            f"this removes {folder} with the practice warehouse and its releases; say so with --yes.", Exit.USAGE
        )
    if folder.exists() and not (folder / "practice").exists():
        raise Refused(f"{folder} has no practice folder in it, so it is left alone.", Exit.REFUSED)
    shutil.rmtree(folder, ignore_errors=True)
    if as_json:
        print(json.dumps({"removed": str(folder)}))
    else:
        console().print("The practice ground starts over.")
    return Exit.DONE


def _sleep_until_interrupted() -> None:
    threading.Event().wait()
