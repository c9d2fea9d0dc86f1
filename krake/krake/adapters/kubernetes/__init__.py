"""Reaches Kubernetes clusters: plain HTTP on aiohttp, so that every type of every group is reached in the same way."""

from krake.adapters.kubernetes.cluster import Connection, connect

__all__ = ["Connection", "connect"]
