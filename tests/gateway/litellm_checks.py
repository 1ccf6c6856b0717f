"""What test_litellm.py runs in a process of its own: LiteLLM's import warns, and the suite's warnings are errors.

Usage: python litellm_checks.py CONFIG SCREEN_FOLDER; prints one JSON object.
"""

from __future__ import annotations

import asyncio
import json
import sys
import types
from pathlib import Path
from typing import Any

import yaml

try:
    import backoff  # noqa: F401 - LiteLLM's proxy classes ask for it
except ImportError:
    # It comes with litellm[proxy], whose many packages the tests do without; it retries calls to a database.
    sys.modules["backoff"] = types.ModuleType("backoff")
    sys.modules["backoff"].on_exception = lambda *_, **__: lambda function: function  # type: ignore[attr-defined] # a stand-in
    sys.modules["backoff"].expo = None  # type: ignore[attr-defined] # a stand-in

import litellm
from litellm.caching import DualCache
from litellm.integrations.custom_guardrail import CustomGuardrail, ModifyResponseException
from litellm.proxy._types import UserAPIKeyAuth
from litellm.proxy.guardrails.guardrail_registry import InMemoryGuardrailHandler
from litellm.types.guardrails import GuardrailEventHooks

from metamodel.integrations.litellm_hook import MetamodelGuardrail


def chat(text: str) -> dict[str, Any]:
    """Return a request as the proxy has it."""
    return {"model": "m", "messages": [{"role": "user", "content": text}], "metadata": {"kept": 1}}


async def main(config: str, content: str, screen: str) -> dict[str, object]:
    """Load the guardrail as the proxy does, and send requests through its hooks."""
    (entry,) = yaml.safe_load(content)["guardrails"]
    entry["litellm_params"]["screen"] = screen
    InMemoryGuardrailHandler().initialize_guardrail(entry, config_file_path=config)
    guardrail = next(one for one in litellm.callbacks if isinstance(one, CustomGuardrail))
    key = UserAPIKeyAuth(api_key="k")

    async def through_the_proxy(data: dict[str, Any], call_type: str) -> dict[str, Any]:
        changed = await guardrail.async_pre_call_hook(
            user_api_key_dict=key, cache=DualCache(), data=data, call_type=call_type
        )
        return changed if isinstance(changed, dict) else data

    found: dict[str, object] = {
        "is_own": type(guardrail) is MetamodelGuardrail,
        "runs": guardrail.should_run_guardrail(chat("x"), GuardrailEventHooks.pre_call),
    }
    for name, text in (("good", "all is good"), ("bad", "this is bad")):
        data = await through_the_proxy(chat(text), "acompletion")
        headers = await guardrail.async_post_call_response_headers_hook(data, key, None)
        found[name] = {"model": data["model"], "kept": data["metadata"]["kept"], "headers": headers}
    data = await through_the_proxy({"model": "m", "prompt": "this is bad"}, "atext_completion")
    found["text"] = data["model"]
    data = await through_the_proxy({"model": "m", "input": "this is bad"}, "aresponses")
    found["responses"] = data["model"]
    data = await through_the_proxy({"model": "m", "input": "this is bad"}, "aembedding")
    found["embedding"] = data["model"]
    blocking = MetamodelGuardrail(
        screen=screen,
        policy={"stop": {"action": "refuse", "message": "No."}},
        guardrail_name="b",
        event_hook="pre_call",
    )
    try:
        await blocking.async_pre_call_hook(key, DualCache(), chat("this is bad"), "acompletion")
    except ModifyResponseException as refusal:
        found["refusal"] = refusal.message
    try:
        MetamodelGuardrail(screen=screen, policy={"stopp": "refuse"}, guardrail_name="c")
    except ValueError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, the test reads it
        found["problem"] = str(error)
    return found


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(sys.argv[1], Path(sys.argv[1]).read_text(encoding="utf-8"), sys.argv[2]))))  # noqa: T201 - the test reads it
