"""
The durable state: an SQLite database behind one group-committing writer thread.
"""
