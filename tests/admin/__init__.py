"""
Tests of :mod:`itsjustintv.admin`.
"""
