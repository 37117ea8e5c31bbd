"""
The configuration: TOML and environment in, one frozen :class:`~itsjustintv.config.sections.Config` out.
"""
