"""Secrets at rest: the keys, what a sealed secret looks like, and the store that seals and unseals whatever passes.

Above that store everybody deals with plain secrets. Who is shown them is another matter, of the handlers.
"""
