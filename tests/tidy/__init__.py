"""Rules of the house, checked by machine: a rule without a test is a wish."""
