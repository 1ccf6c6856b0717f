"""What benchmarks/train.py trains on: prompts cut from real texts, or made up, with planted and real behaviors.

    python benchmarks/train_prompts.py FOLDER N_PROMPTS [DATA]

Writes FOLDER/prompts.json and FOLDER/across.json, both {"texts", "domains", "train", "held_out", "labels"}: row numbers
to train on, row numbers of domains left out, and 0, 1 or -1 (no label) of each prompt by behavior. DATA holds mmlu_pro/
(prompts.parquet, outputs_slim.parquet) and corpora/, one sub-folder of .txt files a corpus; without it words are drawn
from lists that differ by domain. `prompts` has 20 behaviors of one primary model, `across` one behavior of many.

Shapes: n = prompts.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from metamodel.types import FloatArray, IntArray

SEED = 11
SHORTEST, LONGEST = 200, 600
# A tenth as many prompts of left-out domains judge.
HELD_OUT_SHARE = 0.1
N_REAL = 4
N_MADE_UP_PRIMARIES = 20
N_MADE_UP_DOMAINS = 10


class Texts(NamedTuple):
    """Prompts with their domains and what real primary models did with them, -1 where that is unknown, [n] each."""

    texts: list[str]
    domains: list[str]
    real: Mapping[str, IntArray]


class Divided(NamedTuple):
    """Prompts of which the first `n_train` are for training and the others of domains left out."""

    texts: list[str]
    domains: list[str]
    real: Mapping[str, IntArray]
    n_train: int


def main() -> None:
    """Write both tasks."""
    folder, n_prompts = Path(sys.argv[1]), int(sys.argv[2])
    data = Path(sys.argv[3]) if len(sys.argv) > 3 else None  # noqa: PLR2004 - the third argument
    rng = np.random.default_rng(SEED)
    found = divided(made_up(n_prompts, rng) if data is None else cut(data, n_prompts, rng), n_prompts, rng)
    planted = planted_labels(found.texts, rng)
    real = {name: found.real[name] for name in sorted(found.real)[:N_REAL]}
    write(folder / "prompts.json", found, {**planted, **real})
    if data is None:
        across = Divided(**(found._asdict() | {"real": made_up_primaries(planted, rng)}))
    else:
        questions = exam_questions(data)
        across = divided(questions, len(questions.texts), rng)
    write(folder / "across.json", across, {f"{name}/correct": codes for name, codes in across.real.items()})


def cut(data: Path, n_prompts: int, rng: np.random.Generator) -> Texts:
    """Return windows of the corpora, and of exam questions with what was answered to them."""
    questions = exam_questions(data)
    n_questions = len(questions.texts)
    texts = [text[: int(rng.integers(SHORTEST, LONGEST + 1))] for text in questions.texts]
    domains = list(questions.domains)
    corpora = sorted(folder for folder in (data / "corpora").iterdir() if folder.is_dir())
    for corpus in corpora:
        files = sorted(corpus.glob("*.txt"))
        running = " ".join(" ".join(file.read_text("utf-8", "replace") for file in files).split())
        for _ in range(1 + math.ceil(1.6 * n_prompts / len(corpora))):  # enough with a corpus left out
            length = int(rng.integers(SHORTEST, LONGEST + 1))
            start = int(rng.integers(0, max(len(running) - length, 1)))
            texts.append(running[start : start + length])
            domains.append(corpus.name)
    rest = len(texts) - n_questions
    real = {f"correct of {name}": np.pad(c, (0, rest), constant_values=-1) for name, c in questions.real.items()}
    return Texts(texts, domains, real)


def exam_questions(data: Path) -> Texts:
    """Return the questions whole, and whether each primary model answered them correctly."""
    prompts = pd.read_parquet(data / "mmlu_pro" / "prompts.parquet").drop_duplicates("prompt_id").set_index("prompt_id")
    outputs = pd.read_parquet(data / "mmlu_pro" / "outputs_slim.parquet").drop_duplicates(["prompt_id", "model"])
    correct = outputs.pivot_table(index="prompt_id", columns="model", values="correct", aggfunc="first")
    wide = correct.reindex(prompts.index)
    real = {str(name): wide[name].map({True: 1, False: 0}).fillna(-1).astype(np.int64).to_numpy() for name in wide}
    return Texts(prompts["prompt"].tolist(), prompts["domain"].tolist(), real)


def made_up(n_prompts: int, rng: np.random.Generator) -> Texts:
    """Return prompts of made-up words, some of them common to all domains."""
    syllables = [
        "ba",
        "den",
        "fo",
        "gri",
        "ka",
        "lum",
        "mi",
        "nor",
        "pe",
        "qua",
        "ris",
        "sto",
        "tu",
        "vel",
        "win",
        "zo",
    ]
    words = np.array(["".join(rng.choice(syllables, int(rng.integers(1, 5)))) for _ in range(6000)])
    numbers = np.array([str(number) for number in range(500)])
    texts, domains = [], []
    for number in range(N_MADE_UP_DOMAINS):
        own = np.concatenate([words[:1500], rng.choice(words, 1500), numbers])
        chances = 1 / np.arange(1, len(own) + 1)
        for _ in range(math.ceil(1.6 * n_prompts / N_MADE_UP_DOMAINS)):
            length = int(rng.integers(SHORTEST, LONGEST + 1))
            texts.append(" ".join(rng.choice(own, length // 5, p=chances / chances.sum()))[:length])
            domains.append(f"made up {number}")
    return Texts(texts, domains, {})


def made_up_primaries(planted: Mapping[str, IntArray], rng: np.random.Generator) -> dict[str, IntArray]:
    """Return the labels of made-up primary models, each of which mixes two planted behaviors."""
    columns = list(planted.values())
    real = {}
    for number in range(N_MADE_UP_PRIMARIES):
        one, other = columns[number % 3], columns[3 + number % 4]
        takes_one = rng.random(len(one)) < (number + 1) / (N_MADE_UP_PRIMARIES + 1)
        real[f"made up {number:02d}"] = np.where(takes_one, one, other)
    return real


def planted_labels(texts: Sequence[str], rng: np.random.Generator) -> dict[str, IntArray]:
    """Return 16 behaviors drawn from a logistic curve over a score of the text: words, characters, length, looks."""
    scores = {f"words {number}": score for number, score in enumerate(summed(texts, words_of, 6))}
    scores |= {f"characters {number}": score for number, score in enumerate(summed(texts, trigrams_of, 4))}
    looks: dict[str, Callable[[str], float]] = {
        "length": lambda text: math.log(len(text)),
        "words a character": lambda text: text.count(" ") / len(text),
        "digits": lambda text: math.log1p(sum(map(str.isdigit, text))),
        "capitals": lambda text: math.log1p(sum(map(str.isupper, text))),
        "commas": lambda text: math.log1p(text.count(",")),
        "questions": lambda text: float("?" in text),
    }
    scores |= {name: np.array([look(text) for text in texts]) for name, look in looks.items()}
    labels = {}
    for name, score in scores.items():
        standard = (score - score.mean()) / max(float(score.std()), 1e-9)
        labels[name] = (rng.random(len(texts)) < 1 / (1 + np.exp(-2 * standard))).astype(np.int64)
    return labels


def words_of(text: str) -> set[str]:
    """Return the different words."""
    return set(re.findall(r"[a-z]+|\d+", text.lower()))


def trigrams_of(text: str) -> set[str]:
    """Return the different runs of three characters."""
    return {text[start : start + 3] for start in range(len(text) - 2)}


def summed(texts: Sequence[str], parts: Callable[[str], set[str]], n_scores: int) -> FloatArray:
    """Return sums of the weights of each text's parts over the root of their number, [n_scores, n]."""
    numbers: dict[str, int] = {}
    owned = [sorted(numbers.setdefault(part, len(numbers)) for part in parts(text)) for text in texts]
    weights = np.array([[weight(f"{number} {part}") for number in range(n_scores)] for part in numbers])
    scores = [weights[rows].sum(axis=0) / math.sqrt(max(len(rows), 1)) for rows in owned]
    return np.array(scores).reshape(len(texts), n_scores).T


