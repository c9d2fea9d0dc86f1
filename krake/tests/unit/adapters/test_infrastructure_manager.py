"""What is told to an Infrastructure Manager, and what its answers mean."""

import json
from typing import Any

import pytest
from fixtures.im import cloud_of, credential_cloud_of, template_of
from hypothesis import given
from hypothesis import strategies as st

from krake.adapters.infrastructure.im.answers import (
    blames_template,
    complaint_in,
    read_state,
    refuses_cloud_user,
    refuses_user,
    shorten,
    trouble_in,
)
from krake.adapters.infrastructure.im.authorization import authorize
from krake.adapters.infrastructure.im.templates import (
    count_machines,
    date_of,
    date_template,
    mark_of,
    mark_template,
    settle_template,
)
from krake.data.infrastructure import CloudSpec, ImSpec, OpenstackSpec
from krake.ports.infrastructure import Phase

URL = "https://keystone.example:5000/v3"


def openstack(spec: CloudSpec) -> OpenstackSpec:
    assert isinstance(spec.value, OpenstackSpec)
    return spec.value


def understand(header: str) -> list[dict[str, str]]:
    """Read a header as IM documents it: lines of pairs, quotes, backslashes and files, or JSON."""
    lines = header.replace(r"\\n", "\n").split(r"\n")
    if len(lines) == 1:
        try:
            return list(json.loads(lines[0]))
        except ValueError:
            pass
    found = []
    for line in lines:
        assert not set(line) & set("'\"")
        pairs = [pair.split("=") for pair in line.split(";")]
        entry = {key.strip(): value.strip() for key, value in pairs}
        assert not any(value.startswith("file(") and value.endswith(")") for value in entry.values())
        found.append(entry)
    return found


def test_who_asks_is_written_in_lines() -> None:
    im = ImSpec(url="http://im.example", username="test", password="pass word")
    plain = cloud_of(URL, username="user", password="pa$$", project="a project")
    assert authorize("im-provider", im, "os-cloud", openstack(plain)).header == (
        r"id = im-provider;username = test;password = pass word;type = InfrastructureManager\n"
        f"id = os-cloud;host = {URL};auth_version = 3.x_password;username = user;password = pa$$;tenant = a project;"
        "domain = Default;tenant_domain_id = default;type = OpenStack"
    )


def test_a_token_is_preferred() -> None:
    im = ImSpec(url="http://im.example", username="test", password="test", token="abc.def")
    assert authorize("im", im).header == "id = im;token = abc.def;type = InfrastructureManager"


def test_an_application_credential_needs_nothing_else() -> None:
    im = ImSpec(url="http://im.example", token="abc")
    _, cloud = understand(authorize("im", im, "2", openstack(credential_cloud_of(URL, "the-id", "the-secret"))).header)
    assert cloud == {
        "id": "_2",  # IM wants no number there
        "host": URL,
        "auth_version": "3.x_appcred",
        "username": "the-id",
        "password": "the-secret",
        "tenant": "the-id",
        "type": "OpenStack",
    }


texts = st.text(min_size=1) | st.text(r"\;='\"n au00{}[]()fileé,:#" + "\n", min_size=1)
kept = texts.filter(lambda text: text.isprintable())


@given(kept, kept, kept, kept, kept)
def test_im_understands_what_was_meant(user: str, password: str, username: str, secret: str, project: str) -> None:
    im = ImSpec(url="http://im.example", username=user, password=password)
    cloud = openstack(cloud_of(URL, username=username, password=secret, project=project))
    authorization = authorize("im", im, "cloud", cloud)
    assert authorization.header.isascii()
    assert authorization.header.isprintable()
    one, another = understand(authorization.header)
    assert (one["username"], one["password"], one["type"]) == (user, password, "InfrastructureManager")
    assert (another["username"], another["password"], another["tenant"]) == (username, secret, project)
    assert (another["type"], another["domain"]) == ("OpenStack", "Default")
    assert len(one) == 4
    assert {password, secret} <= set(authorization.secrets)


# Templates

