"""
HTTP/2 connections within the same limits as HTTP/1.1.
"""
