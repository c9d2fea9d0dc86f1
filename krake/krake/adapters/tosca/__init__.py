"""Understands TOSCA templates and CSAR archives that nobody vouches for.

Whatever is done with the bytes of users (unpacking, parsing YAML, evaluating) happens in a process of its own, the `worker`,
with limits of time and memory, and without secrets. It tells which documents it lacks; the `Sandbox` runs it, fetches these,
and runs it again.
"""

# Nothing is imported here: the worker, which is started anew for each template, needs none of what the sandbox does.
