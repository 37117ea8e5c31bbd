"""
What could live in a library: files, texts and durations. Imports nothing of ours but the errors.
"""
