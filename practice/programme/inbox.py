"""Register files as projects, clinics, points of entry and ministries would have sent them by an instant.

Belongs here: the synthetic numbers and the files. Every number is a pure function of seed and period, so a week more of the
simulated clock adds rows and changes none. Does not belong here: anything real.
"""

import csv
import io
import os
import random
from collections.abc import Callable, Iterable, Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from assets.programme.read import COLUMNS

HANOI = ZoneInfo("Asia/Ho_Chi_Minh")
SEED = 20260706
FIRST_YEAR = 2023
MEMBERS = ("BRN", "KHM", "IDN", "LAO", "MYS", "MMR", "PHL", "SGP", "THA", "TLS", "VNM")
AIRPORTS = ("HAN", "DAD", "CXR", "SGN", "PQC")
CROSSINGS = tuple(f"LAND{number}" for number in range(1, 7))
CAPACITIES = ("CARE", "TRANSPORT", "INSPECTION", "SAFETY", "VECTORS")
MINISTRIES = {
    "HEALTH": (1, 7, 12, 15), "LABOUR": (5, 6, 18, 22), "SECURITY": (4, 9, 10, 11), "FOREIGN_AFFAIRS": (8, 14, 19, 23),
    "DEFENCE": (10, 11),
}  # fmt: skip
"""Ministries with the Compact objectives of their invented tasks."""

Row = dict[str, str]


def _draw(*key: object) -> random.Random:
    return random.Random(":".join(str(part) for part in (SEED, *key)))


def _about(middle: float, *key: object, spread: float = 0.15) -> int:
    """A whole number near `middle`, always the same for the same key."""
    return max(0, round(middle * (1 + _draw(*key).uniform(-spread, spread))))


def _part(whole: int, share: float, *key: object) -> int:
    """How many of `whole` fall in a part of about `share`: never more than the whole."""
    draw = _draw("part", *key)
    return (
        sum(draw.random() < share for _ in range(whole))
        if whole < 2000
        else min(whole, _about(whole * share, *key, spread=0.02))
    )


def _row(register: str, area: str, period: str, number: float, **codes: str) -> Row:
    return {
        **dict.fromkeys(COLUMNS, ""),
        "register": register,
        "area": area,
        "period": period,
        "number": f"{number:g}" if number < 1e6 else f"{number:.0f}",
        **codes,
    }


def _years(on: date) -> Iterator[int]:
    """Years whose registers have been sent: from mid-February of the year after."""
    return (year for year in range(FIRST_YEAR, on.year) if on >= date(year + 1, 2, 15))


def _quarters(on: date) -> Iterator[str]:
    for year in range(FIRST_YEAR, on.year + 1):
        for quarter in range(1, 5):
            closes = date(year + (quarter == 4), (3 * quarter) % 12 + 1, 1)
            if on >= closes + timedelta(days=20):
                yield f"{year}Q{quarter}"


def _weeks(on: date) -> Iterator[str]:
    monday = date(2026, 1, 5)
    while monday + timedelta(days=9) <= on:
        year, week, _ = monday.isocalendar()
        yield f"{year}W{week}"
        monday += timedelta(days=7)


def _project(on: date) -> Iterator[Row]:
    """IOM project registers: trainings, handbooks, beneficiaries and points of entry."""
    for quarter in _quarters(on):
        for area, middle in (("VNM", 14), ("KHM", 9)):
            for sex in ("F", "M"):
                for cadre in ("DOCTOR", "NURSE", "OTHER"):
                    number = _about(middle / 4, "training", quarter, area, sex, cadre, spread=0.5)
                    yield _row("trainings", area, quarter, number, sex=sex, category=cadre)
        for destination, middle in (("JPN", 1900), ("KOR", 700), ("TWN", 400)):
            for channel in ("PRINT", "DIGITAL"):
                number = _about(middle, "handbook", quarter, destination, channel)
                yield _row("handbooks", "VNM", quarter, number, destination=destination, category=channel)
    for year in _years(on):
        for kind, middle in (("FRONTLINE", 130), ("GOVERNMENT", 17), ("CITIZENS", 1000)):
            yield _row("beneficiaries", "VNM", str(year), _about(middle, "beneficiary", year, kind), category=kind)
        for places in (CROSSINGS, AIRPORTS):
            meeting = min(len(places), year - FIRST_YEAR + 2)
            for number, place in enumerate(places):
                # A point that does not meet all lacks one, always the same until it has it.
                lacking = None if number < meeting else CAPACITIES[number % len(CAPACITIES)]
                for capacity in CAPACITIES:
                    has = int(capacity != lacking)
                    yield _row("poe_capacities", "VNM", str(year), has, category=f"{place}/{capacity}")
        yield _row("funding", "VNM", str(year), _about(400_000, "funding", year), category="PRACTICE_DONOR")


