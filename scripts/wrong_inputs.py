"""Try wrong command lines, and check how each ends: one or two lines, exit code 2, nothing written.

    python scripts/wrong_inputs.py [--number 300] [--only TEXT] [--every N] [--verbose]

Right command lines are mutated: typing errors in keys and choices, wrong types and ranges, unknown settings, broken
syntax; besides there are wrong combinations, missing files, damaged run directories, a full disk and a missing network.
All run in this process, on a synthetic data set of 60 users. Prints every line that ends otherwise, and the count; exit
code 1 if there is one.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import io
import os
import random
import shutil
import socket
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple
from unittest import mock

SMALL = (
    "dataset=synthetic", "dataset.users=60", "dataset.items=30", "dataset.per_user=[10,12]",
    "protocol.episodes.shots=[0,3]", "protocol.episodes.query=4", "encoder.width=4", "scorer=dot", "scorer.width=4",
    "steps=4", "eval_every=2", "batch=4", "baselines=[global_mean]", "metrics=[mae]", "reporter=quiet",
)  # fmt: skip
"""Overrides of a run that takes a second."""

RIGHT = (
    "learner=maml learner.inner_steps=2 learner.inner_rate=0.1",
    "learner=maml learner.adapts=all learner.first_order=true",
    "learner=maml learner.inner.clip=1.0 clip=0.5",
    "learner=reptile learner.inner_rate=0.1 seeds=[0,1]",
    "learner=anil learner.inner_steps=1",
    "learner=ridge learner.level_scale=0.4 learner.weight_scale=0.3",
    "learner=protonet optimizer.learning_rate=0.01",
    "learner=cnp seeds=[3]",
    "learner=knn patience=3",
    "learner=joint eval_every=4",
    "learner=fomaml learner.inner_rate=0.05",
    "learner=none baselines=[global_mean,item_mean]",
    "learner=ridge optimizer=adamw optimizer.weight_decay=0.01",
    "learner=ridge optimizer=sgd optimizer.learning_rate=0.1",
    "learner=ridge schedule=cosine steps=8",
    "learner=ridge encoder=id encoder.width=8",
    "learner=ridge encoder=tower",
    "learner=ridge scorer=mlp",
    "learner=ridge objective=mae",
    "learner=ridge protocol=item_cold protocol.seed=1",
    "learner=ridge protocol=warm protocol.episodes.query=3",
    "learner=ridge metrics=[mae,rmse] metric=rmse",
    "learner=ridge metrics=[mae,auc] metric=mae",
    "learner=ridge augmentation=support_subsample",
    "learner=ridge force=false batch=8",
    "learner=ridge dataset.noise=0.4 dataset.rank=2",
    "-m learner=maml,ridge steps=4",
    "-m hydra/launcher=fused learner=ridge learner.level_scale=0.1,0.2 batch=4",
    "-m hydra/sweeper=optuna hydra.sweeper.trials=2 learner=ridge learner.level_scale=interval(0.1,1)",
    "learner=ridge dataset=table dataset.interactions=FILE dataset.columns.label=stars",
)
"""Right command lines, each beside `SMALL`; FILE is a table of ratings."""

COMBINED = (
    "learner=none baselines=[]", "metric=rmse", "metrics=[]", "metric=coverage@5 metrics=[mae,coverage@5]",
    "objective=bce", "steps=5", "protocol.episodes.shots=[0,500]", "protocol.episodes.query=500",
    "protocol.order=sometimes", "learner=maml learner.adapts=norm", "learner=maml learner.adapts=prompt",
    "learner=maml freeze=[nothing]", "start=outputs/none", "metrics=[mae,ndcg@50]", "seeds=[]", "seeds=[0,0]",
    "seeds=[-1]", "name=a/b", "name=..", "output=null", "baselines=[ials,nothing]", "baselines=[{_target_: no.where}]",
    "metrics=[mae,{_target_: no.where}]", "learner._target_=recmeta.learners.nothing",
    "protocol.candidates.kind=sampled",
    "dataset=table", "dataset=table dataset.interactions=none.csv", "dataset=table dataset.interactions=/",
    "dataset=table dataset.interactions=FILE dataset.columns.label=nothing",
    "dataset=table dataset.interactions=FILE dataset.columns.label=stars protocol.order=time",
    "dataset=recbole dataset.path=none", "experiment=nothing", "-m learner=maml,nothing", "-m seeds=[0,0] steps=4,8",
    "-m hydra/launcher=nothing learner=maml,ridge", "-m hydra/sweeper=optuna learner=ridge",
    "-m hydra/sweeper=optuna learner=ridge seeds=choice([0],[1])",
    "-m hydra/sweeper=optuna learner=ridge learner.level_scale=interval(0.1,1) hydra.sweeper.trials=0",
)  # fmt: skip
"""Wrong combinations, missing files, and values that only a component can refuse."""


class Case(NamedTuple):
    """A wrong input.

    Attributes:
        kind: of mistake.
        typed: the command line.
        around: the surroundings that it runs in, as a full disk.
        before: prepares the folder of outputs.
    """

    kind: str
    typed: Sequence[str]
    around: Callable[[], AbstractContextManager[object]] = contextlib.nullcontext
    before: Callable[[Path], object] = lambda output: None


Mutator = Callable[[list[str], random.Random], list[str] | None]
"""``(overrides, generator) -> wrong overrides``; None where there is nothing to mutate."""


def mistype_key(typed: list[str], rng: random.Random) -> list[str] | None:
    """Swap two letters of a key."""
    place = rng.randrange(len(typed))
    key, equals, value = typed[place].partition("=")
    at = rng.randrange(1, len(key) - 1)
    wrong = key[:at] + key[at + 1] + key[at] + key[at + 2 :]
    return None if wrong == key or not equals else [*typed[:place], f"{wrong}={value}", *typed[place + 1 :]]


def mistype_choice(typed: list[str], rng: random.Random) -> list[str] | None:
    """Add a letter to a group's choice."""
    groups = ("learner", "encoder", "scorer", "objective", "optimizer", "protocol", "dataset", "reporter")
    places = [at for at, text in enumerate(typed) if text.partition("=")[0] in groups]
    return _changed(typed, places, rng, lambda value: f"{value}x")


