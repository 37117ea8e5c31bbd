"""
The admin page and its API: what the daemon does, for its operator.

Nothing here knows another part. What is shown is asked for through the callables of
:class:`~itsjustintv.admin.sources.Sources`, and so are the few things that can be done.
"""
