"""What exists: the kinds, their fields and their constraints. Pure: no input, no output, no clock."""
