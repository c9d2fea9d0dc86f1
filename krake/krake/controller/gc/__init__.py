"""Deletes what depends on what is deleted.

``graph`` knows who depends on whom and what a deletion has to wait for, ``evacuation`` which dependents outlive their owner
(both pure); ``controller`` watches all kinds, deletes dependents and takes the finalizer ``cascade_deletion`` away once none
are left.
"""
