#!/usr/bin/env bash
# The model that needs no provider: llama.cpp's server and a model file, both
# behind one program that takes --host and --port. Prints its path.
. "$(dirname "$0")/lib.sh"

here=$repo/deploy/local-model
venv=$("$repo/deploy/setup/venv.sh" local-model "$here/requirements.txt")
made=$venv/model-$(digest "$here"/*.py)
if [ ! -x "$made/serve" ]; then
  rm -rf "$made"
  mkdir -p "$made"
  cp "$here"/*.py "$made/"
  logged local-model "writing the local model" "$venv/bin/python" "$made/make_model.py" "$made/local.gguf"
  cat >"$made/serve.new" <<END
#!/bin/sh
exec "$venv/bin/python" "$made/serve.py" --model "$made/local.gguf" "\$@"
END
  chmod +x "$made/serve.new"
  mv "$made/serve.new" "$made/serve"
fi
printf '%s\n' "$made/serve"
