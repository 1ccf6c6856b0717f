"""The online code of one of a run's fits: what is sent, in which blocks, by which trainer; finished blocks are kept.

Shapes: n = prompts, c = outcomes of a behavior.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from metamodel.description.online import Order, block_ends, domain_ends, online_bits, ordered
from metamodel.errors import MetamodelError, RunError
from metamodel.feature_cache import stored_under
from metamodel.labels import LabeledPrompts
from metamodel.protocols import FitContext
from metamodel.splits import hashed_shares
from metamodel.train import Fit
from metamodel.types import FloatArray, IntArray, Predictions, content_hash

if TYPE_CHECKING:
    from metamodel.config import RunConfig
    from metamodel.store.run_directory import RunDirectory

_SCHEMA: Final = 1


@dataclass(frozen=True, kw_only=True)
class OnlinePlan:
    """What the online code of one fit sends.

    Attributes:
        fit: Whose trainer, on whose labels.
        rows: Rows of the dataset that train or stop the saved metamodel, in the order of sending, [n].
        ends: Where blocks end.
        order: How the prompts were ordered.
    """

    fit: Fit
    rows: IntArray
    ends: tuple[int, ...]
    order: Order

    @property
    def n_fits(self) -> int:
        """How many metamodels it fits: one a block but the first."""
        return len(self.ends) - 1

    @property
    def n_fitted_prompts(self) -> int:
        """On how many prompts they are fitted, all together: what the time grows with."""
        return sum(self.ends[:-1])


@dataclass(frozen=True, kw_only=True)
class OnlineCode:
    """The online code of one fit.

    Attributes:
        bits: Bits of each block, by task.
        n_fallbacks: Blocks whose metamodel could not be fitted, coded uniformly.
    """

    bits: dict[str, list[float]]
    n_fallbacks: int


def plan_online(fit: Fit, *, order: Order, seed: int) -> OnlinePlan:
    """Return what the online code of a fit sends: the prompts that its saved metamodel trains and stops on."""
    known = np.sort(np.concatenate([fit.fold.train, fit.fold.validation]))
    prompts = fit.dataset.prompts.take(known)
    places = ordered(prompts.texts, prompts.domains, order=order, seed=seed)
    domains = [prompts.domains[place] for place in places]
    ends = block_ends(len(known)) if order == "shuffled" else domain_ends(domains)
    return OnlinePlan(fit=fit, rows=known[places], ends=ends, order=order)


def code_online(
    run: RunDirectory, config: RunConfig, plan: OnlinePlan, *, on_block: Callable[[int], None] | None = None
) -> OnlineCode:
    """Compute, or go on with, the online code of a fit.

    Every prefix keeps a share of itself for validation (splits.validation_share), so that a block's code depends on
    nothing but what was sent before it. Finished blocks stand in description/NAME.json of the run.

    Args:
        run: The run.
        config: Its config.
        plan: What to send.
        on_block: Told the number of each block that is about to be coded, from 1.
    """
    prompts = plan.fit.dataset.prompts.take(plan.rows)
    path = f"description/{plan.fit.name}-{plan.order}.json"
    fingerprint = _fingerprint(plan, prompts, config)
    done, n_fallbacks = _stored(run, path, fingerprint)
    counts = {task: table.counts for task, table in prompts.labels.items()}
    state = _Coder(run=run, config=config, plan=plan, prompts=prompts, n_fallbacks=n_fallbacks)
    starts = (0, *plan.ends[:-1])
    for place in range(len(done), len(plan.ends)):
        if on_block:
            on_block(place)
        start, end = starts[place], plan.ends[place]
        tables = {task: table[:end] for task, table in counts.items()}
        # A code of two blocks: what was sent before, which is not charged here, and the next one.
        bits = online_bits(tables, (start, end) if start else (end,), state.fit_predict)
        done.append({task: values[-1] for task, values in bits.items()})
        content = {"schema": _SCHEMA, "fingerprint": fingerprint, "blocks": done, "n_fallbacks": state.n_fallbacks}
        run.write_text(path, json.dumps(content) + "\n")
    return OnlineCode(bits={task: [block[task] for block in done] for task in counts}, n_fallbacks=state.n_fallbacks)


@dataclass(kw_only=True)
class _Coder:
    """Fits on a prefix and predicts the next block, uniformly where the prefix cannot be fitted."""

    run: RunDirectory
    config: RunConfig
    plan: OnlinePlan
    prompts: LabeledPrompts
    n_fallbacks: int = 0

    def fit_predict(self, before: IntArray, block: IntArray) -> Predictions:
        """Return what a metamodel that was fitted on the rows before says of the block."""
        from threadpoolctl import threadpool_limits

        train, validation = self._divided(before)
        context = FitContext(seed=self.config.seed, name=self.plan.fit.name, expects_shift=self.plan.order == "domains")
        trainer = self.config.metamodels[self.plan.fit.metamodel]
        judged = self.prompts.take(block)
        with threadpool_limits(limits=1), stored_under(self.run.feature_folder):
            try:
                fitted = trainer.fit(self.prompts.take(train), self.prompts.take(validation), context=context)
            except MetamodelError:
                # So few prompts, or outcomes, that this trainer refuses: the code must go on all the same.
                self.n_fallbacks += 1
                return {task: _uniform(len(judged), len(table.space.outcomes)) for task, table in judged.labels.items()}
            return fitted.predict(judged.texts, domains=judged.domains)

    def _divided(self, before: IntArray) -> tuple[IntArray, IntArray]:
        texts = [self.prompts.texts[row] for row in before]
        shares = hashed_shares(texts, seed=self.config.seed, purpose="online validation")
        is_validation = shares < self.config.splits.validation_share
        if is_validation.all() or not is_validation.any():
            is_validation = shares == shares.min()
        if is_validation.all():  # one text alone
            return before, before[:0]
        return before[~is_validation], before[is_validation]


def _uniform(n_prompts: int, n_outcomes: int) -> FloatArray:
    return np.full((n_prompts, n_outcomes), 1 / n_outcomes)


def _stored(run: RunDirectory, path: str, fingerprint: str) -> tuple[list[dict[str, float]], int]:
    """Return the finished blocks and the fallbacks among them; none where another fit's are stored, or damaged ones."""
    try:
        content = json.loads(run.read_text(path))
        if content["schema"] == _SCHEMA and content["fingerprint"] == fingerprint:
            return list(content["blocks"]), int(content["n_fallbacks"])
    except (ValueError, KeyError, TypeError, RunError):
        pass
    return [], 0


def _fingerprint(plan: OnlinePlan, prompts: LabeledPrompts, config: RunConfig) -> str:
    """Return a hash of all that determines the code."""
    labels = [f"{name} {table.space} {table.codes.tobytes().hex()}" for name, table in prompts.labels.items()]
    spec = str(config.specs("metamodels")[plan.fit.metamodel])
    about = (spec, str(config.seed), str(config.splits.validation_share), plan.order, str(plan.ends))
    return content_hash(*about, *prompts.texts, *prompts.domains, *labels)
