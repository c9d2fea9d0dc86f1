"""How the API serves this process."""

from prometheus_client import Histogram

SECONDS = Histogram(
    "krake_client_request_seconds",
    "Time until the API began to answer; the code is empty if it did not.",
    ("method", "code"),
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0),
)
