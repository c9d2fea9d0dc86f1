"""Places applications on clusters.

``snapshot`` is what a decision is made from, ``filters`` say which clusters are out of the question, ``scores`` rank the rest,
``decide`` puts them together, ``explanation`` says it in words, and ``measuring`` makes readings of the answers of metrics
providers: all of these are pure. ``meter`` asks the providers, and ``controller`` watches, decides and binds.
"""
