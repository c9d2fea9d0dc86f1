"""Metrics to try: the demand for heat of some zones, which changes all the time."""

import random
from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Gauge, start_http_server

NAME = "heat_demand_zone_{zone}"


class Exporter:
    """Serves gauges; call `close` at the end.

    :param zones: how many; the value of zone i is from i-1 to i.
    :param values: that zones have instead, at random.
    """

    def __init__(self, port: int, zones: int, values: Sequence[float] = ()) -> None:
        registry = CollectorRegistry()
        self._gauges = [
            Gauge(NAME.format(zone=zone), f"Demand of zone {zone}", registry=registry) for zone in range(1, zones + 1)
        ]
        self._values = values
        self.draw()
        self._server, self._thread = start_http_server(port, "127.0.0.1", registry)

    def draw(self) -> None:
        """Give all gauges new values."""
        for floor, gauge in enumerate(self._gauges):
            gauge.set(random.choice(self._values) if self._values else round(random.uniform(floor, floor + 0.99), 2))

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
