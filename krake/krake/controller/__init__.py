"""Reconciles: one package for each controller, on one runtime."""
