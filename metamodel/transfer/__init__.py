"""Transfer: a metamodel trained on primary model A, scored on the labels of primary model B.

    opened = open_runs(["runs/zoo", "runs/real"])
    for scored in score_matrices(sources(opened), targets(opened), folder=Path("out")): ...

`opening` reads what a run holds, `blocks` finds which prompts judge, `reach` which fits may predict them, `spool` holds
their predictions, `matrices` scores them, `verdicts` tests, `trees` clusters; `stage` does all of it.
"""
