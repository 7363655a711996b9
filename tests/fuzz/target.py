"""One fuzz target in this process: `python -m tests.fuzz.target NAME libfuzzer-arguments...` (run.py starts it)."""
import ctypes
import os
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from robustmq._fastpath.reactor.reactors import Reactors

from tests.fuzz import seeds
from tests.shims import fuzz


def prepare(name: str, directory: Path) -> tuple[int, Iterable[bytes], object]:
    """A target's address, its seeds, and what must live as long."""
    if name == "kafka":
        rig = seeds.kafka_rig(directory)
        reactors = Reactors(threads=1)
        rig.exchange.attach(reactors, rig.log)
        return fuzz.address("link", rig.protocol, reactors), seeds.kafka(rig), (rig, reactors)
    if name == "mqtt":
        world, sessions = seeds.mqtt_world(directory)
        for session, answer in sessions:
            fuzz.accept(session, answer)
        return fuzz.address("link", world.protocol, world.reactors), seeds.mqtt(), world
    return fuzz.address(name), {"batch": seeds.batches, "frame": seeds.frames}[name](), None


def main() -> int:
    name, corpus, *arguments = sys.argv[1:]
    Path(corpus).mkdir(parents=True, exist_ok=True)
    target, first, _keep = prepare(name, Path(tempfile.mkdtemp(prefix="robustmq-fuzz-")))
    for i, data in enumerate(first):
        Path(corpus, f"seed-{i:03}").write_bytes(data)
    library = ctypes.CDLL(os.environ["LIBFUZZER"], mode=ctypes.RTLD_GLOBAL)
    words = [word.encode() for word in ("fuzz", *arguments, *([] if has_files(arguments) else [corpus]))]
    argv = ctypes.cast((ctypes.c_char_p * (len(words) + 1))(*words, None), ctypes.POINTER(ctypes.c_char_p))
    argc = ctypes.c_int(len(words))
    return library.LLVMFuzzerRunDriver(ctypes.byref(argc), ctypes.byref(argv), ctypes.c_void_p(target))


def has_files(arguments: list[str]) -> bool:
    """Whether a crash is to be repeated."""
    return any(not word.startswith("-") for word in arguments)


if __name__ == "__main__":
    sys.exit(main())
