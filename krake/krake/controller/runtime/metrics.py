"""What a controller process tells about itself at ``/metrics``. What is said in docs/admin/monitoring.md is all there is."""

from prometheus_client import Counter, Gauge, Histogram

INFORMER_OBJECTS = Gauge("krake_informer_objects", "Objects that are held in memory.", ["api", "plural"])
INFORMER_CONNECTED = Gauge("krake_informer_connected", "Whether the watch of a kind delivers.", ["api", "plural"])
INFORMER_AGE = Gauge("krake_informer_age_seconds", "Time since the API told of a kind, if only a bookmark.", ["api", "plural"])
QUEUE_DEPTH = Gauge("krake_queue_depth", "Keys that wait for a worker.", ["controller"])
QUEUE_OLDEST = Gauge(
    "krake_queue_oldest_seconds", "How long the one of these keys has waited that has waited longest.", ["controller"]
)
QUEUE_DELAYED = Gauge("krake_queue_delayed", "Keys that wait for their time.", ["controller"])
QUEUE_WAIT = Histogram("krake_queue_wait_seconds", "How long keys waited for a worker.", ["controller"])
RECONCILE_SECONDS = Histogram(
    "krake_reconcile_seconds",
    "How long it took to reconcile a key.",
    ["controller", "outcome"],
    buckets=(0.001, 0.005, 0.02, 0.1, 0.5, 1, 2, 5, 15, 60, 300),
)
RECONCILE_ACTIVE = Gauge("krake_reconcile_active", "Keys that are being reconciled.", ["controller"])
RECONCILE_RETRIES = Counter("krake_reconcile_retries", "How often a key was put back because it failed.", ["controller"])
PART_FAILURES = Counter("krake_part_failures", "How often a part of the process ended and was started again.", ["part"])
