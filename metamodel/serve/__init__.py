"""Serve a pre-screen over HTTP: `metamodel serve DIR`.

Nothing is imported here: a worker imports what it needs, and the command's help nothing at all.
"""