def wrong_type(typed: list[str], rng: random.Random) -> list[str] | None:
    """Put a word where a number, a list or a boolean belongs."""
    places = [at for at, text in enumerate(typed) if _is_number(text) or text.endswith(("]", "true", "false"))]
    return _changed(typed, places, rng, lambda value: "abc")


def wrong_range(typed: list[str], rng: random.Random) -> list[str] | None:
    """Make a number negative."""
    places = [at for at, text in enumerate(typed) if _is_number(text) and "seed" not in text]
    return _changed(typed, places, rng, lambda value: f"-{value}")


def not_finite(typed: list[str], rng: random.Random) -> list[str] | None:
    """Put nan where a number belongs."""
    return _changed(typed, [at for at, text in enumerate(typed) if _is_number(text)], rng, lambda value: "nan")


def unknown_key(typed: list[str], rng: random.Random) -> list[str] | None:
    """Add a setting that does not exist."""
    return [*typed, rng.choice(("+foo=1", "+learner.foo=1", "+optimizer.foo=1", "+protocol.foo=1", "learner.foo=1"))]


def broken_syntax(typed: list[str], rng: random.Random) -> list[str] | None:
    """Leave a bracket open, or the equals sign out."""
    return [*typed, rng.choice(("seeds=[0", "steps", "=3", "metrics={a", "name='a", "dataset.users=[1,"))]


def deleted(typed: list[str], rng: random.Random) -> list[str] | None:
    """Delete a setting that is needed."""
    return [*typed, rng.choice(("~steps", "~metric", "~protocol.test", "~encoder.width", "~seeds"))]


