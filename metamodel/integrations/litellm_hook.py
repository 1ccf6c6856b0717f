"""A pre-screen as a guardrail of the LiteLLM proxy: it blocks, reroutes or annotates before the model is called.

LiteLLM takes a second to load, so that this module loads it only when the guardrail is asked for: the class
`MetamodelGuardrail` is made then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from metamodel.config.components import build_plan
from metamodel.errors import ConfigError, MetamodelError
from metamodel.gateway.config import build_policy
from metamodel.gateway.plans import LimitPlan, ReadPlan
from metamodel.gateway.policy import Action, decision_headers
from metamodel.gateway.rendering import ReadPrompts, check_template, read_prompts
from metamodel.screen.folder import load_screen
from metamodel.screen.screen import Screen

if TYPE_CHECKING:
    from collections.abc import Callable

# Where the decision waits for the response's headers.
METADATA_KEY: Final = "metamodel_headers"
_INLINE_CHARS: Final = 4000
_TEXT_CALLS: Final = frozenset({"text_completion", "atext_completion"})
_CHAT_CALLS: Final = frozenset({"completion", "acompletion", "anthropic_messages", "responses", "aresponses"})


class GuardrailPolicy:
    """What the guardrail decides, without any of LiteLLM's classes."""

    def __init__(self, screen: str | Screen, policy: Mapping[str, Any] | None, read: Mapping[str, Any] | None) -> None:
        """Load the pre-screen.

        Args:
            screen: Folder that `metamodel export` wrote, or a pre-screen.
            policy: As in a gateway's config; `to` names a model that LiteLLM knows.
            read: As in a gateway's config.

        Raises:
            ConfigError: Everything that is wrong with policy and read.
            DataError: The folder holds no pre-screen.
        """
        problems: list[str] = []
        self._policy = build_policy(dict(policy or {}), problems)
        plan = build_plan(ReadPlan, dict(read or {}), "read", problems)
        if plan is not None and plan.template is not None:
            problems += [f"read.template: {problem}" for problem in check_template(plan.template)]
        if problems or plan is None:
            raise ConfigError(problems, source="litellm_params")
        self._read = plan
        self._screen = screen if isinstance(screen, Screen) else load_screen(screen)

    async def decide(self, data: Mapping[str, object], *, is_chat: bool) -> tuple[Action, dict[str, str]]:
        """Return the action on a request and what response headers say of it."""
        read = read_prompts(data, self._read, is_chat=is_chat, max_chars=LimitPlan().max_screened_chars)
        screened = await self._screened(read)
        action = self._policy.choose(screened)
        return action, {} if action.action == "pass" else decision_headers(screened, action, read.warnings)

    async def _screened(self, read: ReadPrompts) -> list[Any]:
        if not read.texts:
            return []
        if sum(map(len, read.texts)) <= _INLINE_CHARS:
            return self._screen(read.texts)
        return await asyncio.to_thread(self._screen, read.texts)


def _as_chat(data: Mapping[str, object], call_type: str) -> Mapping[str, object]:
    """Return a request of the responses API as the chat that it is; every other as it came."""
    if "responses" not in call_type:
        return data
    given = data.get("input")
    return {"messages": given if isinstance(given, list) else [{"role": "user", "content": given}]}


@cache
def _guardrail_class() -> type:
    try:
        from litellm.integrations.custom_guardrail import CustomGuardrail
    except ImportError as error:
        raise MetamodelError("the guardrail needs LiteLLM: pip install 'metamodel[litellm]'") from error

    class MetamodelGuardrail(CustomGuardrail):
        """Asks a pre-screen before LiteLLM calls a model.

        A refusal is LiteLLM's answer with status 200 and the policy's message; a fallback replaces the request's model.
        """

        def __init__(
            self,
            *,
            screen: str | Screen,
            policy: Mapping[str, Any] | None = None,
            read: Mapping[str, Any] | None = None,
            **options: Any,  # noqa: ANN401 - LiteLLM's own
        ) -> None:
            """Load the pre-screen; `options` are LiteLLM's."""
            self._decides = GuardrailPolicy(screen, policy, read)
            super().__init__(**options)

        async def async_pre_call_hook(
            self,
            user_api_key_dict: object,
            cache: object,
            data: dict[str, Any],
            call_type: str,
        ) -> dict[str, Any] | str | None:
            """Return the request as it goes on; a str is an answer in place of the model's."""
            del user_api_key_dict, cache
            is_text = call_type in _TEXT_CALLS
            if not is_text and call_type not in _CHAT_CALLS:
                return None
            action, headers = await self._decides.decide(_as_chat(data, call_type), is_chat=not is_text)
            metadata = data.get("metadata")
            data["metadata"] = {**(metadata if isinstance(metadata, dict) else {}), METADATA_KEY: headers}
            if action.action == "refuse":
                answer_at_once = getattr(self, "raise_passthrough_exception", None)
                if answer_at_once is None:
                    return action.shown_message
                answer_at_once(violation_message=action.shown_message, request_data=data, detection_info=headers)
            if action.to is not None:
                data["model"] = action.to
            return data

        async def async_post_call_response_headers_hook(
            self, data: dict[str, Any], *_more: object, **_others: object
        ) -> dict[str, str] | None:
            """Return what the response's headers say of the decision."""
            metadata = data.get("metadata")
            headers = metadata.get(METADATA_KEY) if isinstance(metadata, dict) else None
            return dict(headers) if isinstance(headers, dict) else None

    return MetamodelGuardrail


def __getattr__(name: str) -> Callable[..., object]:
    """Make the guardrail's class when it is first asked for."""
    if name == "MetamodelGuardrail":
        return _guardrail_class()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
