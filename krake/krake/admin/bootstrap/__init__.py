"""``krake_bootstrap_db``: puts objects of files into the store, all of them or none, beside the API.

``documents`` says what a file holds, ``plan`` what is to be written; both are pure. ``command`` reads, writes and reports.
"""
