"""Says why: ``explanation`` in words, ``counterfactuals`` by what would have to be otherwise, ``recording`` as records.

All of these are pure; ``notes`` (pure) gather what ``chronicle`` writes down beside the work.
"""
