"""A carried encoder: exported once, then run by onnxruntime with its tokenizer, without torch and transformers.

The network reads one window and gives its pooled state; texts are cut into the same windows as where it came from, and
the windows' states are averaged in the same way. Both files may come from anyone, see `encoder_onnx_checks`.

Shapes: n = texts, w = windows of a text, t = tokens of a window, h = the encoder's width, d = numbers a text.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from metamodel.errors import DataError, MetamodelError
from trainers.artifacts.artifact import JSON, Artifact
from trainers.artifacts.carried import ENCODER_FILE, TOKENIZER_FILE, content_hash
from trainers.inputs.encoder_onnx_checks import problem_of_network
from trainers.inputs.encoder_windows import TokenIds, Windowing, WindowScheme, averaged_windows, windowing

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

Precision = Literal["float32", "int8"]

DOCUMENT = "encoder"
INPUT_NAME, OUTPUT_NAME = "token_ids", "state"
_VERSION = 1
_MOST_THREADS = 16
_MOST_WIDTH = 2**16
_MOST_TOKENS = 2**17
_MOST_WINDOWS = 2**10
# Only what ends the process is worth a line; what raises says so itself.
_LOG_FATAL = 4


@dataclass(frozen=True, kw_only=True, eq=False)
class OnnxStates:
    """A carried encoder's view of a prompt; the same row whatever texts come with it.

    Attributes:
        stands_for: Identity of the states that the encoder was exported from.
        network: Content of encoder.onnx.
        vocabulary: Content of tokenizer.json.
        encoder_width: Numbers a window (h).
        scheme: How prompts are cut.
        add_spread: Whether the windows' largest deviation from their average is given too.
        precision: Of the weights.
    """

    stands_for: str
    network: bytes
    vocabulary: bytes
    encoder_width: int
    scheme: WindowScheme
    add_spread: bool
    precision: Precision = "float32"

    @cached_property
    def identity(self) -> str:
        """All that the numbers depend on."""
        scheme = f"{self.scheme.max_tokens} {self.scheme.overlap_tokens} {self.scheme.max_windows} {self.add_spread}"
        return f"onnx_states v{_VERSION} {content_hash(self.network)} {content_hash(self.vocabulary)} {scheme}"

    @property
    def width(self) -> int:
        """Numbers a text (d)."""
        return self.encoder_width * (2 if self.add_spread else 1)

    @property
    def files(self) -> dict[str, bytes]:
        """What an artifact carries."""
        return {ENCODER_FILE: self.network, TOKENIZER_FILE: self.vocabulary}

    @property
    def document(self) -> dict[str, JSON]:
        """What an artifact says of it."""
        return {
            "stands_for": self.stands_for,
            "encoder_width": self.encoder_width,
            "max_tokens": self.scheme.max_tokens,
            "overlap_tokens": self.scheme.overlap_tokens,
            "max_windows": self.scheme.max_windows,
            "add_spread": self.add_spread,
            "precision": self.precision,
        }

    def compute(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the numbers of each text, [n, d]."""
        cut = self.windows.cut(texts)
        if len(cut) <= 1:  # a pre-screen asks about one prompt at a time: no threads for it
            return np.array([self._row(windows) for windows in cut], dtype=np.float32).reshape(len(cut), self.width)
        with ThreadPoolExecutor(min(os.cpu_count() or 1, _MOST_THREADS)) as pool:
            return np.stack(list(pool.map(self._row, cut)))

    def _row(self, windows: Sequence[TokenIds]) -> NDArray[np.float32]:
        """Return the numbers of one text, [d]."""
        return averaged_windows([self.state(window) for window in windows], add_spread=self.add_spread)

    def state(self, window: TokenIds) -> NDArray[np.float32]:
        """Return the pooled state of one window, [h]."""
        try:
            (state,) = self.session.run([OUTPUT_NAME], {INPUT_NAME: np.array([window], dtype=np.int64)})
        except Exception as error:  # onnxruntime's errors share no base
            raise DataError(f"{ENCODER_FILE}: fails on a prompt ({_reason(error)}): export again") from error
        if not isinstance(state, np.ndarray) or state.shape != (1, self.encoder_width) or state.dtype != np.float32:
            raise DataError(f"{ENCODER_FILE}: gives other numbers than [1, {self.encoder_width}]: export again")
        row: NDArray[np.float32] = state[0]
        return row

    @cached_property
    def windows(self) -> Windowing:
        """Cuts texts into what the network reads.

        Raises:
            DataError: The vocabulary cannot be read.
        """
        from tokenizers import Tokenizer

        try:
            windows = windowing(Tokenizer.from_buffer(self.vocabulary), self.scheme)
        except Exception as error:  # tokenizers raises Exception itself
            raise DataError(f"{TOKENIZER_FILE}: is no tokenizer that can be read ({_reason(error)})") from error
        if self.scheme.max_tokens <= len(windows.before) + len(windows.after):
            raise DataError(f"{TOKENIZER_FILE}: adds as many special tokens as a window has: export again")
        return windows

    @cached_property
    def session(self) -> InferenceSession:
        """The network, checked and opened: one thread, no files, no operations but the standard's.

        Raises:
            DataError: It is none that may be opened, or of other inputs and outputs.
            MetamodelError: onnxruntime is not installed.
        """
        problem = problem_of_network(self.network)
        if problem:
            raise DataError(f"{ENCODER_FILE}: {problem}: export again")
        session = _opened(self.network)
        given = [(one.name, one.type, one.shape[:1], len(one.shape)) for one in session.get_inputs()]
        made = [(one.name, one.type, len(one.shape)) for one in session.get_outputs()]
        if given != [(INPUT_NAME, "tensor(int64)", [1], 2)] or made != [(OUTPUT_NAME, "tensor(float)", 2)]:
            raise DataError(
                f"{ENCODER_FILE}: reads {given} and gives {made}, must turn {INPUT_NAME} int64 [1, t] into "
                f"{OUTPUT_NAME} float [1, h]: export again"
            )
        return session

    def checked(self) -> OnnxStates:
        """Return this after opening both files, so that what is wrong is known before the first prompt.

        Raises:
            DataError: Something is.
            MetamodelError: onnxruntime is not installed.
        """
        _ = self.windows, self.state((0,))
        return self


