"""Real outputs as tasks to predict: prompts, domains, and for each behavior one 0/1 label a prompt and primary model.

A set is a folder with prompts.parquet (prompt_id, domain, prompt, ...) and outputs.parquet or outputs_slim.parquet
(prompt_id, model, correct, and where there: pred, output, output_len, refused).

Shapes: n = prompts, m = primary models.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from featurizers.degeneration import RepetitionLoop
from metamodel.labels import Binary, LabeledPrompts, LabelTable, task_name
from metamodel.splits import hashed_shares
from metamodel.text import text_batch
from metamodel.types import FloatArray, IntArray

TEST_SHARE = 0.2
# A label that nearly every output shares leaves nothing to predict.
LEAST_RATE = 0.01
LEAST_DOMAIN = 50
# Behaviors beside `correct` are measured on so many primary models, spread over their names.
MOST_MODELS_BESIDE_CORRECT = 7
SEED = 0


@dataclass(frozen=True, kw_only=True)
class Split:
    """One way to divide the prompts.

    Attributes:
        name: The left-out domain, or "random".
        train: Rows to fit on, [.].
        test: Rows that judge, [.].
        is_shift: Whether `test` is of domains that `train` has nothing of.
    """

    name: str
    train: IntArray
    test: IntArray
    is_shift: bool


@dataclass(frozen=True, kw_only=True)
class RealSet:
    """Prompts with the labels of several primary models.

    Attributes:
        name: Of the folder.
        texts: Prompts, n of them.
        domains: What is left out, n of them.
        tags: Domain and source, the most that a look-up can know of a prompt without reading it.
        models: Names of the primary models, m of them.
        labels: By behavior: 1, 0 or NaN where a model has no such output, [n, m].
        splits: Left-out domains first, then the random split.
    """

    name: str
    texts: tuple[str, ...]
    domains: tuple[str, ...]
    tags: tuple[str, ...]
    models: tuple[str, ...]
    labels: dict[str, FloatArray]
    splits: tuple[Split, ...]

    def labeled(self, rows: IntArray, models: tuple[str, ...] | None = None) -> LabeledPrompts:
        """Return prompts as a trainer sees them, one task a primary model and behavior."""
        chosen = self.models if models is None else models
        tables = {}
        for behavior, values in self.labels.items():
            for column, model in enumerate(self.models):
                mine = values[rows, column]
                if model in chosen and not np.isnan(values[:, column]).all():
                    codes = Binary().encode(mine)[:, None]
                    tables[task_name(model, behavior)] = LabelTable(space=Binary(), codes=codes)
        texts = tuple(self.texts[row] for row in rows)
        return LabeledPrompts(texts=texts, domains=tuple(self.domains[row] for row in rows), labels=tables)


def read_sets(folder: Path, *, n_prompts: int | None = None, n_models: int | None = None) -> Iterator[RealSet]:
    """Yield every set in a folder: the folder itself, or its sub-folders.

    Args:
        folder: Where to look.
        n_prompts: Most prompts of a set, chosen by hash; None takes all.
        n_models: Most primary models of a set, spread over their names; None takes all.
    """
    candidates = [folder, *sorted(path for path in folder.iterdir() if path.is_dir())]
    for path in candidates:
        outputs = [path / "outputs_slim.parquet", path / "outputs.parquet"]
        if (path / "prompts.parquet").exists() and any(file.exists() for file in outputs):
            found = _read_set(path, n_prompts, n_models)
            if found is not None:
                yield found


def _read_set(path: Path, n_prompts: int | None, n_models: int | None) -> RealSet | None:
    prompts = pd.read_parquet(path / "prompts.parquet").drop_duplicates("prompt_id")
    if n_prompts is not None and n_prompts < len(prompts):
        order = np.argsort(hashed_shares(list(prompts["prompt"]), seed=SEED, purpose="subset"))
        prompts = prompts.iloc[np.sort(order[:n_prompts])]
    prompts = prompts.reset_index(drop=True)
    labels, models = _labels(path, list(prompts["prompt_id"]))
    if n_models is not None:
        kept = np.arange(len(models))[:: -(-len(models) // n_models)]
        models = tuple(models[column] for column in kept)
        labels = {behavior: values[:, kept] for behavior, values in labels.items()}
        labels = {behavior: values for behavior, values in labels.items() if not np.isnan(values).all()}
    domains = _domains(prompts)
    source = prompts["src"] if "src" in prompts else pd.Series([""] * len(prompts))
    splits = (*_shifts(prompts, domains), _random_split(list(prompts["prompt"])))
    if not labels:
        return None
    return RealSet(
        name=path.name,
        texts=tuple(map(str, prompts["prompt"])),
        domains=tuple(domains),
        tags=tuple(f"{domain} {tag}" for domain, tag in zip(prompts["domain"], source, strict=True)),
        models=models,
        labels=labels,
        splits=splits,
    )


def _labels(path: Path, prompt_ids: list[str]) -> tuple[dict[str, FloatArray], tuple[str, ...]]:
    """Return each behavior's labels, [n, m], and the primary models; behaviors that hardly vary are left out."""
    frames = {name: path / f"{name}.parquet" for name in ("outputs_slim", "outputs")}
    main = pd.read_parquet(next(file for file in frames.values() if file.exists()))
    models = tuple(sorted(map(str, main["model"].unique())))
    columns: dict[str, pd.DataFrame] = {}
    if "correct" in main:
        columns["correct"] = main.assign(value=main["correct"].astype(float))
    if "pred" in main:
        columns["no_answer"] = main.assign(value=main["pred"].isna().astype(float))
    lengths = main["output_len"] if "output_len" in main else main.get("output", pd.Series(dtype=str)).str.len()
    if len(lengths):
        median = lengths.groupby(main["model"]).transform("median")
        columns["long"] = main.assign(value=(lengths > median).astype(float))
    if "refused" in main:
        columns["refused"] = main.assign(value=main["refused"].astype(float))
    if frames["outputs"].exists():
        texts = pd.read_parquet(frames["outputs"])
        if "output" in texts:
            values = RepetitionLoop().label(text_batch([str(text) for text in texts["output"]]))
            columns["repeats"] = texts.assign(value=values)
    labels = {}
    for behavior, frame in columns.items():
        table = frame.pivot_table(index="prompt_id", columns="model", values="value", aggfunc="first")
        values = table.reindex(index=prompt_ids, columns=list(models)).to_numpy(dtype=np.float64, copy=True)
        rates = np.array([np.nanmean(column) if not np.isnan(column).all() else 0.0 for column in values.T])
        values[:, (rates < LEAST_RATE) | (rates > 1 - LEAST_RATE)] = np.nan
        if behavior != "correct":
            kept = np.flatnonzero(~np.isnan(values).all(axis=0))
            step = max(1, -(-len(kept) // MOST_MODELS_BESIDE_CORRECT))
            values[:, np.setdiff1d(np.arange(len(models)), kept[::step])] = np.nan
        if not np.isnan(values).all():
            labels[behavior] = values
    return labels, models


def _domains(prompts: pd.DataFrame) -> list[str]:
    """Return what is left out: the domain, or the number of steps where there is one domain alone."""
    if len(set(prompts["domain"])) == 1 and "n_steps" in prompts:
        return [f"{steps} steps" for steps in prompts["n_steps"]]
    return [str(domain) for domain in prompts["domain"]]


def _shifts(prompts: pd.DataFrame, domains: list[str]) -> Iterator[Split]:
    """Yield each left-out domain of a fair size; for numbers of steps, few train and many judge."""
    if len(set(prompts["domain"])) == 1:
        if "n_steps" in prompts:
            is_long = (prompts["n_steps"] > prompts["n_steps"].median()).to_numpy()
            yield Split(name="many steps", train=np.flatnonzero(~is_long), test=np.flatnonzero(is_long), is_shift=True)
        return
    texts = prompts["prompt"].to_numpy()
    for domain, size in sorted(prompts["domain"].value_counts().items()):
        if size >= LEAST_DOMAIN:
            is_test = np.array([own == domain for own in domains])
            is_known = np.isin(texts, texts[is_test])
            yield Split(name=str(domain), train=np.flatnonzero(~is_known), test=np.flatnonzero(is_test), is_shift=True)


def _random_split(texts: list[str]) -> Split:
    """Return an 80/20 split by hash of the text, so that equal prompts stay together."""
    is_test = hashed_shares(texts, seed=SEED, purpose="test") < TEST_SHARE
    return Split(name="random", train=np.flatnonzero(~is_test), test=np.flatnonzero(is_test), is_shift=False)
