"""The figures that each process of Krake shows to Prometheus, whatever it does."""

import platform

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, Gauge, disable_created_metrics, generate_latest

from krake import __version__

CONTENT_TYPE = CONTENT_TYPE_LATEST

# The times at which counters began would double their number, and nobody asks for them.
disable_created_metrics()  # type: ignore[no-untyped-call]

_BUILD = Gauge("krake_build_info", "Always 1; the labels tell what runs.", ["version", "python"])
_BUILD.labels(__version__, platform.python_version()).set(1)


def expose() -> bytes:
    """Return what all modules of this process count, and what Python and the operating system tell about it."""
    return generate_latest(REGISTRY)
