"""Fenced code in Markdown, and what stands around it.

Ground floor: nothing here imports another module of the project.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

_FEWEST_MARKS: Final = 3
_Part: TypeAlias = Literal["prose", "opening", "code", "closing"]


@dataclass(frozen=True, kw_only=True, slots=True)
class CodeBlock:
    """What stands between two fences.

    Attributes:
        language: First word behind the opening fence, in lower case; empty where there is none.
        code: The lines between the fences, each with its newline.
        is_closed: Whether there is a closing fence; without one the block runs to the end.
    """

    language: str
    code: str
    is_closed: bool


def code_blocks(text: str) -> list[CodeBlock]:
    r"""Return the fenced code blocks of a text, in order; time is linear in its length.

    A fence is a line that begins with three or more backticks, or three or more tildes, after any blanks. A block ends
    at the next line that holds nothing but at least as many of the same marks.

    Source: CommonMark 0.31, section 4.5; unlike there, a fence may be indented by any number of blanks, as in lists.

    >>> code_blocks("See:\n```python\nx = 1\n```\n")
    [CodeBlock(language='python', code='x = 1\n', is_closed=True)]
    """
    if not _may_have_fences(text):
        return []
    blocks: list[CodeBlock] = []
    language = ""
    lines: list[str] = []
    part: _Part = "prose"
    for part, line in _parts(text):
        if part == "opening":
            language = next(iter(line.strip().strip(line.strip()[0]).split()), "").lower()
            lines = []
        elif part == "code":
            lines.append(f"{line}\n")
        elif part == "closing":
            blocks.append(CodeBlock(language=language, code="".join(lines), is_closed=True))
    if part in ("opening", "code"):
        blocks.append(CodeBlock(language=language, code="".join(lines), is_closed=False))
    return blocks


def has_code_block(text: str) -> bool:
    """Return whether a text has a fenced code block, closed or not."""
    return _may_have_fences(text) and any(part == "opening" for part, _ in _parts(text))


def without_code_blocks(text: str) -> str:
    r"""Return the lines of a text that stand outside its fenced code blocks.

    >>> without_code_blocks("See:\n```\nx = 1\n```\nDone.")
    'See:\nDone.'
    """
    if not _may_have_fences(text):
        return text
    return "\n".join(line for part, line in _parts(text) if part == "prose")


def _may_have_fences(text: str) -> bool:
    return "```" in text or "~~~" in text


def _parts(text: str) -> Iterator[tuple[_Part, str]]:
    """Yield each line with what it is part of."""
    opening = ""
    for line in text.split("\n"):
        stripped = line.strip()
        marks = _marks(stripped)
        if opening:
            is_end = marks == stripped and marks.startswith(opening)
            yield "closing" if is_end else "code", line
            opening = "" if is_end else opening
        elif marks and not (marks[0] == "`" and "`" in stripped[len(marks) :]):
            opening = marks
            yield "opening", line
        else:
            yield "prose", line


def _marks(line: str) -> str:
    """Return the marks of a fence that a line begins with, or nothing."""
    if not line.startswith(("```", "~~~")):
        return ""
    marks = line[: len(line) - len(line.lstrip(line[0]))]
    return marks if len(marks) >= _FEWEST_MARKS else ""
