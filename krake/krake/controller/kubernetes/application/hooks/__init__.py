"""Hooks: how an application tells Krake that it is complete, and how it is asked to get ready to be stopped.

What belongs here: the tokens and certificates of applications (`material`, issued by an `authority`), what is added to their
objects so that they find them (`mangling`, and `observing` for what is watched of it; pure), when an application is asked and
what becomes of one that does not get ready (`shutdown`, pure), and the call that asks it (`calls`).
"""

from krake.controller.kubernetes.application.hooks.calls import ShutdownCalls
from krake.controller.kubernetes.application.hooks.mangling import Binding, mangle
from krake.controller.kubernetes.application.hooks.material import HookProblem, Materials
from krake.controller.kubernetes.application.hooks.observing import observe_added
from krake.controller.kubernetes.application.hooks.shutdown import (
    Shutdown,
    Stage,
    Terms,
    judge_shutdown,
    released,
    terms_of,
)

__all__ = [
    "Binding",
    "HookProblem",
    "Materials",
    "Shutdown",
    "ShutdownCalls",
    "Stage",
    "Terms",
    "judge_shutdown",
    "mangle",
    "observe_added",
    "released",
    "terms_of",
]