PLACES = ("count", "default_instances", "min_instances")
numbers = st.dictionaries(st.sampled_from(PLACES), st.integers(0, 5))


def template(nodes: dict[str, dict[str, int] | None]) -> dict[str, Any]:
    found = template_of(**dict.fromkeys(nodes, 1)) if nodes else {"tosca_definitions_version": "tosca_simple_yaml_1_0"}
    for name, scaling in nodes.items():
        capabilities = found["topology_template"]["node_templates"][name]["capabilities"]
        del capabilities["scalable"]
        if scaling is not None:
            capabilities["scalable"] = {"properties": scaling}
    return found


def number_of(template: dict[str, Any], name: str) -> int:
    capabilities = template["topology_template"]["node_templates"][name]["capabilities"]
    scaling = capabilities.get("scalable", {}).get("properties", {})
    return int(next((scaling[place] for place in PLACES if place in scaling), 1))


def merge(one: Any, another: Any) -> Any:
    """Put a template over another as IM does."""
    if isinstance(one, dict) and isinstance(another, dict):
        return one | {key: merge(one.get(key), value) for key, value in another.items()}
    return one if another is None else another


nodes = st.dictionaries(st.sampled_from(["front", "worker", "other"]), st.none() | numbers)


@given(nodes.filter(bool), nodes.filter(bool))
def test_an_added_template_says_all_that_changes(before: dict[str, Any], after: dict[str, Any]) -> None:
    marked = mark_template(template(before), "krake-1")
    wanted = template(after) | {"metadata": {"infra_name": "another", "template_name": "mine"}}
    original = json.dumps(wanted)
    merged = merge(marked, settle_template(wanted, marked))
    assert json.dumps(wanted) == original
    assert mark_of(merged) == "krake-1"
    assert merged["metadata"]["template_name"] == "mine"
    for name in after:
        assert number_of(merged, name) == number_of(wanted, name)
    for name in before.keys() - after.keys():
        assert number_of(merged, name) == 0


@pytest.mark.parametrize("metadata", [None, "text", [], {}, {"infra_name": None}, {"infra_name": 5}, {"infra_name": "x"}])
def test_a_mark_is_put_over_whatever_is_there(metadata: Any) -> None:
    marked = mark_template({"metadata": metadata, "other": 1}, "krake-1")
    assert mark_of(marked) == "krake-1"
    assert marked["other"] == 1
    assert "infra_name" not in settle_template({"metadata": metadata}, marked).get("metadata", {})


@pytest.mark.parametrize("metadata", [None, "text", [], {}, {"krake_asked": "9"}, {"krake_asked": None}, {"krake_asked": [1]}])
def test_an_update_says_when_it_was_asked_for_and_the_author_of_a_template_does_not(metadata: Any) -> None:
    marked = mark_template({"metadata": metadata, "other": 1}, "krake-1")
    assert date_of(marked) is None
    later = date_template(settle_template({"metadata": metadata}, marked), 1700000000.25)
    assert date_of(merge(marked, later)) == 1700000000.25
    assert mark_of(merge(marked, later)) == "krake-1"


def test_machines_are_counted_as_far_as_their_numbers_are_plain() -> None:
    assert count_machines(template({"front": None, "worker": {"count": 3}})) == 4
    asked = template({"front": None, "worker": {"count": {"get_input": "workers"}}})
    assert count_machines(asked) is None
    asked["topology_template"]["inputs"] = {"workers": {"type": "integer", "default": 2}}
    assert count_machines(asked) == 3
    asked["topology_template"]["node_templates"]["software"] = {"type": "tosca.nodes.SoftwareComponent"}
    assert count_machines(asked) == 3
    assert count_machines(template({"front": {"count": {"get_attribute": ["SELF", "x"]}}})) is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["metadata", "topology_template", "node_templates", "capabilities", "scalable", "properties", "x"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from(["topology_template", "metadata"]), json_values), json_values)
def test_templates_of_any_form_are_passed_on(wanted: dict[str, Any], before: Any) -> None:
    settle_template(wanted, before if isinstance(before, dict) else {})
    mark_template(wanted, "krake-1")


