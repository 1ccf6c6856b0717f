"""A corpus against a run's outputs: reading, cutting, and classes found from planted texts."""

from __future__ import annotations

import json
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from typer.testing import CliRunner

from metamodel.corpus.reading import iterate_pieces, zoo_pairs
from metamodel.corpus.stage import CorpusPlan, compare_with_corpus
from metamodel.corpus.windows import Lengths, Window, cut_windows, sampled
from metamodel.errors import DataError, RunError

if TYPE_CHECKING:
    from metamodel.store.run_directory import RunDirectory

WORDS = ("shared", "contingent", "unexpressed", "idiosyncratic", "neither")
FILLER = "stone river cloud paper horse bread window garden "


def planted_run(folder: Path, *, n_prompts: int = 240) -> RunDirectory:
    """Return a run with outputs of two domains, each word of WORDS where its class wants it."""
    from metamodel.collect import collect
    from metamodel.config import build_config
    from metamodel.draw import draw_prompts
    from metamodel.featurize import featurize
    from metamodel.store.run_directory import RunDirectory

    rows = []
    for number in range(n_prompts):
        domain = f"d{number % 2}"
        words = ["shared"] + (["contingent"] if domain == "d0" else []) + ["idiosyncratic"]
        text = FILLER + (words[number // 2 % len(words)] if number % 4 < 2 else "") + " " + FILLER
        rows.append({"prompt": f"Say {number}.", "domain": domain, "output": text, "prompt_id": str(number)})
    table = folder / "log.jsonl"
    table.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    config = build_config(
        {
            "name": "planted",
            "directory": str(folder / "run"),
            "logger": "none",
            "prompts": {"sources": [{"kind": "recorded", "path": str(table)}]},
            "primaries": [{"kind": "recorded", "path": str(table), "name": "planted"}],
            "behaviors": [
                *({"kind": "regex", "name": word, "pattern": word} for word in WORDS),
                {"kind": "n_words"},
                {"kind": "truncated"},
            ],
            "metamodels": ["base_rate"],
            "splits": {"in_distribution": True, "held_out_domains": []},
        }
    )
    run = RunDirectory.create_or_open(config.directory, config=config.resolved)
    collect(run, primaries=config.primaries, prompts=draw_prompts(config), sampling=config.sampling)
    featurize(run, config)
    return run


def planted_corpus(folder: Path, *, n_documents: int = 400) -> Path:
    """Write documents that hold the words that the corpus is to hold."""
    texts = []
    for number in range(n_documents):
        word = ("shared", "contingent", "unexpressed", "")[number % 4]
        texts.append({"text": f"{FILLER * 2}{(word + ' ') * 20 if word else FILLER}{FILLER * 2}"})
    path = folder / "corpus.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in texts), encoding="utf-8")
    return path


def test_planted_behaviors_get_their_class(tmp_path: Path) -> None:
    """Words planted in the corpus, in outputs, or in one domain's outputs are classified as they were planted."""
    from metamodel.cli import app

    run = planted_run(tmp_path)
    plan = CorpusPlan(paths=(str(planted_corpus(tmp_path)),), floor=0.06)
    found = compare_with_corpus(run, plan)
    assert {row.behavior: row.kind for row in found.rows} == {word: word for word in WORDS}
    assert len(found.notes) == 2
    outcome = CliRunner().invoke(app, ["corpus", str(run.path), "--corpus", plan.paths[0], "--floor", "0.06", "--json"])
    assert outcome.exit_code == 0, outcome.output
    assert json.loads(outcome.stdout) == json.loads(run.read_text("corpus.json"))
    assert "<svg" in run.read_text("plots/corpus--planted.svg")
    shown = CliRunner().invoke(app, ["corpus", str(run.path), "--corpus", plan.paths[0], "--quiet"])
    assert "Training data against outputs" in shown.stdout


def test_little_data_decide_nothing(tmp_path: Path) -> None:
    """With ten prompts and twelve documents a floor of one percent cannot be judged: absence must not be claimed."""
    run = planted_run(tmp_path, n_prompts=10)
    found = compare_with_corpus(run, CorpusPlan(paths=(str(planted_corpus(tmp_path, n_documents=12)),)))
    assert not {row.kind for row in found.rows} & {"unexpressed", "contingent", "idiosyncratic", "neither"}


def test_pieces_are_the_documents(tmp_path: Path) -> None:
    """Pieces joined give every document again, none longer than the limit, whatever the script."""
    text = "Ein Satz. 一二三四五六七八九十" * 9000
    (tmp_path / "a.txt").write_text(text, encoding="utf-8")
    (tmp_path / "b.txt").write_text("short", encoding="utf-8")
    pieces = list(iterate_pieces([str(tmp_path)], text_column="text", piece_characters=500))
    assert "".join(piece.text for piece in pieces) == text + "short"
    assert max(len(piece.text) for piece in pieces) <= 500
    assert len({piece.name for piece in pieces}) == len(pieces)


def test_windows_have_the_lengths_of_outputs(tmp_path: Path) -> None:
    """Windows follow their document, do not overlap, and are exactly as long as outputs."""
    text = "A line of words.\n" * 500
    (tmp_path / "a.txt").write_text(text, encoding="utf-8")
    lengths = Lengths(prompts=np.array([10, 20]), outputs=np.array([7, 30]))
    pieces = list(iterate_pieces([str(tmp_path)], text_column="text", piece_characters=400))
    windows = list(cut_windows(pieces, lengths, seed=0))
    assert {len(window.text) for window in windows} == {7, 30}
    assert {len(window.prompt) for window in windows} <= set(range(10, 28))
    of_piece = {piece.name: piece.text for piece in pieces}
    assert all(window.prompt + window.text in of_piece[window.cluster] for window in windows)
    for name, piece in of_piece.items():
        assert sum(len(w.prompt) + len(w.text) for w in windows if w.cluster == name) <= len(piece)


def test_the_sample_of_a_stream_is_uniform() -> None:
    """Every window of a stream has the same chance to be kept, and the stream's length is told."""
    counts: Counter[str] = Counter()
    for seed in range(400):
        kept, n_seen = sampled((Window(str(number), "", "") for number in range(40)), 10, seed=seed)
        assert n_seen == 40
        counts.update(window.cluster for window in kept)
    assert min(counts.values()) > 60
    assert max(counts.values()) < 140


def test_the_zoo_is_compared_with_what_it_learned_from() -> None:
    """Rows of the training stream come as prompt and continuation, the same ones for one seed."""
    rows = list(islice(zoo_pairs(seed=0), 50))
    assert rows == list(islice(zoo_pairs(seed=0), 50))
    assert sum(bool(row.prompt) for row in rows) > 25
    assert all(row.continuation for row in rows)


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        ({"paths": ("nowhere",)}, "does not exist"),
        ({"paths": ("zoo", "x")}, "stands alone"),
        ({"paths": ("x",), "floor": 0.0}, "floor"),
        ({"paths": ("x",), "n_windows": 0}, "windows"),
    ],
)
def test_a_corpus_that_is_none_is_refused(tmp_path: Path, plan: dict[str, object], message: str) -> None:
    """A user's mistake is named, not turned into an empty table."""
    with pytest.raises(DataError, match=message):
        compare_with_corpus(planted_run(tmp_path, n_prompts=8), CorpusPlan(**plan))


