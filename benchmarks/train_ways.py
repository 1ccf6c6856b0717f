"""Ways to fit the same prompts, each in a process of its own: python benchmarks/train_ways.py WAY TASK.json.

A task is what train_prompts.py writes. The answer, the last line, is JSON: `wall_s` and `cpu_s` of the fit (all threads
and processes), `predict_s`, `peak_gib`, and on the left-out domains, as means over behaviors, `bits` (reduction against
the best constant there), `worst_bits` of a behavior, `auroc`, and `n_behaviors` that had both labels.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np

from metamodel.information import label_entropy_bits
from metamodel.labels import Binary, LabeledPrompts, LabelTable
from metamodel.metrics import auroc
from metamodel.protocols import FitContext, Trainer
from metamodel.registry import component_class
from metamodel.types import FloatArray

# Chances of "yes" of each behavior for some texts, [n].
Predict: TypeAlias = Callable[[Sequence[str]], Mapping[str, FloatArray]]
VALIDATION_SHARE = 0.1
N_THREADS = 2
# A chance of 0 or 1 that turns out wrong would cost infinitely many bits.
LOWEST_CHANCE = 1e-4


class Task(NamedTuple):
    """Prompts to train on and prompts of domains left out."""

    train: LabeledPrompts
    held_out: LabeledPrompts


def main() -> None:
    """Measure one way on one task."""
    way, path = sys.argv[1], Path(sys.argv[2])
    task = read_task(path)
    warnings.filterwarnings("ignore")
    begin_cpu_s, begin_s = cpu_s(), time.perf_counter()
    predict = WAYS[way](task.train) if way in WAYS else fit_ours(way, task.train)
    times = {"wall_s": time.perf_counter() - begin_s, "cpu_s": cpu_s() - begin_cpu_s}
    begin_s = time.perf_counter()
    chances = predict(task.held_out.texts)
    times["predict_s"] = time.perf_counter() - begin_s
    print(json.dumps({**times, "peak_gib": peak_gib(), **quality(chances, task.held_out)}))


def read_task(path: Path) -> Task:
    """Return what train_prompts.py wrote."""
    task = json.loads(path.read_text(encoding="utf-8"))
    labels = {
        name: LabelTable(space=Binary(), codes=np.array(codes, dtype=np.int64)[:, None])
        for name, codes in task["labels"].items()
    }
    prompts = LabeledPrompts(texts=tuple(task["texts"]), domains=tuple(task["domains"]), labels=labels)
    return Task(prompts.take(task["train"]), prompts.take(task["held_out"]))


def fit_ours(kind: str, prompts: LabeledPrompts) -> Predict:
    """Fit a registered trainer with its defaults, a tenth of the prompts for validation."""
    trainer = component_class("trainers", kind)()
    if not isinstance(trainer, Trainer):
        sys.exit(f"{kind} is no trainer")
    n_validation = int(VALIDATION_SHARE * len(prompts))
    train, validation = prompts.take(range(n_validation, len(prompts))), prompts.take(range(n_validation))
    metamodel = trainer.fit(train, validation, context=FitContext())
    return lambda texts: {name: values[:, 1] for name, values in metamodel.predict(texts).items()}


def fit_tfidf(prompts: LabeledPrompts) -> Predict:
    """Fit scikit-learn's tf-idf of words and pairs of words once, and a logistic regression a behavior, two at a time.

    Like `make_pipeline(TfidfVectorizer(...), LogisticRegression())` for each behavior, but that the n-grams are counted
    only once.
    """
    from joblib import Parallel, delayed
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    vectorizer = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
    features = vectorizer.fit_transform(prompts.texts)

    def fit(codes: FloatArray) -> LogisticRegression:
        rows = np.flatnonzero(codes >= 0)
        return LogisticRegression(max_iter=300).fit(features[rows], codes[rows])

    names = list(prompts.labels)
    models = Parallel(n_jobs=N_THREADS, prefer="threads")(
        delayed(fit)(prompts.labels[name].codes[:, 0]) for name in names
    )

    def predict(texts: Sequence[str]) -> dict[str, FloatArray]:
        rows = vectorizer.transform(texts)
        return {name: model.predict_proba(rows)[:, 1] for name, model in zip(names, models, strict=True)}

    return predict


def fit_fasttext(prompts: LabeledPrompts) -> Predict:
    """Fit one fastText model of all behaviors: two labels a behavior (yes, no), each one against all others.

    A chance is that of yes over yes and no, so that missing labels count on neither side.
    """
    import fasttext

    names = list(prompts.labels)
    codes = np.stack([prompts.labels[name].codes[:, 0] for name in names], axis=1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "prompts.txt"
        with path.open("w", encoding="utf-8", errors="replace") as file:
            for text, row in zip(prompts.texts, codes, strict=True):
                labels = " ".join(f"__label__{column}_{code}" for column, code in enumerate(row) if code >= 0)
                file.write(f"{labels} {' '.join(text.split())}\n" if labels else "")
        model = fasttext.train_supervised(
            str(path), loss="ova", lr=0.5, epoch=10, wordNgrams=2, thread=N_THREADS, verbose=0
        )

    def predict(texts: Sequence[str]) -> dict[str, FloatArray]:
        chances = {name: np.full(len(texts), 0.5) for name in names}
        for row, text in enumerate(texts):
            labels, values = model.predict(" ".join(text.split()), k=-1)
            found = dict(zip(labels, values, strict=True))
            for column, name in enumerate(names):
                no, yes = found.get(f"__label__{column}_0", 0.0), found.get(f"__label__{column}_1", 0.0)
                if no + yes > 0:
                    chances[name][row] = yes / (no + yes)
        return chances

    return predict


WAYS: Mapping[str, Callable[[LabeledPrompts], Predict]] = {"tfidf": fit_tfidf, "fasttext": fit_fasttext}


def quality(chances: Mapping[str, FloatArray], prompts: LabeledPrompts) -> dict[str, float | int]:
    """Return mean bits and mean area under the curve over the behaviors that have both labels."""
    bits, areas = [], []
    for name, table in prompts.labels.items():
        rows = np.flatnonzero(table.counts.sum(axis=1))
        counts, yes = table.counts[rows], np.clip(chances[name][rows], LOWEST_CHANCE, 1 - LOWEST_CHANCE)
        probabilities = np.stack([1 - yes, yes], axis=1)
        area, entropy = auroc(counts, probabilities), label_entropy_bits(counts)
        if area is None or entropy is None:
            continue
        areas.append(area)
        bits.append(entropy + float((counts * np.log2(probabilities)).sum() / counts.sum()))
    return {
        "bits": float(np.mean(bits)),
        "worst_bits": float(np.min(bits)),
        "auroc": float(np.mean(areas)),
        "n_behaviors": len(bits),
    }


def cpu_s() -> float:
    """Return the processor time of this process and its finished children."""
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def peak_gib() -> float:
    """Return the most memory that this process has held; where the system tells, none that its parent held."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 2**20
    scale = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale / 2**30


if __name__ == "__main__":
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    main()
