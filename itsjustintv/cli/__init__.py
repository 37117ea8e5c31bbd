"""
The commands: a module for every noun.
"""
