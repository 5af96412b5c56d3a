"""Docstrings begin with a plain sentence: the words that a reader of the field would search for."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import recmeta

ROOT = Path(recmeta.__file__).parent
LINE = 120
CLAUSES = (
    "What", "That", "Who", "Whom", "Whose", "Which", "How", "Whether", "Where", "When", "Why", "There", "It", "As",
    "Of", "For", "If",
)  # fmt: skip
"""First words of a clause in place of a noun or a verb."""

PREDICATES = ("Whether", "Which")
"""Those that describe a function which returns a boolean, or a boolean array."""

PRIVATE = re.compile(
    r"\b(told|tells?|said|says?|hears?|heard|stands?|standing|shown|voices?|members?|points?|whom|what"
    r"|given up|lets? go|let go|makes? of|at no cost to)\b",
    re.IGNORECASE,
)
"""Private words, each with a plain one: message, status, replica, run, trial, pruned, recommended item, value."""

ALLOWED = {
    "learners/set_transformer.py": ("inducing points",),  # the paper's term
}
"""Phrases of the field that hold a private word, by module."""


def modules() -> list[Path]:
    """All files of the package, of scripts and of plugins."""
    places = (ROOT, ROOT.parent / "scripts", ROOT.parent / "hydra_plugins")
    return sorted(path for place in places for path in place.rglob("*.py"))


def named(path: Path) -> str:
    """A file's path below the package, or below the project for scripts and plugins."""
    return path.relative_to(ROOT if path.is_relative_to(ROOT) else ROOT.parent).as_posix()


def definitions(body: list[ast.stmt], public: bool = True) -> Iterator[tuple[ast.FunctionDef | ast.ClassDef, bool]]:
    """Functions and classes outside functions, and whether each is public."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            is_public = public and not node.name.startswith("_")
            yield node, is_public
            if isinstance(node, ast.ClassDef):
                yield from definitions(node.body, is_public)


def faults(docstring: str, width: int, predicate: bool = False, allowed: tuple[str, ...] = ()) -> list[str]:
    """What is wrong with a docstring's first line.

    Args:
        docstring: as written, indented.
        width: characters for its first line.
        predicate: whether it describes a function that returns booleans.
        allowed: phrases that may hold a private word.
    """
    first, _, rest = docstring.partition("\n")
    found = [] if first.strip() and first.strip()[-1] == "." else ["the first line is no sentence of its own"]
    if rest.strip() and rest.split("\n", 1)[0].strip():
        found.append("the first line goes on in the second")
    if len(first) > width:
        found.append("the first line is too long")
    word = re.split(r"\W", first.strip(), maxsplit=1)[0]
    if word in CLAUSES and not (predicate and word in PREDICATES):
        found.append(f"it begins with {word}")
    for phrase in allowed:
        first = first.replace(phrase, "")
    return found + [f"private word: {match}" for match in PRIVATE.findall(re.sub(r"``.*?``|`.*?`", "", first))]


def is_predicate(node: ast.FunctionDef | ast.ClassDef) -> bool:
    """Whether a definition is a function annotated to return booleans."""
    returns = getattr(node, "returns", None)
    return returns is not None and "bool" in ast.unparse(returns).lower()


@pytest.mark.parametrize("path", modules(), ids=named)
def test_docstrings_begin_with_a_plain_sentence(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    allowed = ALLOWED.get(named(path), ())
    nodes = [(tree, True, "module"), *((node, public, node.name) for node, public in definitions(tree.body))]
    wrong = {}
    for node, public, name in nodes:
        docstring = ast.get_docstring(node, clean=False)
        if docstring is None:
            if public:
                wrong[name] = ["it has no docstring"]
            continue
        room = LINE - node.body[0].col_offset - 3 - (0 if "\n" in docstring else 3)
        predicate = not isinstance(node, ast.Module) and is_predicate(node)
        if found := faults(docstring, room, predicate, allowed):
            wrong[name] = found
    assert not wrong


@pytest.mark.parametrize(
    ("docstring", "found"),
    [
        ("Clip gradients, schedule the learning rate, freeze parameters.", []),
        ("Gradients made shorter\nand parts that stay.", ["no sentence", "goes on"]),
        ("What a run works with.", ["begins with What", "word: What"]),
        ("Whether a run is done.", ["begins with Whether"]),
        ("The members of a program.", ["word: members"]),
        ("Read ``points`` of a file.", []),
        ("x" * 120 + ".", ["too long"]),
    ],
)
def test_the_rule_finds_faults(docstring, found):
    there = faults(docstring, 117)
    assert len(there) == len(found)
    assert all(part in fault for part, fault in zip(found, there, strict=True))


def test_predicates_may_begin_with_whether():
    assert faults("Whether a run is done.", 117, predicate=True) == []
