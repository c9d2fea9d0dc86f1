"""Certificates for trying and testing: `authority` issues them, `directory` keeps them as files, `command` is `support/pki`."""
