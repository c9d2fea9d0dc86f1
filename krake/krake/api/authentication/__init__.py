"""Who is asking: an ordered chain of ways to know it, of which the first that knows decides. One module for each way."""

from krake.api.authentication.assembly import make_chain
from krake.api.authentication.chain import Authenticator, identify, unauthenticated
from krake.api.authentication.fixed import ANONYMOUS, Anonymous, Static

__all__ = ["ANONYMOUS", "Anonymous", "Authenticator", "Static", "identify", "make_chain", "unauthenticated"]
