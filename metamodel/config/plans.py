"""What a config says, once it is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from metamodel.config.search import TunePlan
from metamodel.engines.plan import EnginePlan
from metamodel.protocols import Featurizer, PrimaryModel, PromptSource, Trainer
from metamodel.types import JSONObject, Sampling


@dataclass(frozen=True, kw_only=True)
class SplitPlan:
    """Which prompts train, which stop and calibrate, which judge.

    Attributes:
        test_share: Share of each domain's prompts in the in-distribution test split.
        validation_share: Share of the rest that stops training and calibrates (in the held-out folds: of the domains).
        in_distribution: Whether to fit and judge on a random split.
        held_out_domains: "all" leaves each domain out once; a list leaves out only those; empty none.
    """

    test_share: float = 0.25
    validation_share: float = 0.2
    in_distribution: bool = True
    held_out_domains: Literal["all"] | tuple[str, ...] = "all"

    def __post_init__(self) -> None:
        """Refuse shares that leave nothing to train on."""
        for name in ("test_share", "validation_share"):
            value = getattr(self, name)
            if not 0 < value < 1:
                raise ValueError(f"{name} is {value}, must be between 0 and 1")
        if not self.in_distribution and not self.held_out_domains:
            raise ValueError("in_distribution is false and held_out_domains is empty: nothing would be judged")


@dataclass(frozen=True, kw_only=True)
class EvaluationPlan:
    """What is judged, and how figures get their intervals.

    Attributes:
        n_bootstrap: Draws of the bootstrap over prompts.
        prior_shift: Whether every metamodel is judged once more, under its name and `+prior_shift`, with predictions
            corrected to the outcome rates that the judged prompts suggest without their labels.
    """

    n_bootstrap: int = 1000
    prior_shift: bool = False

    def __post_init__(self) -> None:
        """Refuse too few draws for a 95 % interval."""
        if self.n_bootstrap < 100:  # noqa: PLR2004 - below it the 2.5 % quantile rests on two draws
            raise ValueError(f"n_bootstrap is {self.n_bootstrap}, must be at least 100")


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """One job: what is sampled, what is labeled, what is trained, how it is judged.

    Attributes:
        name: Name of the job.
        directory: Run directory, an fsspec path.
        seed: Seed of prompts, splits, training and bootstrap (`sampling.seed` is the draws' own).
        n_prompts: Prompts drawn from each domain; None takes all a file has.
        sources: Where prompts come from.
        primaries: Primary models by name.
        sampling: How outputs are drawn.
        behaviors: Featurizers by behavior name.
        metamodels: Trainers by metamodel name.
        splits: Which prompts train and which judge.
        evaluation: What is judged, and how figures get their intervals.
        logger: Lightning's logger.
        engine: Where collect and featurize run.
        resolved: The whole config with every default filled in, ready for JSON; `tune` is no part of it, since a run's
            artifacts do not depend on it.
        tune: How metamodels are tuned, where the config says so.
    """

    name: str
    directory: str
    seed: int
    n_prompts: int | None
    sources: tuple[PromptSource, ...]
    primaries: Mapping[str, PrimaryModel]
    sampling: Sampling
    behaviors: Mapping[str, Featurizer]
    metamodels: Mapping[str, Trainer]
    splits: SplitPlan
    evaluation: EvaluationPlan
    logger: Literal["csv", "wandb", "none"]
    engine: EnginePlan
    resolved: JSONObject = field(repr=False)
    tune: TunePlan | None = None

    def specs(self, section: Literal["primaries", "behaviors", "metamodels"]) -> dict[str, JSONObject]:
        """Return the resolved entries of a section by name: kind, name and every field."""
        entries = self.resolved[section]
        listed = entries if isinstance(entries, list) else []
        return {str(entry["name"]): entry for entry in listed if isinstance(entry, dict)}
