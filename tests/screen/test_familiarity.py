"""Familiarity: the false alarm rate that was asked for, a value that depends on the text alone, files from anyone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from metamodel.errors import DataError
from metamodel.screen.familiarity import Familiarity
from metamodel.screen.screen import KnowsTrainingPrompts

MMLU_PRO = Path(__file__).parents[3] / "shared" / "data" / "mmlu_pro" / "prompts.parquet"
WORDS = ("stone", "river", "cloud", "paper", "horse", "bread", "window", "garden", "teach", "under", "light", "seven")
STRANGE = ("", "a", "\x00\ud800\udfff", "x" * 100_000, "漢字かな" * 40, "\U0010ffff\U0010ffff", "ha" * 300, "\n\n\t")


def sentences(n: int, seed: int) -> list[str]:
    """Return prompts of one distribution."""
    rng = np.random.default_rng(seed)
    return [
        f"What is {' '.join(rng.choice(WORDS, rng.integers(5, 40)))}, {rng.integers(1000)} or not?" for _ in range(n)
    ]


@pytest.fixture(scope="module")
def known() -> Familiarity:
    """Return what is known of some sentences."""
    return Familiarity.fit(sentences(200, 0), sentences(99, 1), false_alarm_rate=0.1)


@pytest.mark.parametrize("rate", [0.02, 0.05, 0.2])
def test_false_alarms_stay_at_the_rate(rate: float) -> None:
    """Over many held-out sets prompts like them are warned of at the rate asked for, neither more nor much less."""
    fitted = Familiarity.fit(sentences(200, 0), sentences(99, 1), false_alarm_rate=rate)
    distances = fitted.distances(sentences(1500, 2))
    rng = np.random.default_rng(3)
    warned = []
    for _ in range(400):
        drawn = rng.permutation(distances)
        held_out, live = np.sort(drawn[:99]), drawn[99:299]
        known = replace(fitted, held_out=held_out)
        warned.append(np.mean(known._ranks(live) > known.limit))
    noise = 4 * np.std(warned) / np.sqrt(len(warned))
    assert np.mean(warned) <= rate + noise
    assert np.mean(warned) >= rate - 0.01 - noise


def test_unfamiliarity_is_the_conformal_rank(known: Familiarity) -> None:
    """The value is 1 - (1 + held-out prompts at least as far) / (1 + m), counted one by one."""
    texts = [*sentences(50, 5), *STRANGE]
    held_out = known.distances(sentences(99, 1))
    wanted = [1 - (1 + np.sum(held_out >= distance)) / 100 for distance in known.distances(texts)]
    np.testing.assert_allclose(known.unfamiliarity(texts), wanted, atol=1e-12)
    assert isinstance(known, KnowsTrainingPrompts)


def test_strange_prompts_are_warned_of(known: Familiarity) -> None:
    """Other scripts, noise, code, repetition and words never seen lie beyond the limit; nothing is no number."""
    values = known.unfamiliarity(STRANGE)
    assert np.isfinite(known.distances(STRANGE)).all()
    assert ((values >= 0) & (values < 1)).all()
    assert (values[3:] > known.limit).all()
    shuffled = ["".join(np.random.default_rng(0).permutation(list(text))) for text in sentences(30, 7)]
    code = ["def f(x):\n    return {key: x[key] for key in sorted(x) if key is not None}\n"] * 2
    assert (known.unfamiliarity([*shuffled, *code]) > known.limit).mean() > 0.9


def test_a_value_depends_on_its_own_text_alone(known: Familiarity) -> None:
    """Alone, in any batch and in any order a text's distance is the same bit for bit."""
    texts = [*STRANGE, *sentences(120, 8), *STRANGE[::-1], "y " * 4000]
    together = known.distances(texts)
    alone = np.concatenate([known.distances([text]) for text in texts])
    np.testing.assert_array_equal(together, alone)
    order = np.random.default_rng(0).permutation(len(texts))
    np.testing.assert_array_equal(known.distances([texts[row] for row in order]), together[order])
    assert known.unfamiliarity([]).shape == (0,)


def test_saved_and_loaded_is_the_same(known: Familiarity, tmp_path: Path) -> None:
    """A file of less than 300 kB says the same, bit for bit."""
    path = tmp_path / "familiarity.safetensors"
    known.save(path)
    loaded = Familiarity.load(path)
    texts = [*sentences(40, 9), *STRANGE]
    np.testing.assert_array_equal(loaded.distances(texts), known.distances(texts))
    assert (loaded.limit, loaded.false_alarm_rate) == (known.limit, known.false_alarm_rate)
    assert path.stat().st_size < 300_000