# Answers


@given(json_values | st.fixed_dictionaries({"state": st.fixed_dictionaries({"state": json_values, "vm_states": json_values})}))
def test_states_of_any_form_are_read(document: Any) -> None:
    found = read_state(document)
    assert found is None or isinstance(found.phase, Phase)


@pytest.mark.parametrize(
    ("state", "machines", "phase", "phases"),
    [
        ("pending", {}, "pending", []),
        ("running", {"0": "configured", "1": "running"}, "creating", ["configured", "creating"]),
        ("configured", {"0": "configured", "1": "unconfigured"}, "unconfigured", ["configured", "unconfigured"]),
        ("unknown", {"0": "unknown", "1": "unknown"}, "unknown", ["unknown", "unknown"]),
        ("unknown", {"0": "configured", "1": "unknown"}, "failed", ["configured", "failed"]),
        ("unknown", {}, "unknown", []),
        ("off", {"0": "off"}, "failed", ["failed"]),
        ("stopped", {"0": "stopped"}, "failed", ["failed"]),
        ("deleting", {"0": "deleting"}, "deleting", ["deleting"]),
        ("new in IM 3", {"0": "new in IM 3"}, "unknown", ["unknown"]),
    ],
)
def test_what_states_mean(state: str, machines: dict[str, str], phase: str, phases: list[str]) -> None:
    found = read_state({"state": {"state": state, "vm_states": machines}})
    assert found is not None
    assert (found.phase.value, [each.value for each in found.machines.values()]) == (phase, phases)


UNKNOWN_TYPE = """Error parsing request body: Error parsing TOSCA template: 
The pre-parsed input failed validation with the following error(s): 

\tInvalidTypeError: Type "no.such.Type" is not a valid type.
\t\tFile /opt/im/rest.py, line 37, in <module>
\t\t\tmain()

\tUnknownInputError: Unknown input "nope".
\t\tFile /opt/im/rest.py, line 37, in <module>
"""  # noqa: W291 - this is how it is
NO_TYPES = """Error parsing request body: Error parsing TOSCA template: 
The pre-parsed input failed validation with the following error(s): 

\tURLException: Failed to reach server "https://raw.example/types.yaml". Reason is: [Errno -2] Name or service not known.
\t\tFile /opt/im/rest.py, line 37, in <module>
"""  # noqa: W291
NO_LOGIN = "Error Adding resources: Error getting images from cloud: os (<InvalidCredsError: 'Invalid credentials'>)"


def test_complaints_are_shortened_to_what_matters() -> None:
    assert shorten(UNKNOWN_TYPE) == 'Type "no.such.Type" is not a valid type. Unknown input "nope".'
    assert shorten("Error parsing request body: Error parsing TOSCA template: 'x' is not a y") == "'x' is not a y"
    assert complaint_in('{"message": "Deleted infrastructure.", "code": 404}') == "Deleted infrastructure."
    assert complaint_in('{"detail": "Method Not Allowed"}') == "Method Not Allowed"
    assert complaint_in('{"detail": [{"loc": []}]}') == '{"detail": [{"loc": []}]}'
    assert shorten("") == ""


def test_who_is_to_blame_is_told_from_complaints() -> None:
    assert blames_template(UNKNOWN_TYPE)
    assert not blames_template(NO_TYPES)
    assert not blames_template(NO_LOGIN)
    assert refuses_cloud_user(NO_LOGIN)
    assert refuses_user("Error Getting Inf. prop: No credentials provided for the InfrastructureManager.")
    assert refuses_user("Error Getting Inf. List: Error trying to decode OIDC auth token: x")
    assert not refuses_user("Error Destroying Inf: Access to this infrastructure not granted.")


