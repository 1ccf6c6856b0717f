"""What every benchmark writes: its figures with the versions and the machine that they were measured on."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("metamodel", "torch", "transformers", "lightning", "scikit-learn", "numpy")


def write_results(name: str, figures: Mapping[str, object]) -> Path:
    """Write benchmarks/results/NAME.json and return its path."""
    RESULTS.mkdir(exist_ok=True)
    record = {
        "benchmark": name,
        "measured_utc": datetime.now(tz=UTC).isoformat(timespec="seconds"),
        "machine": {
            "system": platform.system(),
            "processor": platform.machine(),
            "cores": os.cpu_count(),
            "python": platform.python_version(),
        },
        "versions": {package: version(package) for package in PACKAGES},
        "figures": figures,
    }
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(record, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return path


def read_figures(name: str) -> dict[str, object]:
    """Return the figures of benchmarks/results/NAME.json."""
    record = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return dict(record["figures"])
