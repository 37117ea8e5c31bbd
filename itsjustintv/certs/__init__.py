"""
Certificates that obtain and renew themselves, and the serving of HTTPS with them.
"""
