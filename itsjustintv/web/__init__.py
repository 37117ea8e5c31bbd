"""
The HTTP server around the resources: connections, limits, health.
"""
