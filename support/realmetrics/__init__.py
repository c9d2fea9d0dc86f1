"""Real sources of metrics, on loopback, for tests and demos.

What belongs here: a Prometheus server (``prometheus``) and how it is had (``package``), metrics to try (``exporter``), and the
command line (``command``). Nothing here imports Krake: these are services that exist without it.
"""
