"""What `metamodel information` is asked, and what has to be scored for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from metamodel.dataset import PrimaryDataset, read_datasets
from metamodel.errors import ConfigError, RunError, UnknownNameError, nearest_name_hint
from metamodel.metric_rows import Split
from metamodel.output_information.cross_scoring import (
    ScoringPlan,
    prefix_lengths,
    seconds_a_pair,
)
from metamodel.output_information.sample import (
    DrawnOutput,
    choose_prompts,
    choose_split,
    predicted_prompt_ids,
    read_outputs,
)
from metamodel.primaries.capabilities import ScoresTokens

if TYPE_CHECKING:
    from metamodel.config import RunConfig
    from metamodel.protocols import PrimaryModel
    from metamodel.store.run_directory import RunDirectory
    from metamodel.types import Sampling

# Pairs grow with the square; 2048 prompts are 4 million pairs and 32 MB of scores a length.
MOST_PROMPTS: Final = 2048
_FEWEST_PROMPTS: Final = 2
_MOST_BINS: Final = 64
_FEWEST_PERMUTATIONS: Final = 20


@dataclass(frozen=True, kw_only=True)
class InformationQuery:
    """What is asked of a run.

    Attributes:
        n_prompts: Prompts n, as many of each domain as of any other.
        n_outputs: Outputs of each prompt that are scored; the labels of the others tell the behavior.
        n_bins: Most values of B.
        tokens: Length of outputs at which behaviors are ranked; None takes the longest one that is not saturated.
        split: Whose predictions are taken; None takes held-out domains where there are any.
        primaries: Names of primary models; empty for all that can score.
        metamodels: Names of metamodels; empty for all.
        n_permutations: Random partitions behind each figure of chance.
    """

    n_prompts: int = 256
    n_outputs: int = 1
    n_bins: int = 8
    tokens: int | None = None
    split: Split | None = None
    primaries: Sequence[str] = ()
    metamodels: Sequence[str] = ()
    n_permutations: int = 200

    def __post_init__(self) -> None:
        """Refuse what cannot be estimated."""
        limits = (
            ("--prompts", self.n_prompts, _FEWEST_PROMPTS, MOST_PROMPTS),
            ("--outputs", self.n_outputs, 1, MOST_PROMPTS),
            ("--bins", self.n_bins, 2, _MOST_BINS),
            ("--tokens", 1 if self.tokens is None else self.tokens, 1, None),
            ("--permutations", self.n_permutations, _FEWEST_PERMUTATIONS, 10_000),
        )
        problems = [
            f"{name} is {value}, must be at least {low}" + ("" if high is None else f" and at most {high}")
            for name, value, low, high in limits
            if value < low or (high is not None and value > high)
        ]
        if problems:
            raise ConfigError(problems, source="information")


@dataclass(frozen=True, kw_only=True)
class PrimaryWork:
    """What is scored for one primary model.

    Attributes:
        primary: Its name in the run.
        dataset: Its prompts with labels.
        rows: Rows of the chosen prompts that have outputs, n of them.
        n_missing: Chosen prompts without an output.
        plan: What is scored.
        scorer: The primary model; None under greedy decoding, where nothing is scored.
    """

    primary: str
    dataset: PrimaryDataset
    rows: Sequence[int]
    n_missing: int
    plan: ScoringPlan
    scorer: ScoresTokens | None

    def to_dict(self, *, seed: int) -> dict[str, object]:
        """Return what it takes, ready for JSON; times some pairs."""
        found: dict[str, object] = {
            "primary": self.primary,
            "n_prompts": len(self.rows),
            "n_outputs": len(self.plan.outputs),
            "n_pairs": self.plan.n_pairs if self.scorer else 0,
            "n_stored_pairs": self.plan.n_stored_pairs() if self.scorer else 0,
            "estimated_s": 0.0,
        }
        n_left = self.plan.n_pairs - self.plan.n_stored_pairs()
        if self.scorer and n_left:
            found["estimated_s"] = round(n_left * seconds_a_pair(self.scorer, self.plan, seed=seed), 1)
        return found


@dataclass(frozen=True, kw_only=True)
class InformationWork:
    """What `output_information` does.

    Attributes:
        split: Whose predictions are taken; None where the run has none.
        primaries: What is scored.
        skipped: Why a primary model is left out, by its name.
    """

    split: Split | None
    primaries: Sequence[PrimaryWork]
    skipped: dict[str, str]

    def to_dict(self, *, seed: int) -> dict[str, object]:
        """Return it ready for JSON; loads the primary models and times some pairs."""
        return {
            "split": self.split,
            "primaries": [one.to_dict(seed=seed) for one in self.primaries],
            "skipped": self.skipped,
        }


def information_work(run: RunDirectory, config: RunConfig, query: InformationQuery) -> InformationWork:
    """Return what would be scored, without scoring anything.

    Raises:
        UnknownNameError: There is no such primary model or metamodel.
        RunError: The run has no labels or no predictions on the split, or no primary model can be scored.
        ConfigError: More outputs are asked for than there are samples.
    """
    _check_names(config, query)
    datasets = read_datasets(run, config)
    split = choose_split(run, query.split)
    skipped = {name: reason for name, reason in _skipped(config, query) if reason}
    wanted = [name for name in (query.primaries or config.primaries) if name not in skipped]
    if not wanted or (query.primaries and skipped):
        raise RunError(
            f"{run.path}: no cross-scoring is possible: "
            + "; ".join(f"{name}: {reason}" for name, reason in skipped.items())
        )
    first = next(iter(datasets.values()))
    allowed = None if split is None else predicted_prompt_ids(run, split)
    chosen = choose_prompts(first, allowed, n_prompts=query.n_prompts, seed=config.seed)
    outputs = read_outputs(run, config, first, chosen, n_outputs=query.n_outputs)
    works = [_work(run, config, query, datasets[name], chosen, outputs[name]) for name in wanted]
    return InformationWork(split=split, primaries=works, skipped=skipped)


def _check_names(config: RunConfig, query: InformationQuery) -> None:
    for wanted, known, what in (
        (query.primaries, list(config.primaries), "primary model"),
        (query.metamodels, list(config.metamodels), "metamodel"),
    ):
        for name in wanted:
            if name not in known and name.split("+")[0] not in known:
                raise UnknownNameError(f"the run has no {what} named {name!r}: {nearest_name_hint(name, known)}")
    if query.n_outputs > config.sampling.n_samples:
        problem = f"--outputs is {query.n_outputs}, the run has {config.sampling.n_samples} samples a prompt"
        raise ConfigError([problem], source="information")


def _skipped(config: RunConfig, query: InformationQuery) -> Iterator[tuple[str, str | None]]:
    for name in query.primaries or config.primaries:
        yield name, _reason_to_skip(config.primaries[name], config.sampling)


def _reason_to_skip(primary: PrimaryModel, sampling: Sampling) -> str | None:
    """Say why the probability of an output under another prompt cannot be had; None where it can."""
    if not isinstance(primary, ScoresTokens):
        return (
            "it cannot say how likely it finds the tokens of an output (a log or a remote model): use a local model "
            "(kinds transformers and zoo)"
        )
    if not sampling.is_greedy and (sampling.temperature != 1 or sampling.top_p < 1 or sampling.top_k):
        return (
            f"outputs were drawn with temperature {sampling.temperature:g}, top_p {sampling.top_p:g} and top_k "
            f"{sampling.top_k}, and it scores at temperature 1 with nothing cut off, which are other probabilities: "
            "collect with temperature 1 (or 0: greedy), top_p 1 and top_k 0"
        )
    return None


def _work(
    run: RunDirectory,
    config: RunConfig,
    query: InformationQuery,
    dataset: PrimaryDataset,
    chosen: Sequence[int],
    outputs: Sequence[DrawnOutput],
) -> PrimaryWork:
    name = dataset.primary
    rows = sorted({output.row for output in outputs})
    if len(rows) < _FEWEST_PROMPTS:
        raise RunError(
            f"{run.path}: {len(rows)} prompts have outputs of {name} with their tokens, cross-scoring needs at least "
            f"{_FEWEST_PROMPTS}: collect more prompts"
        )
    primary = config.primaries[name]
    known = run.facts.get("primaries")
    stored = str(known.get(name, "")) if isinstance(known, dict) else ""
    if primary.identity != stored:
        raise RunError(
            f"{name} is now {primary.identity}, but {stored} drew the outputs: its probabilities are not those that "
            "they were drawn with; see `metamodel verify`"
        )
    plan = ScoringPlan(
        identity=stored,
        texts=[dataset.prompts.texts[row] for row in rows],
        outputs=outputs,
        lengths=prefix_lengths(outputs, tokens=query.tokens),
        folder=None if run.local_path is None else run.local_path / "information",
    )
    is_scored = isinstance(primary, ScoresTokens) and not config.sampling.is_greedy
    return PrimaryWork(
        primary=name,
        dataset=dataset,
        rows=rows,
        n_missing=len(chosen) - len(rows),
        plan=plan,
        scorer=primary if is_scored and isinstance(primary, ScoresTokens) else None,
    )
