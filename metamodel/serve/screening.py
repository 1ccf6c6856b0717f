"""Answer POST /v1/screen."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from starlette.types import Receive, Scope

from metamodel.screen.screen import Screen
from metamodel.screen.screened import ScreenedPrompt
from metamodel.serve.answers import Words, answer_body, narrowed
from metamodel.serve.bodies import parse_request
from metamodel.serve.limits import check_media_type, read_body
from metamodel.serve.observed import FACTS, Facts
from metamodel.serve.service import Service

# A prompt is predicted without each word, or group of words. Others wait meanwhile, so of a longer prompt there are
# fewer groups: about so many characters are read in all.
_EXPLAINED_CHARACTERS = 250_000
_LEAST_GROUPS = 4
_MOST_GROUPS = 200


class Screening:
    """Decides about the prompts of one request."""

    def __init__(self, service: Service) -> None:
        """Use what the worker holds."""
        self._service = service

    async def answer(self, scope: Scope, receive: Receive) -> bytes:
        """Return the body of the answer.

        Raises:
            Refusal: The request is not answered as asked.
            Disconnected: The client went away.
        """
        service = self._service
        # First of all, so that a server that has too much to do does not read bodies as well.
        service.work.check_room()
        check_media_type(scope)
        body = await read_body(scope, receive, most_bytes=service.settings.max_body_bytes, budget=service.budget)
        try:
            return await self._answer(body, scope[FACTS])
        finally:
            service.budget.give_back(len(body))

    async def _answer(self, body: bytes, facts: Facts) -> bytes:
        service = self._service
        loaded = service.served.current
        prompts, request = parse_request(body, service.settings, loaded.behaviors)
        behaviors = None if request.behaviors is None else frozenset(request.behaviors)
        screened = await service.work.screen(loaded.screen, prompts)
        if loaded is service.served.current:
            service.watching.see(loaded.screen, screened)
        if behaviors is not None:
            screened = [narrowed(one, behaviors) for one in screened]
        words = None
        if request.words:
            asked = [name for name in loaded.behaviors if behaviors is None or name in behaviors]
            words = [await self._words(loaded.screen, prompt, asked, request.words) for prompt in prompts]
        self._note(prompts, screened, facts)
        return answer_body(loaded.version, screened, words)

    async def _words(self, screen: Screen, prompt: str, behaviors: Sequence[str], most: int) -> Words:
        """Return the words that mattered, by behavior."""
        return {
            behavior: await self._service.work.call(partial(_words, screen, prompt, behavior, most))
            for behavior in behaviors
        }

    def _note(self, prompts: Sequence[str], screened: Sequence[ScreenedPrompt], facts: Facts) -> None:
        service = self._service
        service.metrics.screened(screened)
        facts.logged["prompts"] = len(screened)
        facts.logged["stopped"] = sum(one.decision == "stop" for one in screened)
        facts.logged["unfamiliar"] = sum(one.is_unfamiliar for one in screened)
        if service.settings.log_prompts:
            facts.logged["texts"] = list(prompts)


def _words(screen: Screen, prompt: str, behavior: str, most: int) -> list[dict[str, object]]:
    from metamodel.screen.words import words_that_mattered

    most_words = min(max(_EXPLAINED_CHARACTERS // max(len(prompt), 1), _LEAST_GROUPS), _MOST_GROUPS)
    effects = words_that_mattered(screen, prompt, behavior, most=most, most_words=most_words)
    return [effect.to_dict() for effect in effects]
