"""Open a saved metamodel without knowing which trainer made it, and save one with all that it needs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

from metamodel.errors import DataError
from metamodel.protocols import Carries, Metamodel, Trainer
from metamodel.registry import component_class


def load_metamodel(folder: str | Path) -> Metamodel:
    """Return the metamodel saved in `folder`; nothing in it is ever executed.

    Raises:
        DataError: The folder holds no readable spec.json, or its content does not fit together.
        UnknownNameError: No installed trainer has the name in spec.json.
    """
    path = Path(folder)
    try:
        spec = json.loads((path / "spec.json").read_text(encoding="utf-8"))
        kind = spec["kind"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is not a saved metamodel: its spec.json cannot be read ({error})") from error
    trainer = cast("type[Trainer]", component_class("trainers", str(kind)))
    return trainer.load(path)


def save_carried(metamodel: Metamodel, folder: Path) -> None:
    """Write a metamodel into an existing folder so that it predicts from there alone.

    Raises:
        DataError: It needs a pretrained part that it cannot carry along.
    """
    if isinstance(metamodel, Carries):
        metamodel.save_carried(folder)
        return
    borrowed = getattr(metamodel, "borrowed_bits", {})  # a third party's may not tell
    if borrowed:
        raise DataError(
            f"a metamodel of type {type(metamodel).__name__} needs {', '.join(borrowed)} to predict and cannot carry "
            "it along: export one that can"
        )
    metamodel.save(folder)
