"""
Bringing notices to their destinations: the queue, its schedule, and one signed POST.
"""
