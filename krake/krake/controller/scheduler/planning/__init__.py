"""Says what would be: ``whatif`` imagines another situation, ``forecast`` works out what the scheduler would do.

Both are pure; ``planner`` answers plans by them.
"""
