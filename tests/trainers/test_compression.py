"""Shorter variants: what is described is what predicts, and no file can make a reader unfold too much."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import comb, log2
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from metamodel.errors import DataError
from metamodel.labels import LabeledPrompts
from metamodel.metamodels import load_metamodel
from metamodel.protocols import Compresses, Compression, FitContext, Metamodel
from trainers.artifacts import compression_packing
from trainers.artifacts.artifact import StoredMetamodel
from trainers.artifacts.compression import compressed_metamodel
from trainers.artifacts.compression_codes import log2_choices, mask_bits, symbol_bits, text_bits, whole_number_bits
from trainers.artifacts.compression_packing import PackedWeights, packed, unpacked
from trainers.base_rate import BaseRate
from trainers.tfidf_logistic import TfidfLogistic

Planted = Callable[..., LabeledPrompts]
COMPRESSIONS = [
    Compression(int8=True),
    Compression(prune_share=0.9),
    Compression(int8=True, prune_share=0.5),
    Compression(int8=True, prune_share=0.99),
]


@pytest.fixture(scope="module")
def fitted(planted: Planted) -> Metamodel:
    """A metamodel with some thousand coefficients."""
    return TfidfLogistic().fit(planted(150, 0), planted(50, 1), context=FitContext())


def weights() -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
    """Return tensors of several shapes, one of them with a column of zeros."""
    rng = np.random.default_rng(0)
    table = rng.normal(size=(40, 6)).astype(np.float32)
    table[:, 2] = 0
    return {
        "table": table,
        "cube": rng.normal(size=(5, 7, 9)).astype(np.float32),
        "bias": rng.normal(size=100).astype(np.float32),
        "small": rng.normal(size=(3, 3)).astype(np.float32),
    }


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_packed_tensors_are_near_and_stay_as_they_are(compression: Compression, tmp_path: Path) -> None:
    """What was packed is what is read back, within half a step of what was kept; small tensors are not touched."""
    before = weights()
    shorter = packed(before, compression)
    save_file(shorter.stored, tmp_path / "w.safetensors")
    after = unpacked(load_file(tmp_path / "w.safetensors"))
    assert set(after) == set(before)
    assert isinstance(after, PackedWeights)
    assert after.coded_bits == shorter.coded_bits
    for name, tensor in before.items():
        assert np.array_equal(after[name], shorter[name])
        assert after[name].dtype == np.float32
        if name in ("bias", "small"):
            assert np.array_equal(after[name], tensor)
            continue
        n_zeros = int((tensor == 0).sum())
        n_dropped = n_zeros + round(compression.prune_share * (tensor.size - n_zeros))
        kept = np.abs(tensor) >= np.sort(np.abs(tensor), axis=None)[n_dropped]
        step = np.abs(tensor).max() / 127 if compression.int8 else 0
        assert (np.abs(after[name] - tensor)[kept] <= step / 2 + 1e-6).all()
        assert (after[name] == 0).sum() >= n_dropped
        assert shorter.coded_bits < sum(32 * one.size for one in before.values())


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_a_variant_predicts_from_what_it_saved(
    compression: Compression, fitted: Metamodel, planted: Planted, tmp_path: Path
) -> None:
    """A saved variant is opened like any metamodel, predicts the same bits, and is described by its coded tensors."""
    assert isinstance(fitted, Compresses)
    variant = fitted.compressed(compression)
    variant.save(tmp_path)
    opened = load_metamodel(tmp_path)
    texts = planted(30, 5).texts
    for name, probabilities in variant.predict(texts).items():
        assert np.array_equal(opened.predict(texts)[name], probabilities)
        assert not np.array_equal(fitted.predict(texts)[name], probabilities)
    assert isinstance(variant, StoredMetamodel)
    assert opened.description_bits == variant.description_bits == variant.coded_bits
    assert variant.description_bits < fitted.coded_bits < fitted.description_bits
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    opened.save(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_rounding_changes_predictions_little(fitted: Metamodel, planted: Planted) -> None:
    """Eight bits a weight cost next to nothing; the file shrinks by more than half of its weights."""
    assert isinstance(fitted, Compresses)
    texts = planted(100, 6).texts
    rounded = fitted.compressed(Compression(int8=True)).predict(texts)
    for name, probabilities in fitted.predict(texts).items():
        np.testing.assert_allclose(rounded[name], probabilities, atol=0.02)


def test_pruned_weights_are_shorter_the_more_is_pruned(fitted: Metamodel) -> None:
    """The length falls with the share that is pruned, in the file and in the description."""
    assert isinstance(fitted, Compresses)
    variants = [fitted.compressed(Compression(int8=True, prune_share=share)) for share in (0.6, 0.8, 0.95)]
    lengths = [variant.description_bits for variant in variants]
    assert lengths == sorted(lengths, reverse=True)
    assert len(set(lengths)) == 3


def test_nothing_to_compress(planted: Planted) -> None:
    """A metamodel of a few priors says that there is nothing to leave out, and so does a request for nothing."""
    base_rate = BaseRate().fit(planted(40, 0), planted(10, 1), context=FitContext())
    with pytest.raises(DataError, match="no tensor of it can be compressed"):
        base_rate.compressed(Compression(int8=True))  # type: ignore[attr-defined] # every stored metamodel's
    with pytest.raises(ValueError, match="nothing would be left out"):
        Compression()
    with pytest.raises(ValueError, match="prune_share is 1"):
        Compression(prune_share=1.0)


def test_weights_that_are_not_finite_are_refused(fitted: Metamodel) -> None:
    """A scale taken from NaN would silence a whole tensor."""
    assert isinstance(fitted, StoredMetamodel)
    tensors = {**fitted.artifact.weights, "coefficients.0": fitted.artifact.weights["coefficients.0"].copy()}
    tensors["coefficients.0"][0, 0] = np.nan
    with pytest.raises(DataError, match=r"coefficients\.0 holds values that are not finite"):
        compressed_metamodel(replace(fitted.artifact, weights=tensors), Compression(int8=True))


def test_codes_against_closed_forms() -> None:
    """Lengths are those of the formulas, and enumerating all histograms and choices gives the same."""
    rng = np.random.default_rng(0)
    symbols = rng.integers(-2, 3, 60)
    shares = np.unique(symbols, return_counts=True)[1] / 60
    expected = log2(comb(64, 4)) - 60 * float((shares * np.log2(shares)).sum())
    assert symbol_bits(symbols, low=-2, high=2) == pytest.approx(expected)
    assert symbol_bits(np.zeros(0, dtype=np.int64), low=0, high=1) == 0
    assert mask_bits(60, 6) == pytest.approx(log2(61) + log2(comb(60, 6)))
    assert log2_choices(60, 0) == 0
    rising = np.array([3, 9, 70_000], dtype=np.int32)
    assert whole_number_bits(rising) == pytest.approx(2 + min(96, 128 + log2(comb(69_998, 3))))
    assert whole_number_bits(np.zeros(0, dtype=np.int32)) == 2
    assert text_bits(["ab" * 500, "x"]) < 8 * 100


def test_the_code_is_a_probability() -> None:
    """Kraft: over all sequences of three symbols in five places, 2 to the minus length sums to at most one."""
    sequences = np.array(np.meshgrid(*[[0, 1, 2]] * 5)).reshape(5, -1).T
    total = sum(2 ** -symbol_bits(sequence, low=0, high=2) for sequence in sequences)
    assert 0.1 < total <= 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"w.scale": None}, "w.scale is missing"),
        ({"w.scale": np.ones((2, 2), dtype=np.float32)}, "w.scale has shape"),
        ({"w.scale": np.full((1, 6), np.inf, dtype=np.float32)}, "is not finite"),
        ({"w.scale": np.ones((1, 6), dtype=np.float64)}, "w.scale is missing or not float32"),
        ({"w.int8": np.zeros(7, dtype=np.int8)}, "w.mask keeps"),
        ({"w.int8": np.zeros((2, 60), dtype=np.int8)}, "does not fit"),
        ({"w.int8": None}, "its values are missing"),
        ({"w.shape": None}, "w.shape is missing"),
        ({"w.shape": np.array([-1, 6])}, "has shape"),
        ({"w.shape": np.array([2**40, 2**40])}, "does not fit"),
        ({"w.shape": np.array([1, 6])}, "does not fit"),
        ({"w.mask": np.zeros(1, dtype=np.uint8)}, "does not fit"),
        ({"w": np.zeros((2, 2), dtype=np.float32)}, "twice there"),
    ],
)
def test_parts_that_do_not_fit_are_refused(change: dict[str, np.ndarray | None], message: str) -> None:  # type: ignore[type-arg] # any tensor
    """A file whose parts contradict one another is refused before anything is built from it."""
    stored = packed({"w": weights()["table"]}, Compression(int8=True, prune_share=0.5)).stored
    broken = {name: tensor for name, tensor in {**stored, **change}.items() if tensor is not None}
    with pytest.raises(ValueError, match=message):
        unpacked(broken)


def test_bombs_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mask of some bytes may not unfold to more than is ever read."""
    monkeypatch.setattr(compression_packing, "MOST_UNPACKED_BYTES", 2**10)
    mask = np.zeros(2**8, dtype=np.uint8)
    bomb = {"w.mask": mask, "w.shape": np.array([2**11]), "w.kept": np.zeros(0, dtype=np.float32)}
    with pytest.raises(ValueError, match="unfolds to 8196 bytes"):
        unpacked(bomb)


def test_a_damaged_variant_is_a_mistake_of_the_user(fitted: Metamodel, tmp_path: Path) -> None:
    """What unpacking refuses reaches the user as one line that names the file."""
    assert isinstance(fitted, Compresses)
    fitted.compressed(Compression(int8=True)).save(tmp_path)
    tensors = load_file(tmp_path / "weights.safetensors")
    del tensors["coefficients.0.scale"]
    save_file(tensors, tmp_path / "weights.safetensors")
    with pytest.raises(DataError, match=r"weights\.safetensors.*coefficients\.0\.scale is missing"):
        load_metamodel(tmp_path)
