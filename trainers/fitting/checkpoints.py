"""What callbacks keep of a fit: the best weights in memory, and the last pass on disk, to go on from after a kill."""

from __future__ import annotations

import math
import pickle
from dataclasses import asdict
from hashlib import blake2b
from pathlib import Path
from typing import Any

import lightning
import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import EarlyStopping
from torch import Tensor

from metamodel.types import content_hash
from trainers.fitting.batches import Examples
from trainers.fitting.network_options import NetworkOptions
from trainers.fitting.network_training import WATCHED


class KeepBest(pl.Callback):
    """Keeps the trained weights of the pass with the fewest validation bits in memory and puts them back at the end."""

    def __init__(self) -> None:
        self._fewest = math.inf
        self._weights: dict[str, Tensor] = {}

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Compare."""
        bits = float(trainer.callback_metrics[WATCHED])
        if bits < self._fewest:
            self._fewest = bits
            frozen = {name for name, parameter in pl_module.named_parameters() if not parameter.requires_grad}
            state = pl_module.state_dict()
            self._weights = {name: tensor.clone() for name, tensor in state.items() if name not in frozen}
            self._weights["best_pass"] = torch.tensor(trainer.current_epoch + 1)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002 - Lightning's signature
        """Restore."""
        if self._weights:
            pl_module.load_state_dict(self._weights, strict=False)

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint holds of this."""
        return {"fewest": self._fewest, "weights": self._weights}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self._fewest, self._weights = float(state_dict["fewest"]), dict(state_dict["weights"])


class StopEarly(EarlyStopping):
    """Lightning's early stopping, which also stays stopped where a fit was killed after its last pass."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002 - Lightning's signature
        """Stop at once if patience had run out."""
        if self.wait_count >= self.patience:
            trainer.should_stop = True


class SaveEachPass(pl.callbacks.Checkpoint):
    """Writes one checkpoint after each pass, the next in place of the last, whole or not at all.

    Args:
        path: Where.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002 - Lightning's signature
        """Write under a temporary name and rename."""
        unfinished = self._path.with_suffix(".unfinished")
        trainer.save_checkpoint(unfinished, weights_only=False)  # False: the optimizer's state too
        if trainer.is_global_zero:
            unfinished.replace(self._path)


def checkpoint_path(directory: Path, identity: str) -> Path:
    """Return where the checkpoint of one fit lies, by all that its weights depend on."""
    return directory / f"resume-{content_hash(identity)[:24]}.ckpt"


def readable_checkpoint(path: Path) -> Path | None:
    """Return the path if a checkpoint lies there that can be read without unpickling objects; another is removed."""
    try:
        torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        return None
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError):
        path.unlink(missing_ok=True)
        return None
    return path


def fit_identity(
    module: pl.LightningModule, train: Examples, validation: Examples | None, options: NetworkOptions, *, seed: int
) -> str:
    """Name all that a fit's weights depend on: prompts, labels, settings, seed, first weights, library versions."""
    parts = [str(asdict(options)), str(seed), torch.__version__, lightning.__version__]
    for examples in (train, validation):
        if examples is not None:
            prompts = examples.prompts
            labels = [f"{name} {t.space} {_hashed(t.codes.tobytes())}" for name, t in prompts.labels.items()]
            parts += [*prompts.texts, *prompts.domains, *labels]
        parts.append("next")
    for name, tensor in module.state_dict().items():
        parts.append(f"{name} {_hashed(tensor.cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())}")
    return content_hash(*parts)


def _hashed(data: bytes) -> str:
    return blake2b(data, digest_size=16).hexdigest()
