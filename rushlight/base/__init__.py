"""What every layer stands on: dtypes, shapes, devices, target facts, errors, settings.

Imports nothing of ours.
"""
