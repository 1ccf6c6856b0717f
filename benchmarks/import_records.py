"""Measure the import of recorded outputs: rows a second, peak memory, and the time of a rerun.

Claim: a million rows are imported at 50,000 rows a second or more and under 1.5 GiB, memory does not grow with their
number, and a rerun of the finished run returns within 5 seconds.
Prints a table; `benchmarks/collect.py` stores the figures.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

N_MODELS = 2
N_DOMAINS = 20
_PIECE = 50_000
_WORDS = (
    "the",
    "of",
    "and",
    "to",
    "in",
    "is",
    "that",
    "it",
    "was",
    "for",
    "on",
    "are",
    "with",
    "as",
    "at",
    "be",
    "this",
)
# Runs in a process of its own, so that its peak is its own; ru_maxrss is in KiB on Linux, in bytes on macOS.
_CHILD = """
import json, resource, sys, time
start = time.perf_counter()
import metamodel
from metamodel.config import build_config
from metamodel.pipeline import run_stages
config = build_config(json.loads(sys.argv[1]))
run_stages(config, ["collect"], quiet=True)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
print(json.dumps({"wall_s": time.perf_counter() - start, "peak_gib": peak / 2**30}))
"""


def write_log(path: Path, n_rows: int) -> None:
    """Write a Parquet log: texts of some 300 bytes, `N_MODELS` models' outputs for n_rows / N_MODELS prompts."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    n_prompts = n_rows // N_MODELS
    generator = np.random.default_rng(0)
    sentences = [" ".join(generator.choice(_WORDS, size=60)) for _ in range(2000)]
    schema = pa.schema(
        [
            *((name, pa.string()) for name in ("id", "model", "domain", "prompt", "answer", "output")),
            ("correct", pa.bool_()),
            ("length", pa.int32()),
        ]
    )
    with pq.ParquetWriter(path, schema) as writer:
        for model in range(N_MODELS):
            for begin in range(0, n_prompts, _PIECE):
                numbers = range(begin, min(begin + _PIECE, n_prompts))
                chosen = generator.integers(len(sentences), size=len(numbers))
                columns = {
                    "id": [f"question-{number}" for number in numbers],
                    "model": [f"lab/model-{model}"] * len(numbers),
                    "domain": [f"domain-{number % N_DOMAINS}" for number in numbers],
                    "prompt": [f"{number}: {sentences[number % len(sentences)]}" for number in numbers],
                    "answer": [str(number % 10) for number in numbers],
                    "output": [f"{sentences[row]} {number}" for row, number in zip(chosen, numbers, strict=True)],
                    "correct": chosen % 3 == 0,
                    "length": chosen,
                }
                writer.write_table(pa.table(columns, schema=schema))


def measure_import(n_rows: int) -> dict[str, float]:
    """Import a synthetic log of n rows into a run and run the stage again; both in processes of their own.

    Returns:
        import_rows_per_s, import_peak_gib (peak resident memory of the import), rerun_s (wall time of the second
        process, its start included).
    """
    with tempfile.TemporaryDirectory() as folder:
        log, run = Path(folder) / "log.parquet", Path(folder) / "run"
        write_log(log, n_rows)
        config = _config(log, run)
        first = _child(config)
        begun = time.perf_counter()
        _child(config)
        rerun_s = time.perf_counter() - begun
    return {
        "import_rows_per_s": round(n_rows / first["wall_s"]),
        "import_peak_gib": round(first["peak_gib"], 3),
        "rerun_s": round(rerun_s, 2),
    }


def measure_reading(n_rows: int) -> dict[str, float]:
    """Read a synthetic log without storing it: what the importer alone can do.

    Returns:
        index_rows_per_s (one pass that finds prompts, models and duplicates), prompts_per_s and records_per_s.
    """
    from metamodel.recorded.opening import open_log

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.parquet"
        write_log(path, n_rows)
        begun = time.perf_counter()
        log = open_log(str(path))
        _ = log.index
        indexed = time.perf_counter()
        n_prompts = sum(table.num_rows for table in log.prompt_tables())
        listed = time.perf_counter()
        n_records = sum(table.num_rows for model in log.models for table in log.output_tables(model))
        read = time.perf_counter()
    return {
        "index_rows_per_s": round(n_rows / (indexed - begun)),
        "prompts_per_s": round(n_prompts / (listed - indexed)),
        "records_per_s": round(n_records / (read - listed)),
    }


def _config(log: Path, run: Path) -> str:
    import json

    return json.dumps(
        {
            "name": "import",
            "directory": str(run),
            "prompts": {"n_prompts": None, "sources": [{"kind": "recorded", "path": str(log)}]},
            "primaries": [{"kind": "recorded", "path": str(log)}],
            "behaviors": [{"kind": "recorded", "field": "correct"}],
            "metamodels": [{"kind": "base_rate"}],
        }
    )


def _child(config: str) -> dict[str, float]:
    import json

    finished = subprocess.run(  # noqa: S603 - this script's own code and config
        [sys.executable, "-c", _CHILD, config], capture_output=True, text=True, check=False
    )
    if finished.returncode:
        raise RuntimeError(finished.stderr)
    figures: dict[str, float] = json.loads(finished.stdout)
    return figures


def main() -> None:
    """Measure at full and at a quarter of the size, and print both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of the log")
    parser.add_argument("--quick", action="store_true", help="few rows: checks the script, measures nothing")
    parser.add_argument("--reading", action="store_true", help="measure the importer alone, without a run")
    arguments = parser.parse_args()
    n_rows = 20_000 if arguments.quick else arguments.rows
    measure = measure_reading if arguments.reading else measure_import
    for size in (n_rows // 4, n_rows):
        figures = measure(size)
        print(f"{size:>10,} rows  " + "  ".join(f"{name} {value:,}" for name, value in figures.items()), flush=True)


if __name__ == "__main__":
    main()
