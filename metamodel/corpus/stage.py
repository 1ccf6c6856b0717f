"""Measure a run's behaviors on a corpus and on its outputs, and classify them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from metamodel.config import build_config
from metamodel.corpus.decision import ClusteredRate, clustered_rate, heterogeneity_p, possible_classes
from metamodel.corpus.reading import ZOO, iterate_pieces, zoo_pairs
from metamodel.corpus.rows import Classified, CorpusComparison, PlaceRate
from metamodel.corpus.windows import Lengths, Window, cut_windows, pair_windows, sampled
from metamodel.dataset import iterate_generations, label_spaces, read_prompts
from metamodel.errors import DataError, RunError
from metamodel.labels import Binary, Categorical, LabelSpace
from metamodel.scaling.adjusting import Adjustment, adjusted
from metamodel.types import GenerationBatch

if TYPE_CHECKING:
    from metamodel.config import RunConfig
    from metamodel.protocols import Featurizer
    from metamodel.store.run_directory import RunDirectory
    from metamodel.types import FloatArray, IntArray

OnProgress: TypeAlias = Callable[[str, int, int], None]
# An event: the behavior, the class (None for a binary label's yes), and how it is written.
_Event: TypeAlias = tuple[str, int, str]
_BATCH: Final = 2000
_MOST_LENGTHS: Final = 20_000
_PIECES_A_WINDOW: Final = 4


@dataclass(frozen=True, kw_only=True)
class CorpusPlan:
    """How a corpus is read and judged.

    Attributes:
        paths: Text files, folders, patterns or tables; "zoo" alone is the stream that the bundled models learned from.
        text_column: Column of the text in tables.
        floor: Rate from which a behavior counts as present.
        n_windows: Most windows that are measured.
        piece_characters: What lies further apart in a document is treated as independent.
        is_whole: Whether the corpus is all of the training data, of which windows are then a random sample.
        adjust: How p values are adjusted over behaviors and places.
        alpha: The level.
        seed: Fixes windows and permutations.
    """

    paths: tuple[str, ...]
    text_column: str = "text"
    floor: float = 0.01
    n_windows: int = 20_000
    piece_characters: int = 2000
    is_whole: bool = False
    adjust: Adjustment = "holm"
    alpha: float = 0.05
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        problems = []
        if not 0 < self.floor < 1:
            problems.append(f"floor is {self.floor}, must be between 0 and 1")
        if not 0 < self.alpha < 1:
            problems.append(f"alpha is {self.alpha}, must be between 0 and 1")
        if self.n_windows < 1:
            problems.append(f"windows is {self.n_windows}, must be at least 1")
        if self.piece_characters < 1:
            problems.append(f"piece is {self.piece_characters} characters, must be at least 1")
        if not self.paths:
            problems.append("no corpus is given")
        if ZOO in self.paths and len(self.paths) > 1:
            problems.append(f"{ZOO!r} is the bundled models' training stream and stands alone")
        if problems:
            raise DataError("; ".join(problems))


def compare_with_corpus(
    run: RunDirectory, plan: CorpusPlan, *, on_progress: OnProgress | None = None
) -> CorpusComparison:
    """Classify every behavior of a run that can be measured on plain text.

    Raises:
        RunError: The run has no outputs, labels, or behavior of that kind.
        DataError: The corpus cannot be read or gives no window.
    """
    config = build_config(run.config, source=f"{run.path}/run.json")
    events, notes = measurable_events(label_spaces(run, config), config.behaviors)
    if not events:
        raise RunError(f"{run.path}: no behavior can be measured on a corpus: {'; '.join(notes)}")
    _told(on_progress, "lengths of the outputs", 0, 3)
    lengths = output_lengths(run, config)
    _told(on_progress, "windows of the corpus", 1, 3)
    windows, n_cut = sampled(_windows(plan, lengths), plan.n_windows, seed=plan.seed)
    if not windows:
        raise DataError(
            f"{', '.join(plan.paths)}: no text is as long as a prompt with its output ({lengths.longest} characters): "
            "give a longer one"
        )
    _told(on_progress, f"{len(events)} behaviors on {len(windows):,} windows", 2, 3)
    in_corpus = _corpus_shares(windows, events, config.behaviors, is_whole=plan.is_whole)
    rows = _classified(_tested(run, config, events, in_corpus, plan), plan)
    _told(on_progress, "done", 3, 3)
    return CorpusComparison(
        rows=tuple(rows),
        corpus=plan.paths,
        n_windows=len(windows),
        n_cut=n_cut,
        n_pieces=len({window.cluster for window in windows}),
        is_whole=plan.is_whole,
        floor=plan.floor,
        adjust=plan.adjust,
        alpha=plan.alpha,
        notes=tuple(notes),
    )


def measurable_events(
    spaces: Mapping[str, LabelSpace], behaviors: Mapping[str, Featurizer]
) -> tuple[list[_Event], list[str]]:
    """Return the events that texts alone show, and why other behaviors are left out."""
    events: list[_Event] = []
    notes: list[str] = []
    for name, space in spaces.items():
        missing = [need for need in behaviors[name].needs if need not in ("text", "prompt")]
        if missing:
            notes.append(f"{name} is left out: a corpus has no {', '.join(missing)}")
        elif isinstance(space, Binary):
            events.append((name, 1, name))
        elif isinstance(space, Categorical):
            events += [(name, code, f"{name}={outcome}") for code, outcome in enumerate(space.outcomes)]
        else:
            notes.append(
                f"{name} is left out: its labels are numbers; wrap it in {{kind: threshold}} to ask for an event"
            )
    return events, notes


def output_lengths(run: RunDirectory, config: RunConfig) -> Lengths:
    """Return the lengths of the run's prompts and outputs, of so many that more would change nothing.

    Raises:
        RunError: No output holds a character.
    """
    prompts: list[int] = []
    outputs: list[int] = []
    for part in iterate_generations(run, config):
        known = part[part["text"].notna() & part["origin_id"].isna()]
        for prompt, text in zip(known["prompt"], known["text"], strict=True):
            if text:
                prompts.append(len(prompt))
                outputs.append(len(text))
        if len(outputs) >= _MOST_LENGTHS:
            break
    if not outputs:
        raise RunError(f"{run.path} has no output with a character in it: there is nothing to compare a corpus with")
    return Lengths(prompts=np.array(prompts, dtype=np.int64), outputs=np.array(outputs, dtype=np.int64))


def _windows(plan: CorpusPlan, lengths: Lengths) -> Iterator[Window]:
    if plan.paths == (ZOO,):
        pairs = islice(zoo_pairs(seed=plan.seed), plan.n_windows)
        return pair_windows(pairs, longest_output=int(lengths.outputs.max()))
    limit = max(plan.piece_characters, _PIECES_A_WINDOW * lengths.longest)
    pieces = iterate_pieces(plan.paths, text_column=plan.text_column, piece_characters=limit)
    return cut_windows(pieces, lengths, seed=plan.seed)


def _corpus_shares(
    windows: Sequence[Window], events: Sequence[_Event], behaviors: Mapping[str, Featurizer], *, is_whole: bool
) -> dict[str, tuple[FloatArray, int]]:
    """Return each event's share by cluster and its number of labeled windows."""
    names = [str(number) if is_whole else window.cluster for number, window in enumerate(windows)]
    _, clusters = np.unique(names, return_inverse=True)
    labels: dict[str, list[FloatArray]] = {behavior: [] for behavior, _, _ in events}
    for start in range(0, len(windows), _BATCH):
        batch = _batch(windows[start : start + _BATCH])
        for behavior, parts in labels.items():
            parts.append(np.asarray(behaviors[behavior].label(batch), dtype=np.float64))
    values = {behavior: np.concatenate(parts) for behavior, parts in labels.items()}
    return {
        written: (_shares(values[behavior], clusters, code), int((~np.isnan(values[behavior])).sum()))
        for behavior, code, written in events
    }


