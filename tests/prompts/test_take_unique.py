"""Taking distinct prompts from a source."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import pytest

from metamodel.errors import DataError
from metamodel.prompts.arithmetic import Addition
from metamodel.prompts.base import take_unique
from metamodel.prompts.strings import Reversal
from metamodel.types import Prompt


@dataclass(frozen=True, kw_only=True)
class TwoDomains:
    """A source of two domains, a long one before a short one, each prompt twice."""

    is_finite: bool = True

    def prompts(self, seed: int) -> Iterator[Prompt]:
        """Yield 5000 prompts of one domain, then 3 of another."""
        del seed
        for domain, n_prompts in (("long", 5000), ("short", 3)):
            for number in range(n_prompts):
                yield from [Prompt.create(f"prompt {number}", domain=domain)] * 2


def test_first_distinct_prompts_are_taken_in_order() -> None:
    """The first n distinct prompts are taken, so that a larger n only adds."""
    few, many = (take_unique(Reversal(), n_prompts, seed=0) for n_prompts in (50, 100))
    assert many[:50] == few
    assert len({prompt.id for prompt in many}) == 100
    assert next(Reversal().prompts(seed=0)) == few[0]


def test_a_domain_that_runs_dry_gives_what_it_has() -> None:
    """There are 100 sums of two digits: asking for more ends, with all of them."""
    sums = take_unique(Addition(max_digits=1), 150, seed=0)
    assert {prompt.text for prompt in sums} == {f"{left} + {right} =" for left in range(10) for right in range(10)}


def test_every_domain_of_a_file_gives_its_first_prompts() -> None:
    """A domain at the end of a long file is not missed because the ones before it are full."""
    taken = take_unique(TwoDomains(), 4, seed=0)
    texts = [(prompt.domain, prompt.text) for prompt in taken]
    assert texts == [
        *(("long", f"prompt {number}") for number in range(4)),
        *(("short", f"prompt {number}") for number in range(3)),
    ]


def test_an_endless_source_of_several_domains_is_left_when_stale() -> None:
    """A source that does not say that it ends is not read forever."""
    taken = take_unique(TwoDomains(is_finite=False), 4, seed=0)
    assert {prompt.domain for prompt in taken} == {"long"}


def test_none_takes_all_of_a_finite_source_only() -> None:
    """All of a file can be asked for, all of an endless generator cannot."""
    assert len(take_unique(TwoDomains(), None, seed=0)) == 5003
    with pytest.raises(DataError, match="never ends"):
        take_unique(Addition(), None, seed=0)


def test_no_prompts_are_refused() -> None:
    """A number below one is a mistake, not an empty run."""
    with pytest.raises(ValueError, match="n_prompts is 0"):
        take_unique(Addition(), 0, seed=0)


def test_duplicates_do_recur_in_the_generator() -> None:
    """What take_unique is for: a narrow generator repeats itself."""
    texts = [prompt.text for prompt in islice(Addition(max_digits=1).prompts(seed=0), 200)]
    assert len(set(texts)) < len(texts)
