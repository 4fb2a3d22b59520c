"""SDMX files of a release: the structure and the data in SDMX-ML 2.1, and the data in SDMX-CSV.

Belongs here: mapping the observation columns to SDMX dimensions, measures and attributes, and writing them with `sdmx1`.
Does not belong here: the codes themselves (code lists of the catalogue).
"""

from pathlib import Path

from warehouse.publishing.content import ReleaseContent


def write_sdmx(content: ReleaseContent, folder: Path) -> None:
    folder.mkdir()
