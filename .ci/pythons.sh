# To be sourced: the supported Pythons that are here, in $present, and those that are not, in $absent.
# One that only pyenv has, outside of its current version, is linked into .cache/pythons, which comes first in PATH.
supported="3.11 3.12 3.13"
present="" absent=""
links=$PWD/.cache/pythons
runs() { "$1" -c 'import sys; sys.exit(sys.version_info[:2] != tuple(map(int, sys.argv[1].split("."))))' "$2" 2>/dev/null; }
for version in $supported; do
  if ! runs "python$version" "$version"; then
    found=$(ls -d "${PYENV_ROOT:-$HOME/.pyenv}"/versions/"$version".*/bin/"python$version" 2>/dev/null | sort -V | tail -1)
    [ -n "$found" ] && runs "$found" "$version" || { absent="$absent $version"; continue; }
    mkdir -p "$links" && ln -sfn "$found" "$links/python$version"
  fi
  present="$present $version"
done
if [ -d "$links" ]; then export PATH=$links:$PATH; fi
