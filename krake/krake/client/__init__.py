"""Reaches the API of Krake."""