def carried_states(artifact: Artifact) -> OnnxStates | None:
    """Return the encoder that an artifact carries, if it does.

    Raises:
        DataError: What it carries is no encoder.
        MetamodelError: onnxruntime is not installed.
    """
    document = artifact.documents.get(DOCUMENT)
    if document is None:
        return None
    settings = _settings(document)
    if set(artifact.files) != {ENCODER_FILE, TOKENIZER_FILE}:
        raise DataError(f"carries {sorted(artifact.files)}, must carry {ENCODER_FILE} and {TOKENIZER_FILE}")
    try:
        scheme = WindowScheme(
            max_tokens=_whole(settings, "max_tokens", _MOST_TOKENS),
            overlap_tokens=_whole(settings, "overlap_tokens", _MOST_TOKENS),
            max_windows=_whole(settings, "max_windows", _MOST_WINDOWS),
        )
    except ValueError as error:
        raise DataError(f"{DOCUMENT}.json: {error}: export again") from error
    return OnnxStates(
        stands_for=str(settings["stands_for"]),
        network=artifact.files[ENCODER_FILE],
        vocabulary=artifact.files[TOKENIZER_FILE],
        encoder_width=_whole(settings, "encoder_width", _MOST_WIDTH),
        scheme=scheme,
        add_spread=settings["add_spread"] is True,
        precision="int8" if settings["precision"] == "int8" else "float32",
    ).checked()


def _settings(document: JSON) -> Mapping[str, JSON]:
    wanted = {"stands_for", "encoder_width", "max_tokens", "overlap_tokens", "max_windows", "add_spread", "precision"}
    if not isinstance(document, dict) or set(document) != wanted:
        raise DataError(f"{DOCUMENT}.json: must hold {', '.join(sorted(wanted))}: export again")
    return document


def _whole(settings: Mapping[str, JSON], name: str, most: int) -> int:
    value = settings[name]
    if type(value) is not int or not 0 <= value <= most:
        raise DataError(f"{DOCUMENT}.json: {name} is {value!r}, must be a whole number from 0 to {most}: export again")
    return value


def _opened(network: bytes) -> InferenceSession:
    try:
        import onnxruntime
    except ImportError as error:
        raise MetamodelError(
            "the metamodel carries an encoder, which needs onnxruntime, and that is not installed: "
            "pip install 'metamodel[onnx]'"
        ) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.enable_profiling = False
    options.log_severity_level = _LOG_FATAL
    # The other format that it reads is not checked here.
    options.add_session_config_entry("session.load_model_format", "ONNX")
    try:
        return onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors share no base
        raise DataError(f"{ENCODER_FILE}: cannot be opened ({_reason(error)}): export again") from error


def _reason(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:300]
