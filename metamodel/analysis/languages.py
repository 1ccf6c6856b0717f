"""A light guess of the language of a text: by its script, by letters of its own, else by its commonest short words.

Ground floor: nothing here imports another module of the project but the scripts. It knows the 30 languages that
IFEval's prompts ask for, is deterministic, and says nothing rather than guess from too little.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Final

from metamodel.analysis.scripts import script_counts

_LONGEST_READ: Final = 20_000
_FEWEST_HITS: Final = 2
_WORD: Final = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")  # noqa: RUF001 - an apostrophe

_BY_SCRIPT: Final = {
    "thai": "th",
    "hangul": "ko",
    "hebrew": "he",
    "bengali": "bn",
    "tamil": "ta",
    "telugu": "te",
    "kannada": "kn",
    "malayalam": "ml",
    "gujarati": "gu",
    "gurmukhi": "pa",
    "kana": "ja",
    "han": "zh",
    "greek": "el",
}
# Letters that only the first of the languages of a script has. The first list with a letter of the text decides.
_OWN_LETTERS: Final = {
    "cyrillic": (("uk", "іїєґІЇЄҐ"), ("ru", "ыэёЫЭЁ")),
    "arabic": (("ur", "ٹڈڑےںھہ"), ("fa", "پچژگکی")),
}
_OTHERWISE: Final = {"cyrillic": "bg", "arabic": "ar"}
_DEVANAGARI: Final = {
    "hi": "है हैं और में की के का से नहीं यह को पर था थे थी कि जो एक कर",
    "mr": "आहे आहेत आणि मध्ये नाही च्या या हे ते ती होते होता मी तो असे साठी",
    "ne": "छ छन् र मा को का हो हुन् गर्न भएको पनि यो लागि गर्नुहोस् छैन थियो",
}
_LATIN: Final = {
    "en": "the of and to in is that for it with as was on are this be by not or from at have an which you he "
    "she they we will can if has but i my your what there then so when all do does no yes how its their",
    "es": "el la de que y en los se del las por un para con no una su al es lo como más pero sus le ya o este "
    "sí porque esta son entre está cuando muy sin sobre ser tiene también me hasta hay donde",
    "pt": "o a de que e do da em um para é com não uma os no se na por mais as dos como mas foi ao ele das tem "
    "à seu sua ou ser quando muito há nos já está eu também só pelo pela até isso ela são você",
    "fr": "le la les de des du et à en un une est que qui dans pour pas sur au par il elle ne se ce cette avec "
    "plus sont ou son sa ses nous vous je mais comme aux d'un l'on c'est être été leur",
    "de": "der die das und in den von zu mit sich des auf für ist im dem nicht ein eine als auch es an werden "
    "aus er hat dass sie nach wird bei einer um am sind noch wie einem über so ich wir aber oder",
    "it": "il lo la i gli le di che e un una in per non è sono con si da del della dei delle al alla come più "
    "anche ma nel nella questo questa ha hanno se ci essere o su dal dalla",
    "pl": "i w na z do że nie się jest to o od jak po za przez dla ale są był była było oraz co tak jego jej "
    "ich tego tym może które który która czy lub przy już tylko",
    "vi": "và của là có không được cho một trong các những người với này để khi đã đến từ như về tôi bạn cũng "
    "ra sẽ vào nhiều rất hay làm",
    "sw": "na ya wa ni kwa katika la za kuwa hii cha kama ambayo au hiyo yake vya pia lakini huu si wao yao "
    "kwenye watu hivyo zaidi ili moja",
    "fi": "ja on ei se että oli en hän mutta joka ovat kun niin kuin myös tai mitä sen ole tämä voi olla hänen "
    "minä ne sitä jos vain mukaan sekä",
}
_WORDS: Final = {
    "latin": {language: frozenset(words.split()) for language, words in _LATIN.items()},
    "devanagari": {language: frozenset(words.split()) for language, words in _DEVANAGARI.items()},
}


def guess_language(text: str) -> str | None:
    """Return the ISO 639-1 code of the language of a text, or None where there is too little to tell.

    The script with most letters decides where one language of the 30 uses it; letters of its own tell Ukrainian and
    Russian from Bulgarian, Urdu and Persian from Arabic, kana Japanese from Chinese; the most hits of a list of its
    commonest words, at least two of them, decide among the ten languages in Latin script, and among Hindi, Marathi and
    Nepali. Reads the first 20,000 characters.

    >>> [guess_language(text) for text in ("The cat is on the table.", "Der Hund ist nicht im Haus.", "x = 1")]
    ['en', 'de', None]
    """
    text = text[:_LONGEST_READ]
    counts = script_counts(text)
    if not counts:
        return None
    script, _ = counts.most_common(1)[0]
    if script == "han" and counts["kana"]:
        return "ja"
    if script in _BY_SCRIPT:
        return _BY_SCRIPT[script]
    if script in _OWN_LETTERS:
        letters = set(text)
        owners = (language for language, own in _OWN_LETTERS[script] if not letters.isdisjoint(own))
        return next(owners, _OTHERWISE[script])
    if script not in _WORDS:
        return None
    # Vowel signs are no letters to a regular expression: words of Devanagari are what whitespace parts.
    words = Counter(_WORD.findall(text.lower()) if script == "latin" else text.split())
    return _by_words(words, _WORDS[script])


def _by_words(words: Counter[str], lists: dict[str, frozenset[str]]) -> str | None:
    hits = {language: sum(words[word] for word in known if word in words) for language, known in lists.items()}
    best = max(hits, key=lambda language: hits[language])
    return best if hits[best] >= _FEWEST_HITS else None
