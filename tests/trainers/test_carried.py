"""Metamodels that take along what they borrow predict the same in a process that has none of it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from carried_prompts import BLOCKED_IMPORTS, fuzzed

from metamodel.errors import DataError
from metamodel.labels import LabeledPrompts
from metamodel.metamodels import load_metamodel, save_carried
from metamodel.protocols import Carries, Compresses, Compression, FitContext, Metamodel
from metamodel.registry import component_class
from trainers.artifacts.artifact import StoredMetamodel
from trainers.artifacts.carried import TOKENIZER_FILE, described_files
from trainers.artifacts.compression_packing import PackedWeights, is_rounded, packed
from trainers.bag import Bag
from trainers.calibrated import Calibrated
from trainers.stack import Stack
from trainers.static import Static, StaticMetamodel

Planted = Callable[..., LabeledPrompts]
NEEDS_STATIC = pytest.mark.skipif(
    find_spec("wordllama") is None, reason="wordllama is absent: pip install 'metamodel[static]'"
)
_SURFACE = {"kind": "surface", "head": "linear", "C_grid": (0.01,)}
_PREDICT = f"""{BLOCKED_IMPORTS}
import json
import numpy as np
from pathlib import Path
from metamodel.metamodels import load_metamodel
texts = json.loads(Path('texts.json').read_text())
np.savez('found.npz', **load_metamodel('carried').predict(texts))
"""


def static(planted: Planted, n_pools: int) -> StaticMetamodel:
    """Return a metamodel on token vectors."""
    return Static(max_epochs=2, n_pools=n_pools).fit(planted(80, 0), planted(30, 1), context=FitContext())


def assert_the_same_elsewhere(metamodel: Metamodel, folder: Path, n_prompts: int) -> None:
    """Fail unless a process without the packages that are left at home predicts the same."""
    (folder / "carried").mkdir()
    assert isinstance(metamodel, Carries)
    metamodel.save_carried(folder / "carried")
    texts = fuzzed(n_prompts, seed=0)
    (folder / "texts.json").write_text(json.dumps(texts))
    subprocess.run([sys.executable, "-c", _PREDICT], cwd=folder, check=True, timeout=300)
    with np.load(folder / "found.npz") as found:
        for name, expected in metamodel.predict(texts).items():
            np.testing.assert_allclose(found[name], expected, rtol=0, atol=1e-5)
            assert np.ptp(expected, axis=0).max() > 1e-3


@NEEDS_STATIC
@pytest.mark.slow
@pytest.mark.parametrize("n_pools", [0, 2])
def test_static_takes_its_table_along(n_pools: int, planted: Planted, tmp_path: Path) -> None:
    """The projected table replaces vectors sixteen times its size, with and without attention, on strange prompts."""
    metamodel = static(planted, n_pools)
    assert_the_same_elsewhere(metamodel, tmp_path, 1000)
    opened = load_metamodel(tmp_path / "carried")
    assert isinstance(opened, StaticMetamodel)
    assert not opened.borrowed_bits
    n_bytes = sum(path.stat().st_size for path in (tmp_path / "carried").iterdir())
    assert n_bytes < 5e6 * (n_pools + 1)
    before = {path.name: path.read_bytes() for path in (tmp_path / "carried").iterdir()}
    opened.save_carried(tmp_path / "carried")
    assert {path.name: path.read_bytes() for path in (tmp_path / "carried").iterdir()} == before


@NEEDS_STATIC
def test_a_rounded_table_is_rounded_on_disk(planted: Planted, tmp_path: Path) -> None:
    """Eight bits a number are eight bits in the file, whether it is rounded before or after it is taken along."""
    metamodel = static(planted, 0)
    places = [tmp_path / name for name in ("float", "after", "before")]
    for place in places:
        place.mkdir()
    metamodel.save_carried(places[0])
    opened = load_metamodel(places[0])
    assert isinstance(opened, Compresses)
    opened.compressed(Compression(int8=True)).save(places[1])
    save_carried(metamodel.compressed(Compression(int8=True)), places[2])
    sizes = [(place / "weights.safetensors").stat().st_size for place in places]
    assert sizes[1] < 0.4 * sizes[0]
    assert sizes[2] < 0.4 * sizes[0]
    texts = planted(50, 4).texts
    for name, expected in metamodel.predict(texts).items():
        for place in places[1:]:
            np.testing.assert_allclose(load_metamodel(place).predict(texts)[name], expected, atol=0.02)


@NEEDS_STATIC
def test_a_tokenizer_that_does_not_fit_is_refused(planted: Planted, tmp_path: Path) -> None:
    """A vocabulary larger than the table, or none at all, is refused when the folder is opened."""
    static(planted, 0).save_carried(tmp_path)
    path = tmp_path / TOKENIZER_FILE
    tokenizer = json.loads(path.read_text())
    tokenizer["added_tokens"][0]["id"] = 10**6
    vocabulary = tokenizer["model"]["vocab"]
    vocabulary[next(iter(vocabulary))] = 10**6
    for content, message in ((json.dumps(tokenizer).encode(), "1000001 tokens"), (b"[]", "is no tokenizer")):
        path.write_bytes(content)
        spec = json.loads((tmp_path / "spec.json").read_text())
        spec["files"] = described_files({TOKENIZER_FILE: content})
        (tmp_path / "spec.json").write_text(json.dumps(spec))
        with pytest.raises(DataError, match=message):
            load_metamodel(tmp_path)


@NEEDS_STATIC
def test_a_stack_takes_along_what_its_members_borrow(planted: Planted, tmp_path: Path) -> None:
    """Members that borrow take their parts along, those that borrow nothing are saved as ever."""
    members = ({"kind": "static", "max_epochs": 1}, _SURFACE)
    stack = Stack(members=members, n_folds=2, penalties=(10.0,))
    metamodel = stack.fit(planted(80, 0), planted(30, 1), context=FitContext())
    assert metamodel.borrowed_bits
    assert_the_same_elsewhere(metamodel, tmp_path, 200)
    opened = load_metamodel(tmp_path / "carried")
    assert isinstance(opened, StoredMetamodel)
    assert not opened.borrowed_bits


def test_what_cannot_be_carried_is_refused(planted: Planted, tmp_path: Path) -> None:
    """A metamodel that asks another model about each prompt says that it cannot be taken along, inside others too."""
    reader = {"kind": "reader", "layers": (3,), "max_tokens": 64, "C_grid": (0.01,)}
    wrapped = Calibrated(trainer=reader, n_folds=2).fit(planted(60, 0), planted(20, 1), context=FitContext())
    with pytest.raises(DataError, match="cannot carry it along"):
        wrapped.save_carried(tmp_path)
    assert not (tmp_path / "spec.json").exists()
    for kind in ("reader", "demands"):
        assert not issubclass(component_class("trainers", kind), Carries)


def test_standardizers_are_not_rounded() -> None:
    """Inverse deviations of features lie orders of magnitude apart: one scale for all would silence most features."""
    table = np.geomspace(1e-4, 1e4, 200, dtype=np.float32).reshape(2, 100)
    weights = packed({"standardizer": table, "coefficients": table}, Compression(int8=True))
    assert np.array_equal(weights["standardizer"], table)
    assert not np.array_equal(weights["coefficients"], table)
    assert is_rounded(weights)
    assert not is_rounded(packed({"coefficients": table}, Compression(prune_share=0.5)))
    assert not is_rounded({"standardizer": table})


def test_rounded_weights_are_bytes_on_disk(planted: Planted, tmp_path: Path) -> None:
    """The file of a rounded bag is a quarter of the other's, and is opened as it was written."""
    bag = Bag(max_epochs=1, n_buckets=2**14, min_prompts=1)
    metamodel = bag.fit(planted(150, 0), planted(30, 1), context=FitContext())
    sizes = []
    for name, one in (("float", metamodel), ("int8", metamodel.compressed(Compression(int8=True)))):
        (tmp_path / name).mkdir()
        save_carried(one, tmp_path / name)
        sizes.append((tmp_path / name / "weights.safetensors").stat().st_size)
    opened = load_metamodel(tmp_path / "int8")
    assert isinstance(opened, StoredMetamodel)
    assert isinstance(opened.artifact.weights, PackedWeights)
    assert sizes[1] < 0.45 * sizes[0]
