# Sourced by the scripts beside it: finds a Python, makes .venv in the clone, leaves its interpreter in $python.
# usage: . environment.sh; prepare EXTRAS     (EXTRAS as pip takes them, for instance test,demo)

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

find_python() {
    local candidate
    for candidate in python3 python3.13 python3.12 python3.11 python3.14 python; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
            echo "$candidate"
            return
        fi
    done
    echo "pehealth needs Python 3.11 or newer; none of python3, python3.11 to python3.14 is one. Install it and run this again." >&2
    return 2
}

prepare() {
    local base
    base=$(find_python) || exit 2
    "$base" "$root/scripts/environment.py" "$1" || exit
    python=$root/.venv/bin/python
}