def test_too_short_a_corpus_is_refused(tmp_path: Path) -> None:
    """A corpus without one window would make every behavior look idiosyncratic."""
    (tmp_path / "tiny.txt").write_text("word", encoding="utf-8")
    run = planted_run(tmp_path, n_prompts=8)
    with pytest.raises(DataError, match="give a longer one"):
        compare_with_corpus(run, CorpusPlan(paths=(str(tmp_path / "tiny.txt"),)))
    (tmp_path / "latin.txt").write_bytes(b"\xff\xfe\xff" * 50)
    with pytest.raises(DataError, match="UTF-8"):
        compare_with_corpus(run, CorpusPlan(paths=(str(tmp_path / "latin.txt"),)))


def test_a_run_without_labels_is_refused(tmp_path: Path) -> None:
    """An unfinished run is told what to run first."""
    from metamodel.config import build_config
    from metamodel.store.run_directory import RunDirectory

    config = build_config(
        {
            "name": "empty",
            "directory": str(tmp_path / "empty"),
            "prompts": {"sources": ["addition"]},
            "primaries": [{"kind": "zoo", "model": "lstm"}],
            "behaviors": ["empty"],
            "metamodels": ["base_rate"],
        }
    )
    run = RunDirectory.create_or_open(config.directory, config=config.resolved)
    with pytest.raises(RunError, match="featurize"):
        compare_with_corpus(run, CorpusPlan(paths=("x",)))
