"""The store on etcd: one gRPC connection for all calls and watches (why gRPC: docs/design/0001-etcd-client.md)."""

from krake.adapters.etcd.connection import Login, Tls
from krake.adapters.etcd.store import EtcdStore

__all__ = ["EtcdStore", "Login", "Tls"]