def test_the_last_trouble_is_found_among_messages() -> None:
    messages = (
        "2026-11-21 16:46:46.176897: Error getting VM images: no image\n\n"
        "2026-11-21 16:46:47.176897: All VMs failed. No contextualize.\n"
        "2026-11-21 16:46:48.1: Attempt 1: Quota exceeded\n"
    )
    assert trouble_in(messages) == "All VMs failed. No contextualize."
    assert trouble_in("2026-11-21 16:46:46.1: Error configuring front: disk full\n") == "Error configuring front: disk full"
    assert trouble_in("Contextualization disabled by the RADL/TOSCA template.\n\n") == ""
    assert trouble_in("") == ""


PLAYBOOKS = """\
2026-11-21 20:48:01.2: Ansible successfully configured in the master VM.
VM 0:
Launch task: basic
TASK [Wait for the VM to boot] *************************************************
fatal: [10.0.0.1_0]: FAILED! => {"msg": "non-zero return code", "stderr": "systemctl: not found\\n"}
...ignoring

PLAY RECAP *********************************************************************
10.0.0.1_0                 : ok=3    changed=1    unreachable=0    failed=0
Task basic finished successfully
Launch task: lrms_front_end_front_conf_front
TASK [Ask for a token] *********************************************************
Saturday 21 November 2026  20:49:40.937642
fatal: [10.0.0.1_0]: FAILED! => {"changed": false, "msg": "rescued"}

TASK [Read the kubeconfig] *****************************************************
Saturday 21 November 2026  20:49:41.937642
fatal: [10.0.0.1_0]: FAILED! => %s

PLAY RECAP *********************************************************************
10.0.0.1_0                 : ok=1    changed=1    unreachable=0    failed=1

ERROR executing task lrms_front_end_front_conf_front: (1/1)
***************************************************************************
VM 1:
TASK [Reach the front end] *****************************************************
fatal: [10.0.0.2_1]: FAILED! => {"msg": "Timeout"}
PLAY RECAP *********************************************************************
10.0.0.2_1                 : ok=1    changed=0    unreachable=0    failed=1
***************************************************************************
"""
TOLD = "machine 0: the task 'Read the kubeconfig' failed: "


@pytest.mark.parametrize(
    ("result", "told"),
    [
        ('{"msg": "non-zero return code", "stderr": "x\\ncat: No such file\\n"}', "non-zero return code: cat: No such file"),
        ('{"msg": "No package matching \'kubeadm\' is available"}', "No package matching 'kubeadm' is available"),
        ('{"msg": ["not", "a text"], "stdout": "E: gone"}', "E: gone"),
        ('{"censored": "hidden"}', '{"censored": "hidden"}'),
        ("[]", "[]"),
        ("{", "{"),
    ],
)
def test_which_task_of_a_playbook_failed_is_told(result: str, told: str) -> None:
    assert trouble_in(PLAYBOOKS % result) == TOLD + told


MASTER = """\
2026-11-21 20:48:01.2: Error configuring the master VM:
PLAY [all] *********************************************************************

TASK [Install [x]] *************************************************************
failed: [10.0.0.1] (item=x y) => {"msg": "no x"}
failed: [10.0.0.1] (item=z) => {"msg": "no z"}

PLAY RECAP *********************************************************************
10.0.0.1                   : ok=0    changed=0    unreachable=0    failed=1
 /tmp/tmpx
"""
LOST = """\
VM 13:
TASK [Gathering Facts] *********************************************************
fatal: [10.0.0.1_13]: UNREACHABLE! => {"msg": "no route", "unreachable": true}
PLAY RECAP *********************************************************************
10.0.0.1_13                : ok=0    changed=0    unreachable=1    failed=0
"""


def test_what_failed_before_all_machines_and_which_are_lost_is_told() -> None:
    assert trouble_in(MASTER) == "the task 'Install [x]' failed: no x"
    assert trouble_in(LOST) == "machine 13: the task 'Gathering Facts' failed: no route"


def test_what_playbooks_recovered_from_is_no_trouble() -> None:
    recovered = LOST.replace("unreachable=1", "unreachable=0")
    assert trouble_in(recovered + LOST.replace("13", "14")).startswith("machine 14: ")
    assert trouble_in("VM 1:\n10.0.0.2_1   : ok=1    changed=0    unreachable=0    failed=0   \n") == ""
