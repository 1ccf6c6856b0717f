"""Load a causal language model and its tokenizer from a folder or a model hub, quietly and with errors in words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from metamodel.errors import MetamodelError
from metamodel.primaries.abilities import measure_abilities
from metamodel.primaries.stepping import Abilities
from metamodel.quiet import quiet_transformers
from metamodel.store.rows import clean_text
from metamodel.zoo.architectures import register_lstm

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

# What decides the outputs of a local folder's model; notes and logs beside it do not.
_IDENTIFYING_SUFFIXES = (".bin", ".json", ".jinja", ".model", ".py", ".safetensors", ".txt")
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, kw_only=True)
class Source:
    """Which model to load, and how.

    Attributes:
        model: Local folder or hub name.
        revision: Branch, tag or commit on the hub.
        dtype: Name of a torch floating-point type.
        device: Torch device, or "auto".
        trust_remote_code: Whether to run Python files that come with the model.
        device_map: How accelerate spreads the weights, instead of `device`.
        stamp: `folder_stamp`, so that a folder written anew is loaded anew.
    """

    model: str
    revision: str | None
    dtype: str
    device: str
    trust_remote_code: bool
    device_map: str | None = None
    stamp: tuple[tuple[str, int, int], ...] = ()


@dataclass(frozen=True, kw_only=True)
class LanguageModel:
    """A loaded model.

    Attributes:
        model: In evaluation mode, on its device.
        tokenizer: Its tokenizer.
        abilities: What its cache and padding were measured to do.
        end_ids: Tokens that end an output.
        start_id: Token to begin with when a prompt has none.
        context_tokens: The most positions it can read, None for no limit.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    abilities: Abilities
    end_ids: tuple[int, ...]
    start_id: int | None
    context_tokens: int | None

    @property
    def n_vocabulary(self) -> int:
        """Size of the vocabulary."""
        return int(self.model.config.get_text_config(decoder=True).vocab_size)

    def encode(self, texts: Sequence[str], *, add_special_tokens: bool) -> list[tuple[int, ...]]:
        """Return token ids; an empty text becomes the start token where there is one."""
        if not texts:
            return []
        cleaned = [clean_text(text) for text in texts]
        with quiet_transformers():
            encoded = self.tokenizer(cleaned, add_special_tokens=add_special_tokens, return_attention_mask=False)
        start = () if self.start_id is None else (self.start_id,)
        return [tuple(ids) or start for ids in encoded["input_ids"]]

    def decode(self, prompts: Sequence[Sequence[int]], outputs: Sequence[Sequence[int]]) -> list[str]:
        """Return the text that each output adds to its prompt, special tokens left out.

        Decoded together, because some tokenizers drop a space at the beginning of whatever they decode.
        """
        keys = [tuple(prompt) for prompt in prompts]
        distinct = list(dict.fromkeys(keys))  # the samples of a prompt share it
        starts = dict(zip(distinct, self._decode_all(distinct), strict=True))
        wholes = self._decode_all([[*prompt, *output] for prompt, output in zip(prompts, outputs, strict=True)])
        alone = {index for index, text in enumerate(wholes) if not text.startswith(starts[keys[index]])}
        fallbacks = dict(zip(sorted(alone), self._decode_all([outputs[index] for index in sorted(alone)]), strict=True))
        return [
            fallbacks[index] if index in alone else text[len(starts[keys[index]]) :]
            for index, text in enumerate(wholes)
        ]

    def _decode_all(self, rows: Sequence[Sequence[int]]) -> list[str]:
        if not rows:
            return []
        backend = _plain_backend(self.tokenizer)
        if backend is not None:
            return list(backend.decode_batch([list(row) for row in rows], skip_special_tokens=True))
        return [
            str(self.tokenizer.decode(list(row), skip_special_tokens=True, clean_up_tokenization_spaces=False))
            for row in rows
        ]


def _plain_backend(tokenizer: PreTrainedTokenizerBase) -> Tokenizer | None:
    """Return the tokenizer that does all of the decoding, many texts a call; None where Python has a part in it."""
    from transformers import PreTrainedTokenizerBase as Base
    from transformers import PreTrainedTokenizerFast as Fast

    kind = type(tokenizer)
    # getattr: the names of two methods that a class of its own may override.
    overrides = any(
        getattr(kind, name) is not getattr(owner, name) for name, owner in (("decode", Base), ("_decode", Fast))
    )
    return None if overrides or not isinstance(tokenizer, Fast) else tokenizer.backend_tokenizer


