"""The site in a real headless Chromium, from files: it draws, filters, sorts, and runs no record's code."""

import pytest

from benchmark.errors import Unsupported
from leaderboard.board import build_board
from leaderboard.site import build_site
from leaderboard.site.browser import open_chromium
from tests.leaderboard.made_records import make_hostile_records, make_record, make_records

expect = pytest.importorskip("playwright.sync_api", reason="playwright is missing: pip install playwright").expect
# A busy machine may take its time; nothing here is about speed.
PATIENCE = 90_000
expect.set_options(timeout=PATIENCE)
METHODS = 12
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def browser():
    try:
        with open_chromium() as opened:
            yield opened
    except Unsupported as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def site(tmp_path_factory, browser):
    folder = tmp_path_factory.mktemp("site")
    records = make_records(METHODS, 3, ("streaming", "calls"))
    old = make_record(6, 0, ended="2025-01-01T00:00:00+00:00", metric_versions={"downstream": 1}, cell="0" * 12)
    failed = make_record(9, 7, status="failed", reason="the method gave up", scores={}, cell="f" * 12)
    build_site(build_board([*records, old, failed]), folder, folder / "no-runs")
    return folder


@pytest.fixture
def visit(browser, site):
    """A function that opens a page of the site; whatever the browser complains of fails the test."""
    opened, complaints = [], []

    def open_page(address="index.html#router=all", folder=site, **options):
        page = browser.new_page(**{"viewport": {"width": 1440, "height": 900}, **options})
        opened.append(page)
        page.set_default_timeout(PATIENCE)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: request.url.startswith(("file:", "data:")) or complaints.append(request.url))
        name, _, view = address.partition("#")
        page.goto(f"{(folder / name).as_uri()}#{view}")
        return page

    yield open_page
    for page in opened:
        page.close()
    assert complaints == []


def names(page):
    return page.locator("#methods tbody tr:not(.arena) .method a").all_inner_texts()


def measures(page, heading):
    number = page.locator("#methods thead th").all_inner_texts().index(heading)
    cells = page.locator(f"#methods tbody tr:not(.arena) > :nth-child({number + 1})").all_inner_texts()
    return [float(cell.split()[0].replace("−", "-").replace(",", "")) for cell in cells]


def draw_plots(page):
    page.locator("#plots").scroll_into_view_if_needed()
    expect(page.locator(".plot[data-drawn]")).to_have_count(2)


