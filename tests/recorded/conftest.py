"""Logs that the tests of importers share."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

SHARED_DATA = Path(__file__).parents[3] / "shared" / "data"

WriteLines = Callable[[str, Sequence[Mapping[str, object]]], str]


@pytest.fixture
def write_lines(tmp_path: Path) -> WriteLines:
    """Return a function that writes JSON lines and returns their path."""

    def write(name: str, rows: Sequence[Mapping[str, object]]) -> str:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
        return str(path)

    return write


@pytest.fixture
def shared_data() -> Path:
    """Return the folder with real data; skips where there is none."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"no data in {SHARED_DATA}")
    return SHARED_DATA
