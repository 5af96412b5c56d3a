"""Modules and functions have a size that is read at one go: what is longer is two things, or gives its reason."""

import ast
from pathlib import Path

import pytest

import recmeta

ROOT = Path(recmeta.__file__).parent
PROJECT = ROOT.parent
MODULE, FUNCTION = 400, 60
"""Most lines, docstring and signature included, of a module and of a function from ``def`` to its last line."""

REASON = "# Long: "
"""Begins a comment directly above a longer function, which gives the reason."""

FILES = sorted([*ROOT.rglob("*.py"), *(PROJECT / "scripts").glob("*.py"), *(PROJECT / "hydra_plugins").glob("*.py")])


def named(path: Path) -> str:
    """A file's path below the package, or below the project for scripts and plugins."""
    return path.relative_to(ROOT if path.is_relative_to(ROOT) else PROJECT).as_posix()


def long_functions(text: str) -> list[str]:
    """Names of functions above the limit without a reason above their first line, decorators included."""
    lines = text.splitlines()
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef) and (node.end_lineno or 0) - node.lineno + 1 > FUNCTION:
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            if first < 2 or not lines[first - 2].strip().startswith(REASON):
                found.append(node.name)
    return found


@pytest.mark.parametrize("path", FILES, ids=named)
def test_sizes(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MODULE
    assert not long_functions(text)


def test_longer_functions_are_found():
    body = "def f():\n" + "    x = 0\n" * FUNCTION
    assert long_functions(body) == ["f"]
    assert long_functions(f"{REASON}a table of its own.\n{body}") == []
    assert long_functions("def f():\n" + "    x = 0\n" * (FUNCTION - 1)) == []
