# Sourced by the other scripts: goes to the root of the checkout and prepares its virtual environment there (.venv), once.
# Use: prepare EXTRA   (an extra of both packages, for example `test`; may be empty)
set -euo pipefail
called_from=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/.."

bold='' plain=''
if [ -t 2 ] && [ -z "${NO_COLOR:-}" ] && [ "${TERM:-dumb}" != dumb ]; then
    bold=$'\033[1m' plain=$'\033[0m'
fi
say() { printf '%s\n' "$bold$*$plain" >&2; }
fail() { printf '%s: %s\n' "$0" "$*" >&2; exit 1; }

find_python() {
    local candidate candidates=(python3 python3.14 python3.13 python3.12 python3.11)
    [ -z "${PYTHON:-}" ] || candidates=("$PYTHON")
    for candidate in "${candidates[@]}"; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    fail "Python 3.11 or newer is needed. Install it (Debian: apt install python3 python3-venv) or name it: PYTHON=/path/to/python3 $0"
}

make_venv() {
    local python
    python=$(find_python)
    rm -rf .venv
    "$python" -m venv .venv >/dev/null 2>&1 && return
    rm -rf .venv
    "$python" -m venv --without-pip .venv || fail "$python cannot make a virtual environment (Debian: apt install python3-venv)."
    add_pip_of_debian >.venv/install.log 2>&1 && return
    tail -n 5 .venv/install.log >&2
    fail "pip is missing and could not be had from Debian either. Install it first (apt install python3-venv)."
}

# Debian splits pip off Python. Without root it can still be had from Debian's own package of it.
add_pip_of_debian() (
    venv=$PWD/.venv
    scratch=$(mktemp -d) && trap 'rm -rf "$scratch"' EXIT && cd "$scratch" || exit
    # The machine's package lists may be empty, and only root may fill them: then use lists of our own.
    own=(-o "Dir::State::Lists=$scratch/lists" -o "Dir::Cache=$scratch/cache")
    apt-get download python3-pip-whl ||
        { mkdir -p lists cache && apt-get "${own[@]}" update && apt-get "${own[@]}" download python3-pip-whl; } || exit
    dpkg -x ./*.deb . && wheel=$(echo usr/share/python-wheels/pip-*.whl) && "$venv/bin/python" "$wheel/pip" install pip
)

install() {
    if ! .venv/bin/python -m pip install --disable-pip-version-check "$@" >>.venv/install.log 2>&1; then
        tail -n 20 .venv/install.log >&2
        fail "The packages could not be installed; all that was said is in .venv/install.log."
    fi
}

# What the virtual environment is bound to: a moved checkout, or a system with another Python, needs a new one.
origin() { echo "$PWD $(.venv/bin/python --version 2>&1)"; }

prepare() {
    local extra=$1 wanted stamp=.venv/prepared-$1
    mkdir -p tmp
    exec 8>>tmp/prepare.lock
    flock --nonblock 8 || { say "Waiting for another script that prepares .venv …"; flock 8; }
    if [ "$(cat .venv/origin 2>/dev/null)" != "$(origin)" ]; then
        say "Preparing a virtual environment in .venv …"
        make_venv
        origin >.venv/origin
    fi
    wanted=$(cat krake/pyproject.toml rok/pyproject.toml | cksum)
    if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
        say "Installing Krake, rok and what they need (a minute or so) …"
        install --upgrade pip
        install --editable "./krake${extra:+[$extra]}" --editable "./rok${extra:+[$extra]}"
        echo "$wanted" >"$stamp"
    fi
    exec 8>&-
    export PATH="$PWD/.venv/bin:$PATH" VIRTUAL_ENV="$PWD/.venv"
}
