#!/bin/sh
# empty_venv.sh PYTHON DIR: an environment in DIR with pip and nothing else. Debian ships python3 without ensurepip (it is
# in python3-venv); then pip comes from virtualenv, from the pip of that Python, or from PyPI.
set -eu
python=$1 venv=$2
if [ -x "$venv/bin/python" ] && "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    exit 0
fi
rm -rf "$venv"
if "$python" -c 'import ensurepip' 2>/dev/null; then
    "$python" -m venv "$venv"
elif "$python" -m virtualenv --version >/dev/null 2>&1; then
    "$python" -m virtualenv -q "$venv"
else
    "$python" -m venv --without-pip "$venv"
    fetch='import sys, urllib.request; urllib.request.urlretrieve("https://bootstrap.pypa.io/pip/pip.pyz", sys.argv[1])'
    if "$python" -m pip --python "$venv/bin/python" install -q pip 2>/dev/null; then
        exit 0
    fi
    echo "robustmq: $python has neither ensurepip nor pip; taking pip from PyPI (or: apt install python3-venv)"
    if ! "$python" -c "$fetch" "$venv/pip.pyz" 2>/dev/null || ! "$venv/bin/python" "$venv/pip.pyz" install -q pip; then
        echo "robustmq: that failed. Install the package python3-venv and try again" >&2
        exit 1
    fi
fi
