"""
The admin page and its API.

Nothing here knows another part of the daemon: all data and actions come through
:class:`~itsjustintv.admin.sources.Sources`.
"""
