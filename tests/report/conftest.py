"""Inputs that look like those of a real run: two primary models, six behaviors, thirteen domains, five metamodels."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from metamodel.metric_rows import SPLITS, MetricsRow, Split
from metamodel.report.inputs import PromptExample, ReliabilityCurve, ReportInputs, RiskCoverageCurve
from metamodel.report.page import render_report

DOMAINS = (
    "addition", "subtraction", "sorting", "reversal", "successor", "recall", "quote_repetition", "redefined_math",
    "negated_question", "hindsight_bet", "capitals", "story", "mechanistic",
)  # fmt: skip
BINARY = ("correct", "ngram_copy", "repetition_loop", "empty", "truncated")
BEHAVIORS = (*BINARY, "n_tokens")
TRAINED = ("bag", "tfidf_logistic")
BASELINES = ("base_rate", "domain_tag", "prompt_length")
STRENGTH: dict[tuple[str, Split], float] = {
    ("bag", "held_out_domain"): 0.34,
    ("bag", "in_distribution"): 0.71,
    ("tfidf_logistic", "held_out_domain"): 0.21,
    ("tfidf_logistic", "in_distribution"): 0.62,
    ("base_rate", "held_out_domain"): -0.12,
    ("base_rate", "in_distribution"): 0.0,
    ("domain_tag", "held_out_domain"): -0.12,
    ("domain_tag", "in_distribution"): 0.44,
    ("prompt_length", "held_out_domain"): -0.25,
    ("prompt_length", "in_distribution"): 0.12,
}


def make_row(**changes: object) -> MetricsRow:
    """Return a plausible row with some keys changed."""
    values: dict[str, object] = {
        "metamodel": "bag", "behavior": "correct", "primary": "gpt2", "split": "held_out_domain", "domain": None,
        "n_prompts": 400, "n_samples": 2000, "base_rate": 0.4, "entropy_bits": 0.97, "cross_entropy_bits": 0.77,
        "reduction_bits": 0.2, "reduction_low_bits": 0.15, "reduction_high_bits": 0.25, "ceiling_low_bits": 0.4,
        "ceiling_bits": 0.5, "ceiling_high_bits": 0.6, "explained": 0.4, "auroc": 0.8, "auprc": 0.7, "brier": 0.15,
        "ece": 0.04, "refinement_bits": 0.75,
    }  # fmt: skip
    return MetricsRow.from_dict(values | changes)


def _cell_rows(rng: np.random.Generator, primary: str, behavior: str, split: Split) -> list[MetricsRow]:
    scale = 3.1 if behavior == "n_tokens" else 1.0
    rows = []
    for domain in (None, *DOMAINS):
        is_constant = behavior == "empty" and domain not in (None, "mechanistic", "story")
        rate = 0.0 if is_constant else float(rng.uniform(0.1, 0.9))
        entropy = 0.0 if is_constant else scale * -(rate * math.log2(rate) + (1 - rate) * math.log2(1 - rate))
        ceiling = entropy * float(rng.uniform(0.45, 0.8))
        for metamodel in (*TRAINED, *BASELINES):
            noise = 0.02 if domain is None else 0.16
            share = STRENGTH[metamodel, split] * (0.25 if behavior == "truncated" else 1) + float(rng.normal(0, noise))
            gained = -1.7 if (metamodel, domain) == ("prompt_length", "mechanistic") else share * ceiling
            half = (0.025 if domain is None else 0.06) * scale
            rows.append(
                make_row(
                    metamodel=metamodel,
                    behavior=behavior,
                    primary=primary,
                    split=split,
                    domain=domain,
                    n_prompts=1300 if domain is None else 100,
                    n_samples=5200 if domain is None else 400,
                    base_rate=rate if behavior in BINARY else None,
                    entropy_bits=entropy,
                    cross_entropy_bits=entropy - gained,
                    reduction_bits=gained,
                    reduction_low_bits=gained - half,
                    reduction_high_bits=gained + half,
                    ceiling_low_bits=ceiling * 0.9,
                    ceiling_bits=ceiling,
                    ceiling_high_bits=ceiling * 1.12,
                    explained=None if is_constant else gained / ceiling,
                    auroc=None if is_constant or behavior not in BINARY else 0.5 + 0.45 * max(share, 0),
                    ece=0.02 + 0.1 * abs(min(share, 0)),
                    refinement_bits=entropy - max(gained, 0),
                )
            )
    return rows


def _curves(
    rng: np.random.Generator, primary: str, behavior: str, split: Split
) -> tuple[list[ReliabilityCurve], list[RiskCoverageCurve]]:
    reliability, risk = [], []
    for metamodel in (*TRAINED, *BASELINES):
        place = {"metamodel": metamodel, "behavior": behavior, "primary": primary}
        share = max(STRENGTH[metamodel, split], 0.0)
        centers = np.linspace(0.05, 0.95, 10) if metamodel in TRAINED else np.array([0.3, 0.4, 0.5])
        slope = 0.95 if split == "in_distribution" else 0.6
        observed = np.clip(0.5 + slope * (centers - 0.5) + rng.normal(0, 0.03, centers.size), 0, 1)
        reliability.append(
            ReliabilityCurve(
                **place,
                split=split,
                predicted=tuple(centers),
                observed=tuple(observed),
                weight=tuple(rng.dirichlet(np.ones(centers.size))),
                low=tuple(np.clip(observed - 0.06, 0, 1)),
                high=tuple(np.clip(observed + 0.06, 0, 1)),
            )
        )
        coverage = np.linspace(0.02, 1, 50)
        risks = 0.35 - 0.3 * share * (1 - coverage) + rng.normal(0, 0.006, 50)
        risk.append(RiskCoverageCurve(**place, split=split, coverage=tuple(coverage), risk=tuple(risks)))
    return reliability, risk


def _examples(rng: np.random.Generator, primary: str) -> list[PromptExample]:
    examples = []
    for behavior in BEHAVIORS:
        for index in range(8):
            is_loop = behavior == "repetition_loop" and index % 2 == 0
            yes = float(rng.uniform(0.02, 0.98))
            probabilities = {"no": 1 - yes, "yes": yes}
            labels = list(rng.choice(["no", "yes"], size=4))
            if behavior not in BINARY:
                probabilities, labels = {"0": 0.2, "5-6": yes * 0.7, "9-12": 0.1}, ["5-6", "0", "5-6", "5-6"]
            looping = "\nThe cat sat on the mat. " + "and again " * 90
            examples.append(
                PromptExample(
                    prompt=f"{rng.integers(10, 9999)} + {rng.integers(10, 9999)} =",
                    domain=DOMAINS[index % 13],
                    primary=primary,
                    behavior=behavior,
                    metamodel="bag",
                    probabilities=probabilities,
                    labels=[str(label) for label in labels],
                    output=looping if is_loop else f" {rng.integers(9, 99999)}\n",
                    loop=(25, 10) if is_loop else None,
                )
            )
    return examples


@pytest.fixture(scope="session")
def realistic_inputs() -> ReportInputs:
    """Inputs of a whole run, the same at every call."""
    rng = np.random.default_rng(7)
    rows: list[MetricsRow] = []
    reliability: list[ReliabilityCurve] = []
    risk: list[RiskCoverageCurve] = []
    examples: list[PromptExample] = []
    for primary in ("gpt2", "mamba2"):
        for behavior in BEHAVIORS:
            for split in SPLITS:
                rows += _cell_rows(rng, primary, behavior, split)
                if behavior in BINARY:
                    curves = _curves(rng, primary, behavior, split)
                    reliability += curves[0]
                    risk += curves[1]
        examples += _examples(rng, primary)
    return ReportInputs(
        title="quickstart",
        facts={"config_hash": "0f3a9c", "seed": 0, "versions": {"torch": "2.13.0", "python": "3.11.9"}},
        rows=rows,
        baselines=BASELINES,
        reliability=reliability,
        risk_coverage=risk,
        examples=examples,
        notes=["empty: one outcome alone in 11 of 13 domains, so AUROC is undefined there.", "3 generations failed."],
    )


@pytest.fixture(scope="session")
def realistic_page(realistic_inputs: ReportInputs) -> str:
    """The page of that run, drawn once: it holds eighteen charts."""
    return render_report(realistic_inputs)


@pytest.fixture
def small_inputs() -> ReportInputs:
    """One primary model, one behavior, two metamodels, one domain: drawn in a moment."""
    place = {"behavior": "correct", "primary": "gpt2", "split": "held_out_domain"}
    rows = [
        make_row(metamodel=metamodel, domain=domain, reduction_bits=gained, reduction_low_bits=gained - 0.05,
                 reduction_high_bits=gained + 0.05, **place)
        for metamodel, gained in (("bag", 0.3), ("base_rate", -0.1))
        for domain in (None, "addition")
    ]  # fmt: skip
    return ReportInputs(title="small", facts={"seed": 1}, rows=rows, examples=[make_example()])


def make_example(**changes: object) -> PromptExample:
    """Return an example with some fields changed."""
    values: dict[str, object] = {
        "prompt": "2 + 2 =", "domain": "addition", "primary": "gpt2", "behavior": "correct", "metamodel": "bag",
        "probabilities": {"no": 0.25, "yes": 0.75}, "labels": ["yes"], "output": " 4",
    }  # fmt: skip
    return PromptExample(**(values | changes))  # type: ignore[arg-type]  # the test gives the right types


@pytest.fixture
def row() -> Callable[..., MetricsRow]:
    """Maker of a plausible row with some keys changed."""
    return make_row


@pytest.fixture
def example() -> Callable[..., PromptExample]:
    """Maker of an example with some fields changed."""
    return make_example
