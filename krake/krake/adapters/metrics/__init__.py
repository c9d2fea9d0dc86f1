"""Sources of metrics: Prometheus, InfluxDB, ksqlDB, and values that are written down.

``sources`` makes the one that a provider declares, ``web`` is the connection that those share which are asked over HTTP, and
``asking`` sends them several questions within one time limit. The others are an adapter of ``krake.ports.metrics`` each.
"""

from krake.adapters.metrics.sources import Sources

__all__ = ["Sources"]
