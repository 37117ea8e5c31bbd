"""
Tests of itsjustintv.
"""
