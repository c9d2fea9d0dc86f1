"""Makes the manifests of applications that are declared by templates, beside all other work, as it may take long."""

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
from krake.ports.translation import TranslationError, Translator

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
            app = await at.write(app, translation.announce(app, manifest))
            await self._store(app, manifest)
        except TranslationError as error:
            now = at.clock()
            app = await at.write(app, translation.fail(app, error, now, self._attempts[app.key]))
            self._attempts[app.key] += 1
            due = app.status.scheduled_retry
            return Result(max(0.0, (due - now).total_seconds())) if due is not None else None
        self._attempts.pop(app.key, None)
        return None

    async def _store(self, app: Application, manifest: list[dict[str, Any]]) -> None:
        at = self._workplace
        changes: Mapping[str, Any] = {
            "metadata": {"resource_version": app.metadata.resource_version},
            "spec": {"manifest": manifest},
        }
        try:
            stored = await at.client.patch(Application, app.key, changes)
        except Invalid as error:
            passing = not isinstance(app.spec.tosca, dict) or not app.spec.tosca
            raise TranslationError(f"The manifest of the template is refused: {error}", passing=passing) from None
        at.applications.expect(stored.key, stored.metadata.resource_version)
