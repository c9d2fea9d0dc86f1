"""Places applications on clusters, and clusters that are to be created on clouds and in projects.

What decides is pure, and works on one `snapshot` of what is known:

* ``filters`` say which candidates are out of the question, ``crowding`` likewise by who else is there (``ledger``, ``accounts``,
  ``tenants``, ``vacancies``), ``scores`` rank the rest; ``fleet`` prepares candidates for many decisions, ``cases`` look at one
  application, and ``decide`` says where it goes. ``hosts`` do the same for clouds and projects.
* ``explanation``, ``recording``, ``notes`` and ``counterfactuals`` say why; ``whatif`` and ``planning`` what would be.
* ``failover`` says when a cluster is lost, ``turns`` and ``budgets`` who may move when, ``inheritance`` what clusters take over
  from clouds, ``creation`` when one is created, and ``measuring`` what the answers of metrics providers mean.

What does is a thin shell around that. ``world`` keeps the snapshot up with what the informers tell; ``sweep`` looks, after each
change, for the applications that it concerns; ``applications`` decides on them one by one, newcomers first; ``movement`` has them
wait for their turn where that would move something; ``placing`` binds. ``meter`` asks the metrics providers, ``reporting`` tells
who fails; ``provisioning`` runs ``clouds``, ``projects``, ``creator`` and ``retention``; ``chronicle`` writes decisions down, and
``planner`` answers plans. ``controller`` puts all of them together.
"""
