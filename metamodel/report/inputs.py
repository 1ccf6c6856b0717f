"""What the report is made of; the stage that reads a run directory fills these in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from metamodel.behaviors.summary import BehaviorSummary
from metamodel.comparisons import PairedDifference
from metamodel.metric_rows import MetricsRow, Split, names
from metamodel.report.prescreens import PrescreenPart

DEFAULT_BASELINES: Final[tuple[str, ...]] = ("base_rate", "domain_tag", "prompt_length")


@dataclass(frozen=True, kw_only=True)
class ReliabilityCurve:
    """Predicted against observed frequency in m bins of the prediction. All sequences have length m.

    Attributes:
        metamodel: Name of the metamodel.
        behavior: Name of the behavior.
        primary: Name of the primary model.
        split: Which split was scored.
        predicted: Mean prediction in each bin.
        observed: Observed frequency in each bin.
        weight: Share of the labels in each bin.
        low: Lower end of the observed frequency's interval; empty where there is none.
        high: Upper end of it.
    """

    metamodel: str
    behavior: str
    primary: str
    split: Split
    predicted: Sequence[float]
    observed: Sequence[float]
    weight: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()

    def __post_init__(self) -> None:
        """Refuse columns of different lengths."""
        n_bins = len(self.predicted)
        lengths = {len(self.observed), len(self.weight), len(self.low) or n_bins, len(self.high) or n_bins}
        if lengths != {n_bins}:
            raise ValueError(f"a reliability curve of {n_bins} bins has columns of lengths {sorted(lengths)}")


@dataclass(frozen=True, kw_only=True)
class RiskCoverageCurve:
    """Error rate among the most confident share of prompts. Both sequences have length m.

    Attributes:
        metamodel: Name of the metamodel.
        behavior: Name of the behavior.
        primary: Name of the primary model.
        split: Which split was scored.
        coverage: Share of prompts answered, rising.
        risk: Error rate among those.
    """

    metamodel: str
    behavior: str
    primary: str
    split: Split
    coverage: Sequence[float]
    risk: Sequence[float]

    def __post_init__(self) -> None:
        """Refuse columns of different lengths."""
        if len(self.coverage) != len(self.risk):
            raise ValueError(f"a curve has {len(self.coverage)} coverages and {len(self.risk)} risks")


@dataclass(frozen=True, kw_only=True)
class PromptExample:
    """One prompt with what was predicted and what came. Prompt and output are untrusted text.

    Attributes:
        prompt: What the primary model read.
        domain: The prompt's domain.
        primary: Name of the primary model.
        behavior: Name of the behavior.
        metamodel: Who predicted.
        probabilities: Predicted probability of each outcome by name; the one of "yes" is shown if there is one.
        labels: Outcome of each sample by name; None where a sample has no label.
        output: One sample's text.
        loop: Onset and period of the output's loop, in characters; None without a loop.
    """

    prompt: str
    domain: str
    primary: str
    behavior: str
    metamodel: str
    probabilities: Mapping[str, float]
    labels: Sequence[str | None]
    output: str
    loop: tuple[int, int] | None = None


@dataclass(frozen=True, kw_only=True)
class ReportInputs:
    """All that is shown.

    Attributes:
        title: Heading of the page.
        facts: What was run: versions, seeds, primaries, config hash; may nest.
        rows: Rows of metrics.json.
        baselines: Names of the metamodels that are baselines.
        reliability: Reliability curves.
        risk_coverage: Risk-coverage curves.
        examples: Prompts with predictions and outputs.
        notes: What the reader must know: undefined cells and why, errors counted.
        comparisons: Paired differences; verdicts fall back on whether two intervals overlap where there is none.
        behaviors: What the labels say by themselves; None leaves that section out.
        prescreens: What was chosen for pre-screens, laid out.
    """

    title: str
    facts: Mapping[str, object]
    rows: Sequence[MetricsRow]
    baselines: Sequence[str] = DEFAULT_BASELINES
    reliability: Sequence[ReliabilityCurve] = ()
    risk_coverage: Sequence[RiskCoverageCurve] = ()
    examples: Sequence[PromptExample] = ()
    notes: Sequence[str] = ()
    comparisons: Sequence[PairedDifference] = ()
    behaviors: BehaviorSummary | None = None
    prescreens: Sequence[PrescreenPart] = ()

    @property
    def metamodels(self) -> list[str]:
        """Names of all metamodels: the trained ones first, then the baselines."""
        found = names(self.rows, "metamodel")
        return [name for name in found if name not in self.baselines] + [
            name for name in found if name in self.baselines
        ]