def _shares(values: FloatArray, clusters: IntArray, code: int) -> FloatArray:
    """Return the share of each cluster's labels that equal `code`; clusters without a label are left out."""
    known = ~np.isnan(values)
    sizes = np.bincount(clusters[known])
    hits = np.bincount(clusters[known], weights=values[known] == code)
    return hits[sizes > 0] / sizes[sizes > 0]


def _batch(windows: Sequence[Window]) -> GenerationBatch:
    from metamodel.text import text_batch

    return text_batch([window.text for window in windows], prompts=[window.prompt for window in windows])


@dataclass(frozen=True, kw_only=True)
class _Tested:
    """One event of one primary model: its rates and shares."""

    behavior: str
    primary: str
    corpus: ClusteredRate
    contexts: dict[str, ClusteredRate]
    heterogeneity: float


def _tested(
    run: RunDirectory,
    config: RunConfig,
    events: Sequence[_Event],
    in_corpus: Mapping[str, tuple[FloatArray, int]],
    plan: CorpusPlan,
) -> Iterator[_Tested]:
    prompts = read_prompts(run)
    prompts = prompts[prompts["origin_id"].isna()]
    domain_of = dict(zip(prompts["prompt_id"], prompts["domain"], strict=True))
    labels = run.read("labels", shard_names=list(dict.fromkeys(name for name, _, _ in events))).to_pandas()
    labels = labels[labels["prompt_id"].isin(domain_of.keys()) & labels["value"].notna()]
    for primary in config.primaries:
        for behavior, code, written in events:
            mine = labels[(labels["primary"] == primary) & (labels["behavior"] == behavior)]
            hits = (mine["value"] == code).astype(float)
            shares = hits.groupby(mine["prompt_id"]).mean()
            sizes = hits.groupby(mine["prompt_id"]).size()
            domains = np.array([domain_of[prompt_id] for prompt_id in shares.index])
            by_context = {domain: shares.to_numpy()[domains == domain] for domain in sorted(set(domains.tolist()))}
            contexts = {
                domain: clustered_rate(values, n_texts=int(sizes.to_numpy()[domains == domain].sum()), floor=plan.floor)
                for domain, values in by_context.items()
            }
            windows, n_windows = in_corpus[written]
            yield _Tested(
                behavior=written,
                primary=primary,
                corpus=clustered_rate(windows, n_texts=n_windows, floor=plan.floor),
                contexts=contexts,
                heterogeneity=heterogeneity_p(list(by_context.values()), seed=plan.seed),
            )


