"""Creates clusters on clouds, through infrastructure providers, keeps them as declared, and deletes them.

What is decided is pure: ``steps`` are what can come out, ``lifecycle`` says what is next for a cluster, ``upkeep`` the same for
one that works, and ``departure`` for one that is deleted; ``sense`` says which answers are none, ``learning`` what follows
from one, ``attempts`` what becomes of a cluster by that, and ``told`` what people hear of it. ``controller`` asks and writes,
within the ``traffic`` that a provider gets; ``homes`` finds clouds and providers, and keeps them while they are needed;
``checking`` finds out whether these are of use. ``assembly`` puts it all together.
"""
