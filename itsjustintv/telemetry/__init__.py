"""
What the daemon counts about itself.
"""
