"""
Tests of what an operator copies from etc/, with the programs that it is for.
"""
