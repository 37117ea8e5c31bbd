"""
HTTPS, with certificates of the operator or with those that are ordered and renewed.
"""
