"""Secrets at rest: the keys, what a sealed secret looks like, and the store that seals what is written and unseals what is read.

Above that store everybody deals with plain secrets. Who is shown them is another matter, see :mod:`krake.api.audience`.
"""
