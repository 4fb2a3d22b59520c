"""A data set of any size for benchmarks: values made from their coordinates while they are sent, never held.

One facility has 60 months x 200 cells = 12 000 values, so the number of facilities follows from the size asked for. The
figures mean nothing.
"""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

from practice.world.definitions import DEFAULT_OPTION_COMBO
from practice.world.draws import uid

FIRST_YEAR, YEARS = 2021, 5
ELEMENTS, COMBOS = 20, 10
FACILITIES_PER_DISTRICT = 25
PER_FACILITY = YEARS * 12 * ELEMENTS * COMBOS


class Bulk:
    """The synthetic data set `BULK` with at least `values` data values on one server."""

    def __init__(self, server: str, values: int) -> None:
        self.server = server
        self.facilities = max(1, -(-values // PER_FACILITY))
        self.values = self.facilities * PER_FACILITY
        self.root = uid(server, "bulk", "root")
        self.data_set_uid = uid(server, "bulk", "data set")
        self.element_uids = [uid(server, "bulk", "element", n) for n in range(ELEMENTS)]
        self.combo_uids = [uid(server, "bulk", "combo", n) for n in range(COMBOS)]
        self.paths: dict[str, str] = {self.root: f"/{self.root}"}
        self.facility_uids: list[str] = []
        district = ""
        for n in range(self.facilities):
            if n % FACILITIES_PER_DISTRICT == 0:
                district = uid(server, "bulk", "district", n)
                self.paths[district] = f"/{self.root}/{district}"
            facility = uid(server, "bulk", "facility", n)
            self.facility_uids.append(facility)
            self.paths[facility] = f"/{self.root}/{district}/{facility}"

    def settings(self) -> dict[str, Any]:
        """The data set as an entry of [[dhis2.data_set]] of the settings."""
        return {
            "uid": self.data_set_uid, "code": "BULK", "name": "Bulk", "period_type": "Monthly", "timely_days": 15,
            "elements": {u: f"BULK_{n}" for n, u in enumerate(self.element_uids)},
            "category_option_combos": {u: {"age": f"Y{n}"} for n, u in enumerate(self.combo_uids)},
        }  # fmt: skip

    def data_set(self) -> dict[str, Any]:
        """The data set as metadata."""
        return {
            "id": self.data_set_uid, "code": "BULK", "name": "Bulk", "shortName": "Bulk", "periodType": "Monthly", "timelyDays": 15.0,
            "dataSetElements": [{"dataElement": {"id": u}, "dataSet": {"id": self.data_set_uid}} for u in self.element_uids],
            "organisationUnits": [{"id": u} for u in self.facility_uids],
        }  # fmt: skip

    def elements(self) -> list[dict[str, Any]]:
        """The data elements as metadata."""
        return [
            {"id": u, "code": f"BULK_{n}", "name": f"Bulk {n}", "shortName": f"Bulk {n}", "valueType": "INTEGER",
             "domainType": "AGGREGATE", "aggregationType": "SUM", "zeroIsSignificant": True,
             "dataSetElements": [{"dataSet": {"id": self.data_set_uid}}]}
            for n, u in enumerate(self.element_uids)
        ]  # fmt: skip

    def option_combos(self) -> list[dict[str, Any]]:
        """The category option combinations as metadata."""
        return [{"id": u, "name": f"Bulk {n}"} for n, u in enumerate(self.combo_uids)]

    def blocks(self, start: date, end: date, units: set[str]) -> Iterator[tuple[str, str]]:
        """The (period, facility) pairs whose period lies within the range and whose facility is wanted."""
        for month in range(YEARS * 12):
            year, number = FIRST_YEAR + month // 12, month % 12 + 1
            first = date(year, number, 1)
            last = date(year + number // 12, number % 12 + 1, 1) - timedelta(days=1)
            if first < start or last > end:
                continue
            for facility in self.facility_uids:
                if facility in units:
                    yield f"{year}{number:02d}", facility

    def csv(self, start: date, end: date, units: set[str]) -> Iterator[bytes]:
        """The rows as CSV, one block of 200 rows for each period and facility."""
        tail = ',"clerk","2026-01-15T02:00:00.000+0000",,"false",\n'
        template = "".join(
            f'"{e}","@P","@U","{c}","{DEFAULT_OPTION_COMBO}","{(7 * i + 3 * j) % 90}"{tail}'
            for i, e in enumerate(self.element_uids)
            for j, c in enumerate(self.combo_uids)
        )
        for period, facility in self.blocks(start, end, units):
            yield template.replace("@P", period).replace("@U", facility).encode()

    def json_rows(self, start: date, end: date, units: set[str]) -> Iterator[bytes]:
        """The rows as comma-separated JSON objects, one block for each period and facility."""
        template = ",".join(
            f'{{"dataElement":"{e}","period":"@P","orgUnit":"@U","categoryOptionCombo":"{c}",'
            f'"attributeOptionCombo":"{DEFAULT_OPTION_COMBO}","value":"{(7 * i + 3 * j) % 90}","storedBy":"clerk",'
            '"created":"2026-01-15T02:00:00.000+0000","lastUpdated":"2026-01-15T02:00:00.000+0000","followup":false}'
            for i, e in enumerate(self.element_uids)
            for j, c in enumerate(self.combo_uids)
        )
        first = True
        for period, facility in self.blocks(start, end, units):
            block = template.replace("@P", period).replace("@U", facility)
            yield (block if first else "," + block).encode()
            first = False
