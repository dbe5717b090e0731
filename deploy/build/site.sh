#!/usr/bin/env bash
# What browsers load: the wasm with its script, the one style sheet, the files of
# public/, each with a .br and a .gz beside it. Laid into target/site, and only
# when something of it has changed.
. "$(dirname "$0")/../setup/lib.sh"
cd "$repo"

target=${CARGO_TARGET_DIR:-$repo/target}
site=$target/site
wasm=$target/wasm32-unknown-unknown/wasm-release/frontend.wasm
bindgen=$("$repo/deploy/setup/wasm-bindgen.sh")
# Made beside the page where it is not there yet: that ends in a long step on one processor.
"$repo/deploy/setup/wasm-split.sh" >/dev/null &
splitter=$!

# The relocations are what the splitter reads; they are in none of the files that it makes.
logged web "building the page (wasm)" \
  cargo rustc -p frontend --lib --locked --target wasm32-unknown-unknown --profile wasm-release --features hydrate \
  -- -C link-arg=--emit-relocs
wait "$splitter"
split=$("$repo/deploy/setup/wasm-split.sh")

mapfile -t sources < <(find style public -type f | LC_ALL=C sort)
mark=$("$bindgen" --version; printf '%s\n' "$split"; sha256sum "$wasm" "${sources[@]}" deploy/build/parts.py "$0")
if [ -e "$site/.made-from" ] && [ "$(cat "$site/.made-from")" = "$mark" ]; then exit 0; fi

new=$target/site.new
rm -rf "$new"
mkdir -p "$new/pkg"
cp -r public/. "$new/"

# What every page begins with goes on to wasm-bindgen; the parts stay as they are, and so do the names by which they reach it.
logged wasm-split "taking the page's code apart" "$split" "$wasm" "$new/pkg"
mv "$new/pkg/main.wasm" "$target/clawloops.wasm"
"$bindgen" --target web --no-typescript --keep-lld-exports --remove-name-section --remove-producers-section \
  --out-name clawloops --out-dir "$new/pkg" "$target/clawloops.wasm"
rm "$target/clawloops.wasm"
sed -i 's|"./main.js"|"./clawloops.js"|' "$new/pkg/__wasm_split.js"
python3 deploy/build/parts.py "$new/pkg"

# The imports of main.css, put in their places, make one sheet and one request.
while IFS= read -r line; do
  if [[ $line =~ ^@import\ \"(.*)\"\;$ ]]; then
    cat "style/${BASH_REMATCH[1]}"
  else
    printf '%s\n' "$line"
  fi
done <style/main.css >"$new/pkg/clawloops.css"
if grep -q '^@import' "$new/pkg/clawloops.css"; then
  fail "a style sheet imports another that was not put in its place" "Imports belong into style/main.css, as: @import \"name.css\";"
fi

find "$new" -type f \( -name '*.wasm' -o -name '*.js' -o -name '*.css' -o -name '*.svg' \
  -o -name '*.txt' -o -name '*.json' -o -name '*.webmanifest' \) -print0 |
  while IFS= read -r -d '' file; do
    brotli --best --keep "$file"
    gzip -9 --keep --no-name "$file"
  done
printf '%s' "$mark" >"$new/.made-from"

rm -rf "$site"
mv "$new" "$site"
