"""
Imitations of the chat services that destinations post to, written from the services' documentation.
"""
