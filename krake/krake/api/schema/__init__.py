"""Stored objects outlive versions of Krake: how the store says what wrote it, and how older objects are brought up to date.

``marks`` are the entries of the store that say which schema its objects have, and whether a restore is under way.
``migrations`` are the steps from one schema to the next, ``findings`` what is wrong with an entry; all three are pure.
``upgrade`` applies the steps.
"""
