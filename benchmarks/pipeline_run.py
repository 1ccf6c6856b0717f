"""Run a config in a process of its own and measure it: wall time, peak memory, and its summary rows."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

KIB_PER_GIB = 1024 * 1024


def measured_run(config: str, overrides: Sequence[str]) -> dict[str, object]:
    """Return wall_s, peak_gib and the mean rows and worst domains of metrics.json.

    Args:
        config: Path of the config.
        overrides: As for --set; the run directory is temporary.
    """
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch) / "run"
        options = [part for override in [*overrides, f"directory={directory}"] for part in ("--set", override)]
        started = time.perf_counter()
        subprocess.run(  # noqa: S603 - this interpreter and the arguments above
            [sys.executable, "-c", "from metamodel.cli import main; main()", "run", config, *options], check=True
        )
        wall_s = time.perf_counter() - started
        rows = json.loads((directory / "metrics.json").read_text(encoding="utf-8"))
        comparisons = json.loads((directory / "comparisons.json").read_text(encoding="utf-8"))
    peak_kib = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return {
        "wall_s": round(wall_s, 1),
        "peak_gib": round(peak_kib / KIB_PER_GIB, 2),
        "mean_rows": [row for row in rows if row["domain"] is None],
        "worst_rows": _worst(rows),
        "comparisons": comparisons,
    }


def _worst(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    """Return the held-out domain with the fewest bits gained, for every metamodel, behavior and primary model."""
    worst: dict[tuple[object, ...], dict[str, object]] = {}
    for row in rows:
        key = (row["metamodel"], row["behavior"], row["primary"])
        if row["domain"] is None or row["split"] != "held_out_domain" or row["reduction_bits"] is None:
            continue
        if key not in worst or float(str(row["reduction_bits"])) < float(str(worst[key]["reduction_bits"])):
            worst[key] = row
    return list(worst.values())
