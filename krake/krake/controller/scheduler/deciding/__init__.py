"""Decides, from one `snapshot` of what is known: about applications, clusters to be created, and Magnum clusters. Pure.

``filters`` say which candidates are out of the question, ``crowding`` likewise by who else is there (``ledger``,
``accounts``, ``groups``, ``tenants``, ``vacancies``), and ``scores`` rank the rest. ``fleet`` prepares candidates for many
decisions, ``cases`` look at one application, and ``decide`` says where it goes; ``hosts`` do the same for clouds and projects.
``inheritance`` says what resources take over from where they are.
"""
