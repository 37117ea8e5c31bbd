"""
Tests of :mod:`itsjustintv.destinations`.
"""
