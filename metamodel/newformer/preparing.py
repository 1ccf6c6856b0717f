"""From what the user names to a labeled run of the new primary model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import yaml

from metamodel.config import build_config
from metamodel.errors import ConfigError, RunError
from metamodel.pipeline import run_stages
from metamodel.store.run_directory import RunDirectory

if TYPE_CHECKING:
    from metamodel.store.provenance import JSON

_RUN_FOLDER: Final = "run"
_BASELINE: Final = {"kind": "base_rate", "name": "base_rate"}


def labeled_run(new: str, known: RunDirectory, out: Path, *, quiet: bool = False) -> str:
    """Return the path of a labeled run of the new primary model.

    Args:
        new: A run directory with labels; or a YAML file that describes a primary model as a config's `primaries` does
            (`kind: transformers`, ...): its outputs are then collected and labeled as the known run's were, with the
            same prompts, sampling and behaviors.
        known: The run that is taken as a pattern.
        out: Folder in which the new run is made.
        quiet: Draw no progress bars.

    Raises:
        RunError: There is neither such a run nor such a file.
        ConfigError: The file describes no primary model.
    """
    if not new.endswith((".yaml", ".yml")):
        RunDirectory.open(new)
        return new
    config = build_config(pattern_config(new, known, out), source=new)
    run_stages(config, ("collect", "featurize"), quiet=quiet)
    return config.directory


def pattern_config(new: str, known: RunDirectory, out: Path) -> dict[str, JSON]:
    """Return the known run's config with another primary model and another folder.

    Raises:
        RunError: The file cannot be read.
        ConfigError: It describes no primary model.
    """
    try:
        described = yaml.safe_load(Path(new).read_text(encoding="utf-8"))
    except OSError as error:
        raise RunError(f"{new} cannot be read: {error.strerror or error}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError([f"is not YAML: {' '.join(str(error).split())}"], source=new) from error
    if not isinstance(described, dict) or "kind" not in described:
        problem = "must describe one primary model: a mapping with kind and its fields, as below `primaries`"
        raise ConfigError([problem], source=new)
    name = Path(new).stem
    return {
        **known.config,
        "name": f"newformer-{name}",
        "directory": str(out / _RUN_FOLDER),
        "primaries": [{"name": name, **described}],
        "metamodels": [dict(_BASELINE)],
    }
