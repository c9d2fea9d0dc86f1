"""Krake: places applications on many clusters and clouds, and keeps them there."""

__version__ = "2.0.0"
