"""
What measures the daemon beside its peers. See README.md.
"""
