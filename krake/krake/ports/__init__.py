"""What Krake needs from outside, as protocols with their error contract. No input, no output."""
