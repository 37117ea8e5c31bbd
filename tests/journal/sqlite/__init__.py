"""
Tests of :mod:`itsjustintv.journal.sqlite`.
"""
