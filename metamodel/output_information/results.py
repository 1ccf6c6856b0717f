"""What `metamodel information` finds: figures in bits with their 95 % intervals, ready for JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from metamodel.metric_rows import Split

Reader = Literal["metamodel", "behavior", "domain"]
RankedBy = Literal["share", "within_share"]


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A figure with its 95 % interval.

    Attributes:
        value: The estimate.
        low: Lower end of the interval; None where there is none.
        high: Upper end of it.
    """

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, kw_only=True)
class LengthInformation:
    """What the first tokens of an output tell about its prompt.

    Attributes:
        tokens: How many; shorter outputs are whole.
        is_complete: Whether every output is whole.
        bits: I(Y; X) among the sampled prompts, at most log2 n. In expectation a lower bound on the population's.
        high_bits: Upper bound on the population's I(Y; X); None where no other prompt can give some output.
        conditional_entropy_bits: H(Y given X).
        is_saturated: Whether `bits` is so close to log2 n that outputs all but give their prompts away: then every
            function of the prompt can be read off the output, and none explains more than a random one.
    """

    tokens: int
    is_complete: bool
    bits: Figure
    high_bits: Figure | None
    conditional_entropy_bits: Figure
    is_saturated: bool


@dataclass(frozen=True, kw_only=True)
class ExplainedRow:
    """How much of the output's information one function B of the prompt explains.

    Attributes:
        reader: "metamodel": B is its prediction; "behavior": B is the behavior itself, p(f given x), from samples that
            were not scored; "domain": B is the prompt's domain, the reference.
        metamodel: Name of the metamodel; None for the others.
        behavior: The behavior; None for the domain, and for all behaviors of a metamodel together.
        reads_prompt: Whether the label is more than a function of the output, so that the bits that its metamodel
            explains of it (`reduction_bits`) are no lower bound on `bits`; None where there is no single behavior.
        n_bins: Values of B.
        bits: I(Y; B(X)) among the sampled prompts, at most that of X.
        chance_bits: Mean of the same over random partitions with the same bin sizes.
        above_bits: `bits` less `chance_bits`.
        share: `above_bits` over I(Y; X); None where that is zero.
        p_value: Share of random partitions that explain as much, itself counted among them.
        within_bits: I(Y; B(X) given the domain), less that of random partitions within domains; None for the domain.
        within_share: That over I(Y; X given the domain).
        within_p_value: As `p_value`, within domains.
        population_low_bits: Lower end of the interval of the population's I(Y; B(X)): a lower bound's lower end.
        population_high_bits: Upper end of it: an upper bound's upper end; None where it is infinite.
        reduction_bits: H(F) less the cross-entropy of the predictions, on the labels of the same prompts.
    """

    reader: Reader
    metamodel: str | None
    behavior: str | None
    reads_prompt: bool | None
    n_bins: int
    bits: Figure
    chance_bits: float
    above_bits: Figure
    share: Figure | None
    p_value: float
    within_bits: Figure | None
    within_share: Figure | None
    within_p_value: float | None
    population_low_bits: float | None
    population_high_bits: float | None
    reduction_bits: float | None

    def ranked(self, by: RankedBy) -> float:
        """Return the figure by which rows are ranked; minus infinity where there is none."""
        figure = self.share if by == "share" else self.within_share
        return float("-inf") if figure is None else figure.value


@dataclass(frozen=True, kw_only=True)
class LabelRow:
    """How much of the whole output one behavior's label is.

    Attributes:
        behavior: The behavior.
        reads_prompt: Whether the label is more than a function of the output. If not, I(Y; F) = H(F); else H(F) is only
            an upper bound on it.
        n_labeled: Scored outputs with a label.
        entropy_bits: H(F).
        share: H(F) over H(Y), of the sampled prompts; None where that is zero.
    """

    behavior: str
    reads_prompt: bool
    n_labeled: int
    entropy_bits: Figure
    share: Figure | None


@dataclass(frozen=True, kw_only=True)
class PrimaryInformation:
    """The output's information for one primary model.

    Attributes:
        primary: Its name in the run.
        identity: Its weights.
        is_greedy: Whether an output is a function of its prompt, so that I(Y; X) = H(Y) and nothing was scored.
        n_prompts: Prompts n.
        n_outputs: Scored outputs.
        n_domains: Domains of the prompts.
        n_dropped: Chosen prompts that were left out: without an output, or too long for the model with some output.
        log_n_bits: log2 n, the most that I(Y; X) can be among n prompts.
        largest_gap_bits: Largest difference between an output's log-probability as stored when it was drawn and as
            scored now; None where none was stored.
        lengths: Information by the number of tokens, the whole output last.
        ranked_tokens: At which of these lengths the rows below stand.
        rows: Functions of the prompt, best first.
        labels: Labels of the scored outputs, most bits first.
        notes: What a reader must know.
    """

    primary: str
    identity: str
    is_greedy: bool
    n_prompts: int
    n_outputs: int
    n_domains: int
    n_dropped: int
    log_n_bits: float
    largest_gap_bits: float | None
    lengths: Sequence[LengthInformation]
    ranked_tokens: int
    rows: Sequence[ExplainedRow]
    labels: Sequence[LabelRow]
    notes: Sequence[str]

    @property
    def ranked_length(self) -> LengthInformation:
        """The information at the length of the rows."""
        return next(one for one in self.lengths if one.tokens == self.ranked_tokens)


@dataclass(frozen=True, kw_only=True)
class OutputInformation:
    """The output's information for all primary models that can score.

    Attributes:
        split: Whose predictions were taken; None where the run has none.
        n_bins: Most values of B.
        n_permutations: Random partitions behind each figure of chance.
        n_bootstrap: Draws behind each interval.
        seed: Seed of the prompts' choice, the partitions and the draws.
        ranked_by: "within_share" on held-out domains, where each domain's predictions come from a metamodel of its own
            and could give the domain away; else "share".
        primaries: One a primary model.
        skipped: Why a primary model was left out, by its name.
    """

    split: Split | None
    n_bins: int
    n_permutations: int
    n_bootstrap: int
    seed: int
    ranked_by: RankedBy
    primaries: Sequence[PrimaryInformation]
    skipped: Mapping[str, str]

    def to_dict(self) -> dict[str, object]:
        """Return it ready for JSON."""
        return asdict(self)
