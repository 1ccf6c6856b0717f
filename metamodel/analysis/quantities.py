r"""Where a free text says its answer: a number, read as an exact fraction.

Ground floor: nothing here imports another module of the project. Numbers are looked for in windows of bounded length
around an announcement or the last digit, so time is linear in the text's length.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, Literal, TypeAlias

Where: TypeAlias = Literal["announced_or_last", "announced", "last"]

_WINDOW_CHARACTERS: Final = 240
_MOST_CHARACTERS: Final = 60
_MARK: Final = "####"
_BOX: Final = "\\boxed"
_SCALES: Final = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}

_NUMBER: Final = re.compile(
    r"""(?:(?<![\w.)\]}])(?P<sign>[-+−]))?(?<![\w.])(?:\\?[$€£¥₹]\s?(?P<inner_sign>[-+−])?)?
    (?:
        \\[dt]?frac\{(?P<over>\d{1,18})\}\{(?P<under>\d{1,18})\}
      | (?P<whole>\d{1,9})[ ](?P<part>\d{1,9})/(?P<parts>\d{1,9})(?![\d/])
      | (?P<digits>(?:\d{1,3}(?:,\d{3})++(?!,?\d)|\d++)(?:\.\d++)?+|\.\d++)
        (?: /(?P<below>\d{1,18})(?!\d|/|\.\d)
          | [eE](?P<exponent>[-+]?\d{1,3})(?!\w)
          | \s?(?:×|\\times|\\cdot|[x*])\s?10\^\{?(?P<power>[-−]?\d{1,3})\}?
        )?
    )
    (?P<percent>\s?\\?%|\s?percent\b)?(?:\s(?P<scale>thousand|million|billion|trillion)\b)?
    """,  # noqa: RUF001 - the typographic minus and times sign are what models write
    re.VERBOSE | re.ASCII | re.IGNORECASE,
)
_ANNOUNCEMENTS: Final = ("nswer is", "nswer:", "nswer**:", "nswer would be", "nswer should be", "nswer =", "\nA:")
_EQUATION: Final = re.compile(r"[^A-Za-z\n]*+")


@dataclass(frozen=True, kw_only=True, slots=True)
class Quantity:
    """A number as a text gives it.

    Attributes:
        value: The number before any percent sign.
        is_percent: Whether a percent sign or the word follows it.
    """

    value: Fraction
    is_percent: bool = False

    def equals(self, other: Quantity, *, absolute: Fraction, relative: Fraction) -> bool:
        """Return whether |a - b| <= max(absolute, relative * |b|), where b is the other.

        Where only one of the two has a percent sign, either reading of it will do: 50 % equals 50 and 0.5.
        """
        mine = {self.value}
        theirs = {other.value}
        if self.is_percent and not other.is_percent:
            mine.add(self.value / 100)
        if other.is_percent and not self.is_percent:
            theirs.add(other.value / 100)
        return any(abs(a - b) <= max(absolute, relative * abs(b)) for a in mine for b in theirs)


def final_quantity(text: str, *, where: Where = "announced_or_last") -> Quantity | None:
    r"""Return the number that a text settles on, or None.

    The first of these that holds a number decides: what follows the last "####"; the last \boxed{...}; what follows the
    last "answer is", "answer:" or a line's "A:" (behind its last equals sign, if an equation follows); the last number
    of the text. Numbers may have a sign, thousands separators, a fraction (3/4, 1 1/2, \frac{3}{4}), an exponent
    (1.5e3, 1.5 x 10^3), a currency, a percent sign and a scale (million); digits are ASCII.

    Args:
        text: An output or a gold answer.
        where: "announced" leaves the last rule out, "last" all others.

    >>> final_quantity("She has 3 + 4 = 7. The answer is $1,250.50!").value
    Fraction(2501, 2)
    """
    if where != "last":
        for found in _announced(text):
            if found is not None:
                return found
        if where == "announced":
            return None
    return _last_quantity(text)


def _announced(text: str) -> Iterator[Quantity | None]:
    marked = text.rfind(_MARK)
    if marked >= 0:
        yield _first_quantity(text[marked + len(_MARK) :][:_WINDOW_CHARACTERS])
    boxed = text.rfind(_BOX)
    if boxed >= 0:
        yield _last_quantity(_boxed(text[boxed + len(_BOX) :][:_WINDOW_CHARACTERS]))
    begin = max((at + len(phrase) for phrase in _ANNOUNCEMENTS if (at := text.rfind(phrase)) >= 0), default=-1)
    if begin >= 0:
        line = text[begin : begin + _WINDOW_CHARACTERS].lstrip("*_: \n").split("\n", 1)[0]
        # "3 + 4 = 7 apples" is an equation up to its first letter; "5, since 2x = 10" is not.
        equation = _EQUATION.match(line)
        if equation and "=" in equation[0]:
            yield _first_quantity(equation[0].rsplit("=", 1)[1] + line[equation.end() :])
        yield _first_quantity(line)


def _boxed(behind: str) -> str:
    """Return what stands between the braces that open a text; the rest of it where they never close."""
    depth = 0
    for at, char in enumerate(behind):
        depth += (char == "{") - (char == "}")
        if depth <= 0:
            return behind[1:at]
    return behind


def _first_quantity(text: str) -> Quantity | None:
    found = _NUMBER.search(text)
    return _read(found) if found else None


def _last_quantity(text: str) -> Quantity | None:
    end = max(map(text.rfind, "0123456789")) + 1
    if not end:
        return None
    begin = max(0, end - _MOST_CHARACTERS)
    window = text[begin : end + _MOST_CHARACTERS]
    found = list(_NUMBER.finditer(window))
    last = found[-1] if found else None
    # A number that reaches the window's start may be the end of a longer one.
    return None if last is None or (begin and not last.start()) else _read(last)


def _read(found: re.Match[str]) -> Quantity | None:
    if found.end() - found.start() > _MOST_CHARACTERS:
        return None
    part = found.groupdict()
    under = int(part["under"] or part["parts"] or part["below"] or 1)
    if not under:
        return None
    if part["over"]:
        value = Fraction(int(part["over"]), under)
    elif part["whole"]:
        value = int(part["whole"]) + Fraction(int(part["part"]), under)
    else:
        digits = part["digits"].replace(",", "")
        value = Fraction(digits) / under if "." in digits else Fraction(int(digits), under)
    exponent = part["exponent"] or part["power"]
    if exponent:
        value *= Fraction(10) ** int(exponent.replace("−", "-"))  # noqa: RUF001 - a minus sign
    if part["scale"]:
        value *= _SCALES[part["scale"].lower()]
    if (part["sign"] or part["inner_sign"] or "+") != "+":
        value = -value
    return Quantity(value=value, is_percent=bool(part["percent"]))
