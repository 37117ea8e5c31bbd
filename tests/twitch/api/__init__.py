"""
Tests of :mod:`itsjustintv.twitch.api`.
"""
