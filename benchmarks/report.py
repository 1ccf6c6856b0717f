"""How heavy the report of a run of 100,000 prompts is, and how long a browser takes to open it.

    python benchmarks/report.py [--quick]

Four primary models, six behaviors, twenty domains, eight metamodels. Labels and predictions are drawn at random; curves
come from all 100,000 prompts by the functions that the report stage calls, and all prompts are offered as examples, of
which the page shows a sample.

page_mb               size of report.html
write_s               from figures to the page's text, drawings not counted
open_ms_median        from navigation to the load event, a fresh browser profile each time
paint_ms_median       to the first contentful paint
drawn_ms_median       until the last chart is drawn, also those far below the screen
n_charts              charts on the page

It needs Chromium and the `test` extra.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from results_file import write_results

from metamodel.curves import reliability_bins, risk_coverage_curve
from metamodel.metric_rows import SPLITS, MetricsRow
from metamodel.report.charts import draw_charts
from metamodel.report.inputs import PromptExample, ReliabilityCurve, ReportInputs, RiskCoverageCurve
from metamodel.report.page import render_report

BASELINES = ("base_rate", "domain_tag", "prompt_length")
METAMODELS = ("bag", "tfidf_logistic", "hashing", "encoder", "stack", *BASELINES)
BEHAVIORS = ("correct", "ngram_copy", "repetition_loop", "empty", "truncated", "refusal")
DOMAINS = tuple(f"domain_{number:02d}" for number in range(20))
PRIMARIES = ("transformer", "lstm", "mamba", "rwkv")
TEXT = "What is the sum of these numbers, and which of them is the largest? Answer with one line. " * 8


def main() -> None:
    """Measure, print and store."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few prompts: checks the script, measures nothing")
    options = parser.parse_args()
    inputs = made_inputs(2_000 if options.quick else 100_000, PRIMARIES[: 1 if options.quick else None])
    charts = draw_charts(inputs)
    start = time.perf_counter()
    page = render_report(inputs, charts=charts)
    found: dict[str, float] = {
        "n_prompts": len(inputs.examples),
        "n_rows": len(inputs.rows),
        "write_s": time.perf_counter() - start,
        "page_mb": len(page.encode()) / 1e6,
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "report.html"
        path.write_text(page, encoding="utf-8")
        found |= opened(path, n_times=2 if options.quick else 9)
    for name, value in found.items():
        print(f"{name:<20}{value:>12.4g}")
    if not options.quick:
        print(write_results("report", found))


def made_inputs(n_prompts: int, primaries: tuple[str, ...]) -> ReportInputs:
    """Return a report's inputs, the same every time."""
    rng = np.random.default_rng(0)
    rows: list[MetricsRow] = []
    reliability: list[ReliabilityCurve] = []
    risk: list[RiskCoverageCurve] = []
    for primary in primaries:
        for behavior in BEHAVIORS:
            chances = rng.beta(0.7, 1.3, n_prompts)
            counts = np.stack([rng.random(n_prompts) >= chances, np.zeros(n_prompts)], axis=1).astype(np.int64)
            counts[:, 1] = 1 - counts[:, 0]
            for metamodel in METAMODELS:
                noisy = np.clip(chances + rng.normal(0, 0.2, n_prompts), 0.001, 0.999)
                guesses = np.stack([1 - noisy, noisy], axis=1)
                bins, curve = reliability_bins(counts, guesses), risk_coverage_curve(counts, guesses)
                for split in SPLITS:
                    place = {"metamodel": metamodel, "behavior": behavior, "primary": primary}
                    reliability.append(
                        ReliabilityCurve(
                            **place, split=split, predicted=bins.predicted.tolist(), observed=bins.observed.tolist(),
                            weight=bins.weight.tolist(), low=bins.low.tolist(), high=bins.high.tolist(),
                        )
                    )  # fmt: skip
                    risk.append(
                        RiskCoverageCurve(
                            **place, split=split, coverage=curve.coverage.tolist(), risk=curve.risk.tolist()
                        )
                    )
            rows += made_rows(rng, primary, behavior, n_prompts)
    return ReportInputs(
        title="100,000 prompts",
        facts={"seed": 0},
        rows=rows,
        baselines=BASELINES,
        reliability=reliability,
        risk_coverage=risk,
        examples=list(made_examples(rng, n_prompts, primaries)),
    )


def made_rows(rng: np.random.Generator, primary: str, behavior: str, n_prompts: int) -> Iterator[MetricsRow]:
    """Yield a row for each split, domain and metamodel, and one over all domains."""
    for split in SPLITS:
        for domain in (None, *DOMAINS):
            ceiling = float(rng.uniform(0.3, 0.8))
            for metamodel in METAMODELS:
                gained = ceiling * float(rng.normal(0.0 if metamodel in BASELINES else 0.4, 0.15))
                yield MetricsRow(
                    metamodel=metamodel, behavior=behavior, primary=primary, split=split, domain=domain,
                    n_prompts=n_prompts // (1 if domain is None else len(DOMAINS)), n_samples=n_prompts, base_rate=0.4,
                    entropy_bits=0.97, cross_entropy_bits=0.97 - gained, reduction_bits=gained,
                    reduction_low_bits=gained - 0.03, reduction_high_bits=gained + 0.03, ceiling_low_bits=0.9 * ceiling,
                    ceiling_bits=ceiling, ceiling_high_bits=1.1 * ceiling, explained=gained / ceiling, auroc=0.7,
                    auprc=0.6, brier=0.2, ece=0.03, refinement_bits=0.97 - max(gained, 0),
                )  # fmt: skip


def made_examples(rng: np.random.Generator, n_prompts: int, primaries: tuple[str, ...]) -> Iterator[PromptExample]:
    """Yield one example a prompt, its texts of the length of real ones."""
    for number in range(n_prompts):
        yes = float(rng.random())
        yield PromptExample(
            prompt=f"{number}: {TEXT}", domain=DOMAINS[number % len(DOMAINS)],
            primary=primaries[number * len(primaries) // n_prompts], behavior=BEHAVIORS[number % len(BEHAVIORS)],
            metamodel="bag", probabilities={"no": 1 - yes, "yes": yes}, labels=["yes" if rng.random() < yes else "no"],
            output=TEXT[: int(rng.integers(20, 600))],
        )  # fmt: skip


def opened(path: Path, *, n_times: int) -> dict[str, float]:
    """Open a page several times and return the medians."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    timings: list[dict[str, float]] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        for _ in range(n_times):
            context = browser.new_context(viewport={"width": 1280, "height": 900})
            page = context.new_page()
            page.goto(path.as_uri())
            page.wait_for_selector("html[data-drawn=all]", timeout=120_000)
            timings.append(
                page.evaluate("""() => ({
                  open: performance.getEntriesByType("navigation")[0].loadEventEnd,
                  paint: performance.getEntriesByName("first-contentful-paint")[0].startTime,
                  drawn: performance.getEntriesByName("charts-drawn")[0].startTime,
                  charts: document.querySelectorAll(".chart svg").length,
                })""")
            )
            context.close()
        browser.close()
    medians = {name: statistics.median(one[name] for one in timings) for name in timings[0]}
    return {
        "open_ms_median": medians["open"],
        "open_ms_worst": max(one["open"] for one in timings),
        "paint_ms_median": medians["paint"],
        "drawn_ms_median": medians["drawn"],
        "n_charts": medians["charts"],
        "n_times": float(n_times),
    }


if __name__ == "__main__":
    main()
