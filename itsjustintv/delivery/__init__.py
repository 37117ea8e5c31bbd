"""
When to send: the queue, its lanes, and what follows from an attempt.
"""
