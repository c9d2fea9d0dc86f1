"""What all tests share: the fixtures are plugin modules in `fixtures/`."""

pytest_plugins = [
    "fixtures.properties",
    "fixtures.etcd",
    "fixtures.kubernetes",
    "fixtures.real_pods",
    "fixtures.simulator",
    "fixtures.simulated_magnum",
    "fixtures.simulated_clouds",
    "fixtures.up",
    "fixtures.local_clusters",
    "fixtures.stories",
    "fixtures.proxy",
    "fixtures.api",
    "fixtures.api_process",
    "fixtures.pki",
    "fixtures.tools",
    "fixtures.identity",
    "fixtures.fuzzing",
    "fixtures.web",
    "fixtures.metrics",
    "fixtures.im",
]
