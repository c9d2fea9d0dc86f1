"""Makes the manifests of applications that are declared by templates, beside all other work, as it may take long."""

import random
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from krake.client import Invalid
from krake.controller.kubernetes.application import translation
from krake.controller.kubernetes.application.workplace import Workplace
from krake.controller.runtime import Controller, Result
from krake.data.kubernetes import Application
from krake.data.metadata import Key
from krake.lib.backoff import Backoff
from krake.ports.translation import TranslationError, Translator

ATTEMPTS = Backoff(2.0, 300.0)
"""Between attempts at what could not be fetched, or may be mended where it was fetched from."""
WORKERS = 12
SHARE = 4
"""How many translations of one namespace are under way at once: one with slow templates does not hold up the others."""
TURN = 0.5
"""Seconds until a namespace that has its share is looked at again."""


class Translating:
    """Makes the manifests of applications."""

    def __init__(self, workplace: Workplace, translator: Translator) -> None:
        self._workplace = workplace
        self._translator = translator
        self._attempts: Counter[Key] = Counter()
        self._under_way: Counter[str | None] = Counter()
        self.controller: Controller[Key] = Controller("translation", self.reconcile, WORKERS, reads=[workplace.applications])

    def see(self, app: Application) -> None:
        """Look at an application that has changed."""
        if translation.is_due(app):
            self.controller.enqueue(app.key)

    def forget(self, key: Key) -> None:
        """Let go of an application that is no more."""
        self._attempts.pop(key, None)

    async def reconcile(self, key: Key) -> Result | None:
        """Make the manifest of an application, if that is what is next."""
        app = self._workplace.applications.get(key)
        if app is None or not translation.is_due(app):
            return None
        if self._under_way[key.namespace] >= SHARE:
            return Result(TURN)
        with self._counted(key.namespace):
            return await self._translate(app)

    @contextmanager
    def _counted(self, namespace: str | None) -> Iterator[None]:
        self._under_way[namespace] += 1
        try:
            yield
        finally:
            self._under_way -= Counter([namespace])

    async def _translate(self, app: Application) -> Result | None:
        at, source = self._workplace, translation.source_of(app)
        assert source is not None
        app = await at.write(app, translation.begin(app))
        try:
            manifest = await self._translator.translate(source, app.spec.inputs)
            await self._store(app, manifest)
        except TranslationError as error:
            await at.write(app, translation.fail(app, str(error)))
            if not error.passing:
                return None
            self._attempts[app.key] += 1
            return Result(ATTEMPTS.delay(self._attempts[app.key], random.uniform(0.5, 1.0)))
        self._attempts.pop(app.key, None)
        return None

    async def _store(self, app: Application, manifest: list[dict[str, Any]]) -> None:
        at = self._workplace
        app = await at.write(app, translation.announce(app, manifest))
        changes: Mapping[str, Any] = {
            "metadata": {"resource_version": app.metadata.resource_version},
            "spec": {"manifest": manifest},
        }
        try:
            stored = await at.client.patch(Application, app.key, changes)
        except Invalid as error:
            raise TranslationError(f"The manifest of the template is refused: {error}") from None
        at.applications.expect(stored.key, stored.metadata.resource_version)
