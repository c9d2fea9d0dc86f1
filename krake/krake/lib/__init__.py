"""What Python lacks and no kind of Krake is needed for: clock, back-off, paths. Pure."""
