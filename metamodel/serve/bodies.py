"""Requests and answers of the HTTP interface. This is the only file of the server that knows pydantic.

The classes are what /openapi.json is made from. Requests are parsed by them too: pydantic reads JSON in Rust, with
bounded nesting, faster than `json` builds a dictionary. Answers are built as plain dictionaries.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from metamodel.errors import nearest_name_hint
from metamodel.screen.rules import Decision
from metamodel.serve.errors import Refusal
from metamodel.serve.settings import ServeSettings

MOST_WORDS = 50
_MOST_PROBLEMS = 5
# More names than this in a message help nobody.
_MOST_NAMES = 50
Schema: TypeAlias = dict[str, object]


def _whole(value: object) -> object:
    """Let 3.0 be a whole number: to JSON schema it is one."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


class ScreenRequest(BaseModel):
    """One or many prompts to decide about."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    prompts: str | list[str] = Field(description="One prompt, or a list of prompts.")
    behaviors: list[str] | None = Field(
        default=None, description="Decide and answer by these behaviors alone; without it by all of them."
    )
    words: Annotated[int, BeforeValidator(_whole)] = Field(
        default=0,
        ge=0,
        le=MOST_WORDS,
        description="Name up to so many words of each prompt that mattered most, for each behavior. Costs many "
        "predictions a prompt, so only few prompts may be sent at once.",
    )


class WordAnswer(BaseModel):
    """What one word of a prompt, or a group of neighboring words, does to a prediction.

    That is the prediction of failure where the behavior has a rule, else that of the likeliest outcome.
    """

    text: str
    start: int = Field(description="Place of its first character in the prompt.")
    end: int = Field(description="Place behind its last one.")
    probability: float = Field(description="Probability with the word, less that without it.")
    log_odds_bits: float = Field(description="The same for the log odds, in bits.")


class ScreenedAnswer(BaseModel):
    """The decision on one prompt."""

    decision: Decision
    stopped_by: list[str] = Field(description="Behaviors whose rule stopped the prompt.")
    failures: dict[str, float] = Field(description="Probability of failure of each behavior that has a rule.")
    probabilities: dict[str, dict[str, float]] = Field(description="Probability of each outcome, by behavior.")
    unfamiliarity: float | None = Field(
        description="Share of held-out training prompts that lie nearer to the training prompts, from 0 to 1."
    )
    is_unfamiliar: bool = Field(description="A warning: the prompt is unlike the training prompts.")
    words: dict[str, list[WordAnswer]] | None = Field(
        default=None, description="Words that mattered most, by behavior; only where asked for."
    )


class ScreenAnswer(BaseModel):
    """The decisions, in the order of the prompts."""

    screen: str = Field(description="Which pre-screen decided: the hash of its screen.json.")
    screened: list[ScreenedAnswer]


class HealthAnswer(BaseModel):
    """Whether the process answers."""

    status: str


class ReadyAnswer(BaseModel):
    """Which pre-screen is in service."""

    ready: bool
    screen: str = Field(description="The hash of its screen.json.")
    loaded_at: str = Field(description="When it was loaded, in UTC.")
    behaviors: list[str]
    rules: int = Field(description="Rules that it decides by; without any it lets every prompt through.")
    reload_error: str | None = Field(description="Why the folder's present content is not in service, if it is not.")


class ErrorDetail(BaseModel):
    """Why a request was not answered as asked."""

    code: str
    message: str
    request_id: str


class ErrorAnswer(BaseModel):
    """A request that was not answered as asked."""

    error: ErrorDetail


def parse_request(body: bytes, settings: ServeSettings, behaviors: Sequence[str]) -> tuple[list[str], ScreenRequest]:
    """Return the prompts of a request's body, as a list, and the request.

    Raises:
        Refusal: It is no JSON, not as documented, or too large.
    """
    try:
        request = ScreenRequest.model_validate_json(body)
    except ValidationError as error:
        raise _refusal(error) from None
    prompts = [request.prompts] if isinstance(request.prompts, str) else request.prompts
    if not 1 <= len(prompts) <= settings.max_batch:
        raise Refusal(422, "batch_size", f"got {len(prompts)} prompts, must be 1 to {settings.max_batch}")
    for place, prompt in enumerate(prompts):
        if len(prompt) > settings.max_prompt_characters:
            most = settings.max_prompt_characters
            raise Refusal(422, "prompt_size", f"prompts[{place}] has {len(prompt)} characters, may have {most}")
    if request.words and len(prompts) > settings.max_explained:
        raise Refusal(
            422,
            "too_many_to_explain",
            f"got {len(prompts)} prompts, may be {settings.max_explained} where words are asked for",
        )
    if request.behaviors is not None:
        unknown = sorted(set(request.behaviors) - set(behaviors))
        if unknown or not request.behaviors:
            named = f"{unknown[0][:100]!r} is no behavior of this pre-screen: " if unknown else "behaviors is empty: "
            raise Refusal(
                422,
                "unknown_behavior",
                named + nearest_name_hint(unknown[0][:100] if unknown else "", list(behaviors)[:_MOST_NAMES]),
            )
    return prompts, request


def _refusal(error: ValidationError) -> Refusal:
    """Say what is wrong with a body, and nothing of what it holds."""
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    if problems[0]["type"] == "json_invalid":
        return Refusal(400, "not_json", problems[0]["msg"])
    said = [
        f"{'.'.join(str(part)[:40] for part in problem['loc'][:4]) or 'body'}: {problem['msg']}"
        for problem in problems[:_MOST_PROBLEMS]
    ]
    return Refusal(422, "not_as_documented", "; ".join(said))


def request_schema(settings: ServeSettings, behaviors: Sequence[str]) -> Schema:
    """Return the JSON schema of a request, with this server's limits in it."""
    prompt = {"type": "string", "maxLength": settings.max_prompt_characters}
    many = {"type": "array", "items": prompt, "minItems": 1, "maxItems": settings.max_batch}
    schema: Schema = ScreenRequest.model_json_schema()
    fields = schema["properties"]
    if not isinstance(fields, dict):
        raise TypeError("pydantic described a request without fields")
    fields["prompts"]["anyOf"] = [prompt, many]
    names = {"type": "array", "items": {"type": "string", "enum": list(behaviors)}, "minItems": 1}
    fields["behaviors"]["anyOf"] = [names, {"type": "null"}]
    # Words are costly: with them a request may hold fewer prompts.
    few = {"anyOf": [prompt, {**many, "maxItems": min(settings.max_explained, settings.max_batch)}]}
    schema["anyOf"] = [{"properties": {"words": {"const": 0}}}, {"properties": {"prompts": few}}]
    return schema
