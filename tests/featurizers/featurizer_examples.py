"""An instance of every registered featurizer, for the contract suite: its defaults, or values where it has none."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

from contract_rows import OLD_PRIMARY

from metamodel.config.components import build_component
from metamodel.protocols import Featurizer
from metamodel.registry import component_class, component_fields, component_names

# A runaway output is made of long runs of these.
RUNAWAY_PIECES = ("a", "word after word ", "👍🏽", "- ", "\x00", "it's a `-.5` ", "1,", "(A) [{", "\n")


def _a_corpus(folder: Path) -> Mapping[str, object]:
    Path(folder, "corpus.txt").write_text("no no no, one two three four", encoding="utf-8")
    return {"corpus": str(Path(folder, "corpus.txt"))}


# Values of fields without a default, by kind; a function makes the files that some need.
EXAMPLES: Mapping[str, Mapping[str, object] | Callable[[Path], Mapping[str, object]]] = {
    "model_flip": {"other": OLD_PRIMARY},
    "negative_flip": {"other": OLD_PRIMARY},
    "positive_flip": {"other": OLD_PRIMARY},
    "novelty": _a_corpus,
    "regex": {"pattern": r"(?:n|a)o+\b"},
    "python": {"function": "featurizers.custom:shouts"},
    "judge": {"primary": {"kind": "zoo", "model": "lstm"}, "rubric": "Is the output polite?"},
    "and": {"of": ["empty", {"kind": "correct"}]},
    "or": {"of": ["empty", {"kind": "truncated"}]},
    "not": {"of": "empty"},
    "threshold": {"of": "n_tokens", "at_least": 2},
    "outcome": {"of": "n_tokens", "outcomes": ["0", "1"]},
    "product": {"of": ["empty", {"kind": "correct"}]},
    "in_domains": {"of": "empty", "domains": [""]},
}
# These ask a primary model for every label: their own tests put a stub in its place.
ASKING = frozenset({"judge"})


def kinds() -> list[str]:
    """Return every registered kind."""
    return component_names("featurizers")


def example(kind: str, folder: Path | None = None) -> Featurizer:
    """Return an instance of a kind; files that it needs go to `folder`."""
    return _built(kind, None if folder is None else str(folder))


@cache
def _folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="featurizers-"))


@cache
def _built(kind: str, folder: str | None) -> Featurizer:
    given = EXAMPLES.get(kind, {})
    options = given(Path(folder) if folder else _folder()) if callable(given) else given
    about = component_fields(component_class("featurizers", kind))
    missing = sorted(name for name in about.keys() - options.keys() if about[name].endswith("required"))
    assert not missing, f"{kind} has no default for {missing}: give values in EXAMPLES"
    featurizer: Featurizer = build_component("featurizers", {"kind": kind, **options}, at=kind)
    return featurizer
