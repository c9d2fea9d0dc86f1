"""Places applications on clusters, and clusters that are to be created on clouds and in projects.

``deciding`` decides, ``explaining`` says why, and ``planning`` what would be. ``metrics`` knows the values of metrics. What is
decided is carried out by ``applications`` and ``provisioning``; ``controller`` puts all of them together.
"""
