"""What `metamodel information` leaves in a run directory."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from metamodel.output_information.charts import information_chart
from metamodel.report.chart_files import write_chart
from metamodel.store.provenance import git_commit, package_versions, utc_now

if TYPE_CHECKING:
    from metamodel.output_information.results import OutputInformation
    from metamodel.store.run_directory import RunDirectory

SCHEMA_VERSION: Final = 1
FILE_NAME: Final = "information.json"


def write_information(run: RunDirectory, found: OutputInformation) -> str:
    """Write information.json, plots/information.svg and .csv; returns the path of the SVG below the run directory."""
    document = {
        "schema_version": SCHEMA_VERSION,
        "created_utc": utc_now(),
        "git_commit": git_commit(),
        "packages": package_versions(),
        "config_hash": run.facts.get("config_hash"),
        **found.to_dict(),
    }
    run.write_text(FILE_NAME, json.dumps(document, indent=1, allow_nan=False) + "\n")
    return write_chart(run, information_chart(found))
