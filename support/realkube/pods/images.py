"""The images that Pods can use here: stand-ins made of Debian packages, as blobs of the OCI image format."""

import hashlib
import io
import json
import platform
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .packages import Packages

PAUSE = "sandbox.krake/pause:1"
_OCI = "application/vnd.oci.image"
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
_PATH = "PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
_USERS = {"etc/passwd": b"root:x:0:0:root:/root:/bin/sh\n", "etc/group": b"root:x:0:\n"}
_FOLDERS = ("tmp", "root", "proc", "sys", "dev", "usr", "usr/bin")

_ECHO = b'''\
"""Tells whoever asks what was asked, by whom, and who answers."""
import http.server, os, socket

class Echo(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode(errors="replace")
        lines = ["", "", f"Hostname: {socket.gethostname()}", "", "Request Information:",
                 f"\\tclient_address={self.client_address[0]}", f"\\tmethod={self.command}", f"\\treal path={self.path}", "",
                 "Request Headers:", *(f"\\t{name.lower()}={value}" for name, value in self.headers.items()), "",
                 "Request Body:", body or "\\t-no body in request-", ""]
        data = "\\n".join(lines).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = answer

http.server.ThreadingHTTPServer(("", int(os.environ.get("PORT", "8080"))), Echo).serve_forever()
'''


@dataclass
class Images:
    """All blobs by their digest, and the digest of the manifest by the repository.

    The stand-in is the same for every tag of its repository.
    """

    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, str] = field(default_factory=dict)

    def add(self, repositories: Sequence[str], layers: Sequence[bytes], command: Sequence[str]) -> None:
        """Add an image under each of the names."""
        config = {
            "architecture": _MACHINES.get(platform.machine(), platform.machine()),
            "os": "linux",
            "config": {"Cmd": list(command), "Env": [_PATH], "WorkingDir": "/"},
            "rootfs": {"type": "layers", "diff_ids": [_digest(layer) for layer in layers]},
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": f"{_OCI}.manifest.v1+json",
            "config": self._keep(_json(config), "config.v1+json"),
            "layers": [self._keep(layer, "layer.v1.tar") for layer in layers],
        }
        digest = self._keep(_json(manifest), "manifest.v1+json")["digest"]
        self.manifests.update(dict.fromkeys(repositories, digest))

    def _keep(self, blob: bytes, kind: str) -> dict[str, Any]:
        digest = _digest(blob)
        self.blobs[digest] = blob
        return {"mediaType": f"{_OCI}.{kind}", "digest": digest, "size": len(blob)}


def make_images(packages: Packages) -> Images:
    """Make the images: ``busybox``, ``python``, the ``echoserver`` of the examples, and what holds a Pod together."""
    images = Images()
    busybox = _busybox_layer(packages.busybox)
    python = _python_layer(packages.python)
    echo = _pack({"echo.py": _ECHO})
    images.add([PAUSE.rpartition(":")[0].partition("/")[2]], [busybox], ["/bin/busybox", "sleep", "2147483647"])
    images.add(["library/busybox", "busybox"], [busybox], ["sh"])
    images.add(["library/python", "python"], [busybox, python], ["python3"])
    images.add(["echoserver"], [busybox, python, echo], ["python3", "/echo.py"])
    return images


def _busybox_layer(program: Path) -> bytes:
    names = subprocess.run([program, "--list"], check=True, capture_output=True, text=True, timeout=30).stdout.split()
    links = {f"bin/{name}": "busybox" for name in names if name != "busybox"}
    return _pack({"bin/busybox": program.read_bytes(), **_USERS}, links, _FOLDERS)


def _python_layer(root: Path) -> bytes:
    links = {f"usr/bin/{name}": "python3.11" for name in ("python", "python3")}
    return _pack({}, links, tree=root)


def _pack(
    files: Mapping[str, bytes],
    links: Mapping[str, str] | None = None,
    folders: Sequence[str] = (),
    tree: Path | None = None,
) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path in sorted(tree.iterdir()) if tree else ():
            tar.add(path, path.name, filter=_anonymous)
        for name in folders:
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755
            tar.addfile(folder)
        for name, content in files.items():
            file = tarfile.TarInfo(name)
            file.size, file.mode = len(content), 0o755
            tar.addfile(file, io.BytesIO(content))
        for name, target in (links or {}).items():
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, target
            tar.addfile(link)
    return buffer.getvalue()


def _anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = entry.mtime = 0
    entry.uname = entry.gname = ""
    return entry


def _digest(blob: bytes) -> str:
    return f"sha256:{hashlib.sha256(blob).hexdigest()}"


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True).encode()
