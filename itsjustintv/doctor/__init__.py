"""
Checks of an installation from outside the daemon. Each answers with findings.
"""
