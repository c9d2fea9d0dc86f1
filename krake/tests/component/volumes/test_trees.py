"""Whatever is in a volume, and whatever was in the other one before: they are equal in the end."""

import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from component.volumes.sides import Sides, contents
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from krake.controller.kubernetes.application.volumes.transfer.fetching import Counter, Volume
from krake.controller.kubernetes.application.volumes.transfer.serving import Server
from krake.controller.kubernetes.application.volumes.transfer.source import Source

names = st.binary(min_size=1, max_size=4).filter(lambda name: not {0, 47} & set(name) and name not in (b".", b".."))
data = (
    st.binary(max_size=64) | st.integers(0, 300_000).map(bytes) | st.binary(max_size=8).map(lambda each: bytes(70_000) + each)
)
leaves = st.tuples(st.just("file"), data) | st.tuples(st.just("link"), names) | st.tuples(st.just("again"), st.integers(0, 9))
trees = st.recursive(
    st.dictionaries(names, leaves, max_size=4),
    lambda inner: st.dictionaries(names, leaves | st.tuples(st.just("folder"), inner), max_size=4),
    max_leaves=12,
)
modes = st.sampled_from([0o600, 0o644, 0o755, 0o4755, 0o400])


def build(root: bytes, tree: dict[bytes, tuple[str, object]], mode: int, files: list[bytes]) -> None:
    """Make a tree; what is there `again` is another name of an earlier file."""
    for index, (name, (kind, value)) in enumerate(tree.items()):
        path = os.path.join(root, name)
        if kind == "folder":
            os.mkdir(path)
            assert isinstance(value, dict)
            build(path, value, mode, files)
        elif kind == "link":
            os.symlink(value, path)  # type: ignore[arg-type]
        elif kind == "again" and files:
            assert isinstance(value, int)
            os.link(files[value % len(files)], path)
        else:
            with open(path, "wb") as file:
                file.write(value if isinstance(value, bytes) else b"")
            os.chmod(path, mode)
            files.append(path)
        os.utime(path, ns=(0, 1_500_000_000_000_000_001 + index), follow_symlinks=False)


@contextmanager
def served(sides: Sides) -> Iterator[Source]:
    server = Server(str(sides.there.parent), str(sides.folder / "source-access"), 0)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    sides.tell(server.server_address[1])
    try:
        with closing(Source(str(sides.folder / "target-access"), "data")) as source:
            yield source
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(trees, trees, modes, modes)
def test_any_volume_becomes_equal_to_any_other(
    wanted: dict[bytes, tuple[str, object]], before: dict[bytes, tuple[str, object]], mode: int, former: int
) -> None:
    folder = Path(tempfile.mkdtemp())
    try:
        sides = Sides(folder)
        build(os.fsencode(sides.there), wanted, mode, [])
        build(os.fsencode(sides.here), before, former, [])
        counter = Counter()
        with served(sides) as source:
            Volume(str(sides.here), source, 2, counter).fetch()
        assert contents(sides.here) == contents(sides.there)
        assert counter.done == counter.total
    finally:
        shutil.rmtree(folder)
