"""Serves the declared kinds over HTTP.

What belongs here: everything between a request and the store. `app` puts it together from `settings`; `gate` is what every
request passes; `routes` makes the routes of all kinds and `handlers` serves them; `lifecycle` decides what a write makes of an
object, `admission` and `actions` what is special to a kind, and `writer` carries it out; `cache` is what `reader` and `watch`
serve from. Nothing but `admission` and `actions` knows a kind, and nothing but `__main__` a store.
"""
