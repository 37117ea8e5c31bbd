"""
The parts put together, group by group: each module makes what belongs together, and says what the others need of it.
"""
