"""Checkpoints: which behaviors rise and fall over pretraining, and how long a metamodel of an early one stays right.

`sizes` knows how large each primary model is and how much it has read, `rates` measures behaviors and hands them to
`metamodel.scaling`, `reading` lines up labels and predictions, `drift` tests one pair of checkpoints, `lasting` finds
the first checkpoint at which a metamodel is wrong; `stage` does all of it.
"""
