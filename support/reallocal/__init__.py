"""Kubernetes clusters on this machine, made and removed on request: what `support/local-clusters` does for Krake.

What belongs here: what a template asks for (``template``, pure), what is kept of each cluster (``folder``), the process
that keeps a cluster running (``keeper``, ``cluster``), finding and ending processes (``marked``), the verbs of the
protocol (``verbs``) and the command line (``command``). The servers are those of ``realkube``. Nothing here imports Krake.
"""
