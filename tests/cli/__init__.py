"""
Tests of :mod:`itsjustintv.cli`.
"""
