"""Puts together the ways to know users that the configuration asks for."""

from krake.api.authentication.chain import Authenticator
from krake.api.authentication.fixed import Anonymous, Static
from krake.api.settings import AuthenticationSettings
