"""The Newformer protocol: what is known of a primary model that nobody has studied yet.

After the thought experiment that Holtzman, West, Zettlemoyer (2023) begin with: a new architecture appears; which of
the behaviors known from others does it share, in which contexts, and how far do metamodels of the others carry?
"""
