"""How long training takes, how much memory, and how good the result is on left-out domains, beside fastText and tf-idf.

    python benchmarks/train.py [--data DIR] [--quick]

DIR holds mmlu_pro/ and corpora/; without it the prompts are made up. Every way fits the same 100,000 prompts with 20
behaviors (16 planted, 4 real where there is data) in a process of its own, one after the other, on two threads:

bag, surface, static  ours, with their defaults: everything chosen and calibrated within the time
tfidf                 scikit-learn's TfidfVectorizer of words and pairs, once, and a LogisticRegression a behavior
fasttext              one fastText model in its multi-label mode (one against all), words and pairs

and `joint` fits one behavior of many primary models at once: every answer of mmlu_pro where there is data. What is
cached is computed within the time, as in a first fit. Bits are the reduction against the best constant on domains
that were left out, AUROC is theirs too, means over behaviors.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from results_file import write_results

from metamodel.registry import component_names

FOLDER = Path(__file__).parent
N_PROMPTS, N_QUICK_PROMPTS = 100_000, 2_000
# Way, and the task of train_prompts.py that it fits.
WAYS = (
    ("bag", "prompts"),
    ("surface", "prompts"),
    ("static", "prompts"),
    ("tfidf", "prompts"),
    ("fasttext", "prompts"),
    ("joint", "across"),
    ("tfidf", "across"),
)
RIVALS = {"tfidf", "fasttext"}
Row = Mapping[str, float]


def main() -> None:
    """Measure, print and store."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder with mmlu_pro/ and corpora/")
    parser.add_argument("--quick", action="store_true", help="few prompts: checks the script, measures nothing")
    parser.add_argument("--only", nargs="+", default=[], help="ways to measure, for development; stores nothing")
    options = parser.parse_args()
    n_prompts = N_QUICK_PROMPTS if options.quick else N_PROMPTS
    known = set(component_names("trainers")) | RIVALS
    rows: dict[str, Row] = {}
    with tempfile.TemporaryDirectory() as folder:
        data = [str(options.data)] if options.data else []
        run("train_prompts.py", folder, str(n_prompts), *data)
        print(f"{n_prompts:,} prompts, 20 behaviors; `across`: one behavior of many primary models\n")
        print(line(("way", "task", "wall s", "cpu s", "GiB", "predict s", "bits", "worst", "AUROC")))
        for way, task in WAYS:
            if options.only and way not in options.only:
                continue
            if way not in known:
                print(f"{way}: skipped, no trainer of that name is installed")
                continue
            row: Row = json.loads(run("train_ways.py", way, str(Path(folder) / f"{task}.json")).splitlines()[-1])
            rows[f"{way} on {task}"] = row
            cells = (
                *(way, task, f"{row['wall_s']:.1f}", f"{row['cpu_s']:.1f}", f"{row['peak_gib']:.2f}"),
                *(f"{row['predict_s']:.1f}", f"{row['bits']:+.4f}", f"{row['worst_bits']:+.4f}", f"{row['auroc']:.4f}"),
            )
            print(line(cells), flush=True)
    if not options.quick and not options.only:
        print(write_results("train", figures(rows, n_prompts, has_data=bool(options.data))))


def run(script: str, *arguments: str) -> str:
    """Return what a script beside this one prints."""
    environment = os.environ | {"OMP_NUM_THREADS": "2", "TOKENIZERS_PARALLELISM": "false"}
    finished = subprocess.run(  # noqa: S603 - this interpreter and a script beside this one
        [sys.executable, str(FOLDER / script), *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    if finished.returncode:
        reason = (finished.stderr.strip().splitlines() or ["no message"])[-1]
        raise SystemExit(f"{script} {arguments[0]} failed: {reason}")
    return finished.stdout


def line(cells: tuple[str, ...]) -> str:
    """Return one line of the table."""
    widths = (16, 9, 9, 9, 7, 10, 9, 9, 8)
    return "".join(
        f"{cell:<{width}}" if place < 2 else f"{cell:>{width}}"  # noqa: PLR2004 - names to the left, numbers to the right
        for place, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )


def figures(rows: Mapping[str, Row], n_prompts: int, *, has_data: bool) -> dict[str, object]:
    """Return the figures: seconds of each way, the most memory that one of ours held, and all rows."""
    seconds = {
        f"{name.split(' on ')[0]}_s": round(row["wall_s"], 1)
        for name, row in rows.items()
        if name.endswith(" on prompts") or name == "joint on across"
    }
    ours = [row["peak_gib"] for name, row in rows.items() if name.split(" on ")[0] not in RIVALS]
    return {
        "n_prompts": n_prompts,
        "has_data": has_data,
        **seconds,
        "peak_gib": round(max(ours), 2),
        "rows": {name: {key: round(value, 4) for key, value in row.items()} for name, row in rows.items()},
    }


if __name__ == "__main__":
    main()
