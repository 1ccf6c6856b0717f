"""Prompts cut from plain texts."""

from __future__ import annotations

from pathlib import Path

import pytest

from metamodel.errors import DataError
from metamodel.prompts.files import TextWindows

POEM = "\ufeffThe sun was warm. The\tsky was  blue!\n\nA bird sang\nof love\n"


@pytest.fixture
def corpora(tmp_path: Path) -> Path:
    """Return a folder with two corpora, of two files and one."""
    for name, text in {
        "poems/one.txt": POEM,
        "poems/two.txt": "Who knows? Nobody does.\n" * 5,
        "tales/fox.txt": "A fox ran home. It slept well.\n" * 4,
        "tales/notes.md": "not a text file",
    }.items():
        path = tmp_path / "corpora" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path / "corpora"


def test_windows_begin_at_sentences_and_lines(corpora: Path) -> None:
    """Every sentence and line with enough words after it begins one window, whose white space is normalized."""
    source = TextWindows(path=str(corpora / "poems" / "one.txt"), min_words=3, max_words=3)
    windows = {prompt.text: prompt.attributes["line"] for prompt in source.prompts(seed=0)}
    assert windows == {"The sun was": 1, "The sky was": 1, "A bird sang": 3}


def test_each_start_is_used_once(corpora: Path) -> None:
    """Windows are finite and never begin twice at one place, in the order that the seed fixes."""
    source = TextWindows(path=str(corpora), min_words=2, max_words=4)
    first, again, other = (list(source.prompts(seed)) for seed in (0, 0, 1))
    assert first == again
    assert first != other
    # poems/one: 4 starts; poems/two: 10, tales/fox: 8.
    assert len(first) == len(other) == 22
    places = sorted((str(prompt.attributes["file"]), str(prompt.attributes["line"])) for prompt in first)
    assert places == sorted((str(prompt.attributes["file"]), str(prompt.attributes["line"])) for prompt in other)


def test_lengths_stay_in_range(corpora: Path) -> None:
    """A window has min_words to max_words words, as many as recorded."""
    prompts = list(TextWindows(path=str(corpora), min_words=2, max_words=4).prompts(seed=0))
    lengths = [len(prompt.text.split(" ")) for prompt in prompts]
    assert lengths == [prompt.attributes["n_words"] for prompt in prompts]
    assert set(lengths) == {2, 3, 4}


@pytest.mark.parametrize(
    ("path", "domains"),
    [
        (".", {"poems", "tales"}),
        ("poems", {"poems"}),
        ("poems/two.txt", {"two"}),
        ("*/*.txt", {"poems", "tales"}),
        ("**/f*.txt", {"tales"}),
    ],
)
def test_domains_follow_the_files(corpora: Path, path: str, domains: set[str]) -> None:
    """A corpus is a folder, or a single file; a given name stands for all."""
    source = TextWindows(path=str(corpora / path), min_words=2)
    assert {prompt.domain for prompt in source.prompts(seed=0)} == domains
    named = TextWindows(path=str(corpora / path), min_words=2, domain="mine")
    assert {prompt.domain for prompt in named.prompts(seed=0)} == {"mine"}


@pytest.mark.parametrize(("path", "problem"), [("nowhere", "does not exist"), ("*.rst", "matches no text file")])
def test_missing_texts_are_named(corpora: Path, path: str, problem: str) -> None:
    """A path or pattern without any text is refused."""
    with pytest.raises(DataError, match=problem):
        next(TextWindows(path=str(corpora / path)).prompts(seed=0))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b" \n\t\n", "bad.txt is empty"),
        (b"good line\nGr\xfc\xdfe\n", r"bad.txt, line 2: not UTF-8 \(byte 0xfc\)"),
        (b"Too short.", "no text of tales has 3 words"),
    ],
)
def test_bad_texts_are_named(corpora: Path, content: bytes, problem: str) -> None:
    """An empty, undecodable or too short text is refused with its file, line or domain."""
    (corpora / "tales" / "fox.txt").unlink()
    (corpora / "tales" / "bad.txt").write_bytes(content)
    with pytest.raises(DataError, match=problem):
        next(TextWindows(path=str(corpora), min_words=3).prompts(seed=0))
