"""
Tests of :mod:`itsjustintv.twitch.eventsub`.
"""
