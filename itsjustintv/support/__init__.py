"""
What could live in a library. Imports nothing of this package but the errors.
"""
