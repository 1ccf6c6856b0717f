"""Token vectors that a metamodel takes along, as its pools see them: standardized, weighed and projected.

Projecting is linear, so that the mean of projected vectors is the projection of their mean. The table of them is a
sixteenth of the vectors' own, and the only part of them that predictions depend on.

Shapes: v = tokens, p = pools, w = width of a pool.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from metamodel.errors import DataError
from metamodel.protocols import Compression
from metamodel.types import FloatArray
from trainers.artifacts.artifact import Artifact
from trainers.artifacts.carried import TOKENIZER_FILE
from trainers.artifacts.compression_packing import PackedWeights, is_rounded, packed, stored_tensors
from trainers.inputs.token_vectors import TokenVectors

_TABLE, _WEIGHTS = "carried_table", "carried_weights"
# What the table was made with; nothing else reads it.
_REPLACED = ("standardizer", "network.scorers", "network.projections")


def with_table(artifact: Artifact, vectors: TokenVectors, table: FloatArray, *, n_pools: int) -> Artifact:
    """Return an artifact that carries its own table instead of borrowing vectors.

    Where the artifact's other weights are rounded to 8 bits, so is the table.

    Args:
        artifact: Without a table.
        vectors: Whose tokenizer is carried too.
        table: For each token and pool its projected vector times its weight, and the weight, [v, p * (w + 1)].
        n_pools: Pools (p).
    """
    parts = table.astype(np.float32).reshape(len(table), n_pools, -1)  # [v, p, w + 1]
    carried = {_TABLE: parts[:, :, :-1].reshape(len(table), -1), _WEIGHTS: np.ascontiguousarray(parts[:, :, -1])}
    kept = {
        name: tensor
        for name, tensor in stored_tensors(artifact.weights).items()
        if not any(name == one or name.startswith(f"{one}.") for one in _REPLACED)
    }
    rounded = PackedWeights({**kept, **packed(carried, Compression(int8=True)).stored})
    return replace(
        artifact,
        weights=rounded if is_rounded(artifact.weights) else {**kept, **carried},
        borrowed_bits={},
        files={TOKENIZER_FILE: vectors.tokenizer.to_str().encode()},
    )


def is_carried(artifact: Artifact) -> bool:
    """Say whether an artifact carries its table."""
    return TOKENIZER_FILE in artifact.files


def carried_table(artifact: Artifact, *, n_pools: int, width: int) -> FloatArray:
    """Return the table as `with_table` got it, [v, p * (w + 1)].

    Raises:
        DataError: A part is missing or of another shape, or a weight is not above 0.
    """
    weights = artifact.floats(_WEIGHTS, (None, n_pools))
    table = artifact.floats(_TABLE, (len(weights), n_pools * width))
    if (weights <= 0).any():
        raise DataError(f"weights.safetensors: {_WEIGHTS} holds numbers that are not above 0: export again")
    parts = np.concatenate([table.reshape(len(table), n_pools, width), weights[:, :, None]], axis=2)
    return parts.reshape(len(table), n_pools * (width + 1))


def carried_vectors(artifact: Artifact) -> TokenVectors:
    """Return the tokenizer that an artifact carries; of the vectors there is only the table, so they have no width.

    Raises:
        DataError: It cannot be read, or has tokens that the table does not have.
    """
    from tokenizers import Tokenizer

    if set(artifact.files) != {TOKENIZER_FILE}:
        raise DataError(f"carries {sorted(artifact.files)}, must carry {TOKENIZER_FILE} alone: export again")
    try:
        tokenizer = Tokenizer.from_buffer(artifact.files[TOKENIZER_FILE])
    except Exception as error:  # tokenizers raises Exception itself
        raise DataError(f"{TOKENIZER_FILE}: is no tokenizer that can be read ({str(error)[:200]})") from error
    n_tokens = 1 + max(tokenizer.get_vocab(with_added_tokens=True).values(), default=-1)
    n_rows = len(artifact.floats(_TABLE, (None, None)))
    if n_tokens > n_rows:
        raise DataError(f"{TOKENIZER_FILE}: has {n_tokens} tokens, {_TABLE} {n_rows} rows: export again")
    identity = str(artifact.documents.get("vectors"))
    return TokenVectors(identity=identity, table=np.zeros((n_rows, 0), dtype=np.float16), tokenizer=tokenizer)
