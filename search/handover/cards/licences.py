"""What the licences of the sources allow together, read from their names: what is said, and what does not go together.

Names are matched, terms are not read: every sentence is a hint to look, never legal advice.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from datasets_spec.catalog.catalog import BETWEEN_LICENCES, NOT_STATED

# Names are compared with one `-` for whatever stands between words.
_NON_COMMERCIAL = re.compile(
    r"\bnc\b|non-?commercial|research-only|research-use|research-purposes?|only-for-research|academic", re.IGNORECASE
)
_NO_DERIVATIVES = re.compile(r"\bnd\b|no-?deriv", re.IGNORECASE)
_SHARE_ALIKE = re.compile(r"\bsa\b|share-?alike|\b[al]?gpl|general-public-licen[cs]e|odbl", re.IGNORECASE)
_AGREEMENT = re.compile(r"credential|data-use-agreement|\bdua\b|physionet|restricted|on-request", re.IGNORECASE)
_FREE = re.compile(
    r"\bcc-?by|\bcc-?0|creative-commons|public-domain|pddl|\bmit\b|apache|\bbsd|odc-by|cdla-permissive", re.IGNORECASE
)
_KNOWN = (_NON_COMMERCIAL, _NO_DERIVATIVES, _SHARE_ALIKE, _AGREEMENT, _FREE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Terms:
    """What the sources' licences say together.

    Attributes:
        by_licence: the subsets under each licence, sorted; a subset of several sources may stand under several.
    """

    by_licence: Mapping[str, tuple[str, ...]]

    @property
    def non_commercial(self) -> tuple[str, ...]:
        """Subsets that may not be used commercially."""
        return self._under(_NON_COMMERCIAL)

    @property
    def no_derivatives(self) -> tuple[str, ...]:
        """Subsets that may not be changed and passed on."""
        return self._under(_NO_DERIVATIVES)

    @property
    def share_alike(self) -> tuple[str, ...]:
        """Subsets whose licence must be kept by what is made of them."""
        return self._under(_SHARE_ALIKE)

    @property
    def agreements(self) -> tuple[str, ...]:
        """Subsets that a user must agree to terms for."""
        return self._under(_AGREEMENT)

    @property
    def not_stated(self) -> tuple[str, ...]:
        """Subsets whose catalog names no licence of them, or of one of their sources."""
        return self.by_licence.get(NOT_STATED, ())

    @property
    def conflicts(self) -> list[str]:
        """What does not go together, or cannot be passed on; one sentence each."""
        alike = [licence for licence in self.by_licence if _says(_SHARE_ALIKE, licence)]
        told = []
        if len(alike) > 1:
            told.append(f"{', '.join(alike)} each ask that the whole keeps their licence, and it can keep only one.")
        narrower = [licence for licence in self.by_licence if licence not in alike and _says(_NON_COMMERCIAL, licence)]
        if alike and narrower:
            outside = sorted({name for licence in narrower for name in self.by_licence[licence]})
            told.append(
                f"{', '.join(alike)} must be passed on under the same terms, which {', '.join(outside)} "
                "(no commercial use) would narrow."
            )
        if self.no_derivatives:
            told.append(f"{', '.join(self.no_derivatives)}: changed rows may not be passed on, and a mix is a change.")
        if self.not_stated:
            told.append(f"{', '.join(self.not_stated)}: no licence is stated; without one nothing may be passed on.")
        if self.agreements:
            told.append(f"{', '.join(self.agreements)}: whoever gets the rows must have agreed to the source's terms.")
        for licence, names in self.by_licence.items():
            if licence != NOT_STATED and not any(_says(pattern, licence) for pattern in _KNOWN):
                told.append(f"{', '.join(names)}: the licence '{licence}' is not recognised; read its terms.")
        return told

    def _under(self, pattern: re.Pattern[str]) -> tuple[str, ...]:
        found = {name for licence, names in self.by_licence.items() if _says(pattern, licence) for name in names}
        return tuple(sorted(found))


def _says(pattern: re.Pattern[str], licence: str) -> bool:
    return pattern.search(re.sub(r"[\s_-]+", "-", licence)) is not None


def combine(licences: Mapping[str, str | None]) -> Terms:
    """Read the licences of subsets.

    Args:
        licences: by subset, several parted by `BETWEEN_LICENCES`; None where the catalog names none.
    """
    by_licence: dict[str, set[str]] = {}
    for name, written in licences.items():
        named = [part.strip() for part in (written or "").split(BETWEEN_LICENCES) if part.strip()]
        for licence in named or [NOT_STATED]:
            by_licence.setdefault(licence, set()).add(name)
    return Terms(by_licence={licence: tuple(sorted(names)) for licence, names in sorted(by_licence.items())})
