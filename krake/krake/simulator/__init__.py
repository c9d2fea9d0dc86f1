"""Stands in for outside systems in demos, tests and scale runs, and says so everywhere."""
