"""Time every text-only featurizer over real outputs, the searches against plain Python, and what length costs.

    python benchmarks/featurize.py --data FOLDER

FOLDER holds mmlu_pro/ (outputs.parquet, prompts.parquet: 108,000 outputs of nine language models) and corpora/ (text
files). The featurizers, registered under any name, run with their defaults in one process, together over each batch as
the featurize stage runs them; a third party's are measured too. Writes benchmarks/results/featurize.json: seconds for
all, rows a second of each, speedups over the plain references in this file, peak memory, and seconds by length.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import MISSING, fields, replace
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import numpy as np
from results_file import write_results

from featurizers.copying import NGramCopy
from featurizers.degeneration import RepetitionLoop
from featurizers.novelty import Novelty
from metamodel.protocols import Featurizer
from metamodel.registry import component_class, component_names
from metamodel.text import text_batch
from metamodel.types import FloatArray, GenerationBatch

Batch = TypeVar("Batch")

TEXT_NEEDS = {"text", "prompt", "references", "choices", "attributes"}
BATCH_ROWS = 20_000
LENGTHS = (1_000, 10_000, 100_000, 1_000_000)
# Plain Python sees every so-many-th row: it is timed a row, and needs no more.
REFERENCE_STEP = 20
N_REPEATS = 3


def main() -> None:
    """Measure, print and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with mmlu_pro/ and corpora/")
    parser.add_argument("--quick", action="store_true", help="few rows: checks the script, measures nothing")
    arguments = parser.parse_args()
    batches = list(real_batches(arguments.data / "mmlu_pro", step=50 if arguments.quick else 1))
    n_rows = sum(map(len, batches))
    before_gib = peak_gib()
    seconds = seconds_of_each(text_only_featurizers(), batches)
    all_s = sum(seconds.values())
    print(f"{'featurizer':28s} {'seconds':>8s} {'share':>6s} {'rows/s':>10s}   ({n_rows:,} rows, one process)")
    for kind, spent in sorted(seconds.items(), key=lambda item: -item[1]):
        print(f"{kind:28s} {spent:8.2f} {spent / all_s:6.1%} {n_rows / spent:10,.0f}")
    figures: dict[str, object] = {
        "n_rows": n_rows,
        "n_featurizers": len(seconds),
        "all_s": round(all_s, 2),
        "all_rows_per_s": round(n_rows / all_s),
        "rows_per_s": {
            kind: round(n_rows / spent) for kind, spent in sorted(seconds.items(), key=lambda item: item[1])
        },
        **speedups(batches, arguments.data / "corpora"),
        "peak_gib": peak_gib(),
        "data_gib": before_gib,
        "seconds_by_length": seconds_by_length(arguments.data / "corpora", LENGTHS[: 2 if arguments.quick else None]),
    }
    for name in (
        "all_s",
        "all_rows_per_s",
        "peak_gib",
        "data_gib",
        *(name for name in figures if name.endswith("speedup")),
    ):
        print(f"{name:28s} {figures[name]}")
    if not arguments.quick:
        print(write_results("featurize", figures))


def text_only_featurizers() -> dict[str, Featurizer]:
    """Return every registered featurizer that reads texts alone and has a default for every field, by kind."""
    found = {}
    for kind in component_names("featurizers"):
        component = component_class("featurizers", kind)
        if all(field.default is not MISSING or field.default_factory is not MISSING for field in fields(component)):
            featurizer: Featurizer = component()
            if set(featurizer.needs) <= TEXT_NEEDS:
                found[kind] = featurizer
    return found


def real_batches(folder: Path, *, step: int = 1) -> Iterator[GenerationBatch]:
    """Yield real outputs with their prompts, options and gold letters, as the stage's batches."""
    import pandas as pd

    prompts = pd.read_parquet(folder / "prompts.parquet").drop_duplicates("prompt_id")
    outputs = pd.read_parquet(folder / "outputs.parquet", columns=["prompt_id", "model", "output"])
    rows = outputs.merge(prompts[["prompt_id", "prompt", "answer", "n_options"]], on="prompt_id").iloc[::step]
    for begin in range(0, len(rows), BATCH_ROWS):
        some = rows.iloc[begin : begin + BATCH_ROWS]
        batch = text_batch(
            some["output"].fillna("").tolist(),
            prompts=some["prompt"].tolist(),
            prompt_ids=some["prompt_id"].tolist(),
            references=[(answer,) for answer in some["answer"]],
            choices=[tuple("ABCDEFGHIJ"[:n]) for n in some["n_options"]],
        )
        yield replace(batch, primaries=some["model"].tolist())


def seconds_of_each(featurizers: dict[str, Featurizer], batches: Sequence[GenerationBatch]) -> dict[str, float]:
    """Return the seconds of each featurizer over all batches; the first that splits a text pays for the others."""
    seconds = dict.fromkeys(featurizers, 0.0)
    for batch in batches:
        alone = replace(batch)  # let go of afterwards, with all that was kept for it
        for kind, featurizer in featurizers.items():
            begin = time.perf_counter()
            featurizer.label(alone)
            seconds[kind] += time.perf_counter() - begin
    return seconds