def _points_of_entry(on: date) -> Iterator[Row]:
    """Weekly reports of arrivals and suspected events, zeros written."""
    for week in _weeks(on):
        for place in (*AIRPORTS, *CROSSINGS):
            middle = {"SGN": 95_000, "HAN": 80_000}.get(place, 18_000 if place in AIRPORTS else 6_000)
            arrivals = _about(middle, "arrivals", week, place)
            expected = arrivals * 12 / 100_000
            events = min(arrivals, sum(_draw("events", week, place).random() < expected / 40 for _ in range(40)))
            yield _row("poe_arrivals", "VNM", week, arrivals, category=place)
            yield _row("poe_events", "VNM", week, events, category=place)


def _clinics(on: date) -> Iterator[Row]:
    """Returns of clinics and programmes: tuberculosis and HIV."""
    for area, size in (("VNM", 1.0), ("KHM", 0.4)):
        for quarter in _quarters(on):
            for sex, share in (("F", 0.35), ("M", 0.65)):
                notified = _about(2_600 * size * share, "notified", area, quarter, sex)
                yield _row("tb_hiv_status_asked", area, quarter, notified, sex=sex)
                known = _part(notified, 0.86, "known", area, quarter, sex)
                yield _row("tb_hiv_status_known", area, quarter, known, sex=sex)
                screened = _about(1_900 * size, "screened", area, quarter, sex)
                yield _row("tb_screening_screened", area, quarter, screened, sex=sex)
                found = _part(screened, 0.007, "found", area, quarter, sex)
                yield _row("tb_screening_found", area, quarter, found, sex=sex)
            for age, share in (("Y0T4", 0.2), ("Y_GE5", 0.8)):
                contacts = _about(1_500 * size * share, "contacts", area, quarter, age)
                yield _row("tb_contacts_identified", area, quarter, contacts, age=age)
                yield _row(
                    "tb_contacts_screened", area, quarter, _part(contacts, 0.7, "contact", area, quarter, age), age=age
                )
        for year in _years(on):
            for sex, share in (("F", 0.3), ("M", 0.7)):
                started = _about(420 * size * share, "rr", area, year, sex)
                yield _row("tb_rr_started", area, str(year), started, sex=sex)
                yield _row("tb_rr_success", area, str(year), _part(started, 0.75, "rr", area, year, sex), sex=sex)
                living = _about(24_000 * size * share, "plhiv", area, year, sex, spread=0.03)
                diagnosed = _part(living, 0.88, "diagnosed", area, year, sex)
                treated = _part(diagnosed, 0.85, "treated", area, year, sex)
                tested = _part(treated, 0.7, "tested", area, year, sex)
                suppressed = _part(tested, 0.95, "suppressed", area, year, sex)
                for register, number in (
                    ("hiv_living_estimated", living), ("hiv_diagnosed", diagnosed), ("hiv_on_treatment", treated),
                    ("hiv_viral_tested", tested), ("hiv_viral_suppressed", suppressed),
                ):  # fmt: skip
                    yield _row(register, area, str(year), number, sex=sex)


