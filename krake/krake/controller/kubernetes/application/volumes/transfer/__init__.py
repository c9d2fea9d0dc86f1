"""Copies volumes: one process serves what is in them, another one fetches it and makes its own volumes equal.

These files run in containers that have nothing but Python (3.9 or later), so they know nothing of Krake: `serving` is one side,
`fetching` the other one, which speaks through `source`; `tree` is what both know of volumes. Here belongs nothing else.
"""