def speedups(batches: Sequence[GenerationBatch], corpus: Path) -> dict[str, float]:
    """Return how many times faster loops, copied n-grams and novelty are found than by the plain references.

    `*_speedup` is measured on split texts, on both sides: the stage splits a batch once for all featurizers. For
    `*_alone_speedup` both sides split them.
    """
    sample = batches[0].take(range(0, len(batches[0]), REFERENCE_STEP))
    known = corpus_ngrams(corpus, n=3)
    novelty = Novelty(corpus=str(corpus), n=3)
    compared: dict[str, tuple[Featurizer, Callable[[PlainBatch], FloatArray]]] = {
        "loop": (RepetitionLoop(), plain_loops),
        "ngram": (NGramCopy(n=8), plain_ngram_copies),
        "novelty": (novelty, lambda plain: plain_novelty(plain, known, n=3)),
    }
    figures: dict[str, float] = {}
    for name, (featurizer, plain) in compared.items():
        if not np.array_equal(featurizer.label(sample), plain(PlainBatch(sample)), equal_nan=True):
            sys.exit(f"{name}: the featurizer and its plain reference disagree")
        for how, is_split in (("", True), ("_alone", False)):
            plain_us = 1e6 * fastest_s(plain, lambda: PlainBatch(sample), is_split=is_split) / len(sample)
            own_us = 1e6 * fastest_s(featurizer.label, lambda: replace(batches[0]), is_split=is_split) / len(batches[0])
            figures |= {
                f"{name}{how}_speedup": round(plain_us / own_us, 1),
                f"{name}{how}_us_a_row": round(own_us, 2),
                f"plain_{name}{how}_us_a_row": round(plain_us, 2),
            }
    return figures


def fastest_s(label: Callable[[Batch], FloatArray], fresh: Callable[[], Batch], *, is_split: bool) -> float:
    """Return the shortest of several times, each over a new batch; one that is split has been labeled once before."""
    times = []
    for _ in range(N_REPEATS):
        batch = fresh()
        if is_split:
            label(batch)
        begin = time.perf_counter()
        label(batch)
        times.append(time.perf_counter() - begin)
    return min(times)


class PlainBatch:
    """Outputs and prompts, split by `str.split` when first asked for."""

    def __init__(self, batch: GenerationBatch) -> None:
        """Keep the texts."""
        self.texts, self.prompts = batch.texts, batch.prompts

    @cached_property
    def words(self) -> list[list[str]]:
        """Words of each output."""
        return [text.split() for text in self.texts]

    @cached_property
    def prompt_words(self) -> list[list[str]]:
        """Words of each prompt."""
        return [prompt.split() for prompt in self.prompts]


def plain_loops(batch: PlainBatch) -> FloatArray:
    """Return `repetition_loop` by the prefix function of each reversed output, in plain Python."""
    labels = []
    for text in batch.texts:
        backwards, borders, border, found = text[::-1], [0], 0, False
        for length in range(2, len(text) + 1):
            char = backwards[length - 1]
            while border and backwards[border] != char:
                border = borders[border - 1]
            border += backwards[border] == char
            borders.append(border)
            found = found or (length >= 12 and length >= 3 * (length - border))  # noqa: PLR2004 - its defaults
        labels.append(float(found))
    return np.array(labels)


def plain_ngram_copies(batch: PlainBatch) -> FloatArray:
    """Return `ngram_copy` for n = 8 by sets of tuples, in plain Python."""
    pairs = zip(batch.words, batch.prompt_words, strict=True)
    return np.array([float(not ngrams(prompt, 8).isdisjoint(ngrams(words, 8))) for words, prompt in pairs])


def plain_novelty(batch: PlainBatch, known: set[tuple[str, ...]], *, n: int) -> FloatArray:
    """Return `novelty` by looking every n-gram up in a set of tuples, in plain Python."""
    labels = []
    for words in batch.words:
        grams = [tuple(words[start : start + n]) for start in range(len(words) - n + 1)]
        labels.append(sum(gram not in known for gram in grams) / len(grams) if grams else np.nan)
    return np.array(labels)


def ngrams(words: Sequence[str], n: int) -> set[tuple[str, ...]]:
    """Return the different n-grams of words."""
    return {tuple(words[start : start + n]) for start in range(len(words) - n + 1)}


def corpus_ngrams(corpus: Path, *, n: int) -> set[tuple[str, ...]]:
    """Return the different n-grams of all text files below a folder."""
    files = sorted(corpus.rglob("*.txt"))
    return set().union(*(ngrams(file.read_text(encoding="utf-8", errors="replace").split(), n) for file in files))


def seconds_by_length(corpus: Path, lengths: Sequence[int]) -> dict[str, dict[str, float]]:
    """Print and return the seconds that a million characters take, by featurizer and by the length of the outputs."""
    text = "".join(file.read_text(encoding="utf-8", errors="replace") for file in sorted(corpus.rglob("*.txt")))
    seconds: dict[str, dict[str, float]] = {}
    print(f"\n{'seconds a million characters':28s}" + "".join(f"{length:>12,}" for length in lengths))
    for kind, featurizer in text_only_featurizers().items():
        row = {}
        for length in lengths:
            texts = [text[begin : begin + length] for begin in range(0, LENGTHS[-1], length)]
            # Each output under a prompt that it copies from.
            batch = text_batch(texts, prompts=[text[length // 2 : length + length // 2]] * len(texts))
            begin_s = time.perf_counter()
            featurizer.label(batch)
            row[str(length)] = round(time.perf_counter() - begin_s, 4)
        seconds[kind] = row
        print(f"{kind:28s}" + "".join(f"{spent:12.4f}" for spent in row.values()))
    return seconds


def peak_gib() -> float:
    """Return the most memory that this process has held, in GiB."""
    scale = 1 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale / 2**30, 3)


if __name__ == "__main__":
    main()
