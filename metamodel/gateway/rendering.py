"""Which text of a request is screened.

A metamodel knows prompts as it was trained on them. A request is rendered to such a text here, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from metamodel.recorded.rows import storable

if TYPE_CHECKING:
    import jinja2

    from metamodel.gateway.plans import ReadPlan

_TEXT_PARTS: Final = ("text", "input_text")
NOT_TEXT: Final = "parts other than text were not screened"
NO_TEXT: Final = "the request holds no text to screen"
IDS_ONLY: Final = "token ids were not screened"
TOO_LONG: Final = "the text is too long to screen"
TEMPLATE_FAILED: Final = "the template does not fit the messages"


@dataclass(frozen=True, kw_only=True)
class ReadPrompts:
    """The texts that a request is screened by.

    Attributes:
        texts: One of a chat, one or more of a completion; none where nothing can be screened.
        warnings: What was left out.
    """

    texts: tuple[str, ...]
    warnings: tuple[str, ...] = ()


def read_prompts(body: Mapping[str, object], plan: ReadPlan, *, is_chat: bool, max_chars: int) -> ReadPrompts:
    """Return the texts of a request.

    Args:
        body: The request, as parsed.
        plan: Which text of a chat counts.
        is_chat: Whether the chat API is called. That decides which field counts: a client may send both.
        max_chars: Longest text that is screened.
    """
    read = read_chat(body.get("messages"), plan) if is_chat else _read_completion(body.get("prompt"))
    if any(len(text) > max_chars for text in read.texts):
        return ReadPrompts(texts=(), warnings=(*read.warnings, TOO_LONG))
    return ReadPrompts(texts=tuple(map(storable, read.texts)), warnings=read.warnings)


def read_chat(messages: object, plan: ReadPlan) -> ReadPrompts:
    r"""Return the text of a chat.

    >>> from metamodel.gateway.plans import ReadPlan
    >>> chat = [{"role": "system", "content": "Be short."}, {"role": "user", "content": "Why?"}]
    >>> read_chat(chat, ReadPlan()).texts, read_chat(chat, ReadPlan(text="all_messages")).texts
    (('Why?',), ('Be short.\n\nWhy?',))
    """
    listed = [one for one in messages if isinstance(one, Mapping)] if isinstance(messages, list) else []
    if plan.text == "last_user":
        listed = [one for one in listed if one.get("role") == "user"][-1:]
    read = [_content(one.get("content"), plan.separator) for one in listed]
    warnings = (NOT_TEXT,) if any(left_out for _, left_out in read) else ()
    texts = [text for text, _ in read]
    if plan.template is not None:
        rendered = _rendered(plan.template, listed, texts)
        if rendered is None:
            return ReadPrompts(texts=(), warnings=(*warnings, TEMPLATE_FAILED))
        return ReadPrompts(texts=(rendered,), warnings=warnings)
    text = plan.separator.join(text for text in texts if text)
    if not text:
        return ReadPrompts(texts=(), warnings=warnings or (NO_TEXT,))
    return ReadPrompts(texts=(text,), warnings=warnings)


def check_template(template: str) -> list[str]:
    """Return what is wrong with a template; nothing where it can be used."""
    from jinja2 import TemplateError

    try:
        _compiled(template)
    except TemplateError as error:
        return [str(error)]
    return []


def _content(content: object, separator: str) -> tuple[str, bool]:
    """Return a message's text, and whether it has parts that are none."""
    if isinstance(content, str):
        return content, False
    if not isinstance(content, list):
        return "", content is not None
    texts = []
    left_out = False
    for part in content:
        text = part.get("text") if isinstance(part, Mapping) and part.get("type") in _TEXT_PARTS else part
        if isinstance(text, str):
            texts.append(text)
        else:
            left_out = True
    return separator.join(texts), left_out


def _read_completion(prompt: object) -> ReadPrompts:
    if isinstance(prompt, str):
        return ReadPrompts(texts=(prompt,))
    listed = prompt if isinstance(prompt, list) else []
    if listed and all(isinstance(one, str) for one in listed):
        return ReadPrompts(texts=tuple(listed))
    return ReadPrompts(texts=(), warnings=(IDS_ONLY if listed else NO_TEXT,))


def _rendered(template: str, messages: Sequence[Mapping[str, object]], texts: Sequence[str]) -> str | None:
    from jinja2 import TemplateError

    plain = [{"role": str(one.get("role")), "content": text} for one, text in zip(messages, texts, strict=True)]
    try:
        return _compiled(template).render(messages=plain)
    except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError):
        # A template is written for some shape of chat; a client may send another.
        return None


@lru_cache(maxsize=8)
def _compiled(template: str) -> jinja2.Template:
    from metamodel.prompts.template_sandbox import template_environment

    return template_environment().from_string(template)