def _ministries(on: date) -> Iterator[Row]:
    """Plan tasks, labour force by province, and remittance services by corridor."""
    for year in _years(on):
        for ministry, objectives in MINISTRIES.items():
            for objective in objectives:
                category = f"{ministry}/GCM{objective}"
                due = _about(2.5, "due", year, category, spread=0.6)
                yield _row("gcm_tasks_due", "VNM", str(year), due, category=category)
                done = _part(due, 0.7, "done", year, category)
                yield _row("gcm_tasks_completed", "VNM", str(year), done, category=category)
        for province in LABOUR_FORCE:
            for sex in ("F", "M"):
                number = _about(LABOUR_FORCE[province] / 2, "force", province, sex, spread=0.05)
                yield _row("labour_force", province, str(year), number, sex=sex)
    for quarter in _quarters(on):
        for origin, area, services, middle in (
            ("JPN", "VNM", 5, 4.2), ("KOR", "VNM", 4, 3.1), ("MYS", "IDN", 4, 3.6), ("THA", "KHM", 3, 5.4), ("SGP", "MMR", 2, 6.0),
        ):  # fmt: skip
            for number in range(1, services + 1):
                cost = round(middle * (1 + _draw("cost", quarter, origin, area, number).uniform(-0.4, 0.6)), 2)
                yield _row(
                    "remittance_services",
                    area,
                    quarter,
                    cost,
                    origin=origin,
                    destination=area,
                    category=f"SERVICE{number}",
                )


LABOUR_FORCE = {
    "VN34-01": 4_300_000, "VN34-25": 2_000_000, "VN34-31": 2_300_000, "VN34-38": 1_900_000, "VN34-40": 1_700_000,
    "VN34-42": 700_000, "VN34-44": 900_000, "VN34-79": 7_200_000, "VN34-80": 1_700_000, "VN34-91": 2_500_000,
}  # fmt: skip
"""Round invented sizes of provincial labour forces; they only keep the practice rates in a readable range."""


def _victims(on: date) -> Iterator[Row]:
    """Victim support by receiving ministry; synthetic like everything here."""
    for year in _years(on):
        for ministry, middle in (("LABOUR", 70), ("SECURITY", 45), ("FOREIGN_AFFAIRS", 20), ("DEFENCE", 14)):
            for sex, share in (("F", 0.75), ("M", 0.25)):
                received = _about(middle * share, "victims", year, ministry, sex, spread=0.3)
                supported = _part(received, 0.85, "supported", year, ministry, sex)
                care = _part(supported, 0.5, "care", year, ministry, sex)
                for register, number in (
                    ("victims_received", received), ("victims_supported", supported), ("victims_with_care", care),
                ):  # fmt: skip
                    yield _row(register, "VNM", str(year), number, sex=sex, category=ministry)


FILES: dict[str, Callable[[date], Iterable[Row]]] = {
    "project_registers.csv": _project,
    "points_of_entry.csv": _points_of_entry,
    "clinic_returns.csv": _clinics,
    "ministry_registers.csv": _ministries,
}
VICTIM_FILES: dict[str, Callable[[date], Iterable[Row]]] = {"victim_support.csv": _victims}


def files_at(instant: datetime) -> dict[str, bytes]:
    """Name and bytes of every open register file as it stood at `instant`: a pure function of it."""
    return _written(FILES, instant)


def victim_files_at(instant: datetime) -> dict[str, bytes]:
    """The same of the registers of victim support."""
    return _written(VICTIM_FILES, instant)


def _written(files: dict[str, Callable[[date], Iterable[Row]]], instant: datetime) -> dict[str, bytes]:
    on = instant.astimezone(HANOI).date()
    found = {}
    for name, rows in files.items():
        stream = io.StringIO(newline="")
        writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows(on))
        found[name] = stream.getvalue().encode("utf-8")
    return found


def write_inbox(folder: Path, instant: datetime) -> list[Path]:
    """The inbox holds what was sent by `instant`. Files that are right already keep their bytes and their time."""
    return _put(folder, files_at(instant))


def write_victims(folder: Path, instant: datetime) -> list[Path]:
    """The same for the inbox of victim support."""
    return _put(folder, victim_files_at(instant))


def _put(folder: Path, files: dict[str, bytes]) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    written = []
    for name, data in files.items():
        path = folder / name
        if path.exists() and path.read_bytes() == data:
            continue
        partial = folder / f".{name}.part"
        partial.write_bytes(data)
        os.replace(partial, path)
        written.append(path)
    return written
