"""What the tests of pre-screens share: small folders, made once."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from screen_folders import screen_folder


@pytest.fixture(scope="session")
def kept_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function that gives a small pre-screen of a kind, made once a session: read it, change nothing."""
    made: dict[str, Path] = {}

    def get(kind: str = "tfidf_logistic") -> Path:
        if kind not in made:
            made[kind] = screen_folder(tmp_path_factory.mktemp(kind) / "screen", kind=kind)
        return made[kind]

    return get


@pytest.fixture
def folder(kept_folder: Callable[[str], Path], tmp_path: Path) -> Path:
    """Return a copy of a small pre-screen, to be changed at will."""
    return Path(shutil.copytree(kept_folder("tfidf_logistic"), tmp_path / "copied"))
