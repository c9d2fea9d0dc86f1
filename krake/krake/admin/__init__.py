"""Tools for those who run Krake: they work on the store and on files, beside the API."""
