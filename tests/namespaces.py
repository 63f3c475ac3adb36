"""Machines that are none: network namespaces, connected by pairs of virtual interfaces that can go dumb."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count

from tests.needs import need_namespaces

_NOBODY = "02:00:00:00:00:fe"
"""A hardware address that nobody has: what is sent there is lost, and nobody learns it."""
_numbers = count(1)


def ip(*words: str, inside: str = "") -> None:
    """Run `ip`, in a namespace where one is named."""
    command = ["ip", *(("-n", inside) if inside else ()), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"


@dataclass
class Machine:
    """A namespace; `""` is the one that the tests run in."""

    name: str

    @property
    def before(self) -> tuple[str, ...]:
        """What goes before a command to run it there."""
        return ("ip", "netns", "exec", self.name)


@dataclass
class Cable:
    """Between two machines; each has an address at its end."""

    ends: tuple[Machine, Machine]
    interfaces: tuple[str, str]
    addresses: tuple[str, str]

    @contextmanager
    def cut(self) -> Iterator[None]:
        """What either side sends is lost."""
        for end, interface, peer in zip(self.ends, self.interfaces, reversed(self.addresses), strict=True):
            entry = (peer, "lladdr", _NOBODY, "dev", interface, "nud", "permanent")
            ip("neigh", "replace", *entry, inside=end.name)
        try:
            yield
        finally:
            for end, interface, peer in zip(
                self.ends, self.interfaces, reversed(self.addresses), strict=True
            ):
                ip("neigh", "del", peer, "dev", interface, inside=end.name)

    def impair(self, *netem: str) -> bool:
        """Delay and lose what either side sends, as of tc-netem(8); False where the kernel can't."""
        for end, interface in zip(self.ends, self.interfaces, strict=True):
            command = [*(end.before if end.name else ()), "tc", "qdisc", "replace", "dev", interface]
            done = subprocess.run([*command, "root", "netem", *netem], capture_output=True, check=False)
            if done.returncode != 0:
                return False
        return True


@dataclass
class Network:
    """Machines and cables; gone with the block."""

    machines: list[Machine] = field(default_factory=list)
    number: int = field(default_factory=lambda: os.getpid() % 120 * 2 + next(_numbers) % 2)
    cables: int = 0

    def machine(self) -> Machine:
        """One more."""
        made = Machine(f"ut{self.number}-{len(self.machines)}")
        ip("netns", "add", made.name)
        self.machines.append(made)
        ip("link", "set", "lo", "up", inside=made.name)
        return made

    def connect(self, one: Machine, other: Machine) -> Cable:
        """A cable between them."""
        names = (f"ut{self.number}c{self.cables}a", f"ut{self.number}c{self.cables}b")
        addresses = (f"10.{self.number}.{self.cables}.1", f"10.{self.number}.{self.cables}.2")
        self.cables += 1
        ends = (one, other)
        ip("link", "add", names[0], "type", "veth", "peer", "name", names[1])
        for end, name, address in zip(ends, names, addresses, strict=True):
            if end.name:
                ip("link", "set", name, "netns", end.name)
            ip("addr", "add", f"{address}/30", "dev", name, inside=end.name)
            ip("link", "set", name, "up", inside=end.name)
        return Cable(ends, names, addresses)

    def close(self) -> None:
        """The cables go with the machines."""
        for machine in self.machines:
            ip("netns", "del", machine.name)


@contextmanager
def network() -> Iterator[Network]:
    """One of a test's own, or a skip where that may not be."""
    need_namespaces()
    made = Network()
    try:
        yield made
    finally:
        made.close()
