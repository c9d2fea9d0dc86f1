"""Serves the declared kinds over HTTP."""
