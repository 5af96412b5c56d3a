"""Tables fit a terminal of any width, and nothing in them is cut."""

import re

import pytest
from rich.cells import cell_len

from recmeta.results.screen import fold, lay_out

HEAD = ["", "method", "mae", "rmse", "ndcg@5", "recall@5", "legacy.metahin_ndcg@5", "chosen", "tasks", "seeds"]
SIDES = ["l", "l", "r", "r", "r", "r", "r", "l", "r", "r"]
NAMES = (
    "cluster_mean",
    "learner=maml learner.inner_rate=0.01 optimizer.learning_rate=0.003 encoder=transformer seeds=[0,1,2]",
    "ein_verfahren_dessen_name_breiter_ist_als_ein_schmaler_bildschirm_von_achtzig_zeichen_sein_kann",
    "用户均值",
)
BODY = [
    [mark, name, *(f"{i + k / 9:.3f} [{i + k / 10:.3f}, {i + k / 8:.3f}]" for k in range(5)), "damping 25", "1430", "3"]
    for i, (mark, name) in enumerate(zip(("best", "≈", "", ""), NAMES, strict=True))
]


@pytest.mark.parametrize("width", [40, 80, 100, 120, 200])
@pytest.mark.parametrize("rows", [[0], [0, 3], [0, 1], [0, 1, 2, 3]])
def test_no_number_and_no_name_is_cut(width, rows):
    body = [BODY[row] for row in rows]
    text = lay_out(HEAD, body, SIDES, width, keys=2).plain
    once = " ".join(text.split())
    for cell in (cell for row in (HEAD, *body) for cell in row):
        assert cell in once
    words = re.findall(r"\S+", text)
    for line in text.splitlines():
        assert cell_len(line) <= width or line.strip() in words, "a single word may be wider than the screen"


def test_what_fits_is_one_table():
    text = lay_out(HEAD, BODY[:1], SIDES, 200, keys=2).plain
    assert len(text.splitlines()) == 3
    assert text.splitlines()[0].split() == HEAD[1:]


def test_what_does_not_fit_goes_to_another_table_with_the_names_again():
    text = lay_out(["method", "mae", "rmse"], [["a" * 20, "0.1", "0.2"]] * 9, "lrr", 27).plain
    first, second = text.split("\n\n")
    assert (first.split()[:2], second.split()[:2]) == (["method", "mae"], ["method", "rmse"])
    assert "a" * 20 in first
    assert "a" * 20 in second


def test_long_names_go_above_their_numbers():
    text = lay_out(["method", "mae", "rmse"], [["a" * 28, "0.12345", "0.23456"]], "lrr", 30).plain
    assert text.splitlines()[-2:] == ["a" * 28, "  0.12345  0.23456"], text


def test_rows_have_their_styles():
    text = lay_out(["method", "mae"], [["a", "1"], ["b", "2"]], "lr", 80, styles={1: "bold"})
    bold = [text.plain[span.start : span.end].split() for span in text.spans if span.style == "bold"]
    assert bold == [["b", "2"]]


def test_a_line_is_folded_between_words():
    line = "learner=maml: above cluster_mean by 0.028 MAE (95 % interval 0.006 … 0.050)"
    for width in (20, 40, 80):
        assert fold(line, width).split() == line.split()
        assert max(map(len, fold(line, width).splitlines())) <= width
