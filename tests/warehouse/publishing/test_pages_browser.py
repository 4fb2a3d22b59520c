"""The pages in a real browser: no request to anywhere, phone and desktop width, both languages, light and dark, print."""

import re
import shutil
from itertools import pairwise

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        CHROMIUM is None, reason="No Chromium on this machine; install Debian's chromium to run these tests."
    ),
]

PAGES = (  # one of each kind
    "index.html",
    "asean.html",
    "RT01.html",
    "RT02.html",
    "RT03.html",
    "RT04.html",
    "TB10.html",
    "LM01.html",
    "changes.html",
    "notes.html",
    "indicators.html",
    "corridors.html",
    "quality.html",
    "dictionary.html",
    "claims.html",
)

CONTRAST = """
() => {
  const luminance = (rgb) => {
    const [r, g, b] = rgb.map((v) => { v /= 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const parse = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
  const behind = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const colour = parse(getComputedStyle(e).backgroundColor);
      if (colour.length === 3 || colour[3] > 0.99) return colour.slice(0, 3);
    }
    return [255, 255, 255];
  };
  const weak = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    const box = element.getBoundingClientRect();
    if (!own || !box.width || element.closest("svg, .sr, .skip, script")) continue;
    const style = getComputedStyle(element);
    const pair = [luminance(parse(style.color)), luminance(behind(element))].sort((a, b) => b - a);
    const ratio = (pair[0] + 0.05) / (pair[1] + 0.05);
    const isLarge = parseFloat(style.fontSize) >= 24;
    if (ratio < (isLarge ? 3 : 4.5)) weak.push([element.tagName, element.textContent.trim().slice(0, 30), ratio.toFixed(2)]);
  }
  return weak;
}
"""


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield opened
        opened.close()


@pytest.fixture
def visit(browser, released):
    """Opens a page of the release; the page's `asked` lists every address it requested and `faults` its script errors."""
    contexts = {}

    def opened(name, width=1280, scheme="light"):
        if (width, scheme) not in contexts:
            contexts[width, scheme] = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        page = contexts[width, scheme].new_page()
        page.asked, page.faults = [], []
        page.on("request", lambda request: page.asked.append(request.url))
        page.on("pageerror", lambda error: page.faults.append(str(error)))
        page.on("console", lambda message: page.faults.append(message.text) if message.type == "error" else None)
        page.goto(f"file://{released.folder}/{name}")
        return page

    yield opened
    for context in contexts.values():
        context.close()


@pytest.mark.parametrize("language", ["en", "vi"])
def test_pages_ask_for_nothing_but_themselves(visit, released, language):
    for name in PAGES:
        page = visit(f"{language}/{name}")
        assert page.asked == [f"file://{released.folder}/{language}/{name}"]
        assert page.faults == []
    door = visit("index.html")
    assert door.asked == [f"file://{released.folder}/index.html"]


@pytest.mark.parametrize("language", ["en", "vi"])
def test_no_page_scrolls_sideways(visit, language):
    for name in [*PAGES, "../index.html"]:
        page = visit(f"{language}/{name}")
        for width in (360, 390, 768, 1280, 1900):
            page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate("document.documentElement.scrollWidth") <= width, (name, width)


@pytest.mark.parametrize("language", ["en", "vi"])
def test_pages_have_language_landmarks_headings_and_names(visit, language):
    for name in PAGES:
        page = visit(f"{language}/{name}")
        assert page.get_attribute("html", "lang") == language
        for landmark in ("header", "nav", "main", "footer"):
            assert page.locator(landmark).count() == 1, (name, landmark)
        assert page.locator("h1").count() == 1
        levels = page.eval_on_selector_all("h1,h2,h3,h4", "all => all.map(h => Number(h.tagName[1]))")
        assert all(after - before <= 1 for before, after in pairwise(levels)), (name, levels)
        ids = page.eval_on_selector_all("[id]", "all => all.map(e => e.id)")
        assert len(ids) == len(set(ids)), name
        pointed = page.eval_on_selector_all(
            "[aria-labelledby]", "all => all.flatMap(e => e.getAttribute('aria-labelledby').split(' '))"
        )
        assert set(pointed) <= set(ids), name
        unnamed = page.eval_on_selector_all(
            "a,button", "all => all.filter(e => !e.textContent.trim() && !e.getAttribute('aria-label')).length"
        )
        assert unnamed == 0


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("language", ["en", "vi"])
def test_axe_finds_nothing_serious(visit, language, width):
    """The rules of axe-core (WCAG 2 A and AA, and good practice) on a page of each kind, at phone and desktop width."""
    from axe_playwright_python.sync_playwright import Axe

    for name in PAGES:
        found = Axe().run(visit(f"{language}/{name}", width=width)).response["violations"]
        grave = [
            (fault["id"], fault["impact"], fault["nodes"][0]["html"][:120])
            for fault in found
            if fault["impact"] in ("serious", "critical")
        ]
        assert grave == [], name


@pytest.mark.parametrize("language", ["en", "vi"])
def test_every_table_page_has_a_chart_with_a_text_alternative(visit, language):
    for name in ("RT01.html", "RT02.html", "RT03.html", "RT04.html"):
        page = visit(f"{language}/{name}")
        charts = page.locator("svg[role=img]")
        assert charts.count() >= 2, "a wide and a narrow drawing"
        for index in range(charts.count()):
            title = charts.nth(index).locator("title").text_content()
            described = charts.nth(index).locator("desc").text_content()
            assert title
            assert len(described) > 40
        assert page.locator("svg[role=img]:visible").count() == charts.count() // 2


