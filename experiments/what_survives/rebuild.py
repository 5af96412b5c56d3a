"""What survives: search each learner's settings by meta-validation, test what was chosen, and write the tables.

    python experiments/what_survives/rebuild.py                      # everything; hours. The same line goes on
    python experiments/what_survives/rebuild.py --table ml_1m_random
    python experiments/what_survives/rebuild.py --dry-run            # the command lines alone

Every step is a command line of recmeta that can be typed by hand, and that skips what is done. `plan.yaml` says what is
tried; the tables are written to `results/` beside it.
"""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import yaml

Plan = Mapping[str, Any]
Effort = Mapping[str, int]
"""A preset of the plan: how many trials, how many of them at a time, and how many splits."""

HERE = Path(__file__).parent
SMALL = ("results.csv", "comparisons.csv", "budget.csv")
"""What of a report is kept in the repository."""


def search_line(plan: Plan, effort: Effort, table: str, learner: str, output: Path) -> list[str]:
    """The search of a learner's settings, on the meta-validation of one split, with one seed."""
    own, how = plan["learners"][learner], [f"hydra.sweeper.{key}={effort[key]}" for key in ("trials", "batch")]
    return [
        "-m", "hydra/sweeper=optuna", "hydra/launcher=fused", f"output={output / 'search'}", f"name={table}-{learner}",
        "reporter=quiet", *plan["all"], *plan["tables"][table]["fixed"], *own["fixed"], "seeds=[0]", "baselines=[]",
        *plan["searched"], *own["searched"], *how,
    ]  # fmt: skip


def test_line(plan: Plan, effort: Effort, table: str, what: Sequence[str], output: Path) -> list[str]:
    """The test of a method, with all seeds on all splits."""
    seeds = ",".join(map(str, plan["seeds"]))
    over = (
        [f"protocol.seed={','.join(map(str, range(effort['splits'])))}"]
        if plan["tables"][table].get("splits", True)
        else []
    )
    return [
        "-m", "hydra/launcher=fused", f"output={output}", f"name={table}", "reporter=quiet", *plan["all"],
        *plan["tables"][table]["fixed"], *what, f"seeds=[{seeds}]", *over,
    ]  # fmt: skip


def chosen(plan: Plan, effort: Effort, table: str, learner: str, output: Path) -> list[str]:
    """What a search found best, as it is typed. Trials that diverged are part of it.

    Raises:
        SystemExit: it is not done, or found nothing.
    """
    path = output / "search" / f"{table}-{learner}" / "search.json"
    record = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"best": None, "trials": []}
    if len(record["trials"]) < effort["trials"] or not record["best"]:
        raise SystemExit(f"{path}: no finished search that found anything; see what its command line says")
    return [*plan["learners"][learner]["fixed"], "baselines=[]", *record["best"]["typed"]]


def report_line(table: str, metric: str, learners: Sequence[str], output: Path) -> list[str]:
    """The tables of what was tested, judged by a metric, with what was searched in their ledger."""
    searched = [str(output / "search" / f"{table}-{learner}") for learner in learners]
    out = output / "report" / table / metric
    return [str(output / table), "--metric", metric, "--by", "shots", "--searched", *searched, "--out", str(out)]


def run(module: str, dry: bool, line: Sequence[str]) -> bool:
    """Run a command line of recmeta; whether it succeeded. A dry run prints it."""
    print(shlex.join(["python", "-m", module, *line]), flush=True)
    return dry or subprocess.run([sys.executable, "-m", module, *line], check=False).returncode == 0


def rebuild(plan: Plan, effort: Effort, table: str, output: Path, jobs: int, dry: bool) -> bool:
    """Make one table; whether all of it succeeded."""
    learners = plan["tables"][table]["learners"]
    recmeta = partial(run, "recmeta", dry)

    def one(learner: str) -> bool:
        recmeta(search_line(plan, effort, table, learner, output))
        what = [*plan["learners"][learner]["fixed"], "..."] if dry else chosen(plan, effort, table, learner, output)
        return recmeta(test_line(plan, effort, table, what, output))

    baselines = [f"baselines=[{','.join(plan['baselines'])}]", "learner=none"]
    done = [recmeta(test_line(plan, effort, table, baselines, output))]
    with ThreadPoolExecutor(jobs) as pool:
        done += pool.map(one, learners)
    done += [run("recmeta.results", dry, report_line(table, by, learners, output)) for by in plan["judged_by"]]
    return all(done)


def kept(table: str, judged_by: Sequence[str], output: Path, results: Path) -> Iterator[Path]:
    """Copy what of a table's reports is small to where it is committed."""
    for metric in judged_by:
        (results / table / metric).mkdir(parents=True, exist_ok=True)
        for name in SMALL:
            yield Path(shutil.copy(output / "report" / table / metric / name, results / table / metric / name))


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
        complete &= rebuild(plan, effort, table, asked.output, asked.jobs, asked.dry_run)
        if not asked.dry_run:
            print(*kept(table, plan["judged_by"], asked.output, asked.results), sep="\n", flush=True)
    return 0 if complete else 1


if __name__ == "__main__":
    sys.exit(main())
