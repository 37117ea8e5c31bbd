"""
The HTTP server around the resources: limits, health.
"""
