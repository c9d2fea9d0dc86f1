"""Brings applications to clusters.

``world`` keeps what is known up with the informers; ``sweep`` looks, after each change, for the applications that it
concerns; ``controller`` decides on them one by one, newcomers first; ``movement`` has them wait for their turn where that
would move something; ``placing`` binds. Pure: ``failover`` says when a cluster is lost, ``turns`` and ``budgets`` who may
move when.
"""
