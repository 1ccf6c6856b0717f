"""Measure `metamodel transfer`: 29 primary models in one table, and 100 models x 20 behaviors x 10,000 prompts.

Claim: 100 models x 20 behaviors x 10,000 prompts within 5 minutes and 4 GiB on 2 cores.
Needs --data (mmlu_pro) and --models (four small Hugging Face folders) for the table. --work keeps the runs, so that a
second call makes none of them again. Writes benchmarks/results/transfer.json.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from results_file import write_results
from transfer_runs import (
    LEFT_OUT,
    METAMODEL,
    RECORDED_CHARACTERS,
    SHORT_CHARACTERS,
    local_run,
    recorded_run,
    write_questions,
)
from transfer_scale import synthetic_run

_GIB = 2**30
_KEPT = ("behavior", "metamodel", "split", "n_pairs", "native", "bits", "low", "high", "share", "share_low")
_ALSO = ("share_high", "kappa", "worst_domain", "worst_bits", "worst_low", "worst_high", "verdict", "pairs")


def main() -> None:
    """Make the runs, transfer, print the verdicts, write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder with mmlu_pro/")
    parser.add_argument("--models", type=Path, help="folder with four Hugging Face folders")
    parser.add_argument("--work", type=Path, help="folder for runs and pages; a temporary one without")
    parser.add_argument(
        "--quick", action="store_true", help="few prompts and models: checks the script, stores nothing"
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        work = arguments.work or Path(scratch)
        figures: dict[str, object] = {"scale": scale(work, quick=arguments.quick)}
        if arguments.data and arguments.models:
            figures |= tables(work, arguments.data, arguments.models, quick=arguments.quick)
    if not arguments.quick:
        print(write_results("transfer", figures))


def scale(work: Path, *, quick: bool) -> dict[str, object]:
    """Write a large run and measure the command on it."""
    sizes = {"n_models": 10, "n_behaviors": 3, "n_prompts": 500} if quick else {}
    sizes = sizes or {"n_models": 100, "n_behaviors": 20, "n_prompts": 10_000}
    directory = work / "scale-{n_models}-{n_behaviors}-{n_prompts}".format(**sizes)
    if not (directory / "predictions").exists():
        synthetic_run(directory, **sizes)
    measured = transferred([str(directory)], work / "scale-out")
    document = measured.pop("document")
    print(f"{sizes}: {measured}")
    return {**sizes, **measured, "n_matrices": len(document["matrices"])}


def tables(work: Path, data: Path, models: Path, *, quick: bool) -> dict[str, object]:
    """Transfer between the local models over all their behaviors, and between all models over those in common."""
    n_local, n_recorded = (8, 10) if quick else (60, 100)
    short = write_questions(data, work / "local-questions", most_characters=SHORT_CHARACTERS, n_prompts=n_local)
    more = write_questions(data, work / "recorded-questions", most_characters=RECORDED_CHARACTERS, n_prompts=n_recorded)
    local = local_run(short, models, work / "local", n_prompts=n_local)
    recorded = recorded_run(more, work / "mmlu_pro", n_prompts=n_recorded)
    figures: dict[str, object] = {"left_out_of_mmlu_pro": list(LEFT_OUT)}
    for name, runs in (("local", [local]), ("all", [local, recorded])):
        measured = transferred(runs, work / f"{name}-out")
        document = measured.pop("document")
        measured.pop("peak_gib")  # of the largest child so far, which the scale's was
        for row in document["verdicts"]:
            if row["metamodel"] == METAMODEL:
                print(name, {key: row[key] for key in (*_KEPT, *_ALSO)})
        figures[name] = {
            **measured,
            "models": document["models"],
            "notes": document["notes"],
            "verdicts": [{key: row[key] for key in (*_KEPT, *_ALSO)} for row in document["verdicts"]],
            "trees": document["trees"],
        }
    return figures


def transferred(runs: list[str], out: Path) -> dict[str, object]:
    """Run the command in a process of its own; return its seconds, its peak memory and transfer.json."""
    began = time.perf_counter()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-c", "from metamodel.cli import main; main()", "transfer", *runs, "--out", str(out)]
    subprocess.run([*command, "--quiet"], check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - our own command
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "wall_s": round(time.perf_counter() - began, 1),
        "cpu_s": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 1),
        # Of the largest child so far.
        "peak_gib": round(after.ru_maxrss * 1024 / _GIB, 2),
        "document": json.loads((out / "transfer.json").read_text(encoding="utf-8")),
    }


if __name__ == "__main__":
    main()
