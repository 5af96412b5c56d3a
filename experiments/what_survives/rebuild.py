"""What survives: search each learner's settings by meta-validation, test what was chosen, and write the tables.

    python experiments/what_survives/rebuild.py                      # everything; hours. The same line goes on
    python experiments/what_survives/rebuild.py --table ml_1m_random
    python experiments/what_survives/rebuild.py --dry-run            # the command lines alone

Every step is a command line of recmeta that can be typed by hand, and that skips what is done. `plan.yaml` says what is
tried; a table that is whole is written to `results/` beside it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import yaml

Plan = Mapping[str, Any]
Effort = Mapping[str, int]
"""A preset of the plan: how many trials, how many of them at a time, and how many splits."""

HERE = Path(__file__).parent
SMALL = ("results.csv", "comparisons.csv", "budget.csv")
"""What of a report is kept in the repository."""


def into(output: Path, name: str, settings: Sequence[str], *sweeper: str) -> list[str]:
    """A command line whose folder is named by its settings: with another plan it is another one."""
    mark = hashlib.sha256("\n".join(settings).encode()).hexdigest()[:8]
    where = [f"output={output}", f"name={name}-{mark}", "reporter=quiet"]
    return ["-m", "hydra/launcher=fused", *where, *settings, *sweeper]


def folder(line: Sequence[str]) -> Path:
    """Where a command line's runs are."""
    typed = dict(text.split("=", 1) for text in line if "=" in text)
    return Path(typed["output"]) / typed["name"]


def search_line(plan: Plan, effort: Effort, table: str, learner: str, output: Path) -> list[str]:
    """The search of a learner's settings, on the meta-validation of one split, with one seed."""
    own = plan["learners"][learner]
    settings = [*plan["all"], *plan["tables"][table]["fixed"], *own["fixed"], "seeds=[0]", "baselines=[]"]
    settings += [*plan["searched"], *own["searched"]]
    how = [f"hydra.sweeper.{key}={effort[key]}" for key in ("trials", "batch")]
    return into(output / "search", f"{table}-{learner}", settings, "hydra/sweeper=optuna", *how)


def test_line(plan: Plan, effort: Effort, table: str, name: str, what: Sequence[str], output: Path) -> list[str]:
    """The test of a method, with all seeds on all splits."""
    settings = [*plan["all"], *plan["tables"][table]["fixed"], *what, f"seeds=[{','.join(map(str, plan['seeds']))}]"]
    if plan["tables"][table].get("splits", True):
        settings.append(f"protocol.seed={','.join(map(str, range(effort['splits'])))}")
    return into(output, f"{table}-{name}", settings)


def chosen(effort: Effort, searched: Path) -> list[str]:
    """What a search found best, as it is typed; nothing where it is not done, or found nothing.

    Trials that diverged are part of it.
    """
    path = searched / "search.json"
    record = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    done = record and len(record["trials"]) >= effort["trials"] and not record["counts"]["unfinished"]
    return record["best"]["typed"] if done and record["best"] else []


def report_line(tested: Sequence[Path], searched: Sequence[Path], metric: str, out: Path) -> list[str]:
    """The tables of what was tested, judged by a metric, with what was searched in their ledger."""
    judged = ["--metric", metric, "--by", "shots", "--searched", *map(str, searched)]
    return [*map(str, tested), *judged, "--out", str(out)]


def run(module: str, line: Sequence[str], dry: bool) -> int:
    """Run a command line of recmeta, and give its exit code. A dry run prints it alone."""
    print(shlex.join(["python", "-m", module, *line]), flush=True)
    return 0 if dry else subprocess.run([sys.executable, "-m", module, *line], check=False).returncode


def rebuild(plan: Plan, effort: Effort, table: str, output: Path, jobs: int, dry: bool) -> bool:
    """Make one table; whether all of it succeeded. A learner that fails is left out, and the others go on."""
    learners = plan["tables"][table]["learners"]
    searches = {learner: search_line(plan, effort, table, learner, output) for learner in learners}

    def tested(name: str, what: Sequence[str]) -> Path | None:
        line = test_line(plan, effort, table, name, what, output)
        return folder(line) if run("recmeta", line, dry) == 0 else None

    def one(learner: str) -> Path | None:
        code, searched = run("recmeta", searches[learner], dry), folder(searches[learner])
        best = ["..."] if dry else chosen(effort, searched)
        if code == 2 or not best:
            print(f"{searched}: no finished search that found anything; {learner} is left out", file=sys.stderr)
            return None
        return tested(learner, [*plan["learners"][learner]["fixed"], "baselines=[]", *best])

    found = [tested("baselines", ["learner=none", f"baselines=[{','.join(plan['baselines'])}]"])]
    with ThreadPoolExecutor(jobs) as pool:
        found += pool.map(one, learners)
    there = [path for path in found if path is not None]
    reports = [
        report_line(there, [folder(line) for line in searches.values()], metric, output / "report" / table / metric)
        for metric in plan["judged_by"]
    ]
    codes = [run("recmeta.results", line, dry) for line in reports]
    return None not in found and not any(codes)


def keep(table: str, judged_by: Sequence[str], output: Path, results: Path) -> None:
    """Copy what of a table's reports is small to where it is committed."""
    for metric in judged_by:
        (results / table / metric).mkdir(parents=True, exist_ok=True)
        for name in SMALL:
            shutil.copy(output / "report" / table / metric / name, results / table / metric / name)


def main() -> int:
    """Everything; 1 where some of it failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plan", type=Path, default=HERE / "plan.yaml")
    parser.add_argument("--preset", default="small", help="how hard: a name in the plan (default: %(default)s)")
    parser.add_argument("--table", nargs="+", help="some of the tables (default: all)")
    parser.add_argument("--output", type=Path, default=Path("outputs/what_survives"), help="of the runs")
    parser.add_argument("--results", type=Path, default=HERE / "results", help="of the small files")
    parser.add_argument("--jobs", type=int, default=2, help="learners at a time (default: %(default)s)")
    parser.add_argument("--dry-run", action="store_true", help="print the command lines alone")
    asked = parser.parse_args()
    plan = yaml.safe_load(asked.plan.read_text(encoding="utf-8"))
    for name, known in ((asked.preset, plan["presets"]), *((table, plan["tables"]) for table in asked.table or [])):
        if name not in known:
            parser.error(f"{name}: the plan has {', '.join(known)}")
    effort, complete = plan["presets"][asked.preset], True
    for table in asked.table or plan["tables"]:
        done = rebuild(plan, effort, table, asked.output, asked.jobs, asked.dry_run)
        if done and not asked.dry_run:
            keep(table, plan["judged_by"], asked.output, asked.results)
        complete &= done
    return 0 if complete else 1


if __name__ == "__main__":
    sys.exit(main())
