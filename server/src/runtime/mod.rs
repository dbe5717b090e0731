//! RUNTIME: what a container is to be, as pure values: spec, OpenClaw configuration, token.
