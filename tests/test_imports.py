"""Imports run one way."""

import ast
from pathlib import Path

import pytest

import recmeta

ROOT = Path(recmeta.__file__).parent
PARTS = ("datasets", "protocols", "encoders", "scorers", "objectives", "metrics")
ABOVE = (
    "model", "learners", "baselines", "train", "measure", "evaluate", "tune", "build", "experiment", "checkpoint",
    "cli", "__main__",
)  # fmt: skip


def imports(path: Path) -> set[str]:
    """Every module that a file imports anywhere, and every name it imports from one."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def files(room: str) -> list[Path]:
    folder = ROOT / room
    found = sorted(folder.rglob("*.py")) if folder.is_dir() else [folder.with_suffix(".py")]
    assert found
    return found


def offences(room: str, forbidden: tuple[str, ...]) -> list[str]:
    def hits(name):
        return any(name == f or name.startswith(f + ".") for f in forbidden)

    return [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in files(room)
        for name in sorted(imports(path))
        if hits(name)
    ]


def ours(*rooms: str) -> tuple[str, ...]:
    return tuple(f"recmeta.{room}" for room in rooms)


@pytest.mark.parametrize(
    ("room", "forbidden"),
    [
        ("types", ("recmeta",)),
        *((part, ours(*ABOVE)) for part in PARTS),
        ("objectives", ours(*(part for part in PARTS if part != "objectives"))),
        ("metrics", ours(*(part for part in PARTS if part not in ("metrics", "objectives")))),
        ("datasets", ours(*(part for part in PARTS if part != "datasets"))),
        ("cleaning", ours(*ABOVE, *(part for part in PARTS if part != "datasets"))),
        ("protocols", ours("encoders", "scorers", "objectives")),
        ("encoders", ours("datasets", "protocols", "scorers")),
        ("scorers", ours("datasets", "protocols", "encoders")),
        ("model", ours("learners", "baselines", "train", "evaluate", "build", "experiment", "__main__")),
        ("learners", ("flax", *ours("baselines", "train", "evaluate", "build", "experiment", "datasets", "protocols",
                                    "encoders", "scorers"))),
        ("baselines", ("flax", *ours("learners", "model", "train", "evaluate", "build", "experiment"))),
        ("evaluate", ("flax", *ours("train", "build", "experiment", "learners", "encoders", "scorers"))),
        ("train", ("flax", *ours("build", "experiment", "learners", "encoders", "scorers"))),
        ("build", ours("experiment", "__main__")),
        ("results", ("flax", *ours("train", "evaluate", "model", "learners", "build", "encoders", "scorers"))),
        ("reporters", ("flax", *ours("train", "evaluate", "model", "learners", "build", "encoders", "scorers"))),
    ],
)  # fmt: skip
def test_a_room_does_not_import(room, forbidden):
    assert not offences(room, forbidden)


def test_nothing_imports_a_main_module():
    for path in ROOT.rglob("*.py"):
        assert not [name for name in imports(path) if "__main__" in name.split(".")], path


def test_flax_becomes_functions_in_one_place():
    """Only these know flax; `nnx.split` and `nnx.merge` stand in model.py alone."""
    paths = sorted(ROOT.rglob("*.py"))
    users = {p.relative_to(ROOT).parts[0] for p in paths if any(name.split(".")[0] == "flax" for name in imports(p))}
    assert users == {"layers.py", "encoders", "scorers", "model.py"}

    def splits(path):
        nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        return {ast.unparse(node) for node in nodes if isinstance(node, ast.Attribute)} & {"nnx.split", "nnx.merge"}

    assert [path.name for path in paths if splits(path)] == ["model.py"]
