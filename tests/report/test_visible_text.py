"""What a reader sees of a hostile text."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metamodel.report.visible_text import plain, show

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=60)


@given(ANY_TEXT)
def test_nothing_invisible_is_left(text: str) -> None:
    """No control, format, surrogate, private or unassigned character reaches a page or a terminal as itself."""
    left = plain(text)
    assert {unicodedata.category(char) for char in left} & {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"} == set()
    left.encode("utf-8")


@given(ANY_TEXT)
def test_visible_text_is_kept_as_it_is(text: str) -> None:
    """Whatever can be seen is shown unchanged: the page is evidence."""
    shown = "".join(piece.text for piece in show(text).pieces if not piece.is_control).replace("\n", "")
    hidden = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Mn", "Me"}
    assert [c for c in shown if unicodedata.category(c) not in hidden] == [
        c for c in text if unicodedata.category(c) not in hidden
    ]


@pytest.mark.parametrize(
    ("char", "name"),
    [("\u202e", "U+202E"), ("\x00", "U+0000"), ("\x1b", "U+001B"), ("\u200b", "U+200B"), ("\ud800", "U+D800")],
)
def test_hidden_characters_are_named(char: str, name: str) -> None:
    """A bidi override or an escape sequence must be seen, not obeyed."""
    assert [(piece.text, piece.is_control) for piece in show(f"a{char}b").pieces] == [
        ("a", False),
        (name, True),
        ("b", False),
    ]


def test_lines_stay_lines_and_tabs_are_seen() -> None:
    """An output of newlines alone must not look empty."""
    assert "".join(piece.text for piece in show("\n\ta\r").pieces) == "↵\n⇥aU+000D"


def test_long_texts_are_cut_with_a_count() -> None:
    """The reader is told how much is not shown."""
    shown = show("x" * 1000, limit=600)
    assert (len(shown.pieces[0].text), shown.n_cut) == (600, 400)
    assert plain("x" * 30, limit=28) == "x" * 28 + "…"


def test_piled_up_marks_stop() -> None:
    """A letter under a thousand accents would be drawn over its neighbors."""
    shown = show("e" + "\u0301" * 50)
    assert sum(not piece.is_control for piece in shown.pieces) == 1
    assert shown.pieces[0].text == "e\u0301\u0301\u0301"
