"""
The daemon put together. Each module makes one group of parts.
"""
