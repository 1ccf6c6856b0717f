"""Where a run came from."""

from __future__ import annotations

import subprocess

import pytest

from metamodel.store import provenance


def test_differences_name_every_place() -> None:
    """Added, removed, changed and retyped settings are told apart."""
    old = {"a": 1, "b": [1, 2], "c": {"d": None}, "e": 1, "f": "x" * 100}
    new = {"b": [1, 2, 3], "c": {"d": 0}, "e": 1.0, "f": "y", "g": 2}
    assert list(provenance.differences(old, new)) == [
        "a: 1 -> (not set)",
        "b: [1, 2] -> [1, 2, 3]",
        "c.d: null -> 0",
        "e: 1 -> 1.0",
        f'f: "{"x" * 56}... -> "y"',
        "g: (not set) -> 2",
    ]


def test_no_git_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without git makes runs without a commit."""

    def fail(*_: object, **__: object) -> None:
        raise FileNotFoundError("git")

    monkeypatch.setattr(subprocess, "run", fail)
    assert provenance.git_commit() is None


def test_a_missing_package_is_null(monkeypatch: pytest.MonkeyPatch) -> None:
    """Versions are recorded as far as they are known."""
    monkeypatch.setattr(provenance, "_PACKAGES", ("no-such-package-at-all",))
    assert provenance.package_versions()["no-such-package-at-all"] is None
