"""A pre-screen as scikit-learn knows classifiers; imported from here alone, since it needs scikit-learn.

Shapes: n = prompts, c = outcomes of the behavior.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from metamodel.errors import ConfigError, DataError
from metamodel.feature_cache import uncached
from metamodel.screen.folder import load_screen

if TYPE_CHECKING:
    from sklearn.utils import Tags

    from metamodel.screen.screen import Screen
    from metamodel.types import FloatArray


class ScreenClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc] # scikit-learn ships no types
    """The outcomes of one behavior, predicted from prompts by an exported pre-screen.

    `fit` reads the folder and learns nothing: whatever stands before it in a pipeline is fitted, it is not. Its classes
    are the outcomes in sorted order, as scikit-learn has them.

    Parameters:
        folder: What `metamodel export` wrote.
        behavior: Which behavior; may be left out where the pre-screen predicts one alone.

    Attributes:
        screen_: The pre-screen.
        behavior_: The behavior.
        classes_: Its outcomes, sorted, [c].
    """

    def __init__(self, folder: str | Path = "", behavior: str = "") -> None:
        self.folder = folder
        self.behavior = behavior

    def fit(self, X: Iterable[str], y: object = None) -> ScreenClassifier:  # noqa: ARG002, N803 - scikit-learn's names
        """Read the folder; neither texts nor labels are looked at.

        Raises:
            DataError: The folder holds no pre-screen, or it predicts no such behavior.
            ConfigError: It predicts several, and none is named.
        """
        screen = load_screen(self.folder)
        known = list(screen.spaces)
        if not self.behavior and len(known) > 1:
            raise ConfigError([f"behavior is missing: choose one of {', '.join(known)}"], source="ScreenClassifier")
        behavior = self.behavior or known[0]
        screen.require_behavior(behavior)
        self.screen_: Screen = screen
        self.behavior_ = behavior
        self.classes_ = np.array(sorted(screen.spaces[behavior].outcomes))
        return self

    def predict_proba(self, X: Iterable[str]) -> FloatArray:  # noqa: N803 - scikit-learn's name
        """Return the probability of each class, [n, c].

        Raises:
            DataError: A prompt is no text.
        """
        check_is_fitted(self)
        if isinstance(X, str):
            raise DataError("got one text, must be a list of texts: put it in brackets")
        texts = list(X)
        for place, text in enumerate(texts):
            if not isinstance(text, str):
                raise DataError(f"prompt {place} is {type(text).__name__}, must be text")
        # numpy's own texts are a subclass; metamodels are given plain ones.
        with uncached():
            predicted = self.screen_.metamodel.predict([str(text) for text in texts])[self.behavior_]
        outcomes = list(self.screen_.spaces[self.behavior_].outcomes)
        probabilities: FloatArray = predicted[:, [outcomes.index(name) for name in self.classes_.tolist()]]
        return probabilities

    def predict(self, X: Iterable[str]) -> NDArray[np.str_]:  # noqa: N803 - scikit-learn's name
        """Return the likeliest class of each prompt, [n]; whether it is let through is the pre-screen's to say."""
        probabilities = self.predict_proba(X)
        likeliest: NDArray[np.str_] = self.classes_[probabilities.argmax(axis=1)]
        return likeliest

    def __sklearn_tags__(self) -> Tags:
        """Say that it reads texts and needs no labels."""
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.one_d_array = True
        tags.input_tags.string = True
        tags.target_tags.required = False
        tags.no_validation = True
        return tags
