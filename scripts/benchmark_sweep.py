"""Time a sweep by Hydra's basic launcher and by the fused one, end to end, and print a breakdown.

    python scripts/benchmark_sweep.py --steps 100 --rates 8 --seeds 8

MAML on ML-100K, rates times seeds runs, each launcher in a process and a folder of its own. A run's overhead is all
time that is neither training (at the rate of all chunks but the first) nor testing: start, data, compilation,
baselines, statistics, files.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def sweep(launcher: str, folder: Path, steps: int, rates: int, seeds: int, more: list[str]) -> tuple[float, list[dict]]:
    """Time a sweep. Returns its seconds, and its runs' summaries with programs compiled and tasks tested."""
    typed = [
        f"learner.inner_rate={','.join(f'{0.001 * 2**place:g}' for place in range(rates))}",
        f"seeds={','.join(f'[{seed}]' for seed in range(seeds))}",
        f"steps={steps}", f"eval_every={max(1, steps // 4)}", "patience=null", "reporter=quiet", f"output={folder}",
    ]  # fmt: skip
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "recmeta", "-m", f"hydra/launcher={launcher}", *typed, *more], check=True)
    seconds = time.perf_counter() - began
    return seconds, [_summary(path.parent) for path in folder.rglob("summary.json")]


def _summary(directory: Path) -> dict:
    summary = json.loads((directory / "summary.json").read_text(encoding="utf-8"))
    cost = json.loads((directory / "provenance.json").read_text(encoding="utf-8"))
    found = summary["scores"][summary["metric"]["scenario"]]["model"]["mae"]
    shots = len(summary["adaptation"][summary["metric"]["scenario"]]["shots"])
    return summary | {"compilations": cost["compilations"], "rows": found["tasks"] * found["seeds"] * shots}


def main() -> None:
    """Print both launchers' times, and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=100, help="outer steps; a multiple of 4")
    parser.add_argument("--rates", type=int, default=8)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--basic-rates", type=int, default=None, help="fewer, for the launcher that takes long")
    parser.add_argument("--basic-seeds", type=int, default=None)
    args, more = parser.parse_known_args()
    sizes = {"fused": (args.rates, args.seeds)}
    sizes["basic"] = (args.basic_rates or args.rates, args.basic_seeds or args.seeds)
    each, overhead = {}, {}
    for launcher, (rates, seeds) in sizes.items():
        with tempfile.TemporaryDirectory() as folder:
            seconds, points = sweep(launcher, Path(folder), args.steps, rates, seeds, more)
        speeds = [point["speed"] for point in points]
        batch = 32  # of conf/config.yaml
        trained = sum(args.steps * batch / speed["train_tasks_per_s"] for speed in speeds)
        tested = sum(point["rows"] / speed["eval_tasks_per_s"] for point, speed in zip(points, speeds, strict=True))
        number = rates * seeds
        each[launcher], overhead[launcher] = seconds / number, (seconds - trained - tested) / number
        programs = points[0]["compilations"] if launcher == "fused" else sum(point["compilations"] for point in points)
        print(f"{launcher}: {number} runs in {seconds:.1f} s; {programs} programs compiled or loaded", flush=True)
        parts = f"training {trained / number:.2f}, testing {tested / number:.2f}, overhead {overhead[launcher]:.2f}"
        print(f"  of a run's {each[launcher]:.2f} s: {parts}", flush=True)
    faster, less = each["basic"] / each["fused"], overhead["basic"] / overhead["fused"]
    print(f"a run: {faster:.2f} times as fast, overhead {less:.1f} times less")


if __name__ == "__main__":
    main()
