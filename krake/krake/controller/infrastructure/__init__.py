"""Creates clusters on clouds, through infrastructure providers.

It watches nothing yet: registered clusters need no infrastructure.
"""
