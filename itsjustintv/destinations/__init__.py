"""
What to send and how: a module for each kind of destination, and the sender of its requests. Knows no queue and no
journal.
"""
