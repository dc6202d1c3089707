"""The supervisor: prepares a world, runs Meltano in it, and says how it went.

It knows other rooms by their command lines, their HTTP answers and their files only.
"""
