"""The static trainer: its tokens, its vectors, what it learns, what it says where the package is absent."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from metamodel.errors import DataError, MetamodelError
from metamodel.labels import LabeledPrompts
from metamodel.protocols import FitContext, Metamodel
from trainers.base_rate import BaseRate
from trainers.fitting.network_options import NetworkOptions
from trainers.heads.outcomes import cross_entropy_bits, outcome_shares
from trainers.inputs.dense import Standardizer
from trainers.inputs.token_vectors import installed_token_vectors
from trainers.networks.sparse_rows import sparse_rows
from trainers.networks.static_network import StaticNetwork
from trainers.static import Static, StaticMetamodel, standardized

pytestmark = pytest.mark.skipif(find_spec("wordllama") is None, reason="the extra static is not installed")
Planted = Callable[..., LabeledPrompts]
SMALL = Static(max_epochs=3, n_pools=2)


def bits(metamodel: Metamodel, prompts: LabeledPrompts, behavior: str) -> float:
    """Return a metamodel's cross-entropy."""
    rows, shares = outcome_shares(prompts.labels[behavior])
    return cross_entropy_bits(shares, metamodel.predict(prompts.texts)[behavior][rows])


@pytest.fixture(scope="module")
def fitted(planted: Planted) -> StaticMetamodel:
    """One metamodel for all tests that only read it."""
    return SMALL.fit(planted(80, 0), planted(30, 1), context=FitContext())


@pytest.fixture
def forgotten() -> Iterator[None]:
    """Let vectors be read from disk again, before and after."""
    installed_token_vectors.cache_clear()
    yield
    installed_token_vectors.cache_clear()


def test_learns_planted_signals(planted: Planted) -> None:
    """Words and the length are found, and a label without signal costs little more than the base rate."""
    train, validation, test = planted(800, 0), planted(200, 1), planted(300, 2)
    base = BaseRate().fit(train, validation, context=FitContext())
    metamodel = Static().fit(train, validation, context=FitContext())
    assert bits(metamodel, test, "bigram") < bits(base, test, "bigram") - 0.02
    assert bits(metamodel, test, "length") < bits(base, test, "length") - 0.5
    assert bits(metamodel, test, "domain") < bits(base, test, "domain") + 0.03


def test_prediction_is_the_network(fitted: StaticMetamodel, planted: Planted) -> None:
    """The prediction without torch is what the trained module computes, on words that training did not have too."""
    artifact, vectors = fitted.artifact, installed_token_vectors()
    texts = [*planted(20, 3).texts, "", "zebra 日本語 🦜", "word " * 3000]
    counts = vectors.counts(texts, max_characters=SMALL.max_characters)
    standardizer = Standardizer.from_artifact(artifact, vectors.table.shape[1])
    network = StaticNetwork(
        vectors=torch.from_numpy(standardized(vectors.table, standardizer).astype(np.float32)),
        n_pools=SMALL.n_pools,
        pool_width=SMALL.pool_width,
        hidden=SMALL.hidden,
        dropout=0.5,
        priors=[prior.tolist() for prior in fitted.priors.values()],
    )
    state = {n.removeprefix("network."): torch.from_numpy(t) for n, t in artifact.weights.items() if "network" in n}
    network.load_state_dict(state)
    network.eval()
    lengths = np.zeros((len(texts), 2))
    with torch.no_grad():
        parts = network(sparse_rows(counts), torch.from_numpy(lengths.astype(np.float32)))
    for part, values in zip(parts, fitted.raw_predict(counts, lengths).values(), strict=True):
        np.testing.assert_allclose(part.exp().numpy(), values, atol=1e-5)


def test_tokens_are_the_tokenizer_s() -> None:
    """Counts are those of the library's tokenizer where it sees the same pieces; no text is too odd or too long."""
    vectors = installed_token_vectors()
    counts = vectors.counts(["the king of the river", "", "12 12", "\ud800 x"], max_characters=100)
    expected = np.bincount(vectors.tokenizer.encode("the king of the river", add_special_tokens=False).ids)
    np.testing.assert_array_equal(counts[[0]].toarray()[0, : len(expected)], expected)
    assert counts[[0]].sum() == expected.sum() == 5
    assert counts[[1]].sum() == 0
    long = vectors.counts(["a " * 50_000 + "b " * 50_000], max_characters=100)
    assert long.sum() == 50


