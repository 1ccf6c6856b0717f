"""The one family of errors that are the user's to mend; a bug keeps its own exception and traceback."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence


class MetamodelError(Exception):
    """A mistake in a config, a file or a command: printed on one line, exit code 2, no traceback."""


class ConfigError(MetamodelError):
    """Every problem found in a config, each with its key path."""

    def __init__(self, problems: Sequence[str], *, source: str = "config") -> None:
        """Join `problems`, one sentence each, behind the name of their source."""
        self.problems = tuple(problems)
        super().__init__(f"{source}: " + "; ".join(self.problems))


class DataError(MetamodelError):
    """An input file that cannot be read or lacks what was asked of it."""


class RunError(MetamodelError):
    """A run directory that another config made, that another process holds, or that cannot be written."""


class LabelError(MetamodelError):
    """Some rows of a batch could not be labeled (an endpoint gave no usable answer); the labels of the others are here.

    Only featurizers that need "endpoint" raise it: the stage keeps the labels and writes each failed row to errors/.
    """

    def __init__(self, labels: Sequence[float], reasons: Mapping[int, str]) -> None:
        """Keep the `labels` of all rows, NaN where one failed, and the `reasons` by row."""
        self.labels = labels
        self.reasons = dict(reasons)
        shown = next(iter(self.reasons.values()), "no reason given")
        super().__init__(f"{len(self.reasons)} rows could not be labeled: {shown}")


class UnknownNameError(MetamodelError):
    """A name that nothing is registered under."""


def nearest_name_hint(name: str, known: Iterable[str]) -> str:
    """Return a sentence that names the nearest known name and lists all of them.

    >>> nearest_name_hint("ngram_copi", ["ngram_copy", "empty"])
    'did you mean ngram_copy? Known: empty, ngram_copy'
    """
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    guess = f"did you mean {close[0]}? " if close else ""
    return f"{guess}Known: {', '.join(names) or 'none'}"
