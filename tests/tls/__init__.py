"""
Tests of :mod:`itsjustintv.tls`.
"""
