"""One and two slots on this machine, and 64 pretended ones that sleep for recorded durations at a real broker."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tests.benchmarks.trials.workload import encoded_blocks, pooled_side, trial_spec
from trainers.trial.folder import read_result

NUM_SLOTS, NUM_WORKS = 64, 1_280
STRETCH = 8.0  # durations of the phantom are those of no real trial: a tenth of a minute becomes most of one


class PretendedSlots:
    """All slots as tasks of one process; each sleeps where a slot would train."""

    async def work(self, broker: Any, durations: Mapping[str, float]) -> dict[str, Any]:
        """Work everything off; how long leasing and finishing took, and how long slots had nothing to do."""
        import asyncio

        waits: list[float] = []
        idle = busy = 0.0

        async def slot(name: str) -> None:
            nonlocal idle, busy
            await broker.register.remote(name, "1", {}, None)
            while True:
                asked = time.monotonic()
                work = await broker.lease.remote(name, "1", None)
                if work == "close":
                    return
                if work is None:
                    continue
                leased = time.monotonic()
                (train_id,) = work.specs
                await asyncio.sleep(durations[train_id])
                done = time.monotonic()
                await broker.report.remote(work.ticket, {"train_id": train_id, "ended": "finished"})
                await broker.finish.remote(name, work)
                finished = time.monotonic()
                waits.append(leased - asked + finished - done)
                idle += leased - asked + finished - done
                busy += done - leased

        await asyncio.gather(*(slot(f"slot-{i}") for i in range(NUM_SLOTS)))
        return {"waits": waits, "idle": idle, "busy": busy}


def measure(say: Callable[[str], None], *, is_quick: bool) -> dict[str, Any]:
    """Trials an hour by slots; the broker's share of a trial and of the slots' time."""
    num = 4 if is_quick else 12
    encoded = encoded_blocks()
    rates, recorded = {}, []
    for num_slots in (1, 2):
        with pooled_side(encoded, num_slots=num_slots) as side:
            side.run([trial_spec(1_000, num_steps=0, num_targets=0)])
            specs = [trial_spec(i) for i in range(num)]
            started = time.monotonic()
            side.run(specs)
            rates[num_slots] = 3600 * num / (time.monotonic() - started)
            results = [read_result(side.run_dir / "trials" / spec.folder_name) for spec in specs]
            recorded += [sum(s for phase, s in r.seconds.items() if phase != "queue") for r in results]
    say(f"trials an hour: 1 slot {rates[1]:.0f}, 2 slots {rates[2]:.0f} ({rates[2] / rates[1]:.2f} times)")
    pretended = _pretend(recorded, 128 if is_quick else NUM_WORKS)
    p99 = 1000 * statistics.quantiles(pretended["waits"], n=100)[98]
    share = pretended["idle"] / (pretended["idle"] + pretended["busy"])
    say(f"{NUM_SLOTS} pretended slots: broker {1000 * statistics.median(pretended['waits']):.1f} ms a trial (median), "
        f"{p99:.1f} ms (99 %); slots had nothing to do in {share:.2%} of their time")  # fmt: skip
    return {
        "broker_p99_ms": round(p99, 1),
        "slot_idle_share": round(share, 4),
        "slots_rate": {str(n): round(r) for n, r in rates.items()},
    }


def _pretend(recorded: Sequence[float], num_works: int) -> dict[str, Any]:
    import threading

    import ray

    from trainers.executors.broker import Work
    from trainers.executors.broker_actor import BrokerActor

    rng = random.Random(0)
    durations = {f"t{i}": STRETCH * rng.choice(list(recorded)) / 8 for i in range(num_works)}
    broker = ray.remote(num_cpus=0)(BrokerActor).remote()
    for name in durations:
        ray.get(broker.submit.remote(Work(ticket=name, specs={name: {}}, submitted_at=0.0)))
    slots = ray.remote(num_cpus=0)(PretendedSlots).remote()
    result = slots.work.remote(broker, durations)

    def collect() -> None:
        for name in durations:
            while True:
                found = ray.get(broker.events.remote(name))
                if found not in (None, "unknown") and found[1]:
                    break
        ray.get(broker.close.remote())

    collector = threading.Thread(target=collect)
    collector.start()
    found: dict[str, Any] = ray.get(result)
    collector.join()
    # The last of each slot waits for the end of all others: that is the tail of the work, not the broker.
    found["waits"] = found["waits"][: -NUM_SLOTS or None]
    return found