def test_a_row_is_its_own_text() -> None:
    """Counts do not depend on the texts beside them."""
    vectors, texts = installed_token_vectors(), ["river king", "blue-bird?", "king 7"]
    together = vectors.counts(texts, max_characters=100).toarray()
    for row, text in enumerate(texts):
        np.testing.assert_array_equal(vectors.counts([text], max_characters=100).toarray()[0], together[row])


def test_borrowed_vectors_are_said(fitted: StaticMetamodel, tmp_path: Path) -> None:
    """A saved metamodel names the vectors that it needs and their size, and refuses others."""
    fitted.save(tmp_path)
    ((name, size),) = Static.load(tmp_path).artifact.borrowed_bits.items()
    table = installed_token_vectors().table
    assert name.startswith("wordllama@")
    assert size > 8 * table.nbytes
    assert fitted.description_bits < size / 10
    (tmp_path / "vectors.json").write_text('"wordllama@other"', encoding="utf-8")
    with pytest.raises(DataError, match="was trained on vectors 'wordllama@other', those here are 'wordllama@"):
        Static.load(tmp_path)


@pytest.mark.usefixtures("forgotten")
def test_wordllama_is_not_imported(fitted: StaticMetamodel, monkeypatch: pytest.MonkeyPatch) -> None:
    """The package's files are read; its code, which goes to the network, never runs."""
    monkeypatch.delitem(sys.modules, "wordllama", raising=False)  # another test's library may have imported it
    assert installed_token_vectors().table.size
    assert fitted.predict(["a king"])
    assert "wordllama" not in sys.modules


@pytest.mark.usefixtures("forgotten")
def test_absent_package(planted: Planted, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the package the message says what to install."""
    monkeypatch.setattr("trainers.inputs.token_vectors.find_spec", lambda _name: None)
    with pytest.raises(MetamodelError, match=r"pip install 'metamodel\[static\]'"):
        SMALL.fit(planted(9, 0), planted(4, 1), context=FitContext())


@pytest.mark.usefixtures("forgotten")
def test_damaged_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package whose files are missing or are not vectors is refused with its path."""
    package = tmp_path / "wordllama"
    spec = find_spec("wordllama")
    assert spec is not None
    assert spec.origin is not None
    monkeypatch.setattr(
        "trainers.inputs.token_vectors.find_spec", lambda _name: SimpleNamespace(origin=str(package / "__init__.py"))
    )
    with pytest.raises(DataError, match="wordllama lacks a file"):
        installed_token_vectors()
    for part in ("weights", "tokenizers"):
        (package / part).mkdir(parents=True)
    tokenizer = "tokenizers/l2_supercat_tokenizer_config.json"
    (package / tokenizer).write_bytes((Path(spec.origin).parent / tokenizer).read_bytes())
    weights = package / "weights" / "l2_supercat_256.safetensors"
    weights.write_bytes(b"no tensors")
    with pytest.raises(DataError, match="holds no tensor"):
        installed_token_vectors()
    save_file({"embedding.weight": np.zeros((10, 4), np.float16)}, weights)
    assert load_file(weights)
    with pytest.raises(DataError, match="is no finite vector for each token"):
        installed_token_vectors()


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"pool_width": 0}, "pool_width is 0, must be at least 1"),
        ({"n_pools": -1}, "n_pools is -1, must be at least 0"),
        ({"dropout": 1.0}, "dropout is 1.0"),
        ({"patience": 0}, "patience is 0"),
    ],
)
def test_meaningless_fields(options: dict[str, object], problem: str) -> None:
    """A field out of range is refused with its value."""
    with pytest.raises(ValueError, match=problem):
        Static(**options)  # type: ignore[arg-type] # values differ in type
    assert issubclass(Static, NetworkOptions)
