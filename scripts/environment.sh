# Sourced by the other scripts: goes to the root of the checkout and prepares its virtual environment there (.venv), once.
# Use: prepare EXTRA   (an extra of both packages, for example `test`; may be empty)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf '\033[1m%s\033[0m\n' "$*" >&2; }
fail() { printf '%s: %s\n' "$0" "$*" >&2; exit 1; }

find_python() {
    local candidate
    for candidate in "${PYTHON:-}" python3 python3.14 python3.13 python3.12 python3.11; do
        if [ -n "$candidate" ] && "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    fail "Python 3.11 or newer is needed. Install it (Debian: apt install python3 python3-venv) or name it: PYTHON=/path/to/python3 $0"
}

# Debian splits pip off Python. Without root it can still be had from Debian's own package of it.
make_venv() {
    local python=$1 scratch
    rm -rf .venv
    "$python" -m venv .venv >/dev/null 2>&1 && return
    rm -rf .venv
    "$python" -m venv --without-pip .venv || fail "$python cannot make a virtual environment (Debian: apt install python3-venv)."
    scratch=$(mktemp -d)
    if (cd "$scratch" && { apt-get download python3-pip-whl || { apt-get update && apt-get download python3-pip-whl; }; } && dpkg -x ./*.deb .) >/dev/null 2>&1; then
        .venv/bin/python "$scratch"/usr/share/python-wheels/pip-*.whl/pip install --quiet pip
    fi
    rm -rf "$scratch"
    [ -x .venv/bin/pip ] || { rm -rf .venv; fail "pip is missing. Install it first (Debian: apt install python3-venv)."; }
}

install() {
    if ! .venv/bin/python -m pip install --disable-pip-version-check "$@" >>.venv/install.log 2>&1; then
        tail -n 20 .venv/install.log >&2
        fail "The packages could not be installed; all that was said is in .venv/install.log."
    fi
}

prepare() {
    local extra=$1 wanted stamp=.venv/prepared-$1
    wanted=$(cat krake/pyproject.toml rok/pyproject.toml | cksum; pwd)
    if [ ! -x .venv/bin/python ]; then
        local python
        python=$(find_python)
        say "Preparing a virtual environment in .venv …"
        make_venv "$python"
    fi
    if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
        say "Installing Krake, rok and what they need …"
        install --upgrade pip
        install --editable "./krake${extra:+[$extra]}" --editable "./rok${extra:+[$extra]}"
        echo "$wanted" >"$stamp"
    fi
    export PATH="$PWD/.venv/bin:$PATH" VIRTUAL_ENV="$PWD/.venv"
}
