"""Reaches the outside systems behind the ports; the only place of third-party client libraries."""
