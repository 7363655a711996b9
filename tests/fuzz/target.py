"""One fuzz target in this process: `python -m tests.fuzz.target NAME libfuzzer-arguments...` (run.py starts it)."""
import ctypes
import os
import sys
import tempfile
from pathlib import Path

from tests.fuzz import seeds
from tests.shims import fuzz


def main() -> int:
    name, corpus, *arguments = sys.argv[1:]
    rig = seeds.fuzz_rig(Path(tempfile.mkdtemp(prefix="robustmq-fuzz-"))) if name == "kafka" else None
    first = {"batch": seeds.batches, "mqtt": seeds.mqtt, "kafka": lambda: seeds.kafka(rig)}[name]
    Path(corpus).mkdir(parents=True, exist_ok=True)
    for i, data in enumerate(first()):
        Path(corpus, f"seed-{i:03}").write_bytes(data)
    target = fuzz.address("link", rig.protocol) if rig else fuzz.address(name)
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
