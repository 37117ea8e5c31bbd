"""
ACME (RFC 8555): the protocol, without any policy.
"""
