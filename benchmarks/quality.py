"""How well metamodels predict real models on prompts and domains that they never saw, beside every rival.

    python benchmarks/quality.py --data DIR [--sets NAME ...] [--ways NAME ...] [--prompts N] [--models N] [--quick]

DIR is a folder with prompts.parquet and outputs.parquet or outputs_slim.parquet, or a folder of such folders. Every
way is fitted on the same prompts and judged on the same: each domain left out in turn (the mean over domains of what
is reached within each), and a random fifth of all prompts. AUROC and bits are means over primary models; bits are the
reduction against the best constant of each judged domain. Intervals are of a bootstrap over the judged prompts;
differences to ours are paired. What each way is chosen on never includes the judged domain.

Figures by set: out_auroc, out_bits, out_worst_bits, random_auroc, random_bits of the headline way and `correct`, the
same of every way and behavior under `ways`; new_model_100_share and new_model_20_share where there are enough models.
surface, static, encoder and stack are fitted for each primary model alone and take hours: name them in --ways, with
--models 3 or so.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from quality_new_models import new_model_figures
from quality_ours import HEADLINE, OURS, SLOW
from quality_rivals import ORACLES, RIVALS, Way
from quality_scores import Judged, Scores, difference_with_interval, mean_with_interval, score
from quality_sets import RealSet, Split, read_sets
from results_file import RESULTS, write_results
from safetensors.numpy import load_file, save_file

from metamodel.feature_cache import stored_under
from metamodel.types import FloatArray, content_hash

QUICK_PROMPTS = 600
QUICK_WAYS = ("base_rate", "domain_tag", "surface14_logistic", HEADLINE)
# Scores by kind of split ("out", "random") and behavior.
ByKind: TypeAlias = dict[str, dict[str, Scores]]
CACHE = Path(__file__).parent / "results" / ".cache"


def main() -> None:
    """Measure, print and store."""
    options = _options()
    default: dict[str, Way] = {**OURS, **RIVALS, **ORACLES}
    ways = {**default, **SLOW}
    chosen = QUICK_WAYS if options.quick else (options.ways or tuple(default))
    figures: dict[str, Any] = {}
    with stored_under(CACHE):
        n_prompts = QUICK_PROMPTS if options.quick else options.prompts
        for real in read_sets(options.data, n_prompts=n_prompts, n_models=options.models):
            if options.sets and real.name not in options.sets:
                continue
            print(f"\n{real.name}: {len(real.texts)} prompts, {len(real.models)} primary models", flush=True)
            scores, seconds = measured(real, {name: ways[name] for name in chosen})
            figures[real.name] = set_figures(real, scores, seconds)
            print_tables(real, figures[real.name])
            figures[real.name] |= new_model_figures(real)
    if options.quick or options.sets or options.ways or options.prompts or options.models:
        print(json.dumps({name: {k: v for k, v in one.items() if k != "ways"} for name, one in figures.items()}))
        print("part of the benchmark: nothing is stored")
        return
    print(write_results("quality", figures).relative_to(RESULTS.parent.parent))


def measured(
    real: RealSet, ways: Mapping[str, Way]
) -> tuple[dict[str, dict[str, dict[str, Scores]]], dict[str, float]]:
    """Return the scores by way, kind of split and behavior, and the seconds that each way took."""
    found: dict[str, ByKind] = {}
    seconds = {}
    for name, way in ways.items():
        parts = [predicted(real, split, name, way) for split in real.splits]
        predictions = [(split, part) for split, (part, _) in zip(real.splits, parts, strict=True)]
        seconds[name] = sum(part_s for _, part_s in parts)
        found[name] = {
            kind: {
                behavior: score([_judged(real, s, behavior, p) for s, p in predictions if s.is_shift == is_shift])
                for behavior in real.labels
                if any(split.is_shift == is_shift for split in real.splits)
            }
            for kind, is_shift in (("out", True), ("random", False))
        }
        print(f"  {name}: {seconds[name]:.0f} s", flush=True)
    return found, seconds


def predicted(real: RealSet, split: Split, name: str, way: Way) -> tuple[dict[str, FloatArray], float]:
    """Return what a way predicts on a split and the seconds that took, from disk where the same was measured before.

    A benchmark of hours that was stopped goes on where it stopped; whatever the predictions depend on is in the name:
    the labels, the split, the way, and the source of what predicts.
    """
    content = [real.name, *real.models, *real.texts, split.name, str(split.train.tobytes()), name]
    content += [getattr(way, "__qualname__", None) or repr(way)]
    content += [behavior + str(labels.tobytes()) for behavior, labels in real.labels.items()]
    path = CACHE / f"{name}-{content_hash(*content, source_hash(is_ours=name in {**OURS, **SLOW}))[:24]}.safetensors"
    if path.exists():
        stored = load_file(path)
        return {behavior: stored[behavior] for behavior in real.labels}, float(stored["seconds"][0])
    begun = time.perf_counter()
    predictions = way(real, split)
    taken_s = time.perf_counter() - begun
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {behavior: np.ascontiguousarray(predictions[behavior]) for behavior in real.labels}
    save_file({**tensors, "seconds": np.array([taken_s])}, path)
    return predictions, taken_s


@cache
def source_hash(*, is_ours: bool) -> str:
    """Return a hash of the source of the rivals, or of our trainers and of what calls them."""
    root = Path(__file__).parent.parent
    files = sorted((root / "benchmarks").glob("quality_*.py"))
    files += sorted((root / "trainers").rglob("*.py")) if is_ours else []
    return content_hash(*(file.read_text(encoding="utf-8") for file in files))


def set_figures(real: RealSet, scores: Mapping[str, ByKind], seconds: Mapping[str, float]) -> dict[str, Any]:
    """Return the figures of one set."""
    splits = [split.name for split in real.splits if split.is_shift]
    by_way: dict[str, Any] = {}
    for name, of_kinds in scores.items():
        by_way[name] = {"seconds": round(seconds[name], 1)}
        for behavior in real.labels:
            by_way[name][behavior] = {}
            for kind, of_behaviors in of_kinds.items():
                if behavior not in of_behaviors:
                    continue
                own, ours = of_behaviors[behavior], scores.get(HEADLINE, of_kinds)[kind][behavior]
                by_way[name][behavior] |= _row(kind, own, ours, splits)
    headline = by_way.get(HEADLINE, {}).get("correct", {})
    plain = ("out_auroc", "out_bits", "out_worst_bits", "random_auroc", "random_bits")
    return {
        "n_prompts": len(real.texts),
        "n_primary_models": len(real.models),
        "headline": HEADLINE,
        **{key: headline[key] for key in plain if key in headline},
        "ways": by_way,
    }


def _row(kind: str, own: Scores, ours: Scores, splits: Sequence[str]) -> dict[str, Any]:
    auroc, bits = mean_with_interval(own.auroc), mean_with_interval(own.bits)
    row: dict[str, Any] = {
        f"{kind}_auroc": _rounded(auroc[0]),
        f"{kind}_auroc_interval": [_rounded(value) for value in auroc[1:]],
        f"{kind}_bits": _rounded(bits[0]),
        f"{kind}_bits_interval": [_rounded(value) for value in bits[1:]],
        f"{kind}_auroc_below_headline": [_rounded(v) for v in difference_with_interval(ours.auroc, own.auroc)],
        f"{kind}_bits_below_headline": [_rounded(v) for v in difference_with_interval(ours.bits, own.bits)],
    }
    if kind == "out":
        worst = int(np.nanargmin(own.bits.values)) if np.isfinite(own.bits.values).any() else 0
        row |= {"out_worst_bits": _rounded(float(own.bits.values[worst])), "out_worst": splits[worst]}
    return row


def print_tables(real: RealSet, figures: Mapping[str, Any]) -> None:
    """Print one table a behavior."""
    for behavior in real.labels:
        print(f"\n{real.name}, {behavior}")
        print("| way | left out: AUROC | bits | worst bits | random: AUROC | bits |")
        print("| --- | ---: | ---: | ---: | ---: | ---: |")
        for name, row in figures["ways"].items():
            own = row[behavior]
            cells = [_cell(own, "out_auroc"), _cell(own, "out_bits"), str(own.get("out_worst_bits", ""))]
            print(f"| {name} | {' | '.join([*cells, _cell(own, 'random_auroc'), _cell(own, 'random_bits')])} |")


def _cell(row: Mapping[str, Any], key: str) -> str:
    if row.get(key) is None:
        return ""
    low, high = row[f"{key}_interval"]
    return f"{row[key]:.3f} [{low}, {high}]"


def _judged(real: RealSet, split: Split, behavior: str, predictions: Mapping[str, Any]) -> Judged:
    return Judged(name=split.name, labels=real.labels[behavior][split.test], probabilities=predictions[behavior])


def _rounded(value: float) -> float | None:
    return round(float(value), 4) if np.isfinite(value) else None


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with sets of real outputs")
    parser.add_argument("--sets", nargs="*", default=[], help="names of the sets to measure; all by default")
    parser.add_argument("--ways", nargs="*", default=[], help="names of the ways to measure; all by default")
    parser.add_argument("--prompts", type=int, help="most prompts of a set")
    parser.add_argument("--models", type=int, help="most primary models of a set")
    parser.add_argument("--quick", action="store_true", help="few prompts and ways: checks the script, measures little")
    return parser.parse_args()


if __name__ == "__main__":
    main()
