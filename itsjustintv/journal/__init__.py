"""
What survives a crash: the events, their deliveries, and what an operator asks about them.
"""
