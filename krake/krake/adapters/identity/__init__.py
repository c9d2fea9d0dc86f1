"""Those who know users by their tokens: Keystone, Keycloak, any OpenID provider, and a file. One module for each."""

from krake.adapters.identity.keycloak import Keycloak
from krake.adapters.identity.keystone import Keystone
from krake.adapters.identity.oidc import OpenIdProvider
from krake.adapters.identity.token_file import TokenFile
from krake.adapters.identity.web import Web

__all__ = ["Keycloak", "Keystone", "OpenIdProvider", "TokenFile", "Web"]
