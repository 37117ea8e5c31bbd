"""
Tests of :mod:`itsjustintv.certs`.
"""
