"""Saved metamodels."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from metamodel.errors import RunError
from metamodel.store.run_directory import RunDirectory
from metamodel.types import Predictions


@dataclass(frozen=True, kw_only=True)
class Note:
    """A metamodel that is one line of text."""

    text: str
    fails: bool = False
    description_bits: float = 0.0

    def predict(self, texts: Sequence[str], *, domains: Sequence[str] | None = None) -> Predictions:
        """Predict nothing."""
        del texts, domains
        return {}

    def save(self, folder: Path) -> None:
        """Write the line, half of it if told to fail."""
        (folder / "spec.json").write_text(self.text)
        (folder / "deep").mkdir()
        (folder / "deep" / "part").write_text("x")
        if self.fails:
            raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("place", ["local", "memory"])
def test_a_metamodel_is_replaced_only_by_a_complete_one(tmp_path: Path, place: str) -> None:
    """A full disk while saving keeps the metamodel that was there."""
    path = str(tmp_path / "r") if place == "local" else f"memory://{tmp_path.name}-{id(tmp_path)}/r"
    run = RunDirectory.create_or_open(path, config={})
    run.save_metamodel("bag", Note(text="old"))
    with pytest.raises((RunError, OSError), match=r"full|space"):
        run.save_metamodel("bag", Note(text="half", fails=True))
    assert (run.metamodel_folder("bag") / "spec.json").read_text() == "old"
    run.save_metamodel("bag", Note(text="new"))
    assert (run.metamodel_folder("bag") / "spec.json").read_text() == "new"
    assert (run.metamodel_folder("bag") / "deep" / "part").read_text() == "x"
    assert run.metamodel_names() == ["bag"]


def test_a_replacement_killed_half_way_is_undone(tmp_path: Path) -> None:
    """Between the two renames of a replacement no metamodel can be lost."""
    run = RunDirectory.create_or_open(str(tmp_path / "r"), config={})
    run.save_metamodel("bag", Note(text="old"))
    folder = tmp_path / "r" / "metamodels"
    (folder / "bag").rename(folder / ".old-bag")
    (folder / ".tmp-1234-bag").mkdir()
    with run.lock():
        assert run.metamodel_names() == ["bag"]
    assert sorted(path.name for path in folder.iterdir()) == ["bag"]


def test_an_unknown_metamodel_lists_the_known_ones(tmp_path: Path) -> None:
    """A mistyped name is answered with the names there are."""
    run = RunDirectory.create_or_open(str(tmp_path / "r"), config={})
    run.save_metamodel("bag", Note(text="old"))
    with pytest.raises(RunError, match="no metamodel 'bog', has: bag"):
        run.metamodel_folder("bog")