def _classified(tests: Iterator[_Tested], plan: CorpusPlan) -> Iterator[Classified]:
    found = list(tests)
    # One corpus serves all primary models: its rate is one test, however often it is used.
    corpus_of = {one.behavior: one.corpus for one in found}
    keys = [("corpus", behavior, "") for behavior in corpus_of]
    p_values = [rate.p for rate in corpus_of.values()]
    for one in found:
        keys += [(one.primary, one.behavior, domain) for domain in one.contexts]
        p_values += [rate.p for rate in one.contexts.values()]
    held = dict(zip(keys, adjusted(np.array(p_values), plan.adjust).tolist(), strict=True))
    spread = adjusted(np.array([one.heterogeneity for one in found]), plan.adjust).tolist()
    for one, heterogeneity in zip(found, spread, strict=True):
        corpus = _place("corpus", one.corpus, held["corpus", one.behavior, ""], plan)
        contexts = tuple(
            _place(domain, rate, held[one.primary, one.behavior, domain], plan) for domain, rate in one.contexts.items()
        )
        possible = possible_classes(corpus.state, [context.state for context in contexts])
        yield Classified(
            behavior=one.behavior,
            primary=one.primary,
            kind=possible[0] if len(possible) == 1 else "undecided",
            possible=possible,
            corpus=corpus,
            contexts=contexts,
            heterogeneity_p=heterogeneity,
        )


def _place(place: str, rate: ClusteredRate, p_adjusted: float, plan: CorpusPlan) -> PlaceRate:
    return PlaceRate(
        place=place,
        n_clusters=rate.n_clusters,
        n_texts=rate.n_texts,
        rate=rate.rate,
        low=rate.low,
        high=rate.high,
        p_adjusted=p_adjusted,
        state=rate.state(p_adjusted, alpha=plan.alpha),
    )


def _told(on_progress: OnProgress | None, what: str, n_done: int, n_total: int) -> None:
    if on_progress:
        on_progress(what, n_done, n_total)
