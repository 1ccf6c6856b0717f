"""The scikit-learn wrapper: a classifier among others, of texts."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from screen_folders import labeled_prompts
from sklearn.base import clone, is_classifier
from sklearn.exceptions import NotFittedError, SkipTestWarning
from sklearn.metrics import log_loss
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import estimator_checks

from metamodel.errors import ConfigError, DataError
from metamodel.screen import load_screen
from metamodel.screen.estimator import ScreenClassifier

PROMPTS = ["red stone", "blue stone", "", "\ud800"]


@pytest.fixture
def classifier(kept_folder: Callable[[str], Path]) -> ScreenClassifier:
    """Return one that is not fitted."""
    return ScreenClassifier(folder=kept_folder("tfidf_logistic"), behavior="fail")


def test_it_predicts_what_the_screen_predicts(classifier: ScreenClassifier) -> None:
    """Probabilities are the pre-screen's, a column a class, and classes are sorted as scikit-learn has them."""
    for behavior in ("fail", "tone"):
        fitted = clone(classifier).set_params(behavior=behavior).fit(PROMPTS)
        assert fitted.classes_.tolist() == sorted(fitted.classes_.tolist())
        decided = load_screen(classifier.folder)(PROMPTS)
        expected = [[one.probabilities[behavior][name] for name in fitted.classes_] for one in decided]
        assert np.array_equal(fitted.predict_proba(np.array(PROMPTS, dtype=object)), expected)
        assert fitted.predict(PROMPTS).tolist() == [fitted.classes_[np.argmax(row)] for row in expected]


def test_it_works_among_others(classifier: ScreenClassifier) -> None:
    """It is cloned, scored, cross-validated and put into a pipeline like any classifier."""
    labeled = labeled_prompts(40, seed=1)
    labels = np.where(labeled.labels["fail"].codes[:, 0] == 1, "yes", "no")
    pipeline = make_pipeline(FunctionTransformer(lambda texts: [text.upper().lower() for text in texts]), classifier)
    pipeline.fit(list(labeled.texts), labels)
    assert is_classifier(pipeline)
    assert pipeline.score(list(labeled.texts), labels) > 0.7
    assert log_loss(labels, pipeline.predict_proba(list(labeled.texts))) < np.log(2)
    assert cross_val_score(clone(classifier), list(labeled.texts), labels, cv=3).min() > 0.5


def test_mistakes(classifier: ScreenClassifier, tmp_path: Path) -> None:
    """Unfitted, without a folder or behavior, or on what is no text, it says what to do."""
    with pytest.raises(NotFittedError):
        clone(classifier).predict(PROMPTS)
    with pytest.raises(ConfigError, match="choose one of fail, tone"):
        ScreenClassifier(folder=classifier.folder).fit(PROMPTS)
    with pytest.raises(DataError, match="no pre-screen"):
        ScreenClassifier(folder=tmp_path).fit(PROMPTS)
    with pytest.raises(DataError, match="did you mean fail"):
        clone(classifier).set_params(behavior="fial").fit(PROMPTS)
    fitted = clone(classifier).fit(PROMPTS)
    for wrong in ("one text", [1], [["a"]], np.zeros((2, 2))):
        with pytest.raises(DataError, match="must be"):
            fitted.predict(wrong)


def test_scikit_learns_own_checks(classifier: ScreenClassifier) -> None:
    """scikit-learn skips classifiers of texts as a whole; the checks that need no numbers pass one by one."""
    with pytest.warns(SkipTestWarning, match="requires input"):
        estimator_checks.check_estimator(classifier)
    name = type(classifier).__name__
    applicable = (
        estimator_checks.check_estimator_cloneable,
        estimator_checks.check_estimator_repr,
        estimator_checks.check_estimator_tags_renamed,
        estimator_checks.check_valid_tag_types,
        estimator_checks.check_no_attributes_set_in_init,
        estimator_checks.check_parameters_default_constructible,
        estimator_checks.check_get_params_invariance,
        estimator_checks.check_set_params,
        estimator_checks.check_do_not_raise_errors_in_init_or_set_params,
        estimator_checks.check_mixin_order,
    )
    for check in applicable:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            check(name, clone(classifier))
