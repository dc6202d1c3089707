"""The supervisor: prepares an environment, runs Meltano in it, checks and records the result.

It knows other rooms by their command lines, their HTTP answers and their files only.
"""
