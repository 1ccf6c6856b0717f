"""Conditions about what a prompt holds: words, phrases of two and three words, and pieces of words.

Shapes: n = prompts, t = words of all prompts together, w = different words.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import numpy as np

from metamodel.discovery.conditions import Condition, Conditions
from metamodel.discovery.tokens import Tokens
from metamodel.types import IntArray

if TYPE_CHECKING:
    from scipy.sparse import csc_array

# The commonest of each length are kept: a bound on memory and on what a search must be corrected for.
MOST_PHRASES: Final = 4000
MOST_PIECES: Final = 2000
LONGEST_PHRASE: Final = 3
_PIECE_LENGTHS: Final = (2, 3, 4)
# Of a longer "word" (a URL, a base64 blob, a text without spaces) only the beginning is cut into pieces.
_LONGEST_WORD: Final = 40


def phrase_conditions(tokens: Tokens, *, least: int) -> Iterator[Conditions]:
    """Yield conditions for phrases and for pieces of words, the longest phrases first.

    A phrase is looked at only if all of it but its last word, and that word, are in enough prompts (Agrawal and Srikant
    1994), so that memory does not grow with the number of different phrases.

    Args:
        tokens: Words of n prompts.
        least: Fewest prompts with it, and fewest without it.
    """
    found = list(_phrases(tokens, least))
    # A phrase of three words says more than one of its words that is only ever found in it.
    yield from reversed(found)
    yield _pieces(tokens, least)


def _phrases(tokens: Tokens, least: int) -> Iterator[Conditions]:
    n_words = len(tokens.words)
    keys = tokens.numbers
    word_is_common = _document_counts(keys, tokens.owners, n_words) >= least
    is_live = word_is_common[keys]
    names = {number: str(tokens.words[number]) for number in np.flatnonzero(word_is_common).tolist()}
    numbers = np.where(is_live, keys, -1)
    for length in range(1, LONGEST_PHRASE + 1):
        if length > 1:
            # The phrase that begins one word earlier, and the word that now ends it.
            numbers, names = _extended(numbers, names, tokens, length, word_is_common, least)
        kept, members = _commonest(numbers, tokens, least, MOST_PHRASES)
        yield Conditions(
            conditions=[_phrase_condition(names[number]) for number in kept.tolist()],
            members=members,
        )


def _extended(
    numbers: IntArray, names: dict[int, str], tokens: Tokens, length: int, word_is_common: np.ndarray, least: int
) -> tuple[IntArray, dict[int, str]]:
    """Return the number of the common phrase that begins at each word, -1 for none, and the names of all of them."""
    n_words, n = len(tokens.words), len(tokens.numbers)
    extended = np.full(n, -1, dtype=np.int64)
    span = length - 1
    if n <= span:
        return extended, {}
    lasts = tokens.numbers[span:]
    is_live = (numbers[:-span] >= 0) & word_is_common[lasts] & (tokens.owners[:-span] == tokens.owners[span:])
    places = np.flatnonzero(is_live)
    keys = numbers[places] * n_words + lasts[places]
    known, which = np.unique(keys, return_inverse=True)
    is_common = _document_counts(which, tokens.owners[places], len(known)) >= least
    places, which = places[is_common[which]], which[is_common[which]]
    extended[places] = which
    parts = np.divmod(known, n_words)
    found = {
        number: f"{names[int(parts[0][number])]} {tokens.words[int(parts[1][number])]}"
        for number in np.flatnonzero(is_common).tolist()
    }
    return extended, found


def _document_counts(keys: IntArray, owners: IntArray, n_keys: int) -> IntArray:
    """Return in how many prompts each key stands, [n_keys]."""
    pairs = np.unique(keys * (int(owners.max(initial=0)) + 1) + owners)
    return np.bincount(pairs // (int(owners.max(initial=0)) + 1), minlength=n_keys)


def _commonest(numbers: IntArray, tokens: Tokens, least: int, most: int) -> tuple[IntArray, csc_array]:
    """Return the numbers in most prompts, in few enough of them, and who holds them, [n, kept]."""
    from scipy.sparse import csc_array

    is_live = numbers >= 0
    pairs = np.unique(numbers[is_live] * tokens.n_prompts + tokens.owners[is_live])
    keys, owners = np.divmod(pairs, tokens.n_prompts)
    known, counts = np.unique(keys, return_counts=True)
    usable = np.flatnonzero((counts >= least) & (counts <= tokens.n_prompts - least))
    chosen = np.sort(usable[np.argsort(-counts[usable], kind="stable")][:most])
    is_chosen = np.isin(keys, known[chosen])
    indptr = np.concatenate([[0], np.cumsum(counts[chosen])])
    data = np.ones(int(is_chosen.sum()))
    return known[chosen], csc_array((data, owners[is_chosen], indptr), shape=(tokens.n_prompts, len(chosen)))


def _pieces(tokens: Tokens, least: int) -> Conditions:
    """Return conditions for beginnings, ends and inner pieces of words, found through the different words."""
    from scipy.sparse import csc_array, csr_array

    known: dict[str, int] = {}
    owners: list[int] = []
    numbers: list[int] = []
    for number, word in enumerate(tokens.words):
        marked = f"^{word[:_LONGEST_WORD]}$"
        pieces = {
            marked[begin : begin + length] for length in _PIECE_LENGTHS for begin in range(len(marked) - length + 1)
        }
        # One letter alone with a mark is no news beside whole words.
        pieces = {piece for piece in pieces if len(piece.strip("^$")) > 1 and piece != marked}
        numbers += [known.setdefault(piece, len(known)) for piece in sorted(pieces)]
        owners += [number] * len(pieces)
    shape = (len(tokens.words), len(known))
    of_words = csr_array((np.ones(len(numbers), dtype=np.float32), (owners, numbers)), shape=shape)
    holds = csr_array(
        (np.ones(len(tokens.numbers), dtype=np.float32), (tokens.owners, tokens.numbers)),
        shape=(tokens.n_prompts, len(tokens.words)),
    )
    # Pieces in too few words' prompts even if no two words shared one are left out before the product.
    reach = (holds > 0).sum(axis=0) @ of_words
    worth = np.flatnonzero(reach >= least)
    worth = np.sort(worth[np.argsort(-reach[worth], kind="stable")][: 4 * MOST_PIECES])
    members = csc_array(holds @ of_words[:, worth])
    counts = np.diff(members.indptr)
    usable = np.flatnonzero((counts >= least) & (counts <= tokens.n_prompts - least))
    chosen = np.sort(usable[np.argsort(-counts[usable], kind="stable")][:MOST_PIECES])
    held = csc_array(members[:, chosen], dtype=np.float64)
    held.data[:] = 1.0
    names = list(known)
    return Conditions(conditions=[_piece_condition(names[worth[number]]) for number in chosen], members=held)


def _phrase_condition(phrase: str) -> Condition:
    return Condition(kind="ngrams", source=phrase, met=f"contains “{phrase}”", unmet=f"does not contain “{phrase}”")


def _piece_condition(piece: str) -> Condition:
    letters = piece.strip("^$")
    where = "begins with" if piece.startswith("^") else "ends in" if piece.endswith("$") else "contains"
    return Condition(
        kind="ngrams", source=piece, met=f"has a word that {where} “{letters}”", unmet=f"no word {where} “{letters}”"
    )