@pytest.mark.parametrize("language", ["en", "vi"])
def test_table_headers_are_scoped_and_symbols_have_words(visit, language):
    page = visit(f"{language}/RT02.html")
    assert page.locator("table caption").count() == 1
    assert page.locator("thead th:not([scope])").count() == 0
    assert page.locator("tbody tr").count() == page.locator("tbody tr > th[scope=row]").count() == 6
    hidden = page.locator("tbody tr").nth(1).locator("td").nth(3)
    words = {"en": "suppressed to protect individuals", "vi": "ẩn số liệu để bảo vệ cá nhân"}[language]
    assert words in hidden.text_content()
    assert hidden.locator("abbr").first.inner_text() == "c"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_enough_contrast(visit, scheme):
    for name in ("en/index.html", "vi/RT02.html", "en/LM01.html", "en/changes.html", "vi/notes.html", "index.html"):
        assert visit(name, scheme=scheme).evaluate(CONTRAST) == [], name


def test_the_theme_can_be_switched_and_the_keyboard_reaches_everything(visit):
    page = visit("en/RT01.html")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    reached = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.add(
            page.evaluate(
                "document.activeElement.id || document.activeElement.className || document.activeElement.href"
            )
        )
    assert "theme" in reached
    assert "scroll" in reached, "the table region takes the focus, so that the arrow keys scroll it"
    before = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.click("#theme")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != before
    page.click("#theme")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == before


def test_the_language_link_leads_to_the_same_page(visit):
    page = visit("en/RT03.html")
    page.click("text=Tiếng Việt")
    assert page.url.endswith("/vi/RT03.html")
    page.click("text=English")
    assert page.url.endswith("/en/RT03.html")


def test_every_link_leads_to_a_file_of_the_release(released):
    for page in sorted(released.folder.rglob("*.html")):
        for href in re.findall(r'href="([^"]*)"', page.read_text(encoding="utf-8")):
            if not href.startswith(("#", "data:")):
                name, _, place = href.partition("#")
                target = page.parent / name
                assert target.exists(), (page.name, href)
                assert not place or f'id="{place}"' in target.read_text(encoding="utf-8"), (page.name, href)


@pytest.mark.parametrize(("language", "words"), [("en", "An Giang"), ("vi", "An Giang")])
def test_the_corridor_chart_draws_known_flows_and_dashes_hidden_ones(visit, language, words):
    page = visit(f"{language}/corridors.html")
    chart = page.locator("svg.flow:visible")
    assert chart.count() == 1
    assert chart.locator("path.flow-band").count() == 2
    assert chart.locator("path.flow-hidden").count() == 1
    widths = [float(band.get_attribute("stroke-width")) for band in chart.locator("path.flow-band").all()]
    assert widths[0] / widths[1] == pytest.approx(60 / 39, abs=0.01)
    assert words in chart.locator("desc").text_content()
    for drawn_at in (390, 1280):
        page.set_viewport_size({"width": drawn_at, "height": 900})
        cut = page.evaluate(
            """() => [...document.querySelectorAll("svg.flow")].filter(s => s.getBoundingClientRect().width)
                 .flatMap(s => { const box = s.getBoundingClientRect();
                   return [...s.querySelectorAll("text")].filter(t => { const b = t.getBoundingClientRect();
                     return b.left < box.left - 1 || b.right > box.right + 1; }).map(t => t.textContent); })"""
        )
        assert cut == [], "no name leaves the drawing"


@pytest.mark.parametrize("language", ["en", "vi"])
def test_the_overview_puts_the_members_side_by_side(visit, language):
    """UH01 and MG09 of the world cover the members: tiles, the same figures as a table, and a panel per member over the years."""
    page = visit(f"{language}/asean.html")
    codes = page.eval_on_selector_all(".member-section > h2", "all => all.map(h => h.id)")
    assert codes == ["TB01", "UH01", "MG09"]
    jumps = page.eval_on_selector_all(".jump a", "all => all.map(a => a.getAttribute('href'))")
    assert jumps == [f"#{code}" for code in codes], "the keyboard reaches each indicator from the top"
    stock = page.locator("section[aria-labelledby=MG09]")
    assert stock.locator("tbody tr").count() == 11
    figures = stock.locator("tbody td.num").all_inner_texts()
    tiles = dict(
        zip(
            stock.locator(".map .code").all_text_contents(),
            stock.locator(".map .figure").all_text_contents(),
            strict=True,
        )
    )
    codes = [text.split()[-1] for text in stock.locator("tbody th").all_inner_texts()]
    assert [tiles[code] for code in codes] == figures
    assert tiles["SGP"] == {"en": "48.7", "vi": "48,7"}[language]
    panels = stock.locator(".multiples svg[role=img]")
    assert panels.count() == 11
    told = panels.nth(10).locator("desc").text_content()
    assert told == {"en": "2020: 0.2; 2024: 0.3", "vi": "2020: 0,2; 2024: 0,3"}[language]
    assert page.locator("section[aria-labelledby=UH01] .multiples").count() == 0, "one year only: no line to draw"


def test_print_shows_the_whole_table_and_no_controls(visit):
    page = visit("en/RT01.html", width=800)
    page.emulate_media(media="print")
    assert page.locator("nav").is_hidden()
    assert page.locator(".files").is_hidden()
    assert page.evaluate("getComputedStyle(document.querySelector('.scroll')).overflowX") == "visible"


@pytest.mark.parametrize("name", ["en/asean.html", "vi/RT02.html"])
def test_paper_is_white_also_for_a_reader_who_chose_dark(visit, name):
    page = visit(name)
    page.click("#theme")
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.emulate_media(media="print")
    assert dark != page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate(CONTRAST) == []


def test_pages_stay_small(released):
    for path in released.folder.rglob("*.html"):
        assert path.stat().st_size < 500_000, path.name
