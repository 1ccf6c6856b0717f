"""Measure `metamodel run configs/quickstart.yaml`: wall time, peak memory and its table.

Claim: after the install it ends within 4 minutes on 2 cores and under 3 GiB.
Writes benchmarks/results/quickstart.json, from which `benchmarks/readme.py` makes the README's table.
"""

from __future__ import annotations

import argparse

from pipeline_run import measured_run
from results_file import write_results


def main() -> None:
    """Run it, print the two figures, write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few prompts: checks the script, measures nothing")
    quick = parser.parse_args().quick
    overrides = ["prompts.n_prompts=12", "evaluation.n_bootstrap=100"] if quick else []
    figures = measured_run("configs/quickstart.yaml", overrides)
    print(f"wall {figures['wall_s']} s, peak {figures['peak_gib']} GiB")
    if not quick:
        print(write_results("quickstart", figures))


if __name__ == "__main__":
    main()