def test_the_largest_file_is_small(tmp_path: Path) -> None:
    """However many prompts it learns from, the file stays below 300 kB."""
    path = tmp_path / "familiarity.safetensors"
    Familiarity.fit(sentences(50, 0), [f"{number} {number % 7}" for number in range(9000)]).save(path)
    assert path.stat().st_size < 300_000
    assert len(Familiarity.load(path).held_out) == 8192


def _tensors(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    with safe_open(path, framework="np") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118 - no mapping


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("held_out", lambda values: values[::-1].copy()),
        ("held_out", lambda values: values[:0]),
        ("held_out", lambda values: np.where(values > 0, np.nan, values)),
        ("spread", lambda values: values * 0),
        ("center", lambda values: values + np.inf),
        ("center", lambda values: values[:3]),
        ("whitening", lambda values: values * 1e100),
        ("whitening", lambda values: values.astype(np.float32)),
        ("steps", lambda values: -values),
        ("codes", lambda values: values[:, :100]),
        ("codes", lambda values: values.astype(np.int64)),
        ("codes", None),
        ("other", lambda _: np.zeros(1)),
    ],
)
def test_files_from_anyone_are_refused(known: Familiarity, tmp_path: Path, name: str, change: object) -> None:
    """Tensors that are missing, too many, of another shape, type or range raise DataError, never load."""
    path = tmp_path / "familiarity.safetensors"
    known.save(path)
    tensors, metadata = _tensors(path)
    if callable(change):
        tensors[name] = np.ascontiguousarray(change(tensors.get(name)))
    else:
        del tensors[name]
    save_file(tensors, path, metadata=metadata)
    with pytest.raises(DataError, match="safetensors"):
        Familiarity.load(path)


@pytest.mark.parametrize("content", [b"", b"no safetensors", b"\xff" * 2000, b"\x80\x96\x98\x00\x00\x00\x00\x00{}"])
def test_what_is_no_file_of_this_kind_is_refused(tmp_path: Path, content: bytes) -> None:
    """Bytes that are no safetensors raise DataError; so do missing and too large files, other schemas and rates."""
    path = tmp_path / "familiarity.safetensors"
    with pytest.raises(DataError, match="cannot be read"):
        Familiarity.load(path)
    path.write_bytes(content)
    with pytest.raises(DataError, match="no safetensors"):
        Familiarity.load(path)
    path.write_bytes(b"\x00" * 2_000_000)
    with pytest.raises(DataError, match="at most"):
        Familiarity.load(path)


@pytest.mark.parametrize("metadata", [None, {"schema": "x"}, {"schema": "metamodel.familiarity/1"}])
def test_metadata_is_checked(known: Familiarity, tmp_path: Path, metadata: dict[str, str] | None) -> None:
    """A file must say what it is and at which rate it warns."""
    path = tmp_path / "familiarity.safetensors"
    known.save(path)
    save_file(_tensors(path)[0], path, metadata=metadata)
    with pytest.raises(DataError, match=r"schema|false_alarm_rate"):
        Familiarity.load(path)


def test_wrong_arguments_are_refused() -> None:
    """No prompts and wrong rates are refused in words; few prompts warn of nothing rather than too often."""
    with pytest.raises(DataError, match="train_texts is empty"):
        Familiarity.fit([], ["a"])
    with pytest.raises(DataError, match="held_out_texts is empty"):
        Familiarity.fit(["a"], [])
    with pytest.raises(ValueError, match="false_alarm_rate is 0"):
        Familiarity.fit(["a"], ["a"], false_alarm_rate=0)
    few = Familiarity.fit(sentences(10, 0), sentences(10, 1), false_alarm_rate=0.05)
    assert few.limit == 1.0
    assert (few.unfamiliarity(STRANGE) < few.limit).all()


@pytest.mark.slow
def test_real_categories_and_noise_are_told_apart() -> None:
    """Trained on sciences, law and history, other scripts and noise are mostly warned of, the sciences as agreed."""
    if not MMLU_PRO.exists():
        pytest.skip("needs ../shared/data/mmlu_pro")
    import pandas as pd

    table = pd.read_parquet(MMLU_PRO)
    is_own = table["domain"].isin(["math", "physics", "chemistry", "engineering"])
    own = table[is_own]["prompt"].sample(frac=1, random_state=0).tolist()
    known = Familiarity.fit(own[:1500], own[1500:2500])
    fresh = known.unfamiliarity(own[2500:]) > known.limit
    assert fresh.mean() < 0.05 + 4 * np.sqrt(0.05 / 1000 + 0.05 / len(fresh))
    for domain in ("law", "history"):
        other = table[table["domain"] == domain]["prompt"].tolist()[:200]
        assert (known.unfamiliarity(other) > known.limit).mean() > 0.8
    noisy = ["".join(np.random.default_rng(0).permutation(list(text))) for text in own[:50]]
    assert (known.unfamiliarity(noisy) > known.limit).mean() > 0.9
