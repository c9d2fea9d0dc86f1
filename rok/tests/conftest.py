"""What the tests of the command line share: the fixtures of Krake's own tests, and a way to run commands."""

import sys
from pathlib import Path

# The tests also run together with those of Krake, whose settings do not name this directory.
sys.path.insert(0, str(Path(__file__).parent))

pytest_plugins = ["fixtures.etcd"]
