"""The page: every number on it is one of the report's, nothing is fetched, and in a browser it sorts and zooms."""

import re
import shutil
import subprocess
from html.parser import HTMLParser

import numpy as np
import polars as pl
import pytest

from recmeta.results.figures import draw_all, svg
from recmeta.results.grids import Report, sections
from recmeta.results.judging import Judging
from recmeta.results.page import Picture, about, page
from recmeta.results.runs import find
from recmeta.results.tables import tabulate

BASE = np.random.default_rng(0).normal(1, 0.3, 20)
BROWSER = shutil.which("chromium") or shutil.which("google-chrome")


class Reader(HTMLParser):
    """The tables of a page, the ids, and what it points to."""

    def __init__(self):
        super().__init__()
        self.tables, self.ids, self.links, self.cell = [], [], [], None

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.ids += [found["id"]] if "id" in found else []
        self.links += [value for name, value in attrs if name in ("src", "href", "xlink:href", "data", "action")]
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("th", "td"):
            self.cell = [found.get("class", ""), ""]

    def handle_data(self, data):
        if self.cell:
            self.cell[1] += data

    def handle_endtag(self, tag):
        if tag in ("th", "td"):
            self.tables[-1][-1].append(tuple(self.cell))
            self.cell = None


@pytest.fixture
def report(make, config):
    scores = {"item_mean": BASE, "random": BASE + 1, "popularity": np.full(20, float("nan"))}
    paths = [
        make("a", config("maml"), {"model": BASE - 0.1} | scores, validated=[(0.9,), (0.8,)]),
        make("b", config("ridge"), {"model": BASE - 0.09 + np.tile([0.1, -0.1], 10)} | scores, validated=[(0.9,)]),
    ]
    how = Judging()
    runs, missing = find(paths)
    return Report(tabulate(runs, how), [], missing, how)


@pytest.fixture
def pictures(report):
    drawn = draw_all(report.tables, report.rankings)
    return [Picture(one.name, one.caption, svg(one.figure), one.frame) for one in drawn]


def read(text):
    reader = Reader()
    reader.feed(text)
    return reader


def test_every_number_is_the_reports(report, pictures):
    found = read(page(report, pictures)).tables
    grids = [grid for grids, _ in sections(report) for grid in grids]
    assert len(found) == len(grids) + len(pictures)
    for grid, (head, *body) in zip(grids, found, strict=False):
        kept = [at for at, name in enumerate(grid.head) if name]
        assert [text for _, text in head] == [grid.head[at] for at in kept]
        assert [[text for _, text in row] for row in body] == [[cells[at] for at in kept] for cells in grid.body]
    for picture, (head, *body) in zip(pictures, found[len(grids) :], strict=True):
        columns = [text for _, text in head]
        kinds = [picture.frame.schema[name] for name in columns]
        said = [
            [text if kind == pl.String else float(text) for kind, (_, text) in zip(kinds, row, strict=True)]
            for row in body
        ]
        assert said == [list(row) for row in picture.frame.iter_rows()]


def test_marks_are_where_they_belong(report):
    (_, *body), *_ = read(page(report, [])).tables
    marks = {row[0][1]: row[1][0].split()[1:] for row in body}
    assert marks == {
        "learner=maml": ["best"], "learner=ridge": ["near"], "item_mean": [], "random": [], "popularity": [],
    }  # fmt: skip


def test_nothing_is_fetched_and_no_id_is_double(report, pictures):
    text = page(report, [*pictures, *(one._replace(name=f"{one.name}2") for one in pictures)])
    found = read(text)
    assert all(link.startswith("#") for link in found.links)
    assert not re.search(r"""url\((?!#)|@import|fetch\(|XMLHttp|import\(""", text)
    assert set(re.findall(r"https?://[^\"' <]+", text)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }
    assert len(found.ids) == len(set(found.ids))
    assert {link[1:] for link in found.links} <= set(found.ids)
    assert set(re.findall(r"url\(#([^)]+)\)", text)) <= set(found.ids)


def test_what_is_said_is_escaped(report):
    report.tables[0].notes.append("a <script>alert(1)</script> & more")
    text = page(report, [Picture("x", "a < b", "<svg></svg>", pl.DataFrame({"row": ["<i>"]}))])
    assert "a &lt;script&gt;alert(1)&lt;/script&gt; &amp; more" in text
    assert ">a &lt; b</figcaption>" in text
    assert "<i>" not in text


def test_the_page_says_what_it_is_of(report):
    directory = next(iter(report.tables[0].runs.values()))[0].directory
    (directory / "provenance.json").write_text('{"versions": {"recmeta": "0.1.0", "jax": "0.10.2"}}')
    found = about(report, "python -m recmeta.results <outputs>", "27 November 2026")
    text = page(report, [], found)
    assert "<title>study: tiny</title>" in text
    assert "27 November 2026: python -m recmeta.results &lt;outputs&gt;</p>" in text
    assert "runs made with recmeta 0.1.0, jax 0.10.2</p>" in text


def test_columns_know_which_way_is_better(report):
    text = page(report, [])
    assert "<th class=r data-goal=min>mae</th>" in text
    assert "<th class=r data-goal=max>ndcg@5</th>" in text
    assert "<th class=r>tasks</th>" in text


DRIVER = """<script>
const head = [...document.querySelectorAll("th")].find((each) => each.textContent === "mae");
const names = () => [...head.closest("table").tBodies[0].rows].map((row) => row.cells[0].textContent).join();
const svg = document.querySelector("figure svg");
const view = () => svg.getAttribute("viewBox").split(" ").map(Number).map((x) => x.toFixed(1)).join();
const told = [];
head.click(); told.push(names());
head.click(); told.push(names());
told.push(view());
const box = svg.getBoundingClientRect();
const centre = { clientX: box.left + box.width / 2, clientY: box.top + box.height / 2, cancelable: true };
svg.dispatchEvent(new WheelEvent("wheel", { deltaY: 500 * Math.log(0.5), ...centre })); told.push(view());
svg.dispatchEvent(new MouseEvent("dblclick")); told.push(view());
document.title = told.join(";");
</script></body>"""


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="needs chromium")
def test_in_a_browser_tables_sort_and_figures_zoom(report, pictures, tmp_path):
    path = tmp_path / "report.html"
    path.write_text(page(report, pictures).replace("</body>", DRIVER), encoding="utf-8")
    command = [
        BROWSER,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--window-size=1200,4000",
        "--dump-dom",
        path.as_uri(),
    ]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    up, down, whole, near, again = re.search("<title>(.*?)</title>", shown)[1].split(";")
    means = {row.label: row.cells["mae"].mean for row in report.tables[0].rows}
    known = sorted((name for name in means if name != "popularity"), key=means.__getitem__)
    assert up.split(",") == [*known, "popularity"]
    assert down.split(",") == [*reversed(known), "popularity"]
    x, y, width, height = map(float, whole.split(","))
    expected = [x + width / 4, y + height / 4, width / 2, height / 2]
    assert [float(text) for text in near.split(",")] == pytest.approx(expected, abs=0.5)
    assert again == whole
