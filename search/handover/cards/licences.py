"""What the licences of the sources allow together, read from their names: what is said, and what does not go together.

Names are matched, terms are not read: every sentence is a hint to look, never legal advice.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

NOT_STATED = "not stated"
_NON_COMMERCIAL = re.compile(r"\bnc\b|non-?commercial|research[- ]only|academic", re.IGNORECASE)
_NO_DERIVATIVES = re.compile(r"\bnd\b|no-?deriv", re.IGNORECASE)
_SHARE_ALIKE = re.compile(r"\bsa\b|share-?alike|\bgpl\b|odbl", re.IGNORECASE)
_AGREEMENT = re.compile(r"credential|data use agreement|\bdua\b|physionet|restricted|on request", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Terms:
    """What the sources' licences say together.

    Attributes:
        by_licence: the subsets under each licence, sorted.
        non_commercial: subsets that may not be used commercially.
        no_derivatives: subsets that may not be changed and passed on.
        share_alike: subsets whose licence must be kept by what is made of them.
        agreements: subsets that a user must agree to terms for.
        not_stated: subsets whose catalog names no licence.
    """

    by_licence: Mapping[str, tuple[str, ...]]
    non_commercial: tuple[str, ...]
    no_derivatives: tuple[str, ...]
    share_alike: tuple[str, ...]
    agreements: tuple[str, ...]
    not_stated: tuple[str, ...]

    @property
    def conflicts(self) -> list[str]:
        """What does not go together, or cannot be passed on; one sentence each."""
        alike = sorted({licence for licence, names in self.by_licence.items() if set(names) & set(self.share_alike)})
        told = []
        if len(alike) > 1:
            told.append(f"{', '.join(alike)} each ask that the whole keeps their licence, and it can keep only one.")
        if alike and self.non_commercial:
            outside = sorted(set(self.non_commercial) - set(self.share_alike))
            if outside:
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
        return told


def combine(licences: Mapping[str, str | None]) -> Terms:
    """Read the licences of subsets.

    Args:
        licences: by subset; None where the catalog names none.
    """
    named = {name: (licence or "").strip() for name, licence in licences.items()}
    by_licence: dict[str, list[str]] = {}
    for name, licence in sorted(named.items()):
        by_licence.setdefault(licence or NOT_STATED, []).append(name)

    def matching(pattern: re.Pattern[str]) -> tuple[str, ...]:
        return tuple(name for name, licence in sorted(named.items()) if pattern.search(licence))

    return Terms(
        by_licence={licence: tuple(names) for licence, names in sorted(by_licence.items())},
        non_commercial=matching(_NON_COMMERCIAL),
        no_derivatives=matching(_NO_DERIVATIVES),
        share_alike=matching(_SHARE_ALIKE),
        agreements=matching(_AGREEMENT),
        not_stated=tuple(name for name, licence in sorted(named.items()) if not licence),
    )
