"""The static site of a release: one folder per language, each page whole in itself, no request to anywhere.

Belongs here: which modules make pages, the navigation, and putting pages into templates. Does not belong here: the content of a
page. A new kind of page is one module with `pages(site)` that stands in `MAKERS`; with `nav` it also stands in the navigation.
"""

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import polars as pl
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from warehouse.publishing import wording
from warehouse.publishing.content import ReleaseContent
from warehouse.publishing.pages import (
    asean_page,
    change_page,
    claim_page,
    corridor_page,
    indicator_page,
    notes_page,
    overview_page,
    quality_page,
    table_page,
)
from warehouse.publishing.pages.page import Page, Site

LANGUAGES = ("en", "vi")
MAKERS: tuple[Callable[[Site], Iterator[Page]], ...] = (
    overview_page.pages,
    asean_page.pages,
    table_page.pages,
    indicator_page.pages,
    corridor_page.pages,
    quality_page.pages,
    change_page.pages,
    claim_page.pages,
    notes_page.pages,
)
"""Who makes pages, in the order of the navigation."""
_TEMPLATES = Path(__file__).parent / "templates"


def write_pages(content: ReleaseContent, observation_versions: pl.DataFrame, folder: Path) -> None:
    """`folder` holds index.html, en/ and vi/ with every page; each names itself, its language and its twin in the other."""
    environment = _environment()
    css, js = (Markup((_TEMPLATES / name).read_text(encoding="utf-8")) for name in ("style.css", "site.js"))
    door = environment.get_template("door.html")
    _write(
        folder / "index.html",
        door.render(css=css, content=content, text=wording.text, tables=content.catalogue.regional.tables),
    )
    for language in LANGUAGES:
        (folder / language).mkdir()
        site = Site(content, observation_versions, language)
        pages = [page for make in MAKERS for page in make(site)]
        navigation = [(page.name, page.nav) for page in pages if page.nav]
        for page in pages:
            text = environment.get_template(page.template).render(
                css=css,
                js=js,
                content=content,
                language=language,
                other="en" if language == "vi" else "vi",
                page=page.name,
                title=page.title,
                description=page.description,
                navigation=navigation,
                released_on=site.released_on,
                say=site.say,
                symbols=site.symbols,
                **page.values,
            )
            _write(folder / language / page.name, text)


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")
