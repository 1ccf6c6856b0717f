"""Stage report: report.html and plots/ from what the other stages stored.

Shapes: m = judged prompts, c = outcomes of a behavior.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from metamodel.behaviors.summary import summarize_behaviors
from metamodel.comparisons import comparisons_from_json
from metamodel.curves import reliability_bins, risk_coverage_curve
from metamodel.dataset import current_generations, read_datasets
from metamodel.labels import Binary
from metamodel.metric_rows import MetricsRow, Split, best_row, mean_rows, rows_from_json, select
from metamodel.report.baselines import baseline_names
from metamodel.report.chart_files import write_chart
from metamodel.report.charts import draw_charts
from metamodel.report.elements import Section
from metamodel.report.examples import Judged, pick_examples
from metamodel.report.explorer.element import ExplorerLimits, explorer_element
from metamodel.report.extra_sections import extra_sections
from metamodel.report.inputs import PromptExample, ReliabilityCurve, ReportInputs, RiskCoverageCurve
from metamodel.report.page import render_report
from metamodel.report.plots import write_plots
from metamodel.report.prescreens import PrescreenPart, lay_out_prescreens
from metamodel.scoring import undefined_cells
from metamodel.thresholds.files import fit_fingerprint, read_all_thresholds

if TYPE_CHECKING:
    from metamodel.config import RunConfig
    from metamodel.console import OnProgress
    from metamodel.store.run_directory import RunDirectory


# What leaves room for the rest of the page, and ends soon: the words that moved predictions are asked for so long.
_EXPLORER: Final = ExplorerLimits(most_bytes=1_200_000, seconds=20)


def report(run: RunDirectory, config: RunConfig, *, on_progress: OnProgress | None = None) -> None:
    """Write report.html and plots/.

    Raises:
        RunError: The run has not been evaluated.
    """
    inputs = report_inputs(run, config)
    if on_progress:
        on_progress("charts", 1, 3)
    charts = draw_charts(inputs)
    if on_progress:
        on_progress("page", 2, 3)
    extra = [*_explorer_sections(run, config), *extra_sections(run)]
    run.write_text("report.html", render_report(inputs, charts=charts, extra=extra))
    for part in inputs.prescreens:
        write_chart(run, part.chart)
    with tempfile.TemporaryDirectory() as scratch:
        for path in write_plots(inputs, Path(scratch), charts=charts):
            run.write_text(f"plots/{path.name}", path.read_text(encoding="utf-8"))
    if on_progress:
        on_progress("done", 3, 3)


def _explorer_sections(run: RunDirectory, config: RunConfig) -> list[Section]:
    widget = explorer_element(run, config, limits=_EXPLORER)
    if widget is None:
        return []
    lead = "Sampled prompts with their outputs, what was predicted of them, and the words that moved the prediction."
    return [Section(id="explorer", title="Prompt explorer", lead=lead, elements=[widget])]


def report_inputs(run: RunDirectory, config: RunConfig) -> ReportInputs:
    """Gather what the report shows.

    Raises:
        RunError: The run has not been evaluated.
    """
    rows = rows_from_json(run.read_text("metrics.json"))
    judged = list(_judged(run, config))
    generations = current_generations(run, config)
    examples: list[PromptExample] = []
    for split, one in judged:
        if split == _example_split(rows) and one.metamodel == _best_metamodel(rows, one, split, config):
            examples += pick_examples(one, generations[generations["primary"] == one.primary])
    binary = [(split, one) for split, one in judged if isinstance(one.labels.space, Binary)]
    return ReportInputs(
        title=config.name,
        facts=run.facts,
        rows=rows,
        baselines=baseline_names(config),
        reliability=[_reliability(split, one) for split, one in binary],
        risk_coverage=[_risk_coverage(split, one) for split, one in binary],
        examples=examples,
        notes=[*undefined_cells(rows), *_error_notes(run)],
        comparisons=comparisons_from_json(run.read_text("comparisons.json")),
        behaviors=summarize_behaviors(run),
        prescreens=_prescreens(run),
    )


def _prescreens(run: RunDirectory) -> list[PrescreenPart]:
    found = read_all_thresholds(run, run.metamodel_names())
    return lay_out_prescreens((one, one.fingerprint != fit_fingerprint(run, one.fit)) for one in found)


def _judged(run: RunDirectory, config: RunConfig) -> Iterator[tuple[Split, Judged]]:
    """Yield the stored predictions with their labels, metamodel by metamodel, behavior by behavior, split by split."""
    datasets = read_datasets(run, config)
    for primary, dataset in datasets.items():
        predictions = run.read("predictions", shard_names=[primary]).to_pandas()
        row_of = pd.Index(dataset.prompt_ids)
        for (metamodel, behavior, split), group in predictions.groupby(["metamodel", "behavior", "split"], sort=False):
            rows = row_of.get_indexer(group["prompt_id"])
            yield (
                split,
                Judged(
                    metamodel=metamodel,
                    behavior=behavior,
                    primary=primary,
                    prompt_ids=tuple(group["prompt_id"]),
                    labels=dataset.prompts.labels[behavior].take(rows),
                    probabilities=np.stack(group["probabilities"].to_list()),
                ),
            )


def _example_split(rows: Sequence[MetricsRow]) -> Split:
    return "held_out_domain" if any(row.split == "held_out_domain" for row in rows) else "in_distribution"


def _best_metamodel(rows: Sequence[MetricsRow], judged: Judged, split: Split, config: RunConfig) -> str | None:
    baselines = baseline_names(config)
    trained = [name for name in config.metamodels if name not in baselines] or list(config.metamodels)
    rivals = select(rows, metamodels=trained, behavior=judged.behavior, primary=judged.primary, split=split)
    best = best_row(mean_rows(rivals))
    return best.metamodel if best else None


def _reliability(split: Split, judged: Judged) -> ReliabilityCurve:
    bins = reliability_bins(judged.labels.counts, judged.probabilities)
    return ReliabilityCurve(
        metamodel=judged.metamodel,
        behavior=judged.behavior,
        primary=judged.primary,
        split=split,
        predicted=bins.predicted.tolist(),
        observed=bins.observed.tolist(),
        weight=bins.weight.tolist(),
        low=bins.low.tolist(),
        high=bins.high.tolist(),
    )


def _risk_coverage(split: Split, judged: Judged) -> RiskCoverageCurve:
    curve = risk_coverage_curve(judged.labels.counts, judged.probabilities)
    return RiskCoverageCurve(
        metamodel=judged.metamodel,
        behavior=judged.behavior,
        primary=judged.primary,
        split=split,
        coverage=curve.coverage.tolist(),
        risk=curve.risk.tolist(),
    )


def _error_notes(run: RunDirectory) -> list[str]:
    errors = run.read("errors").to_pandas()
    counted = errors.groupby(["stage", "primary", "reason"]).size().head(20)
    return [f"{stage} of {primary}: {count} x {reason}" for (stage, primary, reason), count in counted.items()]
