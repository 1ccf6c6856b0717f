"""Which models the zoo holds and where they lie."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from metamodel.errors import MetamodelError, UnknownNameError, nearest_name_hint
from metamodel.zoo.architectures import ZOO_NAMES, build_tokenizer
from metamodel.zoo.ladder import LADDER_NAMES, RUNGS

if TYPE_CHECKING:
    from transformers import PreTrainedModel

TRAINING_RECORD = "training.json"

_TITLES = {
    "gpt2": "GPT-2: attention, learned positions",
    "gpt_neox": "GPT-NeoX: attention, rotary positions (Pythia's architecture)",
    "mamba2": "Mamba-2: state space model",
    "lstm": "LSTM: recurrent",
}


def check_name(name: str) -> None:
    """Raise UnknownNameError for a name that is neither in ZOO_NAMES nor in LADDER_NAMES."""
    refuse_unknown(name, (*ZOO_NAMES, *LADDER_NAMES))


def refuse_unknown(name: str, known: Sequence[str]) -> None:
    """Raise UnknownNameError for a name that is not among the known ones."""
    if name not in known:
        raise UnknownNameError(f"no zoo model is named {name!r}: {nearest_name_hint(name, known)}")


def zoo_folder(name: str) -> Path:
    """Return the Hugging Face folder of a bundled model.

    Raises:
        UnknownNameError: No zoo model has that name.
        MetamodelError: The installation lacks the model's files.
    """
    check_name(name)
    folder = Path(__file__).parent / "models"
    folder = folder / "ladder" / RUNGS[name].size / RUNGS[name].checkpoint if name in RUNGS else folder / name
    if not (folder / "model.safetensors").is_file():
        trained_as = RUNGS[name].size if name in RUNGS else name
        raise MetamodelError(
            f"the zoo model {name} is missing from this installation: reinstall metamodel, or train it with "
            f"`metamodel zoo train {trained_as}`"
        )
    return folder


def describe() -> list[dict[str, str | int | float]]:
    """Return name, title, size and training of each bundled model, for tables; the ladder comes last."""
    return [_describe(name) for name in (*ZOO_NAMES, *LADDER_NAMES)]


class TrainedSize(NamedTuple):
    """How large a bundled model is and how much it has read."""

    parameters: int
    tokens: int


def trained_size(name: str) -> TrainedSize | None:
    """Return parameters and tokens of a bundled model; None where its folder does not say.

    Raises:
        UnknownNameError: No zoo model has that name.
        MetamodelError: The installation lacks the model's files.
    """
    record = zoo_folder(name) / TRAINING_RECORD
    if not record.is_file():
        return None
    training = json.loads(record.read_text(encoding="utf-8"))
    return TrainedSize(parameters=int(training["parameters"]), tokens=int(training["tokens"]))


def export_model(model: PreTrainedModel, folder: Path, *, record: dict[str, object] | None = None) -> Path:
    """Write fp16 weights, config and tokenizer as a Hugging Face folder; return it.

    Args:
        model: A trained model.
        folder: Made if missing.
        record: How it was trained; written beside the weights.
    """
    import torch

    folder.mkdir(parents=True, exist_ok=True)
    half = copy.deepcopy(model)
    half.train(mode=False)
    torch.nn.Module.to(half, torch.float16)
    with _without_progress_bars():
        half.save_pretrained(folder)
    (folder / "model.safetensors").chmod(0o644)  # safetensors writes for the owner alone; a package is for all
    build_tokenizer().save_pretrained(folder)
    if record is not None:
        (folder / TRAINING_RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return folder


@contextmanager
def _without_progress_bars() -> Iterator[None]:
    from transformers.utils import logging

    had_bars = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if had_bars:
            logging.enable_progress_bar()


def _describe(name: str) -> dict[str, str | int | float]:
    title = f"GPT-NeoX of the ladder, {RUNGS[name].checkpoint} tokens" if name in RUNGS else _TITLES[name]
    row: dict[str, str | int | float] = {"name": name, "architecture": title}
    try:
        folder = zoo_folder(name)
    except MetamodelError:
        return row | {"bytes": 0}
    row["bytes"] = (folder / "model.safetensors").stat().st_size
    record = folder / TRAINING_RECORD
    if record.is_file():
        training = json.loads(record.read_text(encoding="utf-8"))
        row |= {key: training[key] for key in ("parameters", "tokens", "final_loss", "loss") if key in training}
    return row
