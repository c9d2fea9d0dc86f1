"""Keeps applications on their clusters as they are declared.

Pure: ``desired`` is what should be there, ``delta`` how that differs from what is, ``observe`` what is told about it,
``health`` what the Pods say, and ``lifecycle`` what to do next and what to write about it. ``site`` is all that is known of
one cluster, ``sites`` are all of them, ``deploy`` changes what is there, and ``controller`` puts it together. The rooms for
the hooks ``complete`` and ``shutdown``, and for the translation of TOSCA templates, are here.
"""
