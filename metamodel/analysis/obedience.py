"""The verifiable instructions of IFEval: whether a text obeys one of them.

Ground floor: nothing here imports another module of the project but ground floors.
Source: Zhou et al., Instruction-Following Evaluation for Large Language Models (2023): 25 types of instructions,
written anew from the paper's table and the arguments of its prompts. docs/agreement.md compares the verdicts with those
of lm-evaluation-harness and says where and why they differ. Every check is linear in the text's length.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from metamodel.analysis.json_values import BROKEN, json_value
from metamodel.analysis.languages import guess_language
from metamodel.analysis.scripts import script_counts
from metamodel.types import JSONValue

Arguments: TypeAlias = Mapping[str, JSONValue]
_Check: TypeAlias = Callable[[str, Arguments], bool]

CONSTRAINED_ANSWERS: Final = ("My answer is yes.", "My answer is no.", "My answer is maybe.")

_WORD: Final = re.compile(r"\w+")
_SHOUTED: Final = re.compile(r"[^\s()\[\]{}<>,;:!?\"“”`*|]+")
_SENTENCE_END: Final = re.compile(r"(?<![.!?…])[.!?…]++[\"'”’)\]*_]*+(?=\s|\Z)|[。！？]")  # noqa: RUF001 - CJK marks, typographic quotes
_LAST_WORD: Final = re.compile(r"[\w.'-]*\Z")
_LONGEST_WORD: Final = 20
_ABBREVIATIONS: Final = frozenset(
    ["mr", "mrs", "ms", "dr", "prof", "st", "jr", "sr", "vs", "etc", "cf", "al", "inc", "ltd", "co", "corp", "fig"]
) | {"eq", "vol", "pp", "ph.d", "approx"}
_HIGHLIGHT: Final = re.compile(r"\*\*([^\n*]*)\*\*|\*([^\n*]*)\*")
_PLACEHOLDER: Final = re.compile(r"\[[^\[\]\n]*\]")
_BULLET: Final = re.compile(r"^[^\S\n]*+(?:\*(?!\*)|-)", re.MULTILINE)
_DIVIDER: Final = "***"
_RESPONSE_DIVIDER: Final = "******"


class UnusableInstructionError(Exception):
    """An instruction of an unknown type, or without the arguments that it needs."""


def obeys(instruction: str, arguments: Arguments, text: str) -> bool:
    """Return whether a text obeys an instruction; an empty text obeys none.

    Args:
        instruction: Type, such as "punctuation:no_comma".
        arguments: Its arguments, named as in IFEval's prompts; those that are None count as absent.
        text: An output.

    Raises:
        UnusableInstructionError: The type is unknown, or an argument is absent or means nothing.

    >>> obeys("length_constraints:number_words", {"relation": "less than", "num_words": 3}, "Two words")
    True
    """
    if instruction not in CHECKS:
        raise UnusableInstructionError(f"there is no instruction of type {instruction!r}")
    return bool(text.strip()) and CHECKS[instruction](text, arguments)


def obeys_loosely(instruction: str, arguments: Arguments, text: str) -> bool:
    """Return whether a text obeys an instruction in one of IFEval's eight readings.

    They leave out the first line, the last line, both or neither, and each with and without its asterisks, so that
    "Sure, here it is:" and emphasis are forgiven.

    Raises:
        UnusableInstructionError: As for `obeys`.
    """
    behind_first = text.partition("\n")[2]
    before_last = text.rpartition("\n")[0]
    inner = before_last.partition("\n")[2]
    readings = [text, behind_first.strip(), before_last.strip(), inner.strip()]
    readings += [reading.replace("*", "") for reading in readings if "*" in reading]
    return any(obeys(instruction, arguments, reading) for reading in dict.fromkeys(readings))


def count_sentences(text: str) -> int:
    """Return the number of sentences of a text, by rule.

    A sentence ends at ".", "!", "?" or "…" before whitespace or the end, at a CJK full stop, and where the text ends.
    A point does not end one behind an abbreviation, single letters (J. S. Bach, P.S.) or a number that begins a line.

    >>> count_sentences("Dr. Smith saw it. First! Did he? Yes, e.g. on Monday")
    4
    """
    n_sentences = 0
    end = 0
    for found in _SENTENCE_END.finditer(text):
        if not _is_abbreviation(text, found):
            n_sentences += 1
            end = found.end()
    return n_sentences + bool(text[end:].strip())


def _is_abbreviation(text: str, found: re.Match[str]) -> bool:
    if found[0] != ".":
        return False
    begin = max(0, found.start() - _LONGEST_WORD)
    before = _LAST_WORD.search(text[begin : found.start()])
    word = before[0] if before else ""
    if word.lower() in _ABBREVIATIONS or (word[:1].isalpha() and all(len(part) == 1 for part in word.split("."))):
        return True
    return word.isdigit() and not text[begin : found.start() - len(word)].rpartition("\n")[2].strip()


def _number(arguments: Arguments, name: str) -> float:
    value = arguments.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0:
        raise UnusableInstructionError(f"{name} is {value!r}, must be a number of at least 0")
    return value


def _words(arguments: Arguments, name: str) -> list[str]:
    value = arguments.get(name)
    words = [value] if isinstance(value, str) else value
    if not isinstance(words, list) or not words or not all(isinstance(word, str) and word.strip() for word in words):
        raise UnusableInstructionError(f"{name} is {value!r}, must be text")
    return [str(word).strip() for word in words]


def _compares(count: int, arguments: Arguments, *, threshold: str, relation: str = "relation") -> bool:
    asked = arguments.get(relation)
    if asked not in ("less than", "at least"):
        raise UnusableInstructionError(f"{relation} is {asked!r}, must be 'less than' or 'at least'")
    limit = _number(arguments, threshold)
    return count < limit if asked == "less than" else count >= limit


def _has_keywords(text: str, arguments: Arguments) -> bool:
    lowered = text.lower()
    return all(word.lower() in lowered for word in _words(arguments, "keywords"))


def _keyword_frequency(text: str, arguments: Arguments) -> bool:
    count = text.lower().count(_words(arguments, "keyword")[0].lower())
    return _compares(count, arguments, threshold="frequency")


def _no_forbidden_words(text: str, arguments: Arguments) -> bool:
    forbidden = "|".join(re.escape(word) for word in _words(arguments, "forbidden_words"))
    return re.search(rf"(?<!\w)(?:{forbidden})(?!\w)", text, flags=re.IGNORECASE) is None


def _letter_frequency(text: str, arguments: Arguments) -> bool:
    letter = _words(arguments, "letter")[0].lower()
    return _compares(text.lower().count(letter), arguments, threshold="let_frequency", relation="let_relation")


def _language(text: str, arguments: Arguments) -> bool:
    wanted = _words(arguments, "language")[0]
    return guess_language(text) == wanted or not script_counts(text)


def _sentences(text: str, arguments: Arguments) -> bool:
    return _compares(count_sentences(text), arguments, threshold="num_sentences")


def _word_number(text: str, arguments: Arguments) -> bool:
    return _compares(len(_WORD.findall(text)), arguments, threshold="num_words")


def _paragraphs(text: str, arguments: Arguments) -> bool:
    parts = [part.strip() for part in text.split(_DIVIDER)]
    inner = parts[bool(not parts[0]) : len(parts) - (not parts[-1])]
    return all(inner) and len(inner) == _number(arguments, "num_paragraphs")


def _first_word(text: str, arguments: Arguments) -> bool:
    wanted = _words(arguments, "first_word")[0].lower()
    n_paragraphs, position = _number(arguments, "num_paragraphs"), _number(arguments, "nth_paragraph")
    paragraphs = text.split("\n\n")
    n_filled = sum(1 for paragraph in paragraphs if paragraph.strip())
    if n_filled != n_paragraphs or not 1 <= position <= n_filled:
        return False
    words = paragraphs[int(position) - 1].split(None, 1)
    first = words[0].lstrip("'").lstrip('"') if words else ""
    return bool(words) and re.split(r"[.,?!'\"]", first, maxsplit=1)[0].lower() == wanted


def _placeholders(text: str, arguments: Arguments) -> bool:
    return len(_PLACEHOLDER.findall(text)) >= _number(arguments, "num_placeholders")


def _postscript(text: str, arguments: Arguments) -> bool:
    marker = _words(arguments, "postscript_marker")[0].lower()
    letters = [re.escape(letter) for letter in marker.replace(".", "").replace(" ", "")]
    # "P.S." and "P.P.S" may be written with blanks between their letters.
    if letters in (["p", "s"], ["p", "p", "s"]):
        last_point = "" if marker == "p.p.s" else r"\."
        return re.search(r"\.\s?".join(letters) + last_point, text.lower()) is not None
    return marker in text.lower()


def _bullets(text: str, arguments: Arguments) -> bool:
    return len(_BULLET.findall(text)) == _number(arguments, "num_bullets")


def _constrained(text: str, _: Arguments) -> bool:
    return any(answer in text for answer in CONSTRAINED_ANSWERS)


def _highlights(text: str, arguments: Arguments) -> bool:
    count = sum(1 for bold, plain in _HIGHLIGHT.findall(text) if (bold or plain).strip())
    return count >= _number(arguments, "num_highlights")


def _sections(text: str, arguments: Arguments) -> bool:
    splitter = re.escape(_words(arguments, "section_spliter")[0])
    return len(re.findall(rf"{splitter}\s?\d+", text)) >= _number(arguments, "num_sections")


def _json_format(text: str, _: Arguments) -> bool:
    return json_value(text) is not BROKEN


def _title(text: str, _: Arguments) -> bool:
    for line in text.split("\n"):
        begin, end = line.find("<<"), line.rfind(">>")
        if 0 <= begin < end and line[begin:end].strip("<> \t"):
            return True
    return False


def _two_responses(text: str, _: Arguments) -> bool:
    parts = [part.strip() for part in text.split(_RESPONSE_DIVIDER)]
    inner = parts[bool(not parts[0]) : len(parts) - (not parts[-1])]
    return len(inner) == 2 and all(inner) and inner[0] != inner[1]  # noqa: PLR2004 - two responses


def _repeats_prompt(text: str, arguments: Arguments) -> bool:
    return text.strip().lower().startswith(_words(arguments, "prompt_to_repeat")[0].lower())


def _ends_with(text: str, arguments: Arguments) -> bool:
    return text.strip().strip('"').lower().endswith(_words(arguments, "end_phrase")[0].lower())


def _shouted_words(text: str, arguments: Arguments) -> bool:
    count = sum(1 for word in _SHOUTED.findall(text) if word.isupper())
    return _compares(count, arguments, threshold="capital_frequency", relation="capital_relation")


def _all_upper(text: str, _: Arguments) -> bool:
    return text.isupper() and guess_language(text) in (None, "en")


def _all_lower(text: str, _: Arguments) -> bool:
    return text.islower() and guess_language(text) in (None, "en")


def _no_comma(text: str, _: Arguments) -> bool:
    return "," not in text


def _quotation(text: str, _: Arguments) -> bool:
    stripped = text.strip()
    return len(stripped) > 1 and stripped[0] == stripped[-1] == '"'


CHECKS: Final[Mapping[str, _Check]] = {
    "keywords:existence": _has_keywords,
    "keywords:frequency": _keyword_frequency,
    "keywords:forbidden_words": _no_forbidden_words,
    "keywords:letter_frequency": _letter_frequency,
    "language:response_language": _language,
    "length_constraints:number_sentences": _sentences,
    "length_constraints:number_paragraphs": _paragraphs,
    "length_constraints:number_words": _word_number,
    "length_constraints:nth_paragraph_first_word": _first_word,
    "detectable_content:number_placeholders": _placeholders,
    "detectable_content:postscript": _postscript,
    "detectable_format:number_bullet_lists": _bullets,
    "detectable_format:constrained_response": _constrained,
    "detectable_format:number_highlighted_sections": _highlights,
    "detectable_format:multiple_sections": _sections,
    "detectable_format:json_format": _json_format,
    "detectable_format:title": _title,
    "combination:two_responses": _two_responses,
    "combination:repeat_prompt": _repeats_prompt,
    "startend:end_checker": _ends_with,
    "startend:quotation": _quotation,
    "change_case:capital_word_frequency": _shouted_words,
    "change_case:english_capital": _all_upper,
    "change_case:english_lowercase": _all_lower,
    "punctuation:no_comma": _no_comma,
}
