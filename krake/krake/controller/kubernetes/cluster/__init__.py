"""Watches the nodes and the Pods of registered clusters, and tells how the clusters are.

``condition`` (pure) says what state follows from what was seen, ``capacity`` (pure) how much there is and how much is asked
for, ``steadiness`` and ``retrying`` (pure) how long it takes until a change counts; ``watching`` sees, and ``controller``
writes what changed.
"""
