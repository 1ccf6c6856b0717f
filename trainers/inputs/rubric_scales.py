"""General scales of what a task demands, from 0 (not at all) to 5 (as much as any task could), in our own words.

In the spirit of the demand levels of Zhou et al., General Scales Unlock AI Evaluation with Explanatory and Predictive
Power (2025), who rate tasks on 18 scales of abilities, knowledge and circumstances. Theirs are long rubrics that were
validated; these are short ones that were not.
"""

from __future__ import annotations

LEVELS = ("0", "1", "2", "3", "4", "5")

_GENERAL = """
Attention: how hard it is to find and keep in view what matters in the text. 0: all of it is in plain sight. 3:
several facts must be picked out among others. 5: scattered details must be tracked through long, confusing matter.

Understanding language: how hard the wording is to understand. 0: a few plain words. 3: long sentences, technical or
figurative language. 5: dense, ambiguous or archaic language whose sense even experts dispute.

Producing language: how hard it is to word the answer well. 0: a letter, a number or a name. 3: some paragraphs of
clear prose. 5: a long, original and masterly text.

Forming concepts: how much must be learned or abstracted from the text itself. 0: nothing new. 3: a rule must be
seen in examples. 5: a new theory or system must be built.

Telling relevant from irrelevant: how hard it is to see which information solves the task. 0: there is no other. 3:
some plausible information misleads. 5: nearly everything misleads and the key is well hidden.

Knowing what one knows: how hard it is to tell whether an answer is right or can be known at all. 0: it is obvious.
3: a careful check is needed. 5: even experts would be sure and wrong.

Planning and checking one's own steps: 0: the answer comes at once. 3: several steps must be planned and some taken
back. 5: a long search with many dead ends.

Modelling other minds: how much must be inferred about what people think, want or feel. 0: nothing. 3: what one
person believes or intends. 5: what several believe about each other's hidden intentions.

Logical reasoning: length and difficulty of the chain of inference. 0: none. 3: several dependent steps. 5: long
proofs with cases, negations and exceptions.

Quantitative reasoning: 0: no number matters. 1: counting. 3: several operations or an equation. 5: research-level
mathematics.

Space and matter: how much must be imagined of shapes, places, motion or physical causes. 0: nothing. 3: several
objects that move or turn. 5: intricate mechanisms or geometry in three dimensions.

Knowledge of formal fields (mathematics, logic, computing, linguistics): 0: none. 2: school. 3: first years of
university. 5: known to specialists alone.

Knowledge of nature (physics, chemistry, biology, earth, space): 0: none. 2: school. 3: first years of university.
5: known to specialists alone.

Knowledge of applied fields (engineering, medicine, law, trade, crafts): 0: none. 2: everyday practice. 3: training
in the profession. 5: known to specialists alone.

Knowledge of people and society (history, economics, psychology, politics, arts): 0: none. 2: school. 3: first years
of university. 5: known to specialists alone.

Knowledge of customs and popular culture: 0: none. 3: of one country or scene. 5: obscure or local particulars.

Unusualness: how unlike common tasks it is in form or content. 0: asked in these very words everywhere. 3: a known
kind of task with a twist. 5: nothing like it can have been seen before.

Length and guessing: how much must be worked through, and how little guessing helps. 0: one glance, or a coin tossed
is often right. 3: minutes of work, a guess is rarely right. 5: hours of work, no guess is ever right.
"""

GENERAL_SCALES = tuple(" ".join(scale.split()) for scale in _GENERAL.split("\n\n"))
