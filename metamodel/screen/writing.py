"""Write a pre-screen's folder, whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, runtime_checkable

from metamodel.errors import DataError
from metamodel.labels import LabelSpace, label_space_to_dict
from metamodel.metamodels import save_carried
from metamodel.protocols import Metamodel
from metamodel.screen.checks import require_self_contained
from metamodel.screen.folder import (
    CARD_FILE,
    FAMILIARITY_FILE,
    METAMODEL_FOLDER,
    SCREEN_FILE,
    SPEC_FILE,
    content_hash_of,
)
from metamodel.screen.rules import SCHEMA_VERSION, ScreenRule, rules_to_json


@runtime_checkable
class SavesFamiliarity(Protocol):
    """What is known of the training prompts, and can be kept."""

    def save(self, path: Path) -> None:
        """Write it to a file."""
        ...


@contextmanager
def screen_folder(
    folder: Path,
    metamodel: Metamodel,
    *,
    spaces: Mapping[str, LabelSpace],
    rules: Sequence[ScreenRule],
    source: Mapping[str, object],
    familiarity: SavesFamiliarity | None = None,
    card: str | None = None,
) -> Iterator[Path]:
    """Write a pre-screen beside `folder`, let the block look at it, and give it its name when the block ends well.

    Args:
        folder: Where it shall lie: new or empty.
        metamodel: What it predicts with.
        spaces: Label space of each behavior that it predicts.
        rules: What it decides by.
        source: Where it comes from, as screen.json shall tell: JSON.
        familiarity: What it knows of its training prompts.
        card: Its README.md; None writes none.

    Yields:
        The unfinished folder, complete but for its name.

    Raises:
        DataError: The folder is taken or cannot be written, or the metamodel cannot predict from its own files.
    """
    _require_free(folder)
    unfinished = folder.parent / f".{folder.name}.{os.getpid()}.unfinished"
    try:
        try:
            shutil.rmtree(unfinished, ignore_errors=True)
            (unfinished / METAMODEL_FOLDER).mkdir(parents=True)
            save_carried(metamodel, unfinished / METAMODEL_FOLDER)
            require_self_contained((unfinished / METAMODEL_FOLDER).rglob(SPEC_FILE))
            if familiarity is not None:
                familiarity.save(unfinished / FAMILIARITY_FILE)
            if card is not None:
                (unfinished / CARD_FILE).write_text(card, encoding="utf-8", errors="backslashreplace")
            _write_content(unfinished, spaces, rules, source)
        except OSError as error:
            raise DataError(f"{folder}: cannot be written ({error.strerror or error}): name another folder") from error
        yield unfinished
        if folder.exists():
            folder.rmdir()  # empty, as was checked
        unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _require_free(folder: Path) -> None:
    try:
        is_taken = folder.exists() and (not folder.is_dir() or any(folder.iterdir()))
    except OSError as error:
        raise DataError(f"{folder}: cannot be looked into ({error.strerror or error}): name another folder") from error
    if is_taken:
        raise DataError(f"{folder}: is not an empty folder: name another one")


def _write_content(
    folder: Path, spaces: Mapping[str, LabelSpace], rules: Sequence[ScreenRule], source: Mapping[str, object]
) -> None:
    from metamodel.store.provenance import git_commit, package_versions, utc_now

    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    content = {
        "schema_version": SCHEMA_VERSION,
        "created_utc": utc_now(),
        "git_commit": git_commit(),
        "packages": package_versions(),
        "source": dict(source),
        "behaviors": {name: label_space_to_dict(space) for name, space in spaces.items()},
        "rules": rules_to_json(rules),
        "files": {
            path.relative_to(folder).as_posix(): {"sha256": content_hash_of(path), "n_bytes": path.stat().st_size}
            for path in paths
        },
    }
    (folder / SCREEN_FILE).write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
