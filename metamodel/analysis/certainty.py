"""English words by which an author says how certain something is: hedges and boosters.

Ground floor: nothing here but the standard library. Words are counted in bytes, which is several times as fast as in
characters; every cue is ASCII. Time is linear in the text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

# Everything but letters, digits and apostrophes parts words; capitals become small.
_KEPT: Final = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789'") | frozenset(range(128, 256))
_SMALL: Final = bytes(range(256)).lower()
_WORD_TABLE: Final = bytes(_SMALL[code] if _SMALL[code] in _KEPT else 32 for code in range(256))
_CONTEXT_WORDS: Final = 6


@dataclass(frozen=True, kw_only=True)
class Lexicon:
    """Words of one stance.

    Attributes:
        words: Cues wherever they stand.
        anchors: Words that are cues in certain company, each with the pattern that its surroundings must match. The
            pattern sees six words before and after, the anchor itself in angle brackets.
    """

    words: frozenset[bytes]
    anchors: dict[bytes, re.Pattern[bytes]]

    def count(self, words: list[bytes]) -> int:
        """Return the number of cues among the words of a text.

        >>> HEDGES.count(words_of("It may rain in May, I think.")), HEDGES.count(words_of("You may sit."))
        (2, 0)
        """
        n_cues = sum(map(self.words.__contains__, words))
        if self.anchors.keys().isdisjoint(words):
            return n_cues
        return n_cues + sum(
            self.anchors[word].search(_surroundings(words, place)) is not None
            for place, word in enumerate(words)
            if word in self.anchors
        )


def words_of(text: str) -> list[bytes]:
    """Return the words of a text, in small letters; the name of the month and of the power keep no trace.

    >>> words_of("Isn\u2019t it?")
    [b"isn't", b'it']
    """
    raw = text.encode("utf-8", errors="surrogatepass")
    if not text.isascii():
        raw = raw.replace(b"\xe2\x80\x99", b"'").replace(b"\xe2\x80\x94", b" ").replace(b"\xe2\x80\x93", b" ")
    return raw.translate(_WORD_TABLE).split()


def _surroundings(words: list[bytes], place: int) -> bytes:
    before = b" ".join(words[max(0, place - _CONTEXT_WORDS) : place])
    after = b" ".join(words[place + 1 : place + 1 + _CONTEXT_WORDS])
    return b" ".join((before, b"<" + words[place] + b">", after))


def _words(listed: str) -> frozenset[bytes]:
    return frozenset(listed.encode().split())


def _anchors(patterns: dict[str, str]) -> dict[bytes, re.Pattern[bytes]]:
    return {
        word.encode(): re.compile(pattern.encode()) for words, pattern in patterns.items() for word in words.split()
    }


_PERSON: Final = r"\b(?:i|we|you|they|he|she|who)"
_BELIEVERS: Final = (
    r"(?:i|we|some|many|most|others|scholars|experts|scientists|researchers|people|historians|authors|critics|they)"
)

HEDGES: Final = Lexicon(
    words=_words(
        "perhaps maybe possibly probably presumably supposedly seemingly apparently arguably conceivably plausibly "
        "potentially purportedly allegedly reportedly ostensibly putative putatively presumptive speculative "
        "speculatively "
        "speculate speculates speculated speculating speculation hypothesize hypothesizes hypothesized hypothesise "
        "hypothesised hypothesis hypotheses hypothetical hypothetically postulate postulates postulated conjecture "
        "conjectured conjectures surmise surmised suspect suspects suspected suspicious presume presumes presumed "
        "probable plausible possibility possibilities unlikely likelihood uncertain uncertainty unclear unsure "
        "unsettled unproven unverified inconclusive tentative tentatively debatable doubtful dubious questionable "
        "seem seems seemed seeming equivocal indeterminate imo imho afaik suggestive could've might've"
    ),
    anchors=_anchors(
        {
            "might": r"(?<!the )(?<!his )(?<!their )(?<!its )(?<!all my )<might>(?! of\b)",
            "may": (
                rf"(?<!\bin )(?<!\bof )(?<!\bon )(?<!since )(?<!until )(?<!\bby )(?<!last )(?<!next )(?<!early "
                rf")(?<!late )"
                rf"(?<!mid )(?<![0-9] )(?<![0-9](?:st|nd|rd|th) )(?<!^ )(?<!\byou )<may> (?!i\b|we\b|[0-9])"
                rf"|{_PERSON} <may> (?:not )?(?:be|have|feel|notice|experience|seem|think|well|already|need|find|see"
                rf"|remember|know)\b"
            ),
            # A suggestion ("you could try") and a past ability ("she could swim") are no hedges.
            "could": (
                rf"(?<!\bi )(?<!\bwe )(?<!\byou )(?<!\bthey )(?<!\bhe )(?<!\bshe )(?<!\bwho )(?<!\bif )<could> "
                rf"(?!not\b|you\b|i\b|we\b)"
                rf"|{_PERSON} <could> (?:also |well )?(?:be|have been)\b|^ <could> be\b"
            ),
            "likely": r"(?<!not )<likely>",
            "possible": r"(?<!as )(?<!if )(?<!where )(?<!when )(?<!whenever )(?<!not )(?<!all )(?<!best )<possible>",
            "appear appears appeared": (
                r"<appear\w*> (?:to|that|as if|as though|likely|more|less|unable|consistent)\b|\bit <appear\w*>"
            ),
            "suggest suggests suggested suggesting": (
                r"\b(?:which|that|results?|data|findings?|evidence|stud(?:y|ies)|analys[ei]s|experiments?"
                r"|observations?|logs?|records?|this|these|it|research|sources|reports?|pattern|tests?|also|strongly"
                r"|has|have|been|been|as|is) <suggest\w*>|<suggest\w*> (?:that|a possible|an? role)\b(?!.*\b(?:i|we"
                r"|you) <)|<suggesting>|<suggested> (?:that|to)|<suggests>"
            ),
            "indicate indicates indicated indicating": (
                r"<indicat\w*> (?:that|an?|the (?:presence|existence|involvement))\b"
            ),
            "imply implies implied implying": r"<impl\w+> that\b",
            "think": (
                rf"\b{_BELIEVERS}(?: \w+ly| also| do| still)* <think>(?! (?:about|of\b|outside|twice|for|before"
                rf"|i should|it through))"
            ),
            "believe believed believes": (
                rf"\b{_BELIEVERS}(?: \w+ly| also| do| still)* <believ\w*>(?! (?:in|how|me|it\b|you|that you can))"
                rf"|\b(?:is|are|was|were|been|widely|generally) <believed>"
            ),
            "thought": r"\b(?:is|are|was|were|been|widely|generally) <thought> (?:to|that)\b",
            "guess": r"\b(?:i|i'd|my|would|best) <guess>",
            "suppose supposed": r"\bi <suppose>|\b(?:is|are) <supposed> that",
            "assume assumes assumed assuming": (
                r"\b(?:i|we|can|could|safe to|is|are|often|generally) <assum\w*>(?! (?:that|the)? ?\w+ is (?:even"
                r"|odd|prime|true))"
            ),
            "estimate estimated estimates": (
                r"\b(?:is|are|was|were|been|an|my|rough|i|we|it) <estimate[ds]?>|<estimated> (?:at|to|that)"
                r"|<estimates> (?:suggest|vary|range)"
            ),
            "sure certain": (
                r"\b(?:not|n't|never)(?: \w+)? <(?:sure|certain)>|\bisn't <(?:sure|certain)>"
                r"|\b\w+n't(?: \w+)? <(?:sure|certain)>"
            ),
            "confident": r"\b(?:not|\w+n't)(?: \w+)? <confident>",
            "know known": (
                r"\b(?:not|\w+n't|never|nobody|noone|one|little is|yet)(?: \w+)?(?: \w+)? <know(?:n)?>(?! (?:how to"
                r"|him|her|me|my|as)\b)"
            ),
            "whether": (
                r"\b(?:not|\w+n't|unknown|determine|unclear|question|debate|evaluate|assess|test|investigate"
                r"|examined?|see|know|if|doubt|wonder|uncertain|remains|clear|tested|determined"
                r"|investigated) (?:\w+ )?<whether>"
            ),
            "unknown": r"\b(?:is|are|remains?|was|were|still|largely|currently|yet) <unknown>|^ ?<unknown>",
            "clear": r"\b(?:not|\w+n't|never)(?: \w+)? <clear>",
            "excluded exclude ruled rule": (
                r"\b(?:cannot|can't|not|could not|couldn't) (?:be )?(?:completely |entirely )?<(?:excluded?|ruled?)>"
            ),
            "remains remain": (
                r"<remains?> (?:to be|an open|unclear|unknown|unproven|a mystery|open|controversial"
                r"|disputed)\b(?! unclear| unknown)"
            ),
            "far best": r"\bas <far> as (?:i|we|is|anyone)\b|\bto the <best> of (?:my|our)\b|\bmy <best> guess\b",
            "knowledge understanding": r"\bto (?:my|our|the best of my|the best of our) <(?:knowledge|understanding)>",
            "opinion view mind": r"\bin (?:my|our)(?: \w+)? <(?:opinion|view|mind)>",
            "mistaken": r"\b(?:if i'm not|unless i'm) <mistaken>",
            "doubt": r"\b(?:i|we|some|many|experts) <doubt>",
            "consistent compatible": (
                r"\b(?:findings?|appearances?|changes|likely|is|are|opacity|which) <(?:consistent"
                r"|compatible)> with (?:an?|the diagnosis|either)?\b"
            ),
            "propose proposed proposes": (
                r"\b(?:we|is|are|been|was|were|it|has|have|authors) <propose[ds]?>(?! (?:a toast|marriage|to (?:her"
                r"|him)))"
            ),
            "either": r"<either>(?: \w+){1,5} or\b",
            "hard difficult": r"\b(?:it's|is|be) <(?:hard|difficult)> to (?:say|tell|know|determine|predict|be)\b",
            "depends depend": r"\bit (?:really |all )?<depends>$|\bit (?:really )?<depends>(?: on)?\b",
            "sounds looks feels": r"<(?:sounds|looks|feels)> (?:like|as if|as though)\b",
            "evidence": r"\b(?:some|preliminary|limited|no conclusive|little|mixed|weak) <evidence>",
        }
    ),
)
BOOSTERS: Final = Lexicon(
    words=_words(
        "definitely certainly undoubtedly undeniably unquestionably unequivocally indisputably indisputable undeniable "
        "unquestionable incontrovertibly incontrovertible obviously clearly surely absolutely evidently decidedly "
        "conclusively conclusive positively doubtless irrefutable irrefutably unmistakably unmistakable assuredly "
        "invariably indubitably guaranteed undisputed undisputedly definite definitively totally completely utterly "
        "really truly indeed"
    ),
    anchors=_anchors(
        {
            "doubt": r"\b(?:without|no|beyond)(?: a| any| all| the shadow of a| reasonable)* <doubt>",
            "question": r"\b(?:without|no|beyond) <question>",
            "course": r"\bof <course>",
            "fact": r"\bin <fact>",
            "sure certain confident positive convinced": (
                r"\b(?:i'm|i am|we're|we are|absolutely|quite|very|completely|pretty|totally|for)(?: \w+ly| quite"
                r"| very)* <(?:sure|certain|confident|positive|convinced)>"
            ),
            "know": r"\b(?:i|we all|everyone|everybody) <know> that\b",
            "must": r"<must> (?:be|have been|have)\b",
            "obvious evident": r"\b(?:is|was|it's|be|perfectly|quite) <(?:obvious|evident)>",
            "proves proven proved": (
                r"\b(?:this|which|that|it|has been|is|been|evidence|clearly) <prove[sdn]>(?! to be)"
            ),
        }
    ),
)
# Frequency, quantity and degree: they make a statement less exact rather than less certain.
APPROXIMATORS: Final = Lexicon(
    words=_words(
        "approximately roughly almost nearly generally usually often sometimes frequently occasionally typically "
        "normally "
        "largely mainly mostly relatively somewhat fairly essentially broadly partly partially rather quite circa"
    ),
    anchors=_anchors(
        {
            "about around some": r"<(?:about|around|some)> [0-9]",
            "tend tends tended": r"<tend\w*> to\b",
            "general whole": r"\bin <general>|\bon the <whole>",
            "cases instances": r"\bin (?:most|many|some) <(?:cases|instances)>",
            "extent degree": r"\bto (?:some|a certain|a large|an) <(?:extent|degree)>",
        }
    ),
)
