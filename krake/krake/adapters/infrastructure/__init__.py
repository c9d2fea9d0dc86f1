"""Providers of infrastructure: each package is an adapter of ``krake.ports.infrastructure``, for one type of them.

``connector`` chooses by what providers and clouds declare.
"""

from krake.adapters.infrastructure.connector import Connector

__all__ = ["Connector"]
