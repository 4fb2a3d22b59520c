"""SDMX-CSV (1.0 and 2.0) -> figures: what ILOSTAT answers, and what others put into the inbox.

Source: the SDMX-CSV field guide of the SDMX technical working group (columns DATAFLOW, or STRUCTURE / STRUCTURE_ID / ACTION, then the
dimensions, TIME_PERIOD, OBS_VALUE, attributes; with labels=both each code is followed by its name). Does not belong here: HTTP, files.
"""

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence

from assets.reference.feeds import Ask, Feed, Figure
from assets.reference.read import ReferenceFault

CSV_1 = "application/vnd.sdmx.data+csv;version=1.0.0"
_NOT_DIMENSIONS = {
    "DATAFLOW", "STRUCTURE", "STRUCTURE_ID", "STRUCTURE_NAME", "ACTION", "REF_AREA", "FREQ", "MEASURE", "INDICATOR", "TIME_PERIOD",
    "OBS_VALUE", "OBS_STATUS", "UNIT_MEASURE", "UNIT_MEASURE_TYPE", "UNIT_MULT", "SOURCE", "NOTE_SOURCE", "NOTE_INDICATOR", "NOTE_CLASSIF",
    "DECIMALS", "UPPER_BOUND", "LOWER_BOUND",
}  # fmt: skip
_FLOW = re.compile(r"^(?P<agency>[^:]+):(?P<flow>[^(]+)\((?P<version>[^)]*)\)$")


def is_sdmx_csv(header: Sequence[str]) -> bool:
    """True when the first column is one that only SDMX-CSV begins with."""
    return bool(header) and _code(header[0]) in ("DATAFLOW", "STRUCTURE")


def _code(text: str) -> str:
    """The code of `code: name`, as columns and cells come with labels=both."""
    return text.split(": ")[0].strip()


def table(body: bytes) -> list[dict[str, str]]:
    """The rows of an SDMX-CSV message, codes only. Raises ReferenceFault when a needed column is missing."""
    rows = [
        {_code(column): _code(text or "") for column, text in row.items() if column is not None}
        for row in csv.DictReader(io.StringIO(body.decode("utf-8-sig"), newline=""))
    ]
    if rows:
        missing = [name for name in ("REF_AREA", "TIME_PERIOD", "OBS_VALUE") if name not in rows[0]]
        if missing:
            raise ReferenceFault(
                f"SDMX-CSV: columns {missing} are missing; found {sorted(rows[0])}; save it as SDMX-CSV with all dimensions.",
                file="sdmx-csv",
            )
    return rows


def flow_of(row: Mapping[str, str]) -> tuple[str, str]:
    """Dataflow and version of a row: `ILO:DF_X(1.0)` is DF_X and 1.0. Raises ReferenceFault for another form."""
    text = row.get("DATAFLOW") or row.get("STRUCTURE_ID") or ""
    match = _FLOW.match(text)
    if match is None:
        raise ReferenceFault(f"SDMX-CSV: {text!r} is no dataflow; expected AGENCY:FLOW(VERSION)", file="sdmx-csv")
    return match["flow"].strip(), match["version"]


class Ilostat:
    """ILOSTAT as one of the services; its whole answer is one message."""

    def release(self, feed: Feed) -> Ask | None:
        """None: the message names its dataflow and version."""
        return None

    def first(self, feed: Feed, remote: str, areas: Mapping[str, str]) -> Ask:
        """One dataflow; the members are picked from the answer, because the order of its dimensions is the flow's own."""
        return Ask(path=f"data/ILO,{remote},1.0/all", parameters=(("startPeriod", "1990"),), accept=CSV_1)

    def following(self, ask: Ask, body: bytes) -> Ask | None:
        """None: SDMX-CSV is not paged."""
        table(body)
        return None

    def figures(self, body: bytes, name: str) -> Iterator[Figure]:
        """One figure per row of a year; a row that a message wants deleted is no figure."""
        for number, row in enumerate(table(body), start=2):
            if row.get("ACTION", "I") not in ("", "I", "A", "R") or not row["TIME_PERIOD"].isdigit():
                continue
            yield Figure(
                area=row["REF_AREA"], year=row["TIME_PERIOD"], value=row["OBS_VALUE"] or None,
                lower=row.get("LOWER_BOUND") or None, upper=row.get("UPPER_BOUND") or None,
                nature=row.get("OBS_STATUS") or None, pointer=f"{name}:{number}",
                dimensions={key: code for key, code in row.items() if key not in _NOT_DIMENSIONS and code},
            )  # fmt: skip

    def edition(self, feed: Feed, bodies: Sequence[bytes], release: bytes | None) -> str:
        """ILOSTAT is a live database: version of the dataflow and the latest year in it."""
        rows = table(bodies[0])
        if not rows:
            return "ilostat_empty"
        latest = max((row["TIME_PERIOD"] for row in rows if row["TIME_PERIOD"].isdigit()), default="none")
        return f"ilostat{flow_of(rows[0])[1].replace('.', '_')}_to{latest}"
