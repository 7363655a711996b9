#!/bin/sh
# venv.sh PYTHON DIR: an environment in DIR with what building and testing need. Debian ships python3 without
# ensurepip (package python3-venv); then pip comes from PyPI, through virtualenv's zipapp where nothing else is there.
set -eu
python=$1 venv=$2
"$python" - <<'PY' || exit 1
import sys
if sys.version_info < (3, 11):
    sys.exit(f"robustmq needs Python 3.11 or later; {sys.executable} is {sys.version.split()[0]}: make PYTHON=python3.11")
PY
if ! [ -f "$("$python" -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h" ]; then
    echo "robustmq: Python.h is missing: install the development files of $python (Debian: apt install python3-dev)" >&2
    exit 1
fi
if ! [ -x "$venv/bin/python" ] || ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    echo "robustmq: making the environment $venv"
    rm -rf "$venv"
    if "$python" -c 'import ensurepip' 2>/dev/null; then
        "$python" -m venv "$venv"
    elif "$python" -m virtualenv --version >/dev/null 2>&1; then
        "$python" -m virtualenv -q "$venv"
    else
        echo "robustmq: $python has no ensurepip; taking pip from PyPI (or: apt install python3-venv)"
        "$python" -m venv --without-pip "$venv"
        zipapp="$venv/pip.pyz"
        "$python" -c 'import sys, urllib.request; urllib.request.urlretrieve("https://bootstrap.pypa.io/pip/pip.pyz", sys.argv[1])' \
            "$zipapp" || { echo "robustmq: that failed. Install the package python3-venv and try again" >&2; exit 1; }
        "$venv/bin/python" "$zipapp" install -q pip
    fi
fi
echo "robustmq: installing what building and testing need"
"$venv/bin/python" -m pip install -q --disable-pip-version-check -r /dev/stdin <<REQUIREMENTS
$("$python" -c 'import tomllib
project = tomllib.load(open("pyproject.toml", "rb"))["project"]
print("\n".join([*project["dependencies"], *project["optional-dependencies"]["dev"]]))')
REQUIREMENTS
site=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
pwd > "$site/robustmq.pth"
"$venv/bin/python" - "$venv" <<'PY'
"""Programs of pyproject.toml that run the sources in place."""
import sys, tomllib
from pathlib import Path
venv = Path(sys.argv[1]).resolve()
for name, target in tomllib.loads(Path("pyproject.toml").read_text())["project"]["scripts"].items():
    module, function = target.split(":")
    program = venv / "bin" / name
    program.write_text(f"#!{venv}/bin/python\nimport sys\nfrom {module} import {function}\nsys.exit({function}())\n")
    program.chmod(0o755)
PY
