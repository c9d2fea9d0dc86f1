"""Starts all of Krake on one machine by one command."""
