"""What every layer stands on: dtypes, shapes, devices, target facts, errors and settings.  Imports nothing of ours."""