def weight(name: str) -> float:
    """Return 0 for four names in five, else a number from -1 to 1, the same in every run."""
    first, second = blake2b(name.encode("utf-8", "surrogatepass"), digest_size=2).digest()
    return (second / 127.5 - 1) if first < 256 // 5 else 0.0


def divided(found: Texts, most: int, rng: np.random.Generator) -> Divided:
    """Leave some domains out, and draw at most so many prompts of the others to train on."""
    names = sorted(set(found.domains))
    left_out = set(names[:: max(6, len(names) // 3)])
    is_left_out = np.array([domain in left_out for domain in found.domains])
    train = rng.permutation(np.flatnonzero(~is_left_out))[:most]
    held_out = rng.permutation(np.flatnonzero(is_left_out))[: max(int(HELD_OUT_SHARE * most), 200)]
    rows = np.concatenate([train, held_out])
    return Divided(
        texts=[found.texts[row] for row in rows],
        domains=[found.domains[row] for row in rows],
        real={name: codes[rows] for name, codes in found.real.items()},
        n_train=len(train),
    )


def write(path: Path, prompts: Divided, labels: Mapping[str, IntArray]) -> None:
    """Write a task."""
    task = {
        "texts": prompts.texts,
        "domains": prompts.domains,
        "train": list(range(prompts.n_train)),
        "held_out": list(range(prompts.n_train, len(prompts.texts))),
        "labels": {name: codes.tolist() for name, codes in labels.items()},
    }
    path.write_text(json.dumps(task), encoding="utf-8")


if __name__ == "__main__":
    main()
