"""Pre-screens on disk for tests, made in a second or two from synthetic prompts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from metamodel.config.components import build_component
from metamodel.labels import Binary, Categorical, LabeledPrompts, LabelTable
from metamodel.protocols import FitContext, Metamodel, Trainer
from metamodel.screen import writing
from metamodel.screen.rules import ScreenRule
from metamodel.screen.writing import SavesFamiliarity

COMPANY = ("stone", "river", "cloud", "paper", "horse", "bread", "window", "garden", "Straße", "东京")
# Small enough that a fit takes about a second.
SMALL: Mapping[str, Mapping[str, Any]] = {
    "bag": {"n_buckets": 2**12, "dimension": 8, "hidden": 8, "max_epochs": 12},
    "surface": {"head": "linear"},
    "joint": {"n_factors": 2, "n_waves": 0, "n_tree_factors": 0},
    "tfidf_logistic": {"C_grid": []},
}


def labeled_prompts(n_prompts: int = 200, *, seed: int = 0, prefix: str = "") -> LabeledPrompts:
    """Return prompts of four domains; "red" fails nine times of ten and "blue" one of ten.

    Args:
        n_prompts: How many.
        seed: Seed of words and labels.
        prefix: Put before the behaviors' names, as "gpt2/" for metamodels of several primary models.
    """
    rng = np.random.default_rng(seed)
    texts = [" ".join([("red", "blue")[row % 2], *rng.choice(COMPANY, 6), str(row)]) for row in range(n_prompts)]
    fails = rng.random((n_prompts, 1)) < np.where(np.arange(n_prompts) % 2 == 0, 0.9, 0.1)[:, None]
    tone = rng.integers(0, 3, (n_prompts, 1))
    return LabeledPrompts(
        texts=tuple(texts),
        domains=tuple(f"d{row // 2 % 4}" for row in range(n_prompts)),
        labels={
            f"{prefix}fail": LabelTable(space=Binary(), codes=fails.astype(np.int64)),
            f"{prefix}tone": LabelTable(space=Categorical(classes=("calm", "terse", "warm")), codes=tone),
        },
    )


def small_metamodel(kind: str = "bag", *, n_prompts: int = 200, **fields: object) -> Metamodel:
    """Fit a small metamodel of a kind; `fields` are the trainer's."""
    trainer: Trainer = build_component("trainers", {"kind": kind, **SMALL.get(kind, {}), **fields}, at=kind)
    prompts = labeled_prompts(n_prompts, prefix="gpt2/" if kind == "joint" else "")
    rows = np.arange(n_prompts)
    train, validation = prompts.take(rows[: -n_prompts // 4]), prompts.take(rows[-n_prompts // 4 :])
    return trainer.fit(train, validation, context=FitContext())


def screen_folder(
    folder: Path,
    metamodel: Metamodel | None = None,
    *,
    kind: str = "bag",
    rules: Sequence[ScreenRule] | None = None,
    familiarity: SavesFamiliarity | None = None,
) -> Path:
    """Write a pre-screen to a new or empty folder and return it.

    Args:
        folder: Where.
        metamodel: What it predicts with; None fits a small one of `kind`.
        kind: Kind of the metamodel that is fitted. `base_rate` and `tfidf_logistic` take milliseconds, `bag` seconds.
        rules: None stops what fails with a probability above one half.
        familiarity: What it knows of its training prompts.
    """
    fitted = metamodel if metamodel is not None else small_metamodel(kind)
    spaces = fitted.spaces  # type: ignore[attr-defined] # all of ours tell
    behavior = next(name for name in spaces if name.endswith("fail"))
    chosen = rules if rules is not None else [ScreenRule(behavior=behavior, failures=("yes",), threshold=0.5)]
    source = {"metamodel": kind}
    with writing.screen_folder(
        folder, fitted, spaces=spaces, rules=chosen, source=source, familiarity=familiarity
    ) as unfinished:
        assert unfinished.is_dir()
    return folder
