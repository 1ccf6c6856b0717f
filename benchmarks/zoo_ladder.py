"""Do the four tasks that fell over Pythia's training fall over that of the zoo's ladder?

Each task as its source judges it: accuracy of the likelier of two choices, by the sum of the choice's log-likelihood,
at every size and checkpoint; regressed on log10 parameters, log10 tokens and their product, as Michaelov and Bergen
(2023) did for Pythia, whose t values stand beside ours where the data is there.

    python benchmarks/zoo_ladder.py [--quick] [--data DIR]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from results_file import write_results

from metamodel.checkpoints.lasting import Checkpoint
from metamodel.checkpoints.rates import Movements, Rate, movements, rates_of, rates_table
from metamodel.primaries.zoo_model import ZooModel
from metamodel.prompts.base import GeneratedDomain, take_unique
from metamodel.prompts.reasoning import HindsightBet
from metamodel.prompts.traps import MemoTrap, MistakenCapitals, PatternSuppression
from metamodel.scaling.stage import scaling
from metamodel.types import Prompt
from metamodel.zoo.catalog import trained_size
from metamodel.zoo.ladder import CHECKPOINT_TOKENS, LADDER_NAMES, LADDER_SIZES

# Our small relative of each task, and the task's name in the paper's table.
TASKS: Mapping[str, tuple[GeneratedDomain, str]] = {
    "memo_trap": (MemoTrap(), "Memo Trap"),
    "pattern_suppression": (PatternSuppression(), "Pattern Match Suppression"),
    "mistaken_capitals": (MistakenCapitals(), "TruthfulQA-MC1"),
    "hindsight_bet": (HindsightBet(), "Hindsight Neglect"),
}
VERDICTS = ("yes", "no")
BEHAVIOR = "accuracy"
PROMPT_SEED = 30
N_DRAWS = 1000


def main() -> None:
    """Measure, print and store."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="40 prompts a task instead of 150")
    parser.add_argument("--data", type=Path, help="folder with emergent_inabilities/statistical_tests.tsv")
    options = parser.parse_args()
    n_prompts = 40 if options.quick else 150
    prompts = [prompt for source, _ in TASKS.values() for prompt in take_unique(source, n_prompts, PROMPT_SEED)]
    started = time.perf_counter()
    labels = pd.concat([labels_of(name, prompts) for name in LADDER_NAMES], ignore_index=True)
    rates = list(rates_of(BEHAVIOR, labels, checkpoints(), n_draws=N_DRAWS, seed=0))
    found = movements(scaling(rates_table(rates, source="ladder")), rates, frozenset({BEHAVIOR}))
    markdown = "\n\n".join([accuracy_table(rates), terms_table(found, pythia(options.data))])
    print(f"{markdown}\n")
    figures = {
        "n_prompts": n_prompts,
        "seconds": round(time.perf_counter() - started),
        "rates": [rate.to_dict() for rate in rates],
        "movements": [one.to_dict() for one in found],
        "markdown": markdown,
    }
    print(write_results("zoo_ladder", figures).name)


def checkpoints() -> dict[str, Checkpoint]:
    """Return the ladder's models with their sizes."""
    sizes = {name: trained_size(name) for name in LADDER_NAMES}
    return {
        name: Checkpoint(primary=name, parameters=size.parameters, tokens=size.tokens, series=str(size.parameters))
        for name, size in sizes.items()
        if size is not None
    }


def labels_of(name: str, prompts: Sequence[Prompt]) -> pd.DataFrame:
    """Return for each prompt whether a model finds the right choice likelier, a row a prompt."""
    offered = [(prompt, choice) for prompt in prompts for choice in prompt.choices or VERDICTS]
    scores = ZooModel(model=name).score([prompt.text for prompt, _ in offered], [f" {choice}" for _, choice in offered])
    pairs = scores.reshape(-1, 2)
    rights = [(prompt.choices or VERDICTS).index(prompt.references[0]) for prompt in prompts]
    return pd.DataFrame(
        {
            "primary": name,
            "domain": [prompt.domain for prompt in prompts],
            "prompt_id": [prompt.id for prompt in prompts],
            "value": (np.argmax(pairs, axis=1) == np.array(rights)).astype(float),
        }
    )


def pythia(data: Path | None) -> dict[str, dict[str, str]]:
    """Return the paper's tests by task and term; nothing where the data is not there."""
    path = None if data is None else data / "emergent_inabilities" / "statistical_tests.tsv"
    if path is None or not path.is_file():
        return {}
    table = pd.read_csv(path, sep="\t", dtype=str).set_index("task_name")
    return {str(task): {str(term): str(text) for term, text in row.items()} for task, row in table.iterrows()}


def accuracy_table(rates: Sequence[Rate]) -> str:
    """Return accuracy in percent as Markdown: a row a task and size, a column a checkpoint, with intervals."""
    points = list(CHECKPOINT_TOKENS)
    lines = [f"| task | size | {' | '.join(points)} |", f"| --- | --- |{' --- |' * len(points)}"]
    by_place = {(rate.domain, rate.primary): rate for rate in rates}
    for task in TASKS:
        for size in LADDER_SIZES:
            mine = [by_place[task, f"{size}-{point}"] for point in points]
            cells = [f"{100 * one.rate:.0f} [{100 * one.low:.0f}, {100 * one.high:.0f}]" for one in mine]
            lines.append(f"| {task} | {size} | {' | '.join(cells)} |")
    return "Accuracy in percent with 95 % intervals over prompts; chance is 50.\n\n" + "\n".join(lines)


def terms_table(found: Sequence[Movements], reference: Mapping[str, Mapping[str, str]]) -> str:
    """Return the regressions as Markdown, ours beside Pythia's."""
    lines = [
        "| task | parameters | tokens | interaction | over training | Pythia: parameters | tokens | interaction |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for one in found:
        if one.domain not in TASKS:
            continue
        rows = (one.parameters, one.tokens, one.product)
        ours = ["" if row is None else f"t({row.df})={row.t:.2f}, p={row.p_adjusted:.3f}" for row in rows]
        theirs = reference.get(TASKS[one.domain][1], {})
        cells = [theirs.get(term, "") for term in ("Parameters", "Tokens", "Interaction")]
        lines.append(f"| {one.domain} | {' | '.join(ours)} | {one.over_training} | {' | '.join(cells)} |")
    return "Accuracy against size and training; p adjusted over all terms.\n\n" + "\n".join(lines)


if __name__ == "__main__":
    main()
