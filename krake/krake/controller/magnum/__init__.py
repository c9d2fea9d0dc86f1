"""Creates clusters by OpenStack Magnum, and keeps them as they are declared.

What to do is decided by ``lifecycle``, and how Krake logs in to what came of it by ``credentials``; ``controller`` looks, acts
and writes. ``publishing`` keeps the resource of the Kubernetes cluster; ``outages`` knows what is left alone at the moment.
"""
