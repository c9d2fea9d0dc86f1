"""The inputs of TOSCA templates and CSAR archives."""

import argparse
from collections.abc import Mapping
from typing import Any

from rok import flags
from rok.errors import Failure
from rok.flags import Flags, flag, repeated

FLAGS: Flags = (
    repeated("--input", dest="inputs", metavar="KEY=VALUE", help="input of the TOSCA template or the CSAR archive"),
    flag(
        "--inputs-file",
        metavar="FILE",
        help="inputs as a mapping in YAML; what --input says counts more; - reads the standard input",
    ),
)


def add_inputs(spec: dict[str, Any], kept: Mapping[str, Any], args: argparse.Namespace) -> None:
    """Put the inputs that a command gives to those that are *kept*.

    :raises Failure: the application has no template.
    """
    given = _read_file(args.inputs_file) | dict(map(flags.read_pair("input"), args.inputs))
    is_template = bool(spec.get("tosca") or spec.get("csar"))
    if given and not is_template:
        raise Failure("inputs are for TOSCA templates and CSAR archives only: leave them out, or give a template with -f or -u")
    spec["inputs"] = {**kept, **given} if is_template else {}


def _read_file(path: str | None) -> dict[str, Any]:
    if not path:
        return {}
    from rok.files import read_documents

    documents = read_documents(path)
    if len(documents) > 1:
        raise Failure(f"{path} has {len(documents)} documents: write all inputs into one")
    return documents[0]
