"""Judge metamodels on a real language model over real texts, each corpus left out once: configs/local-model.yaml.

    python benchmarks/local_model.py --models FOLDER --data FOLDER

FOLDER of --models holds stories260K-llama, a Hugging Face folder; that of --data holds corpora/, one sub-folder of
.txt files a corpus. Writes benchmarks/results/local_model.json, from which benchmarks/readme.py makes README's table.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from pipeline_run import measured_run
from results_file import write_results


def main() -> None:
    """Run it and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=Path, required=True, help="folder with Hugging Face folders")
    parser.add_argument("--model", default="stories260K-llama", help="which of them")
    parser.add_argument("--data", type=Path, required=True, help="folder with corpora/")
    parser.add_argument("--quick", action="store_true", help="few prompts: checks the script, measures nothing")
    arguments = parser.parse_args()
    overrides = [
        f"primaries.0.model={arguments.models / arguments.model}",
        f"primaries.0.name={arguments.model}",
        f"prompts.sources.0.path={arguments.data / 'corpora'}",
    ]
    if arguments.quick:
        overrides += ["prompts.n_prompts=40", "sampling.max_new_tokens=24", "evaluation.n_bootstrap=100"]
    figures = measured_run("configs/local-model.yaml", overrides)
    print(f"wall {figures['wall_s']} s, peak {figures['peak_gib']} GiB")
    if not arguments.quick:
        print(write_results("local_model", figures))


if __name__ == "__main__":
    main()
