"""Work on the pieces of a long input on all the processor's cores, in order."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Future

Piece = TypeVar("Piece")
Result = TypeVar("Result")


def usable_threads() -> int:
    """Return how many threads may run at once: the cores of this process, or fewer where OMP_NUM_THREADS says so."""
    n_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    told = os.environ.get("OMP_NUM_THREADS", "")
    return min(n_cores, int(told)) if told.isdigit() and int(told) else n_cores


def in_threads(work: Callable[[Piece], Result], pieces: Iterable[Piece]) -> Iterator[Result]:
    """Yield the work on each piece, in order; a single piece is worked on without a thread.

    What waits is bounded: pieces are taken as results are. Threads help where the work spends its time outside of
    Python.
    """
    coming = iter(pieces)
    first = list(islice(coming, 2))
    n_threads = usable_threads() if len(first) > 1 else 1
    if n_threads == 1:
        yield from map(work, chain(first, coming))
        return
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(n_threads) as pool:
        waiting: deque[Future[Result]] = deque()
        for piece in chain(first, coming):
            waiting.append(pool.submit(work, piece))
            if len(waiting) > 2 * n_threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
