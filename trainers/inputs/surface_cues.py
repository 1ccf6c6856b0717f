"""Short lists of English function words and common task words, by what they signal.

They are meant for any prompt: none is taken from a data set. In other languages they find nothing and stay zero.
"""

from __future__ import annotations

from typing import Final

CUES: Final[dict[str, str]] = {
    "what": "what whats what's",
    "which": "which whichever",
    "who": "who whom whose who's",
    "when": "when whenever",
    "where": "where wherever",
    "why": "why",
    "how": "how",
    "article": "a an the",
    "preposition": "of in on at by for from to with into onto over under between through during against about among",
    "conjunction": "and or but nor so yet while whereas although though however",
    "negation": "no not never none neither cannot can't don't doesn't didn't isn't aren't wasn't won't without nothing",
    "exception": "except excluding incorrect false untrue unlikely least wrong other invalid",
    "comparison": "more less fewer than greater higher lower larger smaller better worse same different equal similar",
    "superlative": "most best worst greatest highest lowest largest smallest first last maximum minimum primary main",
    "quantifier": "all every each any some many much few several both half twice total only always often usually",
    "modal": "can could may might must shall should will would",
    "condition": "if unless suppose assume assuming given provided let consider otherwise whether",
    "cause": "because therefore thus hence since due cause causes effect result results consequently why reason",
    "time": "before after then now until later earlier year years day days week weeks month hour hours minute minutes "
    "second seconds today time",
    "first_person": "i me my mine we us our ours",
    "second_person": "you your yours",
    "third_person": "he she him her his hers they them their theirs",
    "it": "it its this that these those",
    "be": "is are was were be been being am",
    "number_word": "zero one two three four five six seven eight nine ten eleven twelve twenty thirty fifty hundred "
    "thousand million billion",
    "compute": "calculate compute determine find evaluate estimate solve simplify derive count add subtract multiply "
    "divide",
    "mathematics": "sum product difference ratio function equation matrix vector integral derivative probability value "
    "values variable integer integers number numbers percent average mean angle area triangle set",
    "measure": "cm mm km m kg g mg lb ft inch inches meter meters miles mile degrees feet watts volts joules hz pounds "
    "dollars dollar cents cent price cost",
    "explain": "explain describe discuss why justify define summarize summary compare analyze reasons",
    "write": "write create generate compose draft rewrite edit translate poem story essay email list give provide",
    "choose": "choose select pick option options answer answers following correct statement statements true best above",
    "step": "step steps think reason carefully finally next",
    "format": "json table format bullet word words sentence sentences paragraph lines output input example examples",
    "program": "def return class import function print int string array code program algorithm loop null void const "
    "python java",
    "belief": "think believe know feel say said opinion according claim claims argue argues likely probably",
}
CATEGORIES: Final = tuple(CUES)
# Of several lists that hold a word the first counts; words are UTF-8, as the texts' are.
CATEGORY_OF: Final = {
    word.encode(): position for position, words in reversed(list(enumerate(CUES.values()))) for word in words.split()
}
# Function words stand in the lists up to "be", but for those that hold content words too.
FUNCTION_CATEGORIES: Final = tuple(
    position
    for position, name in enumerate(CATEGORIES[: CATEGORIES.index("be") + 1])
    if name not in {"exception", "comparison", "superlative", "cause", "time"}
)