def missing_value(typed: list[str], rng: random.Random) -> list[str] | None:
    """Leave a value out."""
    return _changed(typed, [at for at, text in enumerate(typed) if _is_number(text)], rng, lambda value: "null")


MUTATORS: tuple[Mutator, ...] = (
    mistype_key, mistype_choice, wrong_type, wrong_range, not_finite, unknown_key, broken_syntax, deleted,
    missing_value,
)  # fmt: skip


def _is_number(text: str) -> bool:
    try:
        float(text.partition("=")[2])
    except ValueError:
        return False
    return True


def _changed(
    typed: list[str], places: Sequence[int], rng: random.Random, change: Callable[[str], str]
) -> list[str] | None:
    if not places:
        return None
    place = rng.choice(list(places))
    key, _, value = typed[place].partition("=")
    if key.rpartition(".")[2] in ("patience", "clip") and change(value) == "null":  # null is one of their values
        return None
    return [*typed[:place], f"{key}={change(value)}", *typed[place + 1 :]]


def mutated(number: int) -> Iterator[Case]:
    """Mutate the right lines, one after the other, until there are so many."""
    rng, made, attempt = random.Random(0), 0, 0
    while made < number:
        line, mutator = RIGHT[attempt % len(RIGHT)], MUTATORS[attempt // len(RIGHT) % len(MUTATORS)]
        attempt += 1
        flags = [text for text in line.split() if text == "-m"]
        own = [text for text in line.split() if text != "-m"]
        # Mutated among the line's own overrides and all others, which come first.
        wrong = mutator([*_beside(own), *own], rng)
        if wrong is not None:
            made += 1
            yield Case(mutator.__name__, [*flags, *wrong])


def _beside(own: Sequence[str]) -> list[str]:
    """The overrides of `SMALL`, without those that another choice of the line would not have."""
    groups = {text.partition("=")[0] for text in own if "." not in text.partition("=")[0]}
    return [text for text in SMALL if text.partition("=")[0].partition(".")[0] not in groups & {"dataset", "encoder"}]


@contextlib.contextmanager
def full_disk() -> Iterator[None]:
    """Simulate a full disk."""
    with mock.patch("recmeta.runs.files.os.fsync", side_effect=OSError(errno.ENOSPC, "No space left on device")):
        yield


@contextlib.contextmanager
def no_network() -> Iterator[None]:
    """Simulate a missing network, with an empty cache of data sets."""
    unknown = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    with tempfile.TemporaryDirectory() as cache, mock.patch("socket.getaddrinfo", side_effect=unknown):
        changed = {"RECMETA_DATA": cache, "WANDB_API_KEY": "0" * 40, "WANDB_MODE": ""}
        # pip is a process of its own: it looks up what its settings name, which is nowhere.
        changed |= {"PIP_INDEX_URL": "http://nowhere.invalid/simple", "PIP_CONFIG_FILE": os.devnull}
        with mock.patch.dict(os.environ, changed):
            yield


def damaged(name: str, content: str) -> Callable[[Path], object]:
    """Make a function that copies the finished run to a folder, and damages a file of it."""

    def damage(output: Path) -> None:
        shutil.copytree(FINISHED, output)
        for path in output.rglob(name):
            path.write_text(content, encoding="utf-8")

    return damage


FINISHED = Path(tempfile.gettempdir()) / f"recmeta-wrong-inputs-{os.getpid()}"
"""A finished run, for what damages it."""

FINISHED_LINE = (*SMALL, "learner=none")


def surroundings() -> Iterator[Case]:
    """Wrong combinations; damaged run directories; a full disk; no network."""
    for line in COMBINED:
        flags, own = [text for text in line.split() if text == "-m"], [text for text in line.split() if text != "-m"]
        yield Case("combination", [*flags, "learner=ridge", *_beside(own), *own])
    contents = {"summary.json": ("", "{", "[]"), "config.yaml": ("", "a: [", "a: 1"), "provenance.json": ("{", "[]")}
    for name, bad in contents.items():
        for content in bad:
            yield Case("damaged", FINISHED_LINE, before=damaged(name, content))
    for learner in ("none", "ridge"):
        yield Case("full disk", [*SMALL, f"learner={learner}"], around=full_disk)
    quiet = [text for text in SMALL if not text.startswith("reporter")]
    yield Case("no network", [*quiet, "learner=none", "reporter.wandb.mode=online"], around=no_network)
    yield Case("no network", [*_beside(["dataset=ml_1m"]), "learner=none", "dataset=ml_1m"], around=no_network)


def ended(case: Case, folder: Path) -> str:
    """Run a case in this process. Returns how it ended wrongly; "" where it ended as it should."""
    from recmeta.__main__ import main

    output = folder / "outputs"
    case.before(output)
    before = contents(folder)
    out, code = io.StringIO(), 0
    with (
        mock.patch.object(sys, "argv", ["recmeta", *case.typed, f"output={output}"]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(out),
        case.around(),
    ):
        try:
            main()
        except SystemExit as ending:
            code = int(ending.code or 0)
        except BaseException:
            traceback.print_exc()
            code = 1
    lines = [line for line in out.getvalue().splitlines() if line.strip()]
    faults = []
    if code != 2:
        faults.append(f"exit code {code}")
    if not 1 <= len(lines) <= 2 or "Traceback" in out.getvalue():
        faults.append(f"{len(lines)} lines")
    if contents(folder) != before:
        faults.append(f"written: {', '.join(sorted(set(contents(folder)) ^ set(before))[:3]) or 'a file changed'}")
    return "; ".join([*faults, *lines[-2:]]) if faults else ""


def contents(folder: Path) -> dict[str, bytes]:
    """All files of a folder, and its folders."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b""
        for path in folder.rglob("*")
        if path.name != ".lock"
    }


def finish_one() -> None:
    """Make the finished run."""
    from recmeta.__main__ import main

    with mock.patch.object(sys, "argv", ["recmeta", *FINISHED_LINE, f"output={FINISHED}"]):
        try:
            main()
        except SystemExit as ending:
            if ending.code:
                raise


def cases(number: int) -> list[Case]:
    """List wrong inputs, so many in all."""
    fixed = list(surroundings())
    return [*mutated(max(number - len(fixed), 0)), *fixed][:number]


def main() -> int:
    """Run all cases; returns the exit code."""
    parser = argparse.ArgumentParser(description="Try wrong command lines, and check how each ends.")
    parser.add_argument("--number", type=int, default=300, help="of wrong inputs (default: %(default)s)")
    parser.add_argument("--only", default="", metavar="TEXT", help="kinds with this text alone")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="every Nth alone: a sample")
    parser.add_argument("--verbose", action="store_true", help="print every line that is tried")
    given = parser.parse_args()
    os.environ.setdefault("WANDB_MODE", "disabled")
    chosen = [case for case in cases(given.number) if given.only in case.kind][:: given.every]
    wrong = 0
    try:
        finish_one()
        with tempfile.TemporaryDirectory() as made:
            for number, case in enumerate(chosen):
                folder = Path(made) / str(number)
                folder.mkdir()
                table = folder / "ratings.csv"
                rows = [f"u{user},i{item},{1 + (user + item) % 5}" for user in range(40) for item in range(9)]
                table.write_text("\n".join(["user,item,stars", *rows, ""]), encoding="utf-8")
                fault = ended(case._replace(typed=[text.replace("FILE", str(table)) for text in case.typed]), folder)
                wrong += bool(fault)
                if fault or given.verbose:
                    own = [text for text in case.typed if text not in SMALL]
                    print(f"{case.kind}: {' '.join(own)}\n    {fault or 'as it should'}", flush=True)
    finally:
        shutil.rmtree(FINISHED, ignore_errors=True)
    print(f"{len(chosen)} wrong inputs: {len(chosen) - wrong} end in one or two lines, exit code 2 and nothing written")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
