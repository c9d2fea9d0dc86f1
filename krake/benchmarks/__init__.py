"""Measures Krake on the machine it runs on: ``scripts/bench``.

Every module measures one thing and yields `Row`s of one table. What is compared takes turns in the same run, because the speed
of a machine drifts.
"""
