"""
Tests of :mod:`itsjustintv.doctor`.
"""
