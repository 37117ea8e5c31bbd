"""
Tests of :mod:`itsjustintv.tls.acme`.
"""
