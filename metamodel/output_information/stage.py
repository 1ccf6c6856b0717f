"""From a run to how much its outputs tell about prompts, and how much of that its behaviors explain.

Shapes: n = prompts, m = outputs, l = lengths of outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from metamodel.errors import RunError
from metamodel.metric_rows import Split
from metamodel.output_information.cross_scoring import cross_scores, equality_scores
from metamodel.output_information.estimator import CrossScores
from metamodel.output_information.explained import Explainer, Settings, length_information
from metamodel.output_information.readers import JudgedSample, label_rows, output_entropy, partitions_of
from metamodel.output_information.results import LengthInformation, OutputInformation, PrimaryInformation, RankedBy
from metamodel.output_information.sample import DrawnOutput, read_predictions
from metamodel.output_information.work import InformationQuery, PrimaryWork, information_work
from metamodel.types import FloatArray, IntArray

if TYPE_CHECKING:
    from metamodel.config import RunConfig
    from metamodel.console import OnProgress
    from metamodel.store.run_directory import RunDirectory

_FEWEST_PROMPTS: Final = 2
_FEW_PROMPTS: Final = 30
# In bits, of a whole output. One pass over the text and one token at a time differ by far less.
_LARGEST_GAP_BITS: Final = 0.05
_LN2: Final = float(np.log(2))


def output_information(
    run: RunDirectory, config: RunConfig, query: InformationQuery, *, on_progress: OnProgress | None = None
) -> OutputInformation:
    """Estimate I(Y; X) and I(Y; B(X)) for the predictions of metamodels and for labels.

    Args:
        run: A run with labels, and predictions if metamodels are to be judged.
        config: Its config.
        query: What is asked.
        on_progress: Told which primary model is scored, and how many pairs are done.

    Raises:
        MetamodelError: As `information_work`.
    """
    work = information_work(run, config, query)
    n_all = sum(one.plan.n_pairs for one in work.primaries)
    n_domains = len({one.dataset.prompts.domains[row] for one in work.primaries for row in one.rows})
    ranked_by: RankedBy = "within_share" if work.split == "held_out_domain" and n_domains > 1 else "share"
    settings = Settings(
        n_bootstrap=config.evaluation.n_bootstrap, n_permutations=query.n_permutations, seed=config.seed
    )
    found, done = [], 0
    for one in work.primaries:

        def on_pairs(pairs: int, name: str = one.primary, before: int = done) -> None:
            if on_progress:
                on_progress(f"pairs of {name}", before + pairs, n_all)

        scores = _scored(one, on_pairs)
        sample = _sample(run, config, query, one, scores.rows, work.split)
        found.append(_judged(one, scores, sample, query, settings, ranked_by))
        done += one.plan.n_pairs
    if on_progress:
        on_progress("done", n_all, n_all)
    return OutputInformation(
        split=work.split,
        n_bins=query.n_bins,
        n_permutations=query.n_permutations,
        n_bootstrap=settings.n_bootstrap,
        seed=config.seed,
        ranked_by=ranked_by,
        primaries=found,
        skipped=work.skipped,
    )


@dataclass(frozen=True, kw_only=True)
class _Scores:
    """Scores of the prompts that fit the context with every output.

    Attributes:
        scores: Natural log-probabilities, [l, m, n].
        sources: Which of the prompts drew each output, [m].
        rows: Rows of the prompts in the dataset, n of them.
        outputs: The outputs, m of them.
        n_dropped: Prompts that do not fit.
    """

    scores: FloatArray
    sources: IntArray
    rows: Sequence[int]
    outputs: Sequence[DrawnOutput]
    n_dropped: int


def _scored(work: PrimaryWork, on_pairs: Callable[[int], None]) -> _Scores:
    plan = work.plan
    if work.scorer is None:
        scores = equality_scores(plan.outputs, plan.lengths)
    else:
        scores = cross_scores(work.scorer, plan, on_pairs=on_pairs)
    sources = np.searchsorted(np.array(work.rows), [output.row for output in plan.outputs])
    fits = np.isnan(scores).sum(axis=(0, 1)) == 0  # [n]
    if fits.sum() < _FEWEST_PROMPTS:
        raise RunError(
            f"{work.primary}: {int(fits.sum())} of {len(fits)} prompts fit the model's context with every output, "
            "cross-scoring needs at least two: collect with a lower sampling.max_new_tokens, or shorter prompts"
        )
    kept: IntArray = np.flatnonzero(fits[sources])
    return _Scores(
        scores=scores[:, kept][:, :, fits],
        sources=(np.cumsum(fits) - 1)[sources[kept]],
        rows=[row for row, fit in zip(work.rows, fits, strict=True) if fit],
        outputs=[plan.outputs[place] for place in kept.tolist()],
        n_dropped=int((~fits).sum()),
    )


def _sample(
    run: RunDirectory,
    config: RunConfig,
    query: InformationQuery,
    work: PrimaryWork,
    rows: Sequence[int],
    split: Split | None,
) -> JudgedSample:
    prompts = work.dataset.prompts.take(rows)
    prompt_ids = [work.dataset.prompt_ids[row] for row in rows]
    predicted = {}
    if split is not None:
        predicted = read_predictions(run, work.primary, split, prompt_ids, metamodels=query.metamodels)
    return JudgedSample(
        prompt_ids=prompt_ids,
        domains=np.unique(prompts.domains, return_inverse=True)[1].astype(np.int64),
        labels=prompts.labels,
        reads_prompt={name: featurizer.reads_prompt for name, featurizer in config.behaviors.items()},
        n_scored=query.n_outputs,
        is_greedy=config.sampling.is_greedy,
        predicted=predicted,
    )


def _judged(
    work: PrimaryWork,
    found: _Scores,
    sample: JudgedSample,
    query: InformationQuery,
    settings: Settings,
    ranked_by: RankedBy,
) -> PrimaryInformation:
    def cross_at(length: int) -> CrossScores:
        return CrossScores.of_drawn(found.scores[work.plan.lengths.index(length)], found.sources)

    complete = max(work.plan.lengths)
    # One matrix of ratios at a time is held.
    lengths = [
        length_information(cross_at(length), settings, tokens=length, is_complete=length == complete)
        for length in work.plan.lengths
    ]
    ranked_tokens = min(query.tokens, complete) if query.tokens else _longest_unsaturated(lengths)
    explainer = Explainer(cross=cross_at(ranked_tokens), domains=sample.domains, settings=settings)
    rows = [explainer.row(one) for one in partitions_of(sample, n_bins=query.n_bins, seed=settings.seed)]
    gap = _largest_gap_bits(found)
    return PrimaryInformation(
        primary=work.primary,
        identity=work.plan.identity,
        is_greedy=work.scorer is None,
        n_prompts=len(found.rows),
        n_outputs=len(found.outputs),
        n_domains=int(sample.domains.max()) + 1,
        n_dropped=work.n_missing + found.n_dropped,
        log_n_bits=float(np.log2(len(found.rows))),
        largest_gap_bits=None if work.scorer is None else gap,
        lengths=lengths,
        ranked_tokens=ranked_tokens,
        rows=sorted(rows, key=lambda row: -row.ranked(ranked_by)),
        labels=label_rows(sample, settings, output_entropy(cross_at(complete))),
        notes=list(_notes(work, found, lengths, ranked_tokens, gap, ranked_by)),
    )


def _longest_unsaturated(lengths: Sequence[LengthInformation]) -> int:
    """Return the most tokens after which outputs do not yet give their prompts away; one token where they always do.

    Only I(Y; X) decides: no behavior is looked at.
    """
    return max((one.tokens for one in lengths if not one.is_saturated), default=lengths[0].tokens)


def _largest_gap_bits(found: _Scores) -> float | None:
    """Return the largest difference between a stored log-probability of an output and the one on the diagonal."""
    gaps = [
        abs(float(output.logprobs.sum()) - float(found.scores[-1, place, found.sources[place]])) / _LN2
        for place, output in enumerate(found.outputs)
        if output.logprobs is not None and len(output.logprobs) == len(output.token_ids)
    ]
    return max(gaps, default=None)


def _notes(
    work: PrimaryWork,
    found: _Scores,
    lengths: Sequence[LengthInformation],
    ranked_tokens: int,
    gap: float | None,
    ranked_by: RankedBy,
) -> Iterator[str]:
    ranked = next(one for one in lengths if one.tokens == ranked_tokens)
    if work.scorer is None:
        yield "greedy decoding: an output is a function of its prompt, I(Y; X) = H(Y), and nothing had to be scored"
    if not ranked.is_complete:
        yield (
            f"behaviors are ranked by what they explain of the first {ranked_tokens} tokens of an output: whole "
            "outputs all but give their prompts away among so few, and then no behavior explains more than chance"
            if lengths[-1].is_saturated
            else f"behaviors are ranked by what they explain of the first {ranked_tokens} tokens of an output"
        )
    if ranked.is_saturated:
        yield (
            "even so short outputs all but give their prompts away: I(Y; X) is at its bound log2 n, and shares above "
            "chance say little; more prompts raise the bound"
        )
    if len(found.rows) < _FEW_PROMPTS:
        yield f"{len(found.rows)} prompts are few: intervals are rough, and most of what bins explain is chance"
    if work.n_missing or found.n_dropped:
        yield (
            f"{work.n_missing} chosen prompts have no output with its tokens, {found.n_dropped} do not fit the context "
            "with every output: they are left out"
        )
    if gap is not None and work.scorer is not None and gap > _LARGEST_GAP_BITS:
        yield (
            f"the stored log-probability of an output differs by up to {gap:.3f} bits from what is scored now: see "
            "`metamodel verify`"
        )
    if ranked_by == "within_share":
        yield (
            "predictions on held-out domains come from one metamodel a domain, so that even a constant may tell the "
            "domain: ranked by what is explained within domains"
        )
