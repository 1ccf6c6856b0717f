"""What the bundled models do: base rates of the behaviors in every generated domain.

Each of correct, ngram_copy, repetition_loop and truncated should be worth predicting: a base rate from 5 % to 95 % in
at least six domains, for at least two models. Measured under sampling and under greedy decoding.

    python benchmarks/zoo.py [--quick] [--models DIR]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
from results_file import write_results

from featurizers.copying import NGramCopy
from featurizers.correctness import Correct
from featurizers.degeneration import RepetitionLoop
from featurizers.ending import Truncated
from metamodel.primaries.transformers_model import TransformersModel
from metamodel.primaries.zoo_model import ZooModel
from metamodel.prompts import GENERATED_DOMAINS, ZOO_HELD_OUT_DOMAINS
from metamodel.prompts.base import take_unique
from metamodel.protocols import Featurizer, PrimaryModel
from metamodel.registry import component_class
from metamodel.text import text_batch
from metamodel.types import Generation, Prompt, Sampling
from metamodel.zoo import ZOO_NAMES

# Base rate by behavior; None where no prompt of the domain has references.
Rates: TypeAlias = dict[str, float | None]

BEHAVIORS: Mapping[str, Featurizer] = {
    "correct": Correct(),
    "ngram_copy": NGramCopy(n=6, unit="character"),
    # Most answers are shorter than a dozen bytes.
    "repetition_loop": RepetitionLoop(min_length=8),
    "truncated": Truncated(),
}
# Sampling at temperature 1 breaks most loops: they belong to greedy decoding.
SETTINGS: Mapping[str, Sampling] = {
    "sampled": Sampling(n_samples=4, temperature=1.0, max_new_tokens=32),
    "greedy": Sampling(n_samples=1, temperature=0.0, max_new_tokens=40),
}
LOWEST, HIGHEST = 0.05, 0.95
FEWEST_DOMAINS, FEWEST_MODELS = 6, 2
PROMPT_SEED = 20


def main() -> None:
    """Measure, print and store."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="40 prompts a domain instead of 200")
    parser.add_argument(
        "--models", type=Path, help="folder with one model folder a zoo name, instead of the bundled ones"
    )
    options = parser.parse_args()
    n_prompts = 40 if options.quick else 200
    prompts = {
        domain: take_unique(component_class("prompts", domain)(), n_prompts, PROMPT_SEED)
        for domain in GENERATED_DOMAINS
    }
    figures: dict[str, object] = {"n_prompts": n_prompts}
    parts = [f"{n_prompts} prompts a domain; * not in the zoo's training data."]
    for setting, sampling in SETTINGS.items():
        rates: dict[str, dict[str, Rates]] = {}
        for name in ZOO_NAMES:
            started = time.perf_counter()
            rates[name] = measured_rates(load(name, options.models), prompts, sampling)
            print(f"{setting} {name}: {time.perf_counter() - started:.0f} s")
        counts = {behavior: informative_domains(rates, behavior) for behavior in BEHAVIORS}
        figures[setting] = {
            "sampling": describe(sampling),
            "base_rates": rates,
            "informative_domains": counts,
            "condition_holds": {behavior: condition_holds(by_model) for behavior, by_model in counts.items()},
        }
        parts += [f"**{describe(sampling)}**", rates_table(rates), counts_table(counts)]
    markdown = "\n\n".join(parts)
    print(f"\n{markdown}\n")
    print(write_results("zoo", figures | {"markdown": markdown}).name)


def load(name: str, folder: Path | None) -> PrimaryModel:
    """Return a bundled model, or the one of that name in a folder."""
    return ZooModel(model=name) if folder is None else TransformersModel(model=str(folder / name))


def measured_rates(
    primary: PrimaryModel, prompts: Mapping[str, Sequence[Prompt]], sampling: Sampling
) -> dict[str, Rates]:
    """Return the base rate of every behavior in each domain."""
    by_id = {prompt.id: prompt for drawn in prompts.values() for prompt in drawn}
    outcomes = (row for batch in primary.generate(list(by_id.values()), sampling) for row in batch)
    rows = [row for row in outcomes if isinstance(row, Generation)]
    asked = [by_id[row.prompt_id] for row in rows]
    batch = text_batch(
        [row.text or "" for row in rows],
        prompts=[prompt.text for prompt in asked],
        prompt_ids=[row.prompt_id for row in rows],
        references=[prompt.references for prompt in asked],
        n_tokens=[row.n_tokens for row in rows],
        finish_reasons=[row.finish_reason for row in rows],
    )
    domain_of = np.array([prompt.domain for prompt in asked])
    labels = {behavior: featurizer.label(batch) for behavior, featurizer in BEHAVIORS.items()}
    return {
        domain: {behavior: _rate(values[domain_of == domain]) for behavior, values in labels.items()}
        for domain in prompts
    }


def informative_domains(rates: Mapping[str, Mapping[str, Rates]], behavior: str) -> dict[str, int]:
    """Return, by model, in how many domains the base rate lies between the bounds."""
    return {
        name: sum(LOWEST <= rate <= HIGHEST for by in domains.values() if (rate := by[behavior]) is not None)
        for name, domains in rates.items()
    }


def condition_holds(by_model: Mapping[str, int]) -> bool:
    """Say whether enough models have enough informative domains."""
    return sum(n_domains >= FEWEST_DOMAINS for n_domains in by_model.values()) >= FEWEST_MODELS


def rates_table(rates: Mapping[str, Mapping[str, Rates]]) -> str:
    """Return base rates in percent as Markdown: a row a domain, in each cell the four models in the zoo's order."""
    lines = [f"| domain | {' | '.join(BEHAVIORS)} |", f"| --- |{' --- |' * len(BEHAVIORS)}"]
    for domain in GENERATED_DOMAINS:
        cells = [" / ".join(_percent(rates[name][domain][behavior]) for name in rates) for behavior in BEHAVIORS]
        mark = " *" if domain in ZOO_HELD_OUT_DOMAINS else ""
        lines.append(f"| {domain}{mark} | {' | '.join(cells)} |")
    return f"Base rates in percent: {' / '.join(rates)}.\n\n" + "\n".join(lines)


def counts_table(counts: Mapping[str, Mapping[str, int]]) -> str:
    """Return the number of informative domains as Markdown."""
    names = list(next(iter(counts.values())))
    lines = [f"| behavior | {' | '.join(names)} | at least 6 for 2 models |", f"| --- |{' --- |' * (len(names) + 1)}"]
    for behavior, by_model in counts.items():
        cells = [str(by_model[name]) for name in names]
        lines.append(f"| {behavior} | {' | '.join(cells)} | {'yes' if condition_holds(by_model) else 'no'} |")
    return "Domains with a base rate from 5 % to 95 %.\n\n" + "\n".join(lines)


def describe(sampling: Sampling) -> str:
    """Return the sampling in words."""
    how = "greedy" if sampling.is_greedy else f"{sampling.n_samples} samples at temperature {sampling.temperature:g}"
    return f"{how}, at most {sampling.max_new_tokens} new tokens"


def _rate(values: np.ndarray) -> float | None:
    present = values[~np.isnan(values)]
    return round(float(present.mean()), 4) if len(present) else None


def _percent(rate: float | None) -> str:
    return "-" if rate is None else f"{100 * rate:.0f}"


if __name__ == "__main__":
    main()
