"""Logs in at an OpenStack cloud, as an Infrastructure Manager does before it launches machines there."""

from collections.abc import Mapping, Sequence
from typing import Any

import aiohttp

LIMIT = aiohttp.ClientTimeout(total=5)


async def find_trouble(clouds: Sequence[Mapping[str, str]]) -> str | None:
    """Try to log in at the first OpenStack of some clouds; return what is wrong, ``None`` if it works."""
    cloud = next((each for each in clouds if each.get("type") == "OpenStack"), None)
    if cloud is None:
        return "Error getting VM images: No VMI obtained from Sites"
    try:
        async with (
            aiohttp.ClientSession(timeout=LIMIT) as session,
            session.post(f"{cloud['host'].rstrip('/')}/v3/auth/tokens", json=_request(cloud), allow_redirects=False) as answer,
        ):
            if answer.status == 201:
                return None
            why = f"Error authenticating in OpenStack: {answer.status} {(await answer.text(errors='replace'))[:300]}"
    except KeyError as error:
        why = f"No correct auth data has been specified to OpenStack: {error} is missing"
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
        why = f"Error connecting with OpenStack: {error or type(error).__name__}"
    return f"Error launching the VMs to cloud ID {cloud.get('id', '')} of type OpenStack. {why}"


def _request(cloud: Mapping[str, str]) -> dict[str, Any]:
    if cloud.get("auth_version", "").endswith("appcred"):
        credential = {"id": cloud["username"], "secret": cloud["password"]}
        return {"auth": {"identity": {"methods": ["application_credential"], "application_credential": credential}}}
    user = {"name": cloud["username"], "password": cloud["password"], "domain": {"name": cloud.get("domain", "Default")}}
    project = {"name": cloud["tenant"], "domain": {"id": cloud.get("tenant_domain_id", "default")}}
    return {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": {"project": project}}}
