"""Send W&B runs recorded offline below an outputs folder, by ``wandb sync``; runs already sent are skipped.

python scripts/sync_wandb.py [outputs] [--dry-run]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path


def unsent(outputs: Path) -> list[Path]:
    """The W&B runs recorded offline below a folder and not sent yet, oldest first.

    W&B names a run's folder by its time, and puts a file beside its record once it was sent.
    """
    runs = (path for path in outputs.rglob("wandb/offline-run-*") if any(path.glob("run-*.wandb")))
    return sorted((path for path in runs if not any(path.glob("*.synced"))), key=lambda path: path.name)


def main(typed: Sequence[str] | None = None) -> int:
    """Run from the command line; the exit code is that of ``wandb sync``, or 2 where there is no such folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("outputs", nargs="?", type=Path, default=Path("outputs"), help="where to look (outputs)")
    parser.add_argument("--dry-run", action="store_true", help="list the runs that would be sent")
    given = parser.parse_args(typed)
    if not given.outputs.is_dir():
        print(f"{given.outputs}: no such folder", file=sys.stderr)
        return 2
    runs = unsent(given.outputs)
    print(f"{len(runs)} offline runs below {given.outputs} to send", *runs, sep="\n", flush=True)
    if given.dry_run or not runs:
        return 0
    return subprocess.run([sys.executable, "-m", "wandb", "sync", *map(str, runs)]).returncode


if __name__ == "__main__":
    sys.exit(main())
