"""The command line of Krake.

``commands`` is the table of all commands; ``verbs`` carry them out, ``kinds`` know the fields of each kind, ``session`` reaches
the API and ``output`` prints. Importing this package or ``commands`` is quick: what a command needs beyond reading its words
(requests, YAML, the kinds) is imported when it runs.
"""

__version__ = "2.0.0"
