"""What came out of looking at whether a process can do its work."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """What came out of one check; the *message* says what is wrong or, if it *passed*, what is fine.

    :param required: without it the process is not ready; other findings only inform.
    """

    name: str
    passed: bool
    message: str
    required: bool = True

    @property
    def fatal(self) -> bool:
        """Whether the process is not ready because of it."""
        return self.required and not self.passed

    @property
    def line(self) -> str:
        """The finding as a line of text."""
        mark, verdict = ("+", "ok") if self.passed else ("-", "failed") if self.required else ("!", "warning")
        return f"[{mark}]{self.name} {verdict}: {self.message}"


def render(findings: Iterable[Finding]) -> str:
    """Return all findings as text, with the verdict at the end."""
    findings = list(findings)
    verdict = "not ready" if any(finding.fatal for finding in findings) else "ready"
    return "".join(f"{finding.line}\n" for finding in findings) + f"{verdict}\n"
