"""Make the runs whose models stand in one transfer table: small models that are here, and recorded ones.

The local run asks the zoo's four architectures and four models of --models; the recorded run holds the outputs of
mmlu_pro's models. Both hold short questions of mmlu_pro, so that labels of all models can be compared prompt by prompt.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from metamodel.config import build_config
from metamodel.pipeline import run_stages

# The smallest context of the local models is 256 bytes, of which 48 are for the answer.
SHORT_CHARACTERS = 200
RECORDED_CHARACTERS = 300
ZOO = ("gpt2", "gpt_neox", "mamba2", "lstm")
REAL = ("stories260K-llama", "vanilla1M-gpt2-byte", "charlstm-darwin", "charlstm-shakespeare")
OWN_DOMAINS = ("addition", "comparison", "sorting", "reversal", "capitals", "recall", "story", "mechanistic")
# Of each kind some domains are left out in turn: every one more is a fit a model.
OWN_LEFT_OUT = ("addition", "recall", "story", "mechanistic")
LEFT_OUT = ("health", "math", "philosophy")
METAMODEL = "tfidf_logistic"
METAMODELS = ({"kind": "base_rate"}, {"kind": "domain_tag"}, {"kind": METAMODEL})
STAGES = ("collect", "featurize", "train", "evaluate")
SAMPLING = {"n_samples": 1, "temperature": 0, "max_new_tokens": 48}


def write_questions(data: Path, folder: Path, *, most_characters: int, n_prompts: int) -> Path:
    """Write a part of mmlu_pro in its own format, the first questions of each domain by id, and return its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    prompts = pd.read_parquet(data / "mmlu_pro" / "prompts.parquet").drop_duplicates("prompt_id")
    short = prompts[prompts["prompt"].str.encode("utf-8").str.len() <= most_characters].sort_values("prompt_id")
    kept = short.groupby("domain", sort=False).head(n_prompts)
    outputs = pd.read_parquet(data / "mmlu_pro" / "outputs_slim.parquet").drop_duplicates(["prompt_id", "model"])
    kept.to_parquet(folder / "prompts.parquet")
    outputs[outputs["prompt_id"].isin(kept["prompt_id"])].to_parquet(folder / "outputs.parquet")
    return folder


def recorded_run(questions: Path, directory: Path, *, n_prompts: int) -> str:
    """Make the run of the recorded models; a finished one is left as it is."""
    outputs = pd.read_parquet(questions / "outputs.parquet", columns=["model"])
    names = sorted(outputs["model"].unique())
    config = _config(
        directory,
        n_prompts=n_prompts,
        sources=[{"kind": "recorded", "path": str(questions)}],
        primaries=[{"kind": "recorded", "path": str(questions), "model": name, "name": name} for name in names],
        behaviors=[
            {"kind": "recorded", "field": "correct", "name": "correct"},
            {"kind": "not", "of": {"kind": "recorded", "field": "answer_phrase"}, "name": "no_answer"},
            {"kind": "recorded", "field": "output_len", "values": "count", "name": "n_characters"},
        ],
        held_out=list(LEFT_OUT),
    )
    return _finished(config)


def local_run(questions: Path, models: Path, directory: Path, *, n_prompts: int) -> str:
    """Make the run of the zoo's and the other local models; a finished one is left as it is."""
    primaries: list[dict[str, object]] = [{"kind": "zoo", "model": name, "name": f"zoo-{name}"} for name in ZOO]
    primaries += [
        {
            "kind": "transformers",
            "model": str(models / name),
            "name": name,
            "trust_remote_code": name.startswith("charlstm"),
        }
        for name in REAL
    ]
    config = _config(
        directory,
        n_prompts=n_prompts,
        sources=[*({"kind": name} for name in OWN_DOMAINS), {"kind": "recorded", "path": str(questions)}],
        primaries=primaries,
        behaviors=[
            {"kind": "correct"},
            {"kind": "no_answer"},
            {"kind": "n_characters"},
            {"kind": "truncated"},
            {"kind": "repetition_loop", "min_length": 8},
            {"kind": "ngram_copy", "n": 6, "unit": "character"},
        ],
        held_out=[*OWN_LEFT_OUT, *LEFT_OUT],
    )
    return _finished(config)


def _finished(config: dict[str, object]) -> str:
    """Do the stages of a config; a run that is evaluated is left as it is."""
    directory = Path(str(config["directory"]))
    if (directory / "metrics.json").exists():
        return str(directory)
    return run_stages(build_config(config), STAGES, resume=True).path


def _config(
    directory: Path,
    *,
    n_prompts: int,
    sources: list[dict[str, object]],
    primaries: list[dict[str, object]],
    behaviors: list[dict[str, object]],
    held_out: list[str],
) -> dict[str, object]:
    return {
        "name": directory.name,
        "directory": str(directory),
        "logger": "none",
        "prompts": {"n_prompts": n_prompts, "sources": sources},
        "primaries": primaries,
        "sampling": SAMPLING,
        "behaviors": behaviors,
        "metamodels": list(METAMODELS),
        "splits": {"held_out_domains": held_out},
        "evaluation": {"n_bootstrap": 100},  # transfer has intervals of its own
    }
