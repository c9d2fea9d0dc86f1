"""What all controllers share: how they see the API, how they work through what changed, and how their process lives and ends.

An `Informer` keeps all objects of a kind in memory. What changes there is enqueued, by key only, with a `Controller`, whose
workers call ``reconcile(key)``, never twice at once for the same key. It looks at the objects as they are now, does what is
missing, writes what came out with `patch_status`, and returns when to look again. A key that fails waits longer each time;
nothing that goes wrong with one key touches another, or the process. What is worth telling people is said to a `Recorder`.

The room for the election of a leader among several processes of one controller is here too (``leader``); until then run one
process of each controller.
"""

from krake.controller.runtime.command import run_command
from krake.controller.runtime.controller import Controller, Result
from krake.controller.runtime.informer import Informer
from krake.controller.runtime.process import Parts, run_process
from krake.controller.runtime.queue import Backlog, Queue
from krake.controller.runtime.recorder import Recorder
from krake.controller.runtime.settings import ControllerConfig, TlsConfig
from krake.controller.runtime.status import add_finalizer, difference, patch_status, remove_finalizer

__all__ = [
    "Backlog",
    "Controller",
    "ControllerConfig",
    "Informer",
    "Parts",
    "Queue",
    "Recorder",
    "Result",
    "TlsConfig",
    "add_finalizer",
    "difference",
    "patch_status",
    "remove_finalizer",
    "run_command",
    "run_process",
]
