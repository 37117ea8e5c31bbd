"""
Tests of :mod:`itsjustintv.web.http2`.
"""
