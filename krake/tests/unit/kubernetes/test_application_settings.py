"""The settings of the application controller: what is refused."""

from typing import Any

import pytest
from marshmallow import ValidationError

from krake.controller.kubernetes.application.settings import ApplicationControllerConfig
from krake.data.schema import flatten_errors


def read(hook: str, **settings: Any) -> ApplicationControllerConfig:
    return ApplicationControllerConfig.deserialize({"hooks": {hook: settings}})


@pytest.mark.parametrize("url", [None, "", "http://h", "https://h.example:8080/p", "https://[::1]:1"])
@pytest.mark.parametrize("hook", ["complete", "shutdown"])
def test_external_endpoints(hook: str, url: str | None) -> None:
    assert getattr(read(hook, external_endpoint=url).hooks, hook).external_endpoint == url


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("krake.example", "A scheme should be provided with the external endpoint. Current value: 'krake.example'."),
        ("krake.example:80", "A scheme should be provided with the external endpoint. Current value: 'krake.example:80'."),
        ("ftp://h", "The provided scheme 'ftp' is not supported."),
        ("http://", "A host should be provided with the external endpoint. Current value: 'http://'."),
        ("http://[", "'http://[' is not a URL."),
        ("http://h:99999", "'http://h:99999' is not a URL."),
    ],
)
def test_what_is_no_external_endpoint(url: str, said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        read("complete", external_endpoint=url)
    assert list(flatten_errors(caught.value.messages)) == [("hooks.complete.external_endpoint", said)]


@pytest.mark.parametrize(
    ("key", "value"), [("timeout", 0), ("failure_strategy", "explode"), ("failure_retry_count", -1), ("timeout", "soon")]
)
def test_what_a_shutdown_hook_can_not_have(key: str, value: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        read("shutdown", **{key: value})
    assert next(flatten_errors(caught.value.messages))[0] == f"hooks.shutdown.{key}"
