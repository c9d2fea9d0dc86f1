"""Brings clusters about: on which cloud or in which project, for which applications, and when they go.

``hosting`` watches, chooses and binds; ``clouds`` and ``projects`` say what is different for each. ``creation`` (pure) says
when an application gets a cluster of its own, ``creator`` has it created by a ``template``, and ``retention`` deletes it when
it is of no use any more. ``assembly`` puts them together.
"""
