"""Watches the nodes of registered clusters and tells how the clusters are.

``condition`` (pure) says what state follows from what was seen, ``nodes`` sees, and ``controller`` writes what changed.
"""
