"""Survey files from the inbox folder, landed as coded tables without the columns that identify people.

What is landed is not the delivered file: only the variables that the recode names are read, as text codes, and written as Parquet
with their labels beside them. The delivered file stays where the office put it. Meaning is given later (`payload`).
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from fnmatch import fnmatch
from io import BytesIO
from pathlib import Path

import polars as pl

from assets.inbox import Intake, standing_files
from assets.survey.declarations import Recode, SourceFile
from assets.survey.faults import SurveyFault
from assets.survey.readers import SUFFIXES, describe, read
from warehouse.landing import Pull, Receipt

PullFactory = Callable[[str], Pull]
"""Part code (survey and wave) -> a pull of the survey source."""


def landed_digests(receipts: list[Receipt]) -> set[str]:
    """Digests of the deliveries that these receipts came from, each together with the recode that it was read by."""
    return {str(receipt.parameters["delivery"]) for receipt in receipts if "delivery" in receipt.parameters}


def pull_inbox(
    folder: Path, pull_factory: PullFactory, landed: set[str], recodes: Mapping[tuple[str, str], Recode]
) -> Intake:
    """Every wave whose files are all in the inbox, and are new or read by a changed recode, is landed.

    A fault of one wave does not keep the others out; files that no recode knows are named among the faults.
    """
    pulled = Intake()
    files = standing_files(complete_files(folder))
    claimed: set[Path] = set()
    for key in sorted(recodes):
        plan = recodes[key]
        found = {file.role: [path for path in files if fnmatch(path.name, file.name)] for file in plan.files}
        claimed.update(path for paths in found.values() for path in paths)
        if not any(found.values()):
            continue
        try:
            chosen = _one_each(plan, found)
            delivery = _digest(plan, chosen)
            if delivery in landed:
                pulled.known.append(plan.part_code)
                continue
            pulled.receipts.append(_land(plan, chosen, delivery, pull_factory(plan.part_code)))
        except SurveyFault as fault:
            pulled.faults.append(f"{plan.part_code}: {fault}")
    for path in files:
        beside = [other for other in claimed if other.stem == path.stem]
        if path not in claimed and not (path.suffix.lower() == ".xml" and beside):
            pulled.faults.append(
                f"{path.name}: no recode in assets/survey/recodes names this file; draft one with survey inspect"
            )
    return pulled


def complete_files(folder: Path) -> list[Path]:
    """The survey files of an inbox with their codebooks, in name order; an empty list when there is no folder yet."""
    if not folder.is_dir():
        return []
    wanted = (*SUFFIXES, ".xml")
    return sorted(
        p for p in folder.iterdir() if p.is_file() and not p.name.startswith((".", "~$")) and p.suffix.lower() in wanted
    )


def _one_each(plan: Recode, found: Mapping[str, list[Path]]) -> dict[str, Path]:
    """One file per role. Raises: `SurveyFault` when a role has none or several; the provider must say which one counts."""
    chosen = {}
    for file in plan.files:
        paths = found[file.role]
        if len(paths) != 1:
            names = ", ".join(path.name for path in paths) or "none"
            raise SurveyFault(
                f"{file.role} file {file.name}: exactly one expected in the inbox, found {names}", file=file.name
            )
        chosen[file.role] = paths[0]
    return chosen


def _digest(plan: Recode, chosen: Mapping[str, Path]) -> str:
    """Digest of the delivered bytes and of what the recode reads of them: a new recode column reads an old file again."""
    digest = hashlib.sha256()
    for file in plan.files:
        for path in _with_codebook(chosen[file.role]):
            digest.update(path.read_bytes())
        digest.update(json.dumps([file.role, plan.sources_of(file)]).encode())
    digest.update(plan.model_dump_json().encode())
    return digest.hexdigest()


def _with_codebook(path: Path) -> list[Path]:
    codebook = path.with_suffix(".xml")
    return [path, codebook] if codebook.exists() else [path]


def _land(plan: Recode, chosen: Mapping[str, Path], delivery: str, pull: Pull) -> Receipt:
    """The coded tables of one wave stand in the landing; keys of households and persons are running numbers by then."""
    pull.restart()
    numbers: dict[tuple[str, ...], dict[str, int]] = {}
    persons = 0
    for file in plan.files:
        path = chosen[file.role]
        columns = plan.sources_of(file)
        data = read(path, columns)
        frame = _number_keys(data.frame, file, numbers)
        buffer = BytesIO()
        frame.write_parquet(buffer, compression="zstd", statistics=False)
        pull.write(f"{file.role}.parquet", buffer.getvalue())
        unread = sorted(set(describe(path)) - set(columns))
        described = {
            "file": path.name,
            "identifiers_dropped": [name for name in unread if name in file.identifiers],
            "variables_not_read": [name for name in unread if name not in file.identifiers],
            "variables": {name: asdict(variable) for name, variable in data.variables.items()},
        }
        pull.write(f"{file.role}.json", json.dumps(described, ensure_ascii=False, indent=1, sort_keys=True).encode())
        if file.role == plan.files[0].role:
            persons = frame.height
    names = [chosen[file.role].name for file in plan.files]
    delivered = [path for role in chosen for path in _with_codebook(chosen[role])]
    parameters = {
        "survey_code": plan.survey_code,
        "wave_code": plan.wave_code,
        "delivery": delivery,
        "files": names,
        "sha256": [hashlib.sha256(path.read_bytes()).hexdigest() for path in delivered],
    }
    return pull.finish("survey_wave", f"inbox:{names[0]}", parameters, persons)


def _number_keys(frame: pl.DataFrame, file: SourceFile, numbers: dict[tuple[str, ...], dict[str, int]]) -> pl.DataFrame:
    """`frame` with each key column replaced by a running number that is the same in every file of the wave.

    Household and line numbers of a questionnaire can be looked up in the office's lists; order of first appearance cannot.
    """
    if not file.keys:
        return frame
    for depth in range(1, len(file.keys) + 1):
        known = numbers.setdefault(("key",) * depth, {})
        path = pl.concat_str([pl.col(name).fill_null("") for name in file.keys[:depth]], separator="|")
        for value in frame.select(path.alias("key"))["key"].unique(maintain_order=True):
            known.setdefault(value, len(known) + 1)
    replaced = []
    for depth, name in enumerate(file.keys, start=1):
        path = pl.concat_str([pl.col(part).fill_null("") for part in file.keys[:depth]], separator="|")
        replaced.append(
            path.replace_strict(numbers[("key",) * depth], return_dtype=pl.Int64).cast(pl.String).alias(name)
        )
    return frame.with_columns(replaced)
