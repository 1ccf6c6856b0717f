"""Draw a run's prompts from its sources."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from metamodel.config import RunConfig
from metamodel.errors import DataError
from metamodel.prompts.base import take_unique
from metamodel.splits import Fold, make_folds
from metamodel.types import Prompt


def draw_prompts(config: RunConfig) -> list[Prompt]:
    """Return the distinct prompts of all sources, in the order of the sources.

    Raises:
        DataError: A source yields nothing, or never ends where all of it is asked for.
    """
    prompts: dict[str, Prompt] = {}
    for source in config.sources:
        drawn = take_unique(source, n_prompts=config.n_prompts, seed=config.seed)
        if not drawn:
            raise DataError(f"prompt source {source} yields no prompt")
        prompts.update((prompt.id, prompt) for prompt in drawn)
    return list(prompts.values())


def config_folds(config: RunConfig, prompts: Sequence[Prompt]) -> list[Fold]:
    """Return the folds that a config asks for over its prompts.

    Raises:
        DataError: A fold has nothing to train on, or a held-out domain does not exist.
    """
    plan = config.splits
    prompts = [prompt for prompt in prompts if prompt.origin_id is None]  # no changed version is trained or judged on
    return make_folds(
        [prompt.text for prompt in prompts],
        [prompt.domain for prompt in prompts],
        test_share=plan.test_share,
        validation_share=plan.validation_share,
        in_distribution=plan.in_distribution,
        held_out_domains=plan.held_out_domains,
        seed=config.seed,
    )


def domain_counts(prompts: Sequence[Prompt]) -> dict[str, int]:
    """Return the number of prompts of each domain, by name."""
    return dict(sorted(Counter(prompt.domain for prompt in prompts).items()))