def test_filters_leave_what_they_say_and_the_count_is_announced(visit):
    page = visit()
    count = page.locator("#count")
    assert count.get_attribute("aria-live") == "polite"
    assert count.inner_text() == f"{2 * METHODS} methods of {2 * METHODS + 1}, in 2 groups of comparable records."
    page.locator("select[name=dataset]").select_option("calls")
    assert page.locator("tr.arena strong").all_inner_texts() == ["dataset=calls budget=default"]
    assert len(names(page)) == METHODS
    page.locator("select[name=router]").select_option("host")
    assert 0 < len(names(page)) < METHODS
    page.locator("select[name=router]").select_option("")
    page.get_by_label("Search").fill("model7 ")
    assert all(name.startswith("model7") for name in names(page))
    page.get_by_label("Search").fill("nothing is called so")
    assert "No method matches" in page.locator("#methods tbody").inner_text()
    page.get_by_role("button", name="Clear").click()
    # A third of the methods has a probe on a router; the others' rows are those shown to begin with.
    expect(page.locator("#methods tbody tr:not(.arena)")).to_have_count(2 * METHODS * 2 // 3)
    assert page.locator("select[name=router]").input_value() == "none"


def test_older_versions_are_shown_when_asked_for(visit):
    page = visit()
    page.get_by_label("older versions").check()
    arenas = page.locator("tr.arena").all_inner_texts()
    assert len(arenas) == 3
    assert ["an older version" in arena for arena in arenas].count(True) == 1


def test_sorting_keeps_groups_apart_and_says_so_to_screen_readers(visit):
    page = visit("index.html#router=all&dataset=calls")
    heading = page.locator("th", has_text="timing")
    heading.get_by_role("button").click()
    expect(heading).to_have_attribute("aria-sort", "ascending")
    values = measures(page, "timing ↓")
    assert values == sorted(values)
    heading.get_by_role("button").click()
    expect(heading).to_have_attribute("aria-sort", "descending")
    assert measures(page, "timing ↓") == values[::-1]
    page.locator("select[name=dataset]").select_option("")
    assert len(page.locator("tr.arena").all()) == 2


def test_ranks_are_of_the_figure_that_was_chosen(visit):
    page = visit("index.html#router=all&dataset=calls")
    ranks = page.locator("#methods td.rank").all_inner_texts()
    assert any("–" in rank and rank[0].isdigit() for rank in ranks), "some share their ranks"
    page.locator("select[name=by]").select_option("timing.distance")
    values = measures(page, "timing ↓")
    assert values == sorted(values)
    assert page.locator("#methods td.rank").all_inner_texts() != ranks


def test_columns_come_and_go_and_live_in_the_address(visit):
    page = visit()
    assert page.get_by_role("columnheader", name="fit s").count() == 0
    page.locator("summary", has_text="Columns").click()
    page.get_by_role("checkbox", name="fit s").check()
    page.get_by_role("checkbox", name="c2st").uncheck()
    page.keyboard.press("Escape")
    assert page.get_by_role("columnheader", name="fit s").count() == 1
    again = visit(f"index.html#{page.evaluate('location.hash.slice(1)')}")
    assert again.get_by_role("columnheader", name="fit s").count() == 1
    assert again.get_by_role("columnheader", name="c2st").count() == 0


def test_intervals_floor_and_ceiling_are_drawn(visit):
    page = visit()
    row = page.locator("tr", has=page.locator(".method a", has_text="model6")).first
    spread = row.locator("svg.spread").first
    # Shares of the bar's width: the interval holds the value, and the floor is left of the ceiling.
    low, high, value, floor, ceiling = (
        float(spread.locator(f"line.{kind}").get_attribute(side))
        for kind, side in (("interval", "x1"), ("interval", "x2"), ("value", "x1"), ("floor", "x1"), ("ceiling", "x1"))
    )
    assert 0 <= low < value < high <= 100
    assert floor < ceiling
    assert "95 % interval" in row.locator("td.measure").first.inner_text()
    page.get_by_label("intervals in figures").check()
    assert " to " in row.locator(".limits").first.inner_text()


def test_a_method_that_is_not_ranked_says_why(visit):
    page = visit("index.html#router=all&dataset=streaming&search=model9")
    row = page.locator("#methods tbody tr:not(.arena)").first
    assert row.locator(".tag.failed").inner_text() == "failed"
    below = visit()
    assert "copies" in below.locator("tr", has_text="resample").first.inner_text()


def test_plots_are_drawn_with_a_frontier_and_a_table(visit):
    page = visit("index.html#router=all&dataset=calls")
    assert page.locator("select[name=router]").input_value() == ""
    assert page.evaluate("typeof Plotly") == "undefined", "the library comes when a plot is near"
    draw_plots(page)
    figure = page.locator("figure").first
    assert figure.locator(".scatterlayer .points path").count() == METHODS
    assert "On the frontier: model" in figure.locator(".plot").get_attribute("aria-label")
    figure.locator("summary").click()
    assert figure.locator("tbody tr").count() == METHODS
    assert figure.locator("tbody").inner_text().count("on the frontier") >= 1


def test_a_plot_is_walked_by_keys_and_opens_a_method(visit):
    page = visit("index.html#router=all&dataset=calls")
    draw_plots(page)
    plot = page.locator("figure .plot").first
    plot.focus()
    page.keyboard.press("ArrowRight")
    first = page.locator("figure .detail").first.inner_text()
    page.keyboard.press("ArrowRight")
    second = page.locator("figure .detail").first.inner_text()
    assert first != second
    page.keyboard.press("Enter")
    page.wait_for_url("**/methods/*.html")
    assert second.split(",")[0].split("\n")[0] in page.locator("h1").inner_text()


def test_keys_alone_lead_from_the_table_to_a_cell_and_its_command(visit):
    page = visit("index.html#router=all&dataset=calls")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.closest('.method a') !== null"):
            break
    # What has the focus shows it.
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    page.wait_for_url("**/methods/*.html")
    page.locator("a[href*='cells/']").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/cells/*.html")
    page.get_by_role("button", name="Copy").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#copied")).not_to_be_empty()
    assert page.locator("#command").inner_text().startswith("python run.py")


def test_the_table_of_cells_finds_failures(visit):
    page = visit("cells.html")
    assert page.locator("#count").inner_text() == f"{6 * METHODS + 2} cells of {6 * METHODS + 2}."
    page.locator("select[name=status]").select_option("failed")
    assert page.locator("#cells-table tbody tr").count() == 1
    assert "the method gave up" in page.locator("#cells-table tbody").inner_text()


def test_dark_follows_the_system_and_the_button_turns_it(visit):
    def paper(page):
        return page.evaluate("getComputedStyle(document.body).backgroundColor")

    light, dark = visit(color_scheme="light"), visit(color_scheme="dark")
    assert paper(light) != paper(dark)
    light.get_by_role("button", name="Dark theme").click()
    assert paper(light) == paper(dark)
    light.reload()
    assert paper(light) == paper(dark)


@pytest.mark.parametrize("address", ["index.html", "cells.html", "reading.html"])
def test_a_phone_scrolls_tables_and_not_the_page(visit, address):
    page = visit(address, viewport={"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_tables_and_controls_have_names(visit, site):
    cell = next((site / "cells").iterdir()).name
    for address in ("index.html", "cells.html", f"cells/{cell}", "reading.html"):
        page = visit(address)
        assert page.evaluate("[...document.querySelectorAll('table')].filter((one) => !one.caption).length") == 0
        assert page.evaluate("[...document.querySelectorAll('th')].filter((one) => !one.scope).length") == 0
        controls = "[...document.querySelectorAll('button, select, input')]"
        unnamed = f"{controls}.filter((one) => !one.labels?.length && !one.textContent.trim() && !one.ariaLabel).length"
        assert page.evaluate(unnamed) == 0


def test_hostile_records_run_nothing(visit, tmp_path):
    build_site(build_board(make_hostile_records()), tmp_path, tmp_path / "no-runs")
    page = visit("index.html#router=all", tmp_path)
    page.locator("#plots").scroll_into_view_if_needed()
    expect(page.locator(".plot[data-drawn]").first).to_be_attached()
    page.locator("figure .plot").first.focus()
    for _ in range(8):
        page.keyboard.press("ArrowRight")
    assert "<img src=x" in page.locator("#methods").inner_text()
    pages = ["cells.html", *(path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.glob("*/*.html")))]
    assert page.evaluate("window.broken") is None
    for address in pages:
        page.goto((tmp_path / address).as_uri())
        assert page.evaluate("window.broken") is None
        assert page.locator("img[src=x]").count() == 0
