"""Creates clusters by OpenStack Magnum.

It watches nothing yet.
"""
