#!/bin/sh
# venv.sh PYTHON DIR: the development environment: what building and testing need, and the programs over these sources.
set -eu
python=$1 venv=$2
"$python" - <<'PY' || exit 1
import sys
import sysconfig
from pathlib import Path
if sys.version_info < (3, 11):
    sys.exit(f"robustmq needs Python 3.11 or later; {sys.executable} is {sys.version.split()[0]}: make PYTHON=python3.11")
if not Path(sysconfig.get_path("include"), "Python.h").exists():
    sys.exit(f"robustmq: Python.h is missing: install the development files of {sys.executable} (Debian: python3-dev)")
PY
[ -d "$venv" ] || echo "robustmq: making the environment $venv"
sh .ci/empty_venv.sh "$python" "$venv"
echo "robustmq: installing what building and testing need"
"$venv/bin/python" - <<'PY'
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path
project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", *project["dependencies"],
                *project["optional-dependencies"]["dev"]], check=True)
Path(sysconfig.get_path("purelib"), "robustmq-sources.pth").write_text(f"{Path.cwd()}\n")
for name, target in project["scripts"].items():
    module, function = target.split(":")
    program = Path(sysconfig.get_path("scripts"), name)
    program.write_text(f"#!{sys.executable}\nimport sys\nfrom {module} import {function}\nsys.exit({function}())\n")
    program.chmod(0o755)
PY
