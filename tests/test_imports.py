"""Imports run down one list of rooms, which every module is on."""

import ast
from pathlib import Path

import pytest

import recmeta

ROOT = Path(recmeta.__file__).parent
ORDER = (
    "types", "numerics", "runs", "features", "datasets", "texts", "cleaning", "protocols", "fitted", "models",
    ("encoders", "scorers", "objectives", "augmentations"), "learners", "baselines", "metrics", "evaluation",
    "baselines.tuning", "training", "reporters", "config", "experiment", ("sweeps", "trained"), "cli",
    ("python", "__main__"),
)  # fmt: skip
"""The rooms, each of which imports those before it alone; of rooms in one place none imports another. A module's place
is that of the longest name that it begins with."""

BESIDE = {"statistics": ("types", "runs", "statistics"), "results": ("types", "runs", "statistics", "results")}
"""Rooms that stand beside the list, and all that they import. Any room may import them."""

PLACES = {
    room: place for place, rooms in enumerate(ORDER) for room in ((rooms,) if isinstance(rooms, str) else rooms)
}  # fmt: skip
MODULES = sorted(ROOT.rglob("*.py"))


def named(path: Path) -> str:
    """A file's module, less the package's name: ``learners.maml``."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__").replace("__init__", "")


def room(module: str) -> str | None:
    """The name on the list, or beside it, that a module begins with; None where there is none."""
    return max((name for name in (*PLACES, *BESIDE) if f"{module}.".startswith(f"{name}.")), key=len, default=None)


def imports(path: Path) -> set[str]:
    """Every module that a file imports anywhere, and every name it imports from one."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def offences(path: Path) -> list[str]:
    """What a module imports from below its place on the list."""
    here = room(named(path))
    assert here is not None, f"{named(path)} is on no list: give its room a place in ORDER"
    found = []
    for name in sorted(imports(path)):
        there = room(name.removeprefix("recmeta.")) if name.startswith("recmeta.") else None
        if there is None or there == here or (there in BESIDE and here not in BESIDE):
            continue
        if (here in BESIDE and there not in BESIDE[here]) or (here in PLACES and PLACES[there] >= PLACES[here]):
            found.append(name)
    return found


@pytest.mark.parametrize("path", [path for path in MODULES if named(path)], ids=named)
def test_a_module_imports_only_rooms_above_its_own(path):
    assert not offences(path)


def test_the_list_is_held_to():
    """It catches what it is to catch: a room from below, one beside it in the list, and a module on no list."""
    assert PLACES["metrics"] > PLACES["learners"] > PLACES["encoders"] == PLACES["scorers"]
    assert room("baselines.tuning") == "baselines.tuning"
    assert room("baselines.ease") == "baselines"
    assert room("helpers") is None


def test_the_top_has_few_files():
    assert len(list(ROOT.glob("*.py"))) <= 6


def test_nothing_imports_a_main_module():
    for path in MODULES:
        assert not [name for name in imports(path) if "__main__" in name.split(".")], path


def test_no_function_shadows_its_module():
    """``recmeta.learners.maml`` is the module, whatever was imported before."""
    for package in (path.parent for path in MODULES if path.name == "__init__.py"):
        exported = {name.rpartition(".")[2] for name in imports(package / "__init__.py")}
        assert not exported & {path.stem for path in package.glob("*.py")}, package


def test_flax_becomes_functions_in_one_place():
    """Only these know flax; `nnx.split` and `nnx.merge` stand in models/model.py alone."""
    users = {named(path).partition(".")[0] for path in MODULES if any(n.split(".")[0] == "flax" for n in imports(path))}
    assert users == {"models", "encoders", "scorers"}

    def splits(path):
        nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        return {ast.unparse(node) for node in nodes if isinstance(node, ast.Attribute)} & {"nnx.split", "nnx.merge"}

    assert [named(path) for path in MODULES if splits(path)] == ["models.model"]
