"""Random programs: what the recorder must run as if every statement ran at once."""
