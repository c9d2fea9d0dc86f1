"""The command line of Krake."""
