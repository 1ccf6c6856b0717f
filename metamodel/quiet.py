"""Keep transformers off the terminal: what it advises is no news to whoever runs a stage. Ground floor."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from logging import CRITICAL, getLogger


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Keep transformers' progress bars and advice off the terminal for the block."""
    from transformers.utils import logging

    loggers = [getLogger("transformers"), getLogger("huggingface_hub")]
    levels = [logger.level for logger in loggers]
    had_bars = logging.is_progress_bar_enabled()
    for logger in loggers:
        logger.setLevel(CRITICAL)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        if had_bars:
            logging.enable_progress_bar()
