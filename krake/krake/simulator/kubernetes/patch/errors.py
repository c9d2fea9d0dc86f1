"""What can be wrong with a patch."""


class PatchError(ValueError):
    """The patch can't be carried out on the object."""


class MalformedPatch(PatchError):
    """The patch itself makes no sense, whatever the object is."""
