"""
What to send and how: a module for each kind of destination, and the reading of what it answers.
"""
