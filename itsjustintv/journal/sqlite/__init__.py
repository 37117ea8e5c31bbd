"""
The journal in an SQLite database, behind one writer thread that commits in groups.
"""
