"""The prompt explorer of a run as a widget of its page."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from metamodel.dataset import read_datasets
from metamodel.metric_rows import SPLITS, rows_from_json
from metamodel.report.baselines import baseline_names
from metamodel.report.elements import Widget
from metamodel.report.explorer.fits import occluded_fits
from metamodel.report.explorer.highlights import COPIED_CHARACTERS, COPIED_WORDS, FLAGS
from metamodel.report.explorer.names import ExplorerNames, explorer_names
from metamodel.report.explorer.occlusion import WordEffects, word_effects
from metamodel.report.explorer.parts import sampled_outputs, sampled_part, shown_prompts
from metamodel.report.explorer.rows import ShownPrompt, row_to_json
from metamodel.report.numbers import SPLIT_NAMES
from metamodel.report.visible_text import plain
from metamodel.types import JSONValue

if TYPE_CHECKING:
    from metamodel.config import RunConfig
    from metamodel.console import OnProgress
    from metamodel.store.run_directory import RunDirectory

WIDGET_NAME: Final = "explorer"
# Most characters of a prompt and of each output: the first that lets all rows fit, else the last.
_TEXT_LIMITS: Final = (1600, 1000, 600, 350)
_NAME_LIMIT: Final = 120


@dataclass(frozen=True, kw_only=True)
class ExplorerLimits:
    """How much the explorer may hold, and how long the search for words may take.

    Attributes:
        most_rows: Most prompts, over all primary models.
        most_bytes: Most bytes of the data in the page.
        most_texts: Most texts predicted to find the words that matter; 0 leaves words out.
        seconds: Most time for that.
        seed: Fixes which prompts are random ones.
    """

    most_rows: int = 1000
    most_bytes: int = 3_000_000
    most_texts: int = 60_000
    seconds: float = 60.0
    seed: int = 0


def explorer_element(
    run: RunDirectory,
    config: RunConfig,
    *,
    limits: ExplorerLimits | None = None,
    on_progress: OnProgress | None = None,
) -> Widget | None:
    """Return the prompt explorer of an evaluated run, or None where no prompt was judged.

    Prompts are a sample, the same every time; how many of how many, and what else was left out, stands in the widget.

    Args:
        run: A run with generations, labels, predictions, saved metamodels and metrics.json.
        config: Its config.
        limits: How much it may hold.
        on_progress: Told of the fits that are asked for words.

    Raises:
        RunError: A table or metrics.json is missing.
    """
    chosen = limits or ExplorerLimits()
    datasets = read_datasets(run, config)
    names = explorer_names(datasets, rows_from_json(run.read_text("metrics.json")), baselines=baseline_names(config))
    most = max(chosen.most_rows // max(len(datasets), 1), 1)
    every = [sampled_part(run, dataset, names, most=most, seed=chosen.seed) for dataset in datasets.values()]
    parts = [part for part in every if part.sampled]
    if not parts:
        return None
    found: WordEffects | None = None
    if chosen.most_texts:
        wanted = {part.dataset.primary: part.rows for part in parts}
        fits = occluded_fits(run, config, datasets=datasets, wanted=wanted, best=names.best)
        found = word_effects(fits, most_texts=chosen.most_texts, seconds=chosen.seconds, on_progress=on_progress)
    outputs = sampled_outputs(run, config, parts)
    shown = [shown_prompts(part, names, outputs, found.effects if found else {}) for part in parts]
    # Primary models take turns, so that what does not fit is taken from all alike.
    rows = [one[at] for at in range(max(map(len, shown))) for one in shown if at < len(one)]
    return explorer_widget(
        names, rows, found, chosen, total=sum(part.n_eligible for part in parts), baselines=baseline_names(config)
    )


def explorer_widget(
    names: ExplorerNames,
    rows: Sequence[ShownPrompt],
    found: WordEffects | None,
    limits: ExplorerLimits,
    *,
    total: int,
    baselines: Sequence[str],
) -> Widget:
    """Return the widget of chosen prompts.

    Args:
        names: What rows name by number.
        rows: Prompts, those that matter most first.
        found: What words do; None where nobody was asked.
        limits: How much it may hold.
        total: Judged prompts that there are.
        baselines: Names of the metamodels that are baselines.
    """
    lines, limit = fitting_rows(rows, most_bytes=limits.most_bytes)
    data: dict[str, JSONValue] = {
        "primaries": [_name(name) for name in names.primaries],
        "domains": [_name(name) for name in names.domains],
        "metamodels": [_name(name) for name in names.metamodels],
        "baselines": [names.metamodels.index(name) for name in baselines if name in names.metamodels],
        "behaviors": [
            {"name": _name(name), "outcomes": [_name(outcome) for outcome in space.outcomes]}
            for name, space in names.spaces.items()
        ],
        "columns": [
            [names.behaviors.index(behavior), names.metamodels.index(metamodel)]
            for behavior, metamodel in names.columns
        ],
        "best": [
            [_number(names, names.best.get((primary, behavior))) for behavior in names.behaviors]
            for primary in names.primaries
        ],
        "splits": [SPLIT_NAMES[split] for split in SPLITS],
        "flags": {str(mark): flag for mark, flag in FLAGS.items()},
        "copy": [COPIED_WORDS, COPIED_CHARACTERS],
        "total": total,
        "notes": _notes(names, found, limits, n_rows=len(rows), n_kept=len(lines), limit=limit, total=total),
        "rows": lines,
    }
    return Widget(
        name=WIDGET_NAME,
        title="Prompts",
        data=data,
        summary=(
            f"Prompt explorer: {len(lines):,} of {total:,} judged prompts with their outputs, labels and predictions. "
            "It needs a browser that runs scripts."
        ),
    )


def fitting_rows(rows: Sequence[ShownPrompt], *, most_bytes: int) -> tuple[list[JSONValue], int]:
    """Return the rows with texts cut as little as lets all fit, and where; cut most, as many rows as fit.

    Args:
        rows: Prompts, those that matter most first.
        most_bytes: Most bytes of all rows as JSON.
    """
    lines: list[JSONValue] = []
    for limit in _TEXT_LIMITS:
        lines, left = [], most_bytes
        for row in rows:
            line: JSONValue = row_to_json(row, limit=limit)
            left -= len(json.dumps(line, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace")) + 1
            if left < 0:
                break
            lines.append(line)
        if left >= 0:
            return lines, limit
    return lines, _TEXT_LIMITS[-1]


def _notes(
    names: ExplorerNames,
    found: WordEffects | None,
    limits: ExplorerLimits,
    *,
    n_rows: int,
    n_kept: int,
    limit: int,
    total: int,
) -> list[JSONValue]:
    notes: list[JSONValue] = []
    if n_kept < total:
        text = (
            f"A sample: {n_kept:,} of {total:,} judged prompts. Domains take turns; within a domain, prompts whose "
            "labels surprised the best metamodel most alternate with random ones: right and wrong are not as frequent "
            "here as in the run."
        )
        text += f" {n_rows - n_kept:,} more were left out to keep the page small." if n_kept < n_rows else ""
        notes.append(text)
    notes.append(f"Prompts and outputs are cut after {limit:,} characters.")
    if names.n_left_out:
        notes.append(f"Up to {names.n_left_out} metamodels of a behavior, those that gain least, are not shown.")
    if found is None:
        notes.append("Words that moved predictions were not searched for.")
        return notes
    if found.n_prompts < found.n_wanted:
        reason = f"after {limits.seconds:g} s" if found.is_out_of_time else "at the limit of texts"
        notes.append(
            f"Words that moved predictions are known for {found.n_prompts:,} of {found.n_wanted:,} pairs of prompt and "
            f"metamodel: the search stopped {reason}."
        )
    notes += [f"Words are not known where a saved metamodel could not be asked: {plain(one)}" for one in found.problems]
    return notes


def _number(names: ExplorerNames, metamodel: str | None) -> int | None:
    return None if metamodel is None else names.metamodels.index(metamodel)


def _name(name: str) -> str:
    return plain(name, limit=_NAME_LIMIT)
