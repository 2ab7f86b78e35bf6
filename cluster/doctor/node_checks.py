"""The doctor's findings about the nodes of a cluster: what each said of itself, judged and compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cluster.doctor.check import Check, Status

Facts = Mapping[str, Mapping[str, Any]]
_DISK_ENOUGH_GIB, _DISK_LEAST_GIB = 5.0, 0.5
_SHM_ENOUGH_GIB = 1.0
# A row of a small image is 20 KiB: 2,000 rows a second, more than any fine-tune takes.
_SLOW_MIB_S = 40.0
# Times of different nodes stand side by side in the record of a trial, in whole seconds.
_SKEW_S = 2.0


def judge_nodes(facts: Facts, ours: Mapping[str, str], directory: Path) -> list[Check]:
    """Return one finding an aspect; those that are not ``ok`` name nodes.

    Args:
        facts: By node, as `node_facts.gather` returns them.
        ours: Versions of this process, by package.
        directory: Where studies will be written.
    """
    names = ", ".join(facts)
    return [
        Check(name="nodes", status="ok", detail=f"{len(facts)}: {names}", fix=""),
        _versions(facts, ours),
        _origins(facts),
        _folders(facts, directory),
        _amounts(facts, "disk_gib", "node disk", _DISK_ENOUGH_GIB, _DISK_LEAST_GIB, "free for Ray's files"),
        _amounts(facts, "shm_gib", "node shared memory", _SHM_ENOUGH_GIB, 0.0, "in /dev/shm"),
        _clocks(facts),
        _gpus(facts),
        _token(facts),
        _models(facts),
    ]


def _found(name: str, bad: Mapping[str, str], status: Status, fine: str, fix: str) -> Check:
    detail = "; ".join(f"{node}: {words}" for node, words in bad.items())
    return Check(name=name, status=status if bad else "ok", detail=detail or fine, fix=fix)


def _versions(facts: Facts, ours: Mapping[str, str]) -> Check:
    bad = {}
    for node, fact in facts.items():
        theirs = [(k, v) for k, v in fact["versions"].items() if k in ours]
        other = [f"{k} {v}, here {ours[k]}" for k, v in theirs if _public(v) != _public(ours[k])]
        if other:
            bad[node] = ", ".join(other)
    fine = ", ".join(f"{name} {_public(version)}" for name, version in ours.items()) + " everywhere"
    return _found(
        "node versions", bad, "fail", fine, "Install the same versions everywhere: one image, or one environment."
    )


def _public(version: str) -> str:
    """A version without its local part (PEP 440): nodes with GPUs have torch's `+cu128`, those without its `+cpu`."""
    return version.partition("+")[0]


def _origins(facts: Facts) -> Check:
    bad = {}
    for node, fact in facts.items():
        missing = [name for name, origin in fact["origins"].items() if not origin]
        roots = {str(Path(origin).parent.parent) for origin in fact["origins"].values() if origin}
        if missing:
            bad[node] = f"no {', '.join(missing)}"
        elif len(roots) > 1:
            bad[node] = f"our packages come from {' and '.join(sorted(roots))}"
    fix = "Install Recombine there; rename a file or folder of your own that has the name of one of its packages."
    return _found("node packages", bad, "fail", "all of ours, each node from one place", fix)


def _folders(facts: Facts, directory: Path) -> Check:
    blind, slow = {}, {}
    for node, fact in facts.items():
        if "folder_error" in fact:
            blind[node] = f"{directory}: {fact['folder_error']}"
        elif not fact["is_same"] or not fact["is_seen_here"]:
            blind[node] = f"{directory} is another folder there"
        elif min(fact["read_mib_s"], fact["write_mib_s"]) < _SLOW_MIB_S:
            slow[node] = f"reads {fact['read_mib_s']:.0f}, writes {fact['write_mib_s']:.0f} MiB/s in {directory}"
    fix = "Studies, stores and data must lie on storage that every node mounts under the same path."
    if blind:
        return _found("node folders", blind, "fail", "", fix)
    slowest = [min(fact[kind] for fact in facts.values()) for kind in ("read_mib_s", "write_mib_s")]
    fine = f"all see {directory}; the slowest reads {slowest[0]:.0f} and writes {slowest[1]:.0f} MiB/s"
    return _found("node folders", slow, "warn", fine, "A faster file system, or fewer slots on such a node.")


