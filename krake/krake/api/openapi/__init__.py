"""Describes the API to programs (``/openapi.json``) and to people (``/docs``).

Everything is derived from the declarations of the kinds and the routes: `schemas` describes records, `samples` makes an example
of each, `operations` describes the routes of kinds, `service` those that belong to no kind, `document` puts them together, and
`handlers` serves the result with the files in `page`.
"""
