"""Logs of outputs that exist already: what people have from lm-evaluation-harness, Inspect, AlpacaEval and the like.

One file a format turns files into rows; everything after that is the same for all of them, and works on columns.
"""