def _amounts(facts: Facts, key: str, name: str, enough: float, least: float, words: str) -> Check:
    known = {node: fact[key] for node, fact in facts.items() if fact[key] is not None}
    bad = {node: f"{value:.1f} GiB {words}" for node, value in known.items() if value < enough}
    status: Status = "fail" if any(value < least for value in known.values()) else "warn"
    fine = f"{min(known.values()):.1f} GiB or more {words}" if known else "not known on this system"
    fixes = {
        "disk_gib": "Free some space, or start Ray with --temp-dir on a larger disk.",
        "shm_gib": "In a container: --shm-size=8g; on Kubernetes an emptyDir with medium Memory on /dev/shm.",
    }
    return _found(name, bad, status, fine, fixes[key])


def _clocks(facts: Facts) -> Check:
    bad = {
        node: f"{skew:+.1f} s (± {error:.1f} s)"
        for node, (skew, error) in ((node, fact["skew_s"]) for node, fact in facts.items())
        if abs(skew) - error > _SKEW_S
    }
    largest = max(abs(fact["skew_s"][0]) for fact in facts.values())
    fine = f"at most {largest:.2f} s apart from this machine's"
    return _found("node clocks", bad, "warn", fine, "Switch time synchronisation on (chrony, systemd-timesyncd).")


def _gpus(facts: Facts) -> Check:
    bad = {
        node: f"Ray counts {fact['num_gpus']:g} GPUs, the driver shows {len(fact['gpus'])}"
        for node, fact in facts.items()
        if fact["num_gpus"] != len(fact["gpus"])
    }
    drivers = {line.split(", ")[1] for fact in facts.values() for line in fact["gpus"] if ", " in line}
    kinds = _counted([line.split(", ")[0] for fact in facts.values() for line in fact["gpus"]])
    if not bad and len(drivers) > 1:
        bad = {"all": f"drivers {', '.join(sorted(drivers))}"}
    fix = "`nvidia-smi` on that node; a container needs the NVIDIA runtime, Ray the right --num-gpus."
    return _found("node GPUs", bad, "warn", kinds or "none", fix)


def _token(facts: Facts) -> Check:
    bad = {}
    for node, fact in facts.items():
        if not fact["is_token_mode"]:
            bad[node] = "Ray asks for no token"
        elif fact["token_mode"] is not None and fact["token_mode"] & 0o077:
            bad[node] = f"others can read the token's file (mode {fact['token_mode']:o})"
    status: Status = "fail" if any("no token" in words for words in bad.values()) else "warn"
    fix = "RAY_AUTH_MODE=token on every node before `ray start`, and its file with mode 600."
    return _found("node token", bad, status, "asked for on every node", fix)


def _models(facts: Facts) -> Check:
    known = {model for fact in facts.values() for model in fact["models"]}
    bad = {
        node: f"lacks {', '.join(sorted(known - set(fact['models'])))}"
        for node, fact in facts.items()
        if known - set(fact["models"])
    }
    fix = "Each node fetches a hub model once before slots start; without a network, copy the cache's folder."
    none = "no node has one in its cache: each will fetch the study's from the hub, or load it from its folder"
    return _found("node models", bad, "warn", f"in the cache of every node: {len(known)}" if known else none, fix)


def _counted(words: Sequence[str]) -> str:
    key: Callable[[str], int] = words.count
    return ", ".join(f"{words.count(word)} x {word}" for word in sorted(set(words), key=key, reverse=True))