@lru_cache(maxsize=4)
def load_language_model(source: Source) -> LanguageModel:
    """Load a model once a process.

    Raises:
        MetamodelError: If it cannot be found or read, or needs `trust_remote_code`.
    """
    import torch

    device = source.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    model, tokenizer = _load_parts(source)
    if source.device_map is None:
        try:
            model.to(device)  # type: ignore[arg-type] # transformers wraps torch's `to` without its overloads
        except (RuntimeError, AssertionError) as error:  # torch asserts that it was built for the device
            raise MetamodelError(f"device is {source.device!r}: {_first_line(error)}; use auto or cpu") from error
    model.eval()
    text_config = model.config.get_text_config(decoder=True)
    context = getattr(text_config, "max_position_embeddings", None)
    with quiet_transformers():
        abilities = measure_abilities(model, n_tokens=text_config.vocab_size)
    start_ids = [tokenizer.bos_token_id, text_config.bos_token_id]
    return LanguageModel(
        model=model,
        tokenizer=tokenizer,
        abilities=abilities,
        end_ids=_end_ids(model, tokenizer),
        start_id=next((start for start in start_ids if isinstance(start, int)), None),
        context_tokens=context if isinstance(context, int) and context > 0 else None,
    )


@lru_cache(maxsize=16)
def weights_identity(source: Source) -> str:
    """Return `name@` and the hash of a local folder's files, or the hub's commit.

    Raises:
        MetamodelError: If the model cannot be found.
    """
    folder = Path(source.model).expanduser()
    if not folder.is_dir():
        return f"{source.model}@{hub_commit(source)}"
    digest = blake2b(digest_size=16)
    _require_config(folder)
    for path in _identifying_files(folder):
        with path.open("rb") as file:
            content = blake2b(digest_size=16)
            while block := file.read(1 << 20):
                content.update(block)
        digest.update(path.name.encode() + b"\0" + content.digest())
    return f"{folder.resolve().name}@{digest.hexdigest()}"


def folder_stamp(model: str) -> tuple[tuple[str, int, int], ...]:
    """Return name, size and time of change of a local folder's files; nothing for a hub name."""
    folder = Path(model).expanduser()
    if not folder.is_dir():
        return ()
    stats = {path.name: path.stat() for path in _identifying_files(folder)}
    return tuple((name, stat.st_size, stat.st_mtime_ns) for name, stat in stats.items())


def _identifying_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file() and path.suffix in _IDENTIFYING_SUFFIXES)


def _load_parts(source: Source) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM, AutoTokenizer

    register_lstm()
    folder = Path(source.model).expanduser()
    if folder.is_dir():
        _require_config(folder)
    name = str(folder) if folder.is_dir() else source.model
    revision = "main" if folder.is_dir() else hub_commit(source)
    options = {"revision": revision, "trust_remote_code": source.trust_remote_code}
    spread = {} if source.device_map is None else {"device_map": source.device_map}
    if spread and find_spec("accelerate") is None:
        raise MetamodelError(
            f"device_map is {source.device_map!r}, which needs accelerate: pip install accelerate, or set device"
        )
    try:
        with quiet_transformers():
            tokenizer = AutoTokenizer.from_pretrained(name, **options)
            dtype = getattr(torch, source.dtype)
            model = AutoModelForCausalLM.from_pretrained(name, dtype=dtype, **options, **spread)
    except (OSError, ValueError, ImportError, KeyError, RuntimeError, SafetensorError) as error:
        raise _load_error(source, error) from error
    return model, tokenizer


@lru_cache(maxsize=16)
def hub_commit(source: Source) -> str:
    """Return the commit that a hub model's revision names now; what is loaded is this commit.

    Raises:
        MetamodelError: If the model or the revision cannot be found.
    """
    if source.revision is not None and _COMMIT.fullmatch(source.revision):
        return source.revision
    from transformers import AutoConfig

    register_lstm()
    try:
        with quiet_transformers():
            config = AutoConfig.from_pretrained(
                source.model, revision=source.revision or "main", trust_remote_code=source.trust_remote_code
            )
    except (OSError, ValueError, ImportError, KeyError) as error:
        raise _load_error(source, error) from error
    return str(getattr(config, "_commit_hash", None) or source.revision or "main")


def _require_config(folder: Path) -> None:
    if not (folder / "config.json").is_file():
        raise MetamodelError(
            f"model folder {folder} has no config.json: give a folder written by save_pretrained, or a hub name"
        )


def _load_error(source: Source, error: Exception) -> MetamodelError:
    message = str(error)
    if "trust_remote_code" in message:
        return MetamodelError(
            f"model {source.model!r} comes with Python code of its own: read it, and if you trust it set "
            "trust_remote_code: true"
        )
    if Path(source.model).expanduser().is_dir():
        return MetamodelError(f"cannot load the model in folder {source.model}: {_first_line(error)}")
    if source.model.startswith((".", "/", "~")) or source.model.count("/") > 1:
        return MetamodelError(f"model folder {source.model} does not exist: check the path, or give a hub name")
    return MetamodelError(
        f"cannot load model {source.model!r} (no such folder, and the hub says: {_first_line(error)}); check the name, "
        "or download it and give its folder"
    )


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def _end_ids(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> tuple[int, ...]:
    found: set[int] = set()
    generation_config = getattr(model, "generation_config", None)
    for owner in (generation_config, model.config, tokenizer):
        value = getattr(owner, "eos_token_id", None)
        found.update(value if isinstance(value, list | tuple) else () if value is None else (value,))
    return tuple(sorted(found))
