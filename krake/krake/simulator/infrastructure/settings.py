"""What can be tuned about a simulated Infrastructure Manager, also while it runs."""

from dataclasses import dataclass
from typing import Literal, get_args

Fate = Literal["configured", "stuck", "unconfigured", "failed"]

FATES: tuple[str, ...] = get_args(Fate)


@dataclass
class Settings:
    """Delays are in seconds; with real clouds they are minutes.

    :param launch_delay: from the request for more machines until they are there, and the request is answered.
    :param boot_delay: until a new machine runs; so long it is ``pending``.
    :param configure_delay: until a machine that runs is configured; so long it is ``running``.
    :param delete_delay: from the request until an infrastructure is gone; so long it is ``deleting``.
    :param fate: what becomes of the machines that are launched from now on; ``stuck`` ones stay ``pending``.
    :param zombies: an infrastructure whose state is asked for while it is being deleted stays, with the state ``unknown``,
        until it is deleted again.
    :param logs_in: whether the credentials of a cloud are tried at its identity service before machines are launched.
    """

    launch_delay: float = 0.0
    boot_delay: float = 0.1
    configure_delay: float = 0.1
    delete_delay: float = 0.1
    fate: Fate = "configured"
    zombies: bool = False
    logs_in: bool = True
